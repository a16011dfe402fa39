//! Clients that misbehave, with an honest one among them.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use authd::clock::monotonic;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::wire::{Client, Home, Server, generation};

/// Lets this process have as many descriptors as the system allows.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the limit that is allowed");
    limit.maximum.unwrap_or(u64::MAX)
}

/// Refreshes `count` times, every tenth time over a connection of its own. Returns the times, sorted.
fn honest_refreshes(server: &Server, token: &mut String, count: usize) -> Vec<Duration> {
    let mut kept = server.client();
    let mut times: Vec<Duration> = (0..count)
        .map(|at| {
            let begun = monotonic();
            let answer = match at % 10 {
                0 => server.client().refreshed(token),
                _ => kept.refreshed(token),
            };
            assert_eq!(generation(&answer.refresh), generation(token) + 1);
            *token = answer.refresh;
            monotonic() - begun
        })
        .collect();
    times.sort();
    times
}

fn report(what: &str, times: &[Duration]) {
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!(
        "{what}: p50 {:?}, p99 {:?}, worst {:?}",
        at(50),
        at(99),
        at(100)
    );
}

#[test] // faults 12 and 13: the figures are printed, the promise is that nothing fails
fn thousands_of_silent_connections_keep_nobody_waiting() {
    // As many as the machine lets this process have, up to what the fault names.
    let crowd = raise_descriptor_limit().saturating_sub(500).min(2000);
    let home = Home::new();
    let server = home.serve();
    let mut token = server.set_up("ann@example.org").refresh;
    let quiet = honest_refreshes(&server, &mut token, 200);

    let begin: [&[u8]; 4] = [
        // Says nothing.
        b"",
        // Begins a head.
        b"POST /v1/sessions/refresh HTTP/1.1\r\nHost: localhost\r\n",
        // Begins a body.
        b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Content-Length: 1000\r\n\r\n{\"login\"",
        // Asks and never reads.
        b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ];
    let silent: Vec<TcpStream> = (0..crowd)
        .zip(begin.iter().cycle())
        .map(|(_, words)| {
            let mut stream = TcpStream::connect(server.address).expect("a connection");
            // It may have been evicted already.
            let _ = stream.write_all(words);
            stream
        })
        .collect();
    let crowded = honest_refreshes(&server, &mut token, 500);
    report("alone", &quiet);
    report(
        &format!("among {} silent connections", silent.len()),
        &crowded,
    );
    println!(
        "threads {}, memory {} KiB",
        server.memory("Threads"),
        server.memory("VmHWM")
    );
    drop(silent);
    honest_refreshes(&server, &mut token, 20);
    server.stop();
}

#[test] // fault 14: no more connections than there are descriptors, so that a new one evicts an old one
fn few_descriptors_are_few_connections_and_nobody_waits() {
    let home = Home::new();
    let server = home.serve_under(&["bash", "-c", "ulimit -n 48; exec \"$0\" \"$@\""]);
    server.says("there are too few file descriptors");
    let mut token = server.set_up("ann@example.org").refresh;
    let crowd: Vec<Client> = (0..100).map(|_| server.client()).collect();
    honest_refreshes(&server, &mut token, 20);
    drop(crowd);
    honest_refreshes(&server, &mut token, 20);
    server.stop();
}

#[test] // fault 15, CVE-2020-35884 and its kin: the request that ends a server built on tiny_http
fn a_length_that_nobody_has_room_for_is_refused_and_costs_nothing() {
    let home = Home::new();
    let server = home.serve();
    let mut token = server.set_up("ann@example.org").refresh;
    honest_refreshes(&server, &mut token, 20);
    let before = server.memory("VmRSS");
    for length in ["10000000000000", "9223372036854775807", "65537"] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let mut client = server.client();
            let head = format!(
                "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n{expect}\r\n"
            );
            client.send(head.as_bytes()).expect("a connection");
            // The body is never sent; the answer comes all the same.
            let refused = client.answer().expect("an answer");
            refused.refused(413, "body_too_large");
            assert!(client.is_closed_by_server());
        }
    }
    let grown = server.memory("VmRSS").saturating_sub(before);
    println!("grown by {grown} KiB");
    assert!(grown < 1024, "{grown} KiB");
    honest_refreshes(&server, &mut token, 20);
}

#[test] // fault 15: the refusal arrives although the client is busy sending what nobody wants
fn a_refusal_arrives_while_the_body_is_being_sent() {
    let home = Home::new();
    let server = home.serve();
    let mut client = server.client();
    let body = vec![b'x'; 200_000];
    let head = format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).expect("a connection");
    client.send(&body).expect("it is taken and thrown away");
    let refused = client.answer().expect("an answer");
    refused.refused(413, "body_too_large");
}

#[test] // RFC 9110 §10.1.1
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let home = Home::new();
    let server = home.serve();
    let token = server.set_up("ann@example.org").refresh;
    let body = crate::wire::refresh_body(&token).to_string();
    let mut client = server.client();
    let head = format!(
        "POST /v1/sessions/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).expect("a connection");
    client.answer().expect("an interim answer").status(100);
    client.send(body.as_bytes()).expect("a connection");
    client.answer().expect("an answer").status(200);
}
