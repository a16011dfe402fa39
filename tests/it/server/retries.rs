//! Answers that are lost, and tokens that are presented twice.

use std::sync::Barrier;
use std::thread;

use crate::wire::{Client, Home, Server, SignedIn, distinct, eventually, generation, refresh_body};

/// Presents one token over `count` connections at once.
fn present_at_once(server: &Server, token: &str, count: usize) -> Vec<SignedIn> {
    let start = Barrier::new(count);
    thread::scope(|scope| {
        let presentations: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.client();
                    start.wait();
                    client.refreshed(token)
                })
            })
            .collect();
        presentations
            .into_iter()
            .map(|presentation| presentation.join().expect("64 x 200"))
            .collect()
    })
}

#[test] // fault 23, I2, CVE-2026-1035, CVE-2026-53517, CVE-2026-50631, CVE-2026-126280
fn one_token_over_64_connections_has_one_successor() {
    let home = Home::with("public_url = \"http://localhost:8080\"");
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let answers = present_at_once(&server, &ann.refresh, 64);
    assert_eq!(distinct(answers.iter().map(|answer| &answer.refresh)), 1);
    assert_eq!(distinct(answers.iter().map(|answer| &answer.session)), 1);
    let successor = &answers[0];
    assert_eq!(generation(&successor.refresh), 2);

    // Killed between the rotation and the retry: the seal is as durable as the rotation.
    server.kill();
    let server = home.serve();
    let again = present_at_once(&server, &ann.refresh, 32);
    assert!(
        again
            .iter()
            .all(|answer| answer.refresh == successor.refresh)
    );

    // Every access token of the crowd is one of the session; the chain goes on from its one end.
    for answer in answers.iter().chain(&again) {
        let listed = server.client().as_owner(answer, "GET", "/v1/sessions");
        listed.status(200);
    }
    let next = server.client().refreshed(&successor.refresh);
    assert_eq!(generation(&next.refresh), 3);
    assert_eq!(home.events("refresh_token_reused").len(), 0);
}

#[test] // fault 24, I6
fn an_answer_that_was_lost_is_given_again() {
    let home = Home::new();
    let server = home.serve();
    let mut token = server.set_up("ann@example.org").refresh;
    let ask = |client: &mut Client, token: &str| {
        let body = refresh_body(token);
        client
            .ask("POST", "/v1/sessions/refresh", &[], Some(&body))
            .expect("a connection");
    };
    let hang_ups: [fn(Client); 3] = [
        // The answer lies in the socket, unread: it was committed.
        |client| {
            client.answer_is_here();
            client.hang_up();
        },
        // The client said goodbye before the answer, and then was gone.
        |client| {
            client.half_close();
            client.answer_is_here();
            drop(client);
        },
        // Gone at once: whether the request still arrived, nobody knows.
        Client::hang_up,
    ];
    for hang_up in hang_ups {
        let mut client = server.client();
        ask(&mut client, &token);
        hang_up(client);
        let retried = server.client().refreshed(&token);
        assert_eq!(generation(&retried.refresh), generation(&token) + 1);
        // What the retry was given is what the lost answer had: nothing else is live.
        let again = server.client().refreshed(&token);
        assert_eq!(again.refresh, retried.refresh);
        token = retried.refresh;
    }

    // The same token twice in one breath; the first answer is thrown away unseen, and was the same.
    let mut client = server.client();
    ask(&mut client, &token);
    ask(&mut client, &token);
    let [first, second] = [(); 2].map(|()| {
        let answer = client.answer().expect("an answer");
        SignedIn::read(&answer.status(200)).refresh
    });
    assert_eq!(first, second);
    assert_eq!(home.events("refresh_token_reused").len(), 0);
}

#[test] // req 47, RFC 9700 §4.14.2, I3, I4
fn a_token_used_again_after_the_window_ends_the_session() {
    let home = Home::with("replay_window = \"1s\"");
    let server = home.serve();
    let laptop = server.set_up("ann@example.org");
    let phone = server.sign_in("ann@example.org", "phone");
    let live = server.client().refreshed(&laptop.refresh);

    // The thief comes back until the window is over; inside it the answer is the same successor.
    let mut thief = server.client_from([127, 0, 0, 2]).calling_itself("thief");
    let refused = eventually("the end of the window", || {
        let answer = thief.refresh(&laptop.refresh);
        match answer.status {
            200 => {
                assert_eq!(SignedIn::read(&answer).refresh, live.refresh);
                None
            }
            429 => None,
            _ => Some(answer),
        }
    });
    refused.refused(401, "invalid_grant");

    // The family and its session are over, for both; the owner's other device is not.
    let refused = server.client().refresh(&live.refresh);
    refused.refused(401, "invalid_grant");
    let refused = server.client().as_owner(&live, "GET", "/v1/sessions");
    refused.refused(401, "invalid_token");
    server.client().refreshed(&phone.refresh);

    let events = home.events("refresh_token_reused");
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(event["email"], "ann@example.org");
    assert_eq!(event["session"], laptop.session);
    assert_eq!(
        (&event["ip"], &event["user_agent"]),
        (&"127.0.0.2".into(), &"thief".into())
    );
    let rotated = &event["detail"]["rotated"];
    assert_eq!(rotated["ip"], "127.0.0.1");
    assert_eq!(rotated["user_agent"], "authd-tests");
    assert!(event["detail"]["seconds_since_rotation"].as_u64() >= Some(1));

    // A restart brings nothing back (CVE-2026-9802).
    server.kill();
    let server = home.serve();
    for token in [&laptop.refresh, &live.refresh] {
        server.client().refresh(token).refused(401, "invalid_grant");
    }
    assert_eq!(home.events("refresh_token_reused").len(), 1);
}

#[test] // CVE-2026-9802, CVE-2026-43983, req 33, I3, I10
fn what_was_revoked_stays_revoked_after_a_restart() {
    let home = Home::new();
    let server = home.serve();
    let laptop = server.set_up("ann@example.org");
    let phone = server.sign_in("ann@example.org", "phone");
    home.add_user("bob@example.org");
    let bob = server.sign_in("bob@example.org", "desk");

    let signed_out = server
        .client()
        .as_owner(&phone, "DELETE", "/v1/sessions/current");
    signed_out.status(204);
    home.authd(&["user", "disable", "bob@example.org"]).done();
    let dead = [&phone.refresh, &bob.refresh];
    for token in dead {
        server.client().refresh(token).refused(401, "invalid_grant");
    }
    server.kill();
    let server = home.serve();
    for token in dead {
        server.client().refresh(token).refused(401, "invalid_grant");
    }
    server.client().refreshed(&laptop.refresh);

    // Enabled again, bob signs in again; what he had before stays dead.
    home.authd(&["user", "enable", "bob@example.org"]).done();
    let refused = server.client().refresh(&bob.refresh);
    refused.refused(401, "invalid_grant");
    server.sign_in("bob@example.org", "desk");
}
