//! The table of verdicts, case by case: what a token means on its own. What the verdicts amount to in the course
//! of time is checked in the model beside this.

use super::*;
use crate::ids::{AgentKey, FamilyId};
use crate::secret::{Secret, TagKey};
use crate::service::session::client;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9));

fn agent_key(text: &str) -> AgentKey {
    TagKey::from_bytes([1; 32]).agent_key(text)
}

fn secret(byte: u8) -> Secret {
    Secret::from_bytes([byte; 32])
}

fn retry(byte: u8) -> Option<Digest> {
    Some(Digest::from_bytes([byte; 32]))
}

/// A family in generation 7, rotated ten seconds ago by the browser at home.
fn family() -> Family {
    Family {
        key: FamilyKey::from_row(1),
        session: SessionKey::from_row(1),
        session_id: SessionId::random([1; 16]),
        account: AccountKey::from_row(1),
        client: client::FIRST_PARTY_KEY,
        generation: 7,
        digest: secret(7).digest(),
        seal: Seal::NONE,
        seal_key: SealKeyKey::from_row(1),
        rotated_at: NOW.minus(Duration::from_secs(10)),
        replays: 0,
        ip: HOME,
        agent: agent_key("browser"),
        retry: None,
        lockstep: 0,
        lockstep_generation: 0,
        expires_at: NOW.plus(Duration::from_secs(1_000_000)),
        ended: false,
        client_window: None,
    }
}

struct Case {
    family: Family,
    generation: u32,
    secret: Secret,
    client: ClientKey,
    ip: IpAddr,
    agent: &'static str,
    retry: Option<Digest>,
    seal_opens: bool,
    window: u64,
}

/// The live token, presented by the browser at home.
fn case() -> Case {
    Case {
        family: family(),
        generation: 7,
        secret: secret(7),
        client: client::FIRST_PARTY_KEY,
        ip: HOME,
        agent: "browser",
        retry: None,
        seal_opens: true,
        window: 60,
    }
}

/// Its predecessor.
fn predecessor() -> Case {
    Case {
        generation: 6,
        secret: secret(6),
        ..case()
    }
}

fn rotated(seconds: u64, case: Case) -> Case {
    let rotated_at = NOW.minus(Duration::from_secs(seconds));
    Case {
        family: Family {
            rotated_at,
            ..case.family
        },
        ..case
    }
}

fn verdict(case: Case) -> Verdict {
    let token = RefreshToken {
        family: FamilyId::from_bytes([1; 16]),
        generation: case.generation,
        secret: case.secret,
    };
    let presented = Presentation {
        token: &token,
        client: case.client,
        ip: case.ip,
        agent: agent_key(case.agent),
        retry: case.retry,
    };
    let lifetimes = Lifetimes {
        window: Duration::from_secs(case.window),
        idle: Duration::from_secs(100_000),
    };
    judge(&case.family, &presented, case.seal_opens, lifetimes, NOW)
}

#[test]
fn the_live_token_rotates() {
    assert_eq!(verdict(case()), Verdict::Rotate);
    // Who presents it, and from where, is no concern of the live token's.
    assert_eq!(
        verdict(Case {
            ip: AWAY,
            agent: "other",
            ..case()
        }),
        Verdict::Rotate
    );
    // I9: there is no seal to open for it.
    assert_eq!(
        verdict(Case {
            seal_opens: false,
            ..case()
        }),
        Verdict::Rotate
    );
}

#[test] // req 48
fn another_client_is_refused_before_anything_else_is_looked_at() {
    let stranger = ClientKey::from_row(2);
    for generation in [1, 6, 7, 8] {
        let case = Case {
            client: stranger,
            generation,
            ..case()
        };
        assert_eq!(verdict(case), Verdict::Refuse(Refusal::OtherClient));
    }
}

#[test]
fn what_has_ended_or_expired_is_refused_whatever_the_generation() {
    for generation in [1, 6, 7, 8] {
        let ended = Family {
            ended: true,
            ..family()
        };
        let case = Case {
            family: ended,
            generation,
            ..case()
        };
        assert_eq!(verdict(case), Verdict::Refuse(Refusal::Ended));
        let expired = Family {
            expires_at: NOW,
            ..family()
        };
        let case = Case {
            family: expired,
            generation,
            ..self::case()
        };
        assert_eq!(verdict(case), Verdict::Refuse(Refusal::Expired));
        let case = rotated(
            100_000,
            Case {
                generation,
                ..self::case()
            },
        );
        assert_eq!(verdict(case), Verdict::Refuse(Refusal::Expired));
    }
}

