//! Invitations: who holds one makes an account, once.

use std::thread;
use std::time::Duration;

use authd::clock::Timestamp;
use authd::http::Method;
use authd::ids::InvitationId;
use authd::mail::Letter;
use authd::service::{Code, Error, EventQuery, Invitation, NewInvitation, Registration};
use serde_json::{Value, json};

use crate::harness::*;

/// A server where registration takes an invitation.
fn by_invitation() -> Harness {
    Harness::with(|terms| terms.policy.registration = Registration::Invite)
}

/// For whoever holds it, for a week.
fn for_anybody() -> NewInvitation {
    NewInvitation {
        email: None,
        group: None,
        lifetime: days(7),
        is_mailed: false,
    }
}

/// An invitation that was printed.
struct Printed {
    id: InvitationId,
    expires_at: Timestamp,
    group: Option<String>,
    token: String,
}

fn invite(t: &Harness, new: &NewInvitation) -> Printed {
    let invited = t.operator().invite(new).expect("an invitation");
    Printed {
        id: invited.invitation.id,
        expires_at: invited.invitation.expires_at,
        group: invited.invitation.group,
        token: invited.token.expect("it is printed"),
    }
}

/// Tries to make an account with an invitation.
fn register(t: &Harness, name: &str, invite: &str) -> Answer {
    let body = json!({ "email": email(name), "password": PASSWORD, "invite": invite });
    t.post("/v1/accounts", body).send()
}

#[track_caller]
fn refused(t: &Harness, name: &str, invite: &str) -> Value {
    let refused = t.unchanged(|| register(t, name, invite).refused("invalid_invitation"));
    assert_eq!(refused["status"], 403);
    refused
}

fn only_one(t: &Harness) -> Invitation {
    let mut listed = t.authd().invitations().expect("a list");
    assert_eq!(listed.len(), 1);
    listed.remove(0)
}

#[test]
fn an_invitation_makes_one_account() {
    let t = by_invitation();
    let invited = invite(&t, &for_anybody());
    assert!(invited.token.starts_with("ai_"));
    assert_eq!(only_one(&t).state, "open");
    let ann = register(&t, "ann", &invited.token).issued();
    assert!(t.is_open(&ann));
    let used = only_one(&t);
    assert_eq!((used.state, used.ended_at), ("used", Some(START)));
    assert_eq!(used.used_by, Some(email("ann")));
    let told = [
        "account_created",
        "invitation_used",
        "email_verification_requested",
        "sign_in",
    ];
    assert_eq!(t.events("ann"), told);
    let detail = t.events_of("ann", "invitation_used")[0].detail.clone();
    assert_eq!(
        detail,
        Some(json!({ "invitation": invited.id, "mailed": false }))
    );

    refused(&t, "bob", &invited.token);
    // It stays used when the account goes.
    t.operator().delete_account(&account("ann")).expect("ann");
    assert_eq!(only_one(&t).used_by, None);
    refused(&t, "ann", &invited.token);
}

#[test]
fn registration_takes_an_invitation_where_the_operator_says_so() {
    let body = json!({ "email": email("ann"), "password": PASSWORD });
    let t = by_invitation();
    t.add("root");
    let answer = t.unchanged(|| t.post("/v1/accounts", body.clone()).send());
    assert_eq!(answer.refused("invitation_required")["status"], 403);
    // Without an invitation nobody learns who has an account.
    let taken = json!({ "email": email("root"), "password": PASSWORD });
    let answer = t.unchanged(|| t.post("/v1/accounts", taken).send());
    answer.refused("invitation_required");
    refused(&t, "root", "ai_x");

    // Where everybody may, an invitation is of use all the same; where nobody may, none is made, and none works.
    let mut t = by_invitation();
    let [first, second] = [(); 2].map(|()| invite(&t, &for_anybody()).token);
    t.restart_with(|terms| terms.policy.registration = Registration::Open);
    register(&t, "ann", &first).issued();
    refused(&t, "bob", &first);
    t.restart_with(|terms| terms.policy.registration = Registration::Closed);
    t.unchanged(|| {
        register(&t, "bob", &second).refused("registration_closed");
        let refused = t.operator().invite(&for_anybody());
        assert!(matches!(
            refused,
            Err(Error::No(Code::RegistrationClosed, _))
        ));
    });
}

