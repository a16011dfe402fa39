//! What a presented refresh token means: a pure function of the family's row, the presentation, the settings and the time.
//!
//! Its cases are a table in `verdicts`; what the verdicts amount to over time is checked in `model`.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, AgentKey, ClientKey, FamilyKey, SealKeyKey, SessionId, SessionKey};
use crate::secret::{Digest, RefreshToken, Seal};

/// How often one generation may be replayed: far above what a crowd of tabs or an eager retry loop needs.
pub const MOST_REPLAYS: u32 = 128;

/// How long a retry with the same `Idempotency-Key` is served: a laptop that slept over the answer.
pub const RETRY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// In how many successive generations a stranger has to replay to be taken for a thief in lockstep. One may be a
/// phone that changed networks and updated itself in the same minute; three in a row are not.
const LOCKSTEP_LIMIT: u32 = 3;

/// What a family's row says, with what its session, account and client add to it.
#[derive(Clone, Debug)]
pub struct Family {
    pub key: FamilyKey,
    pub session: SessionKey,
    pub session_id: SessionId,
    pub account: AccountKey,
    pub client: ClientKey,
    pub generation: u32,
    pub digest: Digest,
    pub seal: Seal,
    pub seal_key: SealKeyKey,
    pub rotated_at: Timestamp,
    pub replays: u32,
    pub ip: IpAddr,
    pub agent: AgentKey,
    pub retry: Option<Digest>,
    pub lockstep: u32,
    pub lockstep_generation: u32,
    pub expires_at: Timestamp,
    /// Revoked, or its session ended, or its account disabled, or of an epoch before a restore.
    pub ended: bool,
    /// The window of its client, if that has one of its own.
    pub client_window: Option<u32>,
}

/// A token as it was presented.
pub struct Presentation<'a> {
    pub token: &'a RefreshToken,
    pub client: ClientKey,
    pub ip: IpAddr,
    pub agent: AgentKey,
    pub retry: Option<Digest>,
}

/// The lifetimes that a verdict depends on.
#[derive(Clone, Copy)]
pub struct Lifetimes {
    pub window: Duration,
    pub idle: Duration,
}

/// What a presented token means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is the live one: make a successor.
    Rotate,
    /// It was the live one a moment ago: the same successor again. If a stranger presents it, how many
    /// generations in a row that makes.
    Replay { stranger: Option<u32> },
    /// The same, too often. Nothing changes.
    TooOften,
    /// Refused; nothing changes.
    Refuse(Refusal),
    /// It was copied, or retried far too late: the family ends.
    Reuse(Reuse),
    /// It is genuine, and the file does not know it: the file went back in time. The family ends.
    RolledBack,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    OtherClient,
    Ended,
    Expired,
    LastGeneration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// Its successor was used since: two parties hold tokens of one family.
    Copied,
    /// Its successor was never used: perhaps the answer was lost for longer than the window.
    RetriedLateOrCopied,
    /// A stranger replayed generation after generation.
    Lockstep,
}

impl Reuse {
    pub const fn as_str(self) -> &'static str {
        match self {
            Reuse::Copied => "copied",
            Reuse::RetriedLateOrCopied => "retried late or copied",
            Reuse::Lockstep => "followed in lockstep",
        }
    }
}

/// Judges a genuine token. `seal_opens` says whether the family's seal, opened with the presented secret, gives
/// the live secret; it matters only for the predecessor of the live token.
pub fn judge(
    family: &Family,
    presented: &Presentation<'_>,
    seal_opens: bool,
    lifetimes: Lifetimes,
    now: Timestamp,
) -> Verdict {
    if presented.client != family.client {
        // Without a change: or a client could sign out another's users.
        return Verdict::Refuse(Refusal::OtherClient);
    }
    if family.ended {
        return Verdict::Refuse(Refusal::Ended);
    }
    let age = now.since(family.rotated_at);
    if now >= family.expires_at || age >= lifetimes.idle {
        return Verdict::Refuse(Refusal::Expired);
    }
    let generation = presented.token.generation;
    if generation == family.generation {
        return match presented.token.secret.digest() == family.digest {
            true if generation == u32::MAX => Verdict::Refuse(Refusal::LastGeneration),
            true => Verdict::Rotate,
            false => Verdict::RolledBack,
        };
    }
    if generation > family.generation {
        return Verdict::RolledBack;
    }
    if generation + 1 < family.generation {
        return Verdict::Reuse(Reuse::Copied);
    }
    let within_window = !lifetimes.window.is_zero() && age <= lifetimes.window;
    // A window of zero closes both: an operator who allows no replay allows none with a key either.
    let retried = !lifetimes.window.is_zero()
        && presented.retry.is_some()
        && presented.retry == family.retry
        && age <= RETRY_WINDOW;
    if !within_window && !retried {
        return Verdict::Reuse(Reuse::RetriedLateOrCopied);
    }
    if family.replays >= MOST_REPLAYS {
        return Verdict::TooOften;
    }
    if !seal_opens {
        return Verdict::RolledBack;
    }
    if presented.ip == family.ip || presented.agent == family.agent {
        return Verdict::Replay { stranger: None };
    }
    let streak = match family.generation - family.lockstep_generation.min(family.generation) {
        0 => family.lockstep,
        1 => family.lockstep + 1,
        _ => 1,
    };
    match streak {
        LOCKSTEP_LIMIT.. => Verdict::Reuse(Reuse::Lockstep),
        _ => Verdict::Replay {
            stranger: Some(streak),
        },
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod verdicts;
