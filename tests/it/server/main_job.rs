//! The main job, from an empty directory to an ended session.

use serde_json::{Value, json};

use crate::wire::{Home, Ran, SignedIn};

/// Ids of the open sessions, as their owner sees them.
#[track_caller]
fn listed(server: &crate::wire::Server, owner: &SignedIn) -> Vec<Value> {
    let answer = server.client().as_owner(owner, "GET", "/v1/sessions");
    let sessions = answer.status(200).json()["sessions"].clone();
    sessions.as_array().expect("a list").clone()
}

#[test] // req 14, 32, 35
fn from_the_setup_link_to_the_last_sign_out() {
    let home = Home::new();
    let server = home.serve();
    let laptop = server.set_up("ann@example.org");
    let phone = server.sign_in("ANN@example.org", "phone");
    let tablet = server.sign_in("ann@example.org", "tablet");
    assert_eq!(laptop.account, phone.account);

    let phone_2 = server.client().refreshed(&phone.refresh);
    assert_eq!(phone_2.session, phone.session);
    assert_ne!(phone_2.refresh, phone.refresh);

    let sessions = listed(&server, &laptop);
    assert_eq!(sessions.len(), 3, "{sessions:?}");
    let current = sessions.iter().find(|session| session["current"] == true);
    assert_eq!(current.expect("one")["id"], laptop.session);
    assert!(sessions.iter().all(|session| session["ip"] == "127.0.0.1"));

    // One, from another device.
    let end_tablet = format!("/v1/sessions/{}", tablet.session);
    let ended = server.client().as_owner(&laptop, "DELETE", &end_tablet);
    ended.status(204);
    let refused = server.client().refresh(&tablet.refresh);
    refused.refused(401, "invalid_grant");
    let refused = server.client().as_owner(&tablet, "GET", "/v1/sessions");
    refused.refused(401, "invalid_token");
    // Again: it is gone.
    let ended = server.client().as_owner(&laptop, "DELETE", &end_tablet);
    ended.refused(404, "not_found");

    // All but this one.
    let others = "/v1/sessions?except=current";
    let ended = server.client().as_owner(&laptop, "DELETE", others);
    assert_eq!(ended.status(200).json(), json!({ "revoked": 1 }));
    let refused = server.client().refresh(&phone_2.refresh);
    refused.refused(401, "invalid_grant");
    assert_eq!(listed(&server, &laptop).len(), 1);

    // All.
    let phone = server.sign_in("ann@example.org", "phone");
    let ended = server.client().as_owner(&laptop, "DELETE", "/v1/sessions");
    assert_eq!(ended.status(200).json(), json!({ "revoked": 2 }));
    for token in [&laptop.refresh, &phone.refresh] {
        server.client().refresh(token).refused(401, "invalid_grant");
    }
    let stopped = server.stop();
    assert!(
        stopped.stderr.contains("synchronous=2"),
        "{}",
        stopped.stderr
    );
}

#[test] // the lines that the first start prints do what they say when they are pasted into a shell
fn the_printed_lines_work_when_pasted() {
    let home = Home::new();
    let server = home.serve();
    let printed = server.printed();
    let (_, lines) = printed.split_once("Or paste these lines").expect("lines");
    let (_, lines) = lines.split_once("\n\n").expect("a blank line before them");
    let ran = Ran::of(home.command("bash", &["-euo", "pipefail"]), lines).done();
    assert_eq!(ran.stderr, "");

    // Every curl answers one JSON document; the answers stand one after another.
    let answers: Vec<Value> = serde_json::Deserializer::from_str(&ran.stdout)
        .into_iter()
        .map(|answer| answer.unwrap_or_else(|_| panic!("{}", ran.stdout)))
        .collect();
    let [set_up, sign_in, refresh, list, end_all] = answers.as_slice() else {
        panic!("{}", ran.stdout);
    };
    assert_eq!(set_up["account"]["admin"], true);
    assert_eq!(sign_in["session"]["device_name"], "shell");
    assert_eq!(refresh["session"]["id"], sign_in["session"]["id"]);
    assert_ne!(refresh["refresh_token"], sign_in["refresh_token"]);
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(*end_all, json!({ "revoked": 2 }));

    // Once there is an administrator, the next start has nothing to offer, and the link is dead.
    let token = server.setup_token();
    let again =
        json!({ "token": token, "email": "eve@example.org", "password": "another long one" });
    let refused = server.client().post("/v1/setup", &again);
    refused.refused(403, "invalid_setup_token");
    server.stop();
    let stopped = home.serve().stop();
    assert_eq!(stopped.stdout.lines().count(), 1, "{}", stopped.stdout);
}

#[test] // CVE-2026-33544: what one sign-in answers belongs to whoever signed in, however many sign in at once
fn sign_ins_at_the_same_time_are_not_mixed_up() {
    const PEOPLE: usize = 6;
    const SIGN_INS: usize = 5;
    let home = Home::new();
    let server = home.serve();
    let email = |person: usize| format!("person{person}@example.org");
    let ids: Vec<String> = (0..PEOPLE)
        .map(|person| {
            home.add_user(&email(person));
            let shown = home.authd(&["user", "show", &email(person), "--json"]);
            shown.json()["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    let server = &server;
    std::thread::scope(|scope| {
        for (person, id) in ids.iter().enumerate() {
            for device in 0..SIGN_INS {
                scope.spawn(move || {
                    let device = format!("device {device}");
                    let signed_in = server.sign_in(&email(person), &device);
                    assert_eq!(signed_in.account, *id);
                    let claims = signed_in.claims();
                    assert_eq!(claims["sub"], *id);
                    assert_eq!(claims["sid"], signed_in.session);
                    let refreshed = server.client().refreshed(&signed_in.refresh);
                    assert_eq!(refreshed.claims()["sub"], *id);
                    assert_eq!(refreshed.session, signed_in.session);
                });
            }
        }
    });
}