#[test]
fn an_invitation_for_an_address_is_for_no_other() {
    let t = by_invitation();
    let new = NewInvitation {
        email: Some("Ann@Example.org".to_owned()),
        ..for_anybody()
    };
    let invited = invite(&t, &new);
    let told = refused(&t, "bob", &invited.token);
    assert!(!told.to_string().contains("nn@"), "{told}");
    // However it is written.
    register(&t, "ann", &invited.token).issued();
    // Nobody is invited twice.
    t.unchanged(|| {
        let refused = t.operator().invite(&new);
        assert!(matches!(refused, Err(Error::No(Code::EmailTaken, _))));
    });
}

#[test] // to the second
fn an_invitation_expires() {
    for (age, works) in [(days(7) - seconds(1), true), (days(7), false)] {
        let t = by_invitation();
        let invited = invite(&t, &for_anybody());
        assert_eq!(invited.expires_at, START.plus(days(7)));
        t.clock.advance(age);
        if works {
            register(&t, "ann", &invited.token).issued();
        } else {
            refused(&t, "ann", &invited.token);
            assert_eq!(only_one(&t).state, "expired");
        }
    }
}

#[test]
fn a_withdrawn_invitation_works_no_more() {
    let t = by_invitation();
    let invited = invite(&t, &for_anybody());
    let withdraw = |id| t.operator().withdraw_invitation(id);
    withdraw(invited.id).expect("it is open");
    refused(&t, "ann", &invited.token);
    assert_eq!(only_one(&t).state, "withdrawn");
    // What has ended cannot be withdrawn: an operator is told when somebody was faster.
    t.unchanged(|| assert!(withdraw(invited.id).is_err()));
    let used = invite(&t, &for_anybody());
    register(&t, "ann", &used.token).issued();
    let late = invite(&t, &for_anybody());
    t.clock.advance(days(7));
    t.unchanged(|| {
        assert!(withdraw(used.id).is_err());
        assert!(withdraw(late.id).is_err());
    });
}

#[test] // all that is wrong with an invitation looks the same
fn a_bad_invitation_tells_nothing_about_itself() {
    let t = by_invitation();
    let [used, withdrawn, expired] = [(); 3].map(|()| invite(&t, &for_anybody()));
    register(&t, "ann", &used.token).issued();
    t.operator()
        .withdraw_invitation(withdrawn.id)
        .expect("it is open");
    t.clock.advance(days(7));
    let other = NewInvitation {
        email: Some(email("cid")),
        ..for_anybody()
    };
    let other = invite(&t, &other);
    let unknown = by_invitation();
    let unknown = invite(&unknown, &for_anybody());
    let reset = t.operator().reset_link(&account("ann")).expect("ann").token;
    let detail = |invite: &str| refused(&t, "bob", invite)["detail"].clone();
    let said = detail("");
    for token in [
        &used.token,
        &withdrawn.token,
        &expired.token,
        &other.token,
        &unknown.token,
        &reset,
        &format!("{}A", other.token),
        &other.token.to_uppercase(),
    ] {
        assert_eq!(detail(token), said, "{token}");
    }
}

#[test]
fn what_is_refused_does_not_use_an_invitation_up() {
    let t = by_invitation();
    t.add("root");
    let invited = invite(&t, &for_anybody());
    let right = json!({ "email": email("ann"), "password": PASSWORD, "invite": invited.token });
    for (member, value, code) in [
        ("password", "password1234", "weak_password"),
        ("password", "short", "weak_password"),
        ("email", "ann", "invalid_request"),
        ("username", "a b", "invalid_request"),
        ("username", "root", "username_taken"),
        ("email", "root@example.org", "email_taken"),
        ("scope", "everything", "invalid_scope"),
    ] {
        let mut body = right.clone();
        body[member] = json!(value);
        t.unchanged_but_counted(|| t.post("/v1/accounts", body).send().refused(code));
    }
    register(&t, "ann", &invited.token).issued();
}

#[test] // single use is a row count
fn sixteen_who_race_with_one_invitation_make_one_account() {
    let t = by_invitation();
    let invited = invite(&t, &for_anybody());
    let made = thread::scope(|scope| {
        let racers: Vec<_> = (0..16)
            .map(|number| {
                let (t, token) = (&t, &invited.token);
                scope.spawn(move || register(t, &format!("p{number}"), token))
            })
            .collect();
        let answers = racers
            .into_iter()
            .map(|racer| racer.join().expect("no panic"));
        answers
            .filter(|answer| {
                if answer.status != 201 {
                    answer.refused("invalid_invitation");
                }
                answer.status == 201
            })
            .count()
    });
    assert_eq!(made, 1);
    assert_eq!(t.number("SELECT count(*) FROM account"), 1);
    assert_eq!(t.number("SELECT count(*) FROM session"), 1);
}