#[test]
fn the_last_generation_is_refused_and_never_wrapped() {
    let last = Family {
        generation: u32::MAX,
        ..family()
    };
    let case = Case {
        family: last,
        generation: u32::MAX,
        ..case()
    };
    assert_eq!(verdict(case), Verdict::Refuse(Refusal::LastGeneration));
}

#[test]
fn the_predecessor_is_replayed_inside_the_window_only() {
    let replayed = Verdict::Replay { stranger: None };
    let late = Verdict::Reuse(Reuse::RetriedLateOrCopied);
    for (age, expected) in [
        (0, &replayed),
        (60, &replayed),
        (61, &late),
        (90_000, &late),
    ] {
        assert_eq!(verdict(rotated(age, predecessor())), *expected, "{age} s");
    }
    assert_eq!(
        verdict(rotated(
            0,
            Case {
                window: 0,
                ..predecessor()
            }
        )),
        late
    );
}

#[test]
fn replays_are_counted_and_end_without_a_change() {
    for (replays, expected) in [
        (127, Verdict::Replay { stranger: None }),
        (128, Verdict::TooOften),
    ] {
        let family = Family {
            replays,
            ..family()
        };
        assert_eq!(
            verdict(Case {
                family,
                ..predecessor()
            }),
            expected,
            "{replays}"
        );
    }
}

#[test]
fn an_idempotency_key_serves_for_a_day() {
    let kept = |age, kept, presented| {
        let family = Family {
            retry: kept,
            ..family()
        };
        verdict(rotated(
            age,
            Case {
                family,
                retry: presented,
                ..predecessor()
            },
        ))
    };
    let late = Verdict::Reuse(Reuse::RetriedLateOrCopied);
    assert_eq!(
        kept(86_400, retry(1), retry(1)),
        Verdict::Replay { stranger: None }
    );
    assert_eq!(kept(86_401, retry(1), retry(1)), late);
    assert_eq!(kept(3600, retry(1), retry(2)), late);
    assert_eq!(kept(3600, retry(1), None), late);
    assert_eq!(kept(3600, None, retry(1)), late);
    assert_eq!(kept(3600, None, None), late);
}

#[test] // req 47, RFC 9700 §4.14.2
fn what_came_before_the_predecessor_was_copied() {
    for generation in [1, 5] {
        let case = rotated(
            0,
            Case {
                generation,
                retry: retry(1),
                ..case()
            },
        );
        assert_eq!(verdict(case), Verdict::Reuse(Reuse::Copied));
    }
}

#[test]
fn a_genuine_token_that_the_file_does_not_know_shows_a_rollback() {
    let newer = Case {
        generation: 8,
        ..case()
    };
    let same_generation = Case {
        secret: secret(99),
        ..case()
    };
    let other_seal = Case {
        seal_opens: false,
        ..predecessor()
    };
    for case in [newer, same_generation, other_seal] {
        assert_eq!(verdict(case), Verdict::RolledBack);
    }
}

#[test]
fn a_stranger_differs_in_address_and_in_user_agent() {
    let by = |ip, agent| {
        verdict(Case {
            ip,
            agent,
            ..predecessor()
        })
    };
    assert_eq!(by(AWAY, "browser"), Verdict::Replay { stranger: None });
    assert_eq!(by(HOME, "other"), Verdict::Replay { stranger: None });
    assert_eq!(by(AWAY, "other"), Verdict::Replay { stranger: Some(1) });
}

#[test]
fn three_generations_in_lockstep_are_theft() {
    let stranger = |lockstep, lockstep_generation| {
        let family = Family {
            lockstep,
            lockstep_generation,
            ..family()
        };
        verdict(Case {
            family,
            ip: AWAY,
            agent: "other",
            ..predecessor()
        })
    };
    let seen = |streak| Verdict::Replay {
        stranger: Some(streak),
    };
    // The same generation again does not count twice; a gap starts anew.
    assert_eq!(stranger(1, 7), seen(1));
    assert_eq!(stranger(1, 6), seen(2));
    assert_eq!(stranger(2, 7), seen(2));
    assert_eq!(stranger(2, 5), seen(1));
    assert_eq!(stranger(2, 6), Verdict::Reuse(Reuse::Lockstep));
}
