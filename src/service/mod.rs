//! The lifecycle logic: accounts, sessions, tokens and keys, one file for each concept.
//!
//! [`Authd`] is the whole of it. A CLI command and an HTTP handler that do the same thing call the same method
//! of it, and a method is one transaction (a sign-in is two: hashing a password takes longer than any lock may
//! be held). Inside, private functions take `&Tx` and compose.
//!
//! There are three kinds of no. *Refused* is a value: what was decided (a family revoked, a failure counted) is
//! committed, and then answered as an error. *Invalid* is the caller's fault and writes nothing. *Broken* rolls
//! back, is logged in full and shown as a bare server error. [`Error`] is what the caller sees of all three.
//!
//! Never in here: the wire (no status codes, no headers), the clock or chance of the system, SQL that only one
//! engine understands, a token in a column.

mod account;
mod administration;
mod authentication;
mod by;
mod context;
mod delivery;
mod error;
mod event;
mod oauth;
mod operations;
mod owner;
mod recovery;
mod session;
mod sign_up;
mod throttle;
mod token;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use account::groups::Group;
pub use account::identifiers::invalid_fields;
pub use account::{Account, AccountDetails, NewAccount, PendingEmailChange, Selector};
pub use administration::Administration;
pub use administration::accounts::{AccountChange, AccountRecord, PasswordState};
pub use administration::outbox::WaitingMessage;
pub use administration::search::{AccountFilter, AccountPage, AccountQuery, ListedAccount};
pub use authentication::password::SignInStep;
pub use authentication::proof::Confirmation;
pub use delivery::message::test_letter;
pub use delivery::one_time_token::LinkRequest;
pub use delivery::sender::Sender;
pub use error::{Code, Error};
pub use event::{EVENT_KINDS, Event};
pub use oauth::answer::{Answer, ResponseMode, plain as plain_words};
pub use oauth::apps::AppWithAccess;
pub use oauth::authorization::{Question, Step};
pub use oauth::claims::{ACR, Identity};
pub use oauth::client::known_apps::{KNOWN_APPS, KnownApp};
pub use oauth::client::registration::{ClientInfo, NewClient, NewlyRegistered};
pub use oauth::client::settings::ClientChange;
pub use oauth::client::{Client, ClientCredentials, GrantType};
pub use oauth::device::{DeviceAuthorization, WaitingDevice};
pub use oauth::exchange::{TokenRequest, Tokens};
pub use oauth::introspection::Introspection;
pub use oauth::logout::{LogoutParameters, LogoutRequest};
pub use oauth::request::{AuthorizationRequest, Refused, Unanswerable};
pub use oauth::scope::KNOWN as KNOWN_SCOPES;
pub use operations::accounts::Failures;
pub use operations::doctor_pass::issue as issue_doctors_pass;
pub use operations::events::{EventPage, EventQuery};
pub use operations::health::{Examination, MailLimited, Waiting, examine};
pub use operations::restore::{Begun, Contents, Losses, begin as begin_epoch, compare, contents};
pub use operations::sweep::Swept;
pub use owner::Profile;
pub use recovery::email_verification::{Confirmed, Proves, VerificationLink};
pub use recovery::link::LinkSubject;
pub use recovery::password_reset::ResetLink;
pub use session::browser::{Browser, BrowserWanted, NewCookie, StepUpPurpose};
pub use session::{Ended, Session, SessionKind, Wanted};
pub use sign_up::invitation::{Invitation, Invited, NewInvitation};
pub use sign_up::registration::{Registered, WaitingRegistration};
pub use sign_up::set_up::SetupLink;
pub use token::access::Claims;
pub use token::found::FoundToken;
pub use token::grant::SignIn;
pub use token::key_ring::{JWKS_MAX_AGE, SigningKeyInfo, replace_all as replace_signing_keys};
pub use token::signing_key::JwkSet;

pub use crate::policy::{Policy, Registration, Verification};

use context::Settings;

use crate::clock::{Clock, Standing, Timestamp};
use crate::entropy::Entropy;
use crate::ids::{AccountId, AccountKey, SessionId, SessionKey};
use crate::password::Hasher;
use crate::secret::TagKey;
use crate::store::{Broken, Shortage, Statistics, Store};

/// Where a request comes from, as far as that can be known.
#[derive(Clone, Debug)]
pub struct Device {
    /// The client's address, after trusted proxies.
    pub ip: IpAddr,
    /// What it calls itself; at most [`Device::AGENT_LENGTH`] bytes.
    pub user_agent: String,
}

impl Device {
    /// Longest user agent, in bytes of UTF-8. Longer ones are cut at a character: it is a label for people, not evidence.
    pub const AGENT_LENGTH: usize = 256;

    /// A device at `ip` that calls itself `user_agent`, which is cut and freed of control characters.
    pub fn new(ip: IpAddr, user_agent: &str) -> Device {
        let mut label = String::new();
        for c in user_agent.chars().filter(|c| !c.is_control()) {
            if label.len() + c.len_utf8() > Device::AGENT_LENGTH {
                break;
            }
            label.push(c);
        }
        Device {
            ip: ip.to_canonical(),
            user_agent: label,
        }
    }
}