#[test]
fn an_invitation_leads_into_a_group() {
    let t = by_invitation();
    t.operator().add_group("family").expect("a group");
    let new = NewInvitation {
        group: Some("family".to_owned()),
        ..for_anybody()
    };
    let invited = invite(&t, &new);
    assert_eq!(invited.group.as_deref(), Some("family"));
    let body = json!({
        "email": email("ann"), "password": PASSWORD, "invite": invited.token, "scope": "groups",
    });
    let ann = t.post("/v1/accounts", body).send().issued();
    // With the first token already.
    assert_eq!(ann.claims()["groups"], json!(["family"]));
    let granted = t.events_of("ann", "group_granted")[0].detail.clone();
    assert_eq!(
        granted,
        Some(json!({ "group": "family", "by": "invitation" }))
    );

    // A group that was deleted meanwhile is no reason to turn somebody away.
    let invited = invite(&t, &new);
    t.operator().delete_group("family").expect("a group");
    let bob = register(&t, "bob", &invited.token).issued();
    let shown = t.with_token(&bob, Method::GET, "/v1/account").send();
    assert_eq!(shown.gives(200)["groups"], json!([]));
    t.unchanged(|| {
        let refused = t.operator().invite(&new);
        assert!(matches!(refused, Err(Error::No(Code::NotFound, _))));
    });
}

#[test]
fn invitations_are_bounded() {
    let t = by_invitation();
    let lasting = |lifetime: Duration| {
        let new = NewInvitation {
            lifetime,
            ..for_anybody()
        };
        t.operator().invite(&new).is_ok()
    };
    t.unchanged(|| {
        for lifetime in [
            Duration::ZERO,
            hours(1) - seconds(1),
            days(90) + seconds(1),
            Duration::MAX,
        ] {
            assert!(!lasting(lifetime), "{lifetime:?}");
        }
    });
    assert!(lasting(hours(1)) && lasting(days(90)));
    for _ in 2..1000 {
        assert!(lasting(days(7)));
    }
    t.unchanged(|| assert!(!lasting(days(7))));
    // One that has ended makes room.
    t.clock.advance(hours(1));
    assert!(lasting(days(7)) && !lasting(days(7)));
}

#[test]
fn open_invitations_are_listed_first_and_ended_ones_for_a_month() {
    let t = by_invitation();
    let names = ["ann", "bob"];
    for name in names {
        let invited = invite(&t, &for_anybody());
        register(&t, name, &invited.token).issued();
    }
    let short = NewInvitation {
        lifetime: hours(1),
        ..for_anybody()
    };
    invite(&t, &for_anybody());
    invite(&t, &short);
    t.clock.advance(hours(1));
    let listed = t.authd().invitations().expect("a list");
    let told: Vec<_> = listed
        .into_iter()
        .map(|it| (it.state, it.used_by))
        .collect();
    let used = |name| ("used", Some(email(name)));
    assert_eq!(
        told,
        [("open", None), ("expired", None), used("bob"), used("ann")]
    );

    t.clock.advance(days(30) - hours(1));
    assert_eq!(t.authd().sweep().expect("swept").invitations, 0);
    t.clock.advance(seconds(1));
    assert_eq!(t.authd().sweep().expect("swept").invitations, 2);
    t.clock.advance(days(7));
    assert_eq!(t.authd().sweep().expect("swept").invitations, 2);
    assert!(t.authd().invitations().expect("a list").is_empty());
}

#[test] // req 40
fn opening_the_link_of_an_invitation_does_not_use_it_up() {
    let t = by_invitation();
    let invited = invite(&t, &for_anybody());
    let path = format!("/register?invite={}", invited.token);
    let opened = t.unchanged(|| t.ask(Method::GET, &path).send());
    assert_eq!(
        (opened.status, opened.header("location")),
        (303, Some("/register"))
    );
    register(&t, "ann", &invited.token).issued();
}

/// For this address, by letter.
fn by_letter(name: &str) -> NewInvitation {
    NewInvitation {
        email: Some(email(name)),
        is_mailed: true,
        ..for_anybody()
    }
}

/// Has an invitation mailed.
fn send(t: &Harness, name: &str) -> InvitationId {
    let invited = t
        .operator()
        .invite(&by_letter(name))
        .expect("an invitation");
    assert!(invited.token.is_none(), "nobody sees what is mailed");
    invited.invitation.id
}

/// The token of the invitation in a letter.
#[track_caller]
fn mailed_token(letter: &Letter) -> String {
    let (_, rest) = letter.text.split_once("?invite=").expect("a link");
    rest.lines().next().expect("a token").to_owned()
}

fn proven(t: &Harness) -> i64 {
    t.number("SELECT count(*) FROM account WHERE email_verified_at IS NOT NULL")
}

#[test] // req 25: the letter is the only place of its secret, so whoever uses it reads mail there
fn a_mailed_invitation_proves_the_address() {
    let t = by_invitation();
    let id = send(&t, "ann");
    let waiting = t.number("SELECT count(*) FROM one_time_token WHERE digest IS NULL");
    assert_eq!((waiting, only_one(&t).is_mailed), (1, true));
    let letters = t.mail();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].to, email("ann"));
    let link = format!("{ISSUER}/register?invite={}", mailed_token(&letters[0]));
    assert!(letters[0].text.contains(&link) && letters[0].html.contains(&link));
    assert!(t.mail().is_empty());

    refused(&t, "bob", &mailed_token(&letters[0]));
    let answer = register(&t, "ann", &mailed_token(&letters[0]));
    answer.issued();
    assert_eq!(answer.json()["account"]["email_verified"], true);
    assert!(t.mail().is_empty(), "there is nothing left to prove");
    assert_eq!(proven(&t), 1);
    let detail = t.events_of("ann", "invitation_used")[0].detail.clone();
    assert_eq!(detail, Some(json!({ "invitation": id, "mailed": true })));
    // What an operator handed out says nothing about a mailbox.
    let printed = NewInvitation {
        is_mailed: false,
        ..by_letter("bob")
    };
    let printed = invite(&t, &printed);
    register(&t, "bob", &printed.token).issued();
    assert_eq!(proven(&t), 1);
}

#[test]
fn an_invitation_is_mailed_to_an_address_by_a_server_that_sends_mail() {
    let mut t = by_invitation();
    let nowhere = NewInvitation {
        email: None,
        ..by_letter("ann")
    };
    t.unchanged(|| {
        let refused = t.operator().invite(&nowhere);
        assert!(matches!(refused, Err(Error::No(Code::InvalidRequest, _))));
    });
    t.restart_with(|terms| terms.policy.sends_mail = false);
    t.unchanged(|| {
        let refused = t.operator().invite(&by_letter("ann"));
        assert!(matches!(refused, Err(Error::No(Code::NoMail, _))));
    });
}

#[test] // a week is a week, however long the letter waited
fn a_letter_that_waits_carries_the_same_invitation() {
    let mut t = by_invitation();
    send(&t, "ann");
    t.post_office.refuse(false);
    let first = mailed_token(&t.mail()[0]);
    t.clock.advance(seconds(15));
    assert_eq!(mailed_token(&t.mail()[0]), first);
    // A server that starts anew has forgotten it, and draws another.
    t.restart();
    t.post_office.counter().refusal = None;
    t.clock.advance(minutes(1));
    let letters = t.mail();
    let second = mailed_token(&letters[0]);
    assert_ne!(first, second);
    let end = START.plus(days(7)).in_words();
    assert!(letters[0].text.replace('\n', " ").contains(&end));
    refused(&t, "ann", &first);
    register(&t, "ann", &second).issued();
}

#[test]
fn a_letter_with_a_withdrawn_invitation_does_not_leave() {
    let t = by_invitation();
    let id = send(&t, "ann");
    t.operator().withdraw_invitation(id).expect("it is open");
    assert!(t.mail().is_empty());
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
    // Nor does one whose time was over before the mail server came back.
    let short = NewInvitation {
        lifetime: hours(1),
        ..by_letter("bob")
    };
    t.operator().invite(&short).expect("an invitation");
    t.clock.advance(hours(1));
    assert!(t.mail().is_empty());
    assert_eq!(t.number("SELECT count(*) FROM outbox"), 0);
}

#[test] // fault 20
fn an_operator_hears_of_an_invitation_that_cannot_be_delivered() {
    let t = by_invitation();
    send(&t, "ann");
    t.clock.advance(days(1));
    assert!(t.mail().is_empty());
    t.post_office.refuse(true);
    send(&t, "bob");
    assert_eq!(t.mail().len(), 1);
    let query = EventQuery {
        account: None,
        before: None,
        limit: 10,
        ..EventQuery::default()
    };
    let events = t.authd().events(&query).expect("events").into_iter();
    let failed = events.filter(|event| event.kind == "mail_failed");
    let told: Vec<_> = failed.filter_map(|event| event.detail).collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|detail| detail["letter"] == "invitation"));
}