/// Somebody who is signed in, with the session that the request came in.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub account: AccountId,
    /// In which session.
    pub session: SessionId,
    pub(crate) account_key: AccountKey,
    pub(crate) session_key: SessionKey,
}

/// The auth server, without its wire.
pub struct Authd {
    store: Store,
    clock: Clock,
    entropy: Entropy,
    hasher: Hasher,
    settings: Arc<Settings>,
    keys: token::key_ring::KeyRing,
    clients: oauth::client::Clients,
    /// Whether a token was presented that is newer than the file.
    has_gone_back: AtomicBool,
}

impl Authd {
    /// Takes up a store, and makes the server row and the first signing key if the file is new.
    ///
    /// # Errors
    /// [`OpenError::KeysLost`] if the file is not new and has no signing key that can be used: a key is
    /// never replaced silently, since every verifier would be left behind. [`OpenError::Broken`] if the
    /// store cannot be read or written.
    pub fn open(
        store: Store,
        clock: Clock,
        entropy: Entropy,
        hasher: Hasher,
        policy: Policy,
    ) -> Result<Arc<Authd>, OpenError> {
        let tag_key = match store.read(tag_key)? {
            Some(tag_key) => tag_key,
            None => first_start(&store, &clock)?,
        };
        let keys = token::key_ring::KeyRing::load(&store, &entropy)?;
        Ok(Arc::new(Authd {
            store,
            clock,
            entropy,
            hasher,
            settings: Arc::new(Settings { policy, tag_key }),
            keys,
            clients: oauth::client::Clients::default(),
            has_gone_back: AtomicBool::new(false),
        }))
    }

    /// What is in force.
    pub fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// The time of the database, which never goes back.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the writer did since the start.
    pub fn statistics(&self) -> Statistics {
        self.store.statistics()
    }

    /// How the wall clock stands to the database's time.
    pub fn clock_standing(&self) -> Standing {
        self.clock.standing()
    }

    /// Whether requests can be served: the file can be read, and the last write was not refused for want of space.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while that is not so.
    pub fn ready(&self) -> Result<(), Error> {
        Ok(self.store.ready()?)
    }

    /// Whether the file can be read, however full the disk is: what a new start of the process could mend.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Broken`] while it can't.
    pub fn answers(&self) -> Result<(), Error> {
        Ok(self.store.answers()?)
    }

    /// What there is too little of, if nothing is stored on behalf of strangers now: no registration without an invitation,
    /// no request for a link by address, no event of a failed sign-in. Everything else goes on.
    pub fn storage_shortage(&self) -> Option<Shortage> {
        self.store.shortage()
    }

    /// Refuses what a stranger asks for while storage is short, before any work. The transaction that stores it decides.
    ///
    /// # Errors
    /// [`Code::StorageLow`].
    fn require_storage(&self) -> Result<(), Error> {
        match self.storage_shortage() {
            Some(_) => Err(Error::storage_low()),
            None => Ok(()),
        }
    }

    /// Whether it has shown since the start that the file went back in time: somebody put an old copy in its place and
    /// began no new epoch in it. Requests are served all the same; what to do about it is an operator's business.
    pub fn has_gone_back(&self) -> bool {
        self.has_gone_back.load(Ordering::Relaxed)
    }
}

/// Why a store cannot be taken up.
#[derive(Debug)]
pub enum OpenError {
    /// The file has no usable signing key although it had one.
    KeysLost(String),
    /// The store failed.
    Broken(Broken),
}

impl From<Broken> for OpenError {
    fn from(broken: Broken) -> OpenError {
        OpenError::Broken(broken)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::KeysLost(why) => write!(
                f,
                "the signing key cannot be used: {why}.\n\
                 Restore a backup of the database; or, if the key is lost for good, run `authd key rotate --now`: \
                 every access token that is out now will then be refused."
            ),
            OpenError::Broken(broken) => write!(f, "the database cannot be used: {broken}"),
        }
    }
}

impl std::error::Error for OpenError {}

fn tag_key(tx: &crate::store::ReadTx<'_>) -> Result<Option<TagKey>, Broken> {
    tx.row(
        "SELECT tag_key FROM server WHERE id = 1",
        crate::store::params![],
        |row| row.get(0),
    )
}

/// Makes the server row, its keys and the built-in client, unless another process was faster.
fn first_start(store: &Store, clock: &Clock) -> Result<TagKey, Broken> {
    let signing_key = token::key_ring::NewKey::generate(token::access::ALGORITHM)?;
    let mark = clock.mark();
    store.write(move |tx| {
        if let Some(made) = tag_key(tx)? {
            return Ok(made);
        }
        let key = TagKey::from_bytes(tx.random());
        tx.run(
            "INSERT INTO server (id, epoch, tag_key, clock_latest, clock_confirmed, created_at) \
             VALUES (1, 1, ?1, ?2, ?3, ?4)",
            crate::store::params![&key, mark.latest, mark.confirmed, tx.now],
        )?;
        session::client::create_first_party(tx)?;
        signing_key.insert(tx, tx.now)?;
        Ok(key)
    })
}
