//! The memory that `authd doctor` promises, held against clients that make the server keep as much as they can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::wire::{Home, Server, SignedIn, eventually};

const CONNECTIONS: usize = 400;

const SETTINGS: &str =
    "public_url = \"http://localhost\"\nmax_connections = 400\npassword_ram = \"19MiB\"\n";

/// What `authd doctor` says that authd needs at most, in KiB.
fn promised(home: &Home) -> u64 {
    let told = home.authd(&["doctor", "--json"]).stdout;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let findings = told["findings"].as_array().expect("a list");
    let memory = findings.iter().find(|finding| finding["check"] == "memory");
    let text = memory.expect("a finding")["found"]
        .as_str()
        .expect("a text");
    let (_, rest) = text.split_once("needs at most ").expect(text);
    let mebibytes: f64 = rest
        .split(' ')
        .next()
        .and_then(|it| it.parse().ok())
        .expect(text);
    (mebibytes * 1024.0) as u64
}

/// A connection with a small receive buffer, so that the server cannot leave its answer to the system.
fn connect(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a buffer");
    socket.set_send_buffer_size(2048).expect("a buffer");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

/// Makes the account's events as many and as long as events can be.
fn fill_events(home: &Home, owner: &SignedIn) {
    let agent = "\"".repeat(256);
    let detail = json!({ "rotated": { "user_agent": agent } }).to_string();
    let id = owner.account.replace('-', "");
    home.sql()
        .execute(
            "INSERT INTO event (at, kind, account_id, session_id, ip, user_agent, detail) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
             SELECT 0, 'sign_in', (SELECT id FROM account WHERE lower(hex(public_id)) = ?3), NULL, NULL, ?1, ?2 FROM n",
            [&agent, &detail, &id],
        )
        .expect("events");
}

/// Holds as many connections as the server allows. Each sends `request` and reads the status of its answer, no more.
fn hold(server: &Server, request: &str, status: &str) -> Vec<TcpStream> {
    let mut connections: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| connect(server.address)).collect();
    for connection in &mut connections {
        connection
            .write_all(request.as_bytes())
            .expect("it is read");
        let mut first = [0; 12];
        connection.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, format!("HTTP/1.1 {status}").as_bytes());
    }
    connections
}

/// A form that is shown again with what was typed, which HTML writes with five times as many bytes.
fn typed_again(server: &Server) -> String {
    let page = server.client().get("/login").status(200);
    let cookie = page.header("set-cookie").expect("a form cookie").to_owned();
    let (cookie, _) = cookie.split_once(';').expect("attributes");
    let text = page.text();
    let (_, token) = text
        .split_once("name=\"form_token\" value=\"")
        .expect("a form");
    let (token, _) = token.split_once('"').expect("a token");
    let body = format!("form_token={token}&login={}", "\"".repeat(2_000));
    format!(
        "POST /login HTTP/1.1\r\nHost: {}\r\nOrigin: http://localhost\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        server.address,
        body.len(),
    )
}

#[test] // finding 4: clients that send as much as they may, or do not read their answers
fn the_memory_that_doctor_promises_is_a_maximum_and_comes_back() {
    let home = Home::with(SETTINGS);
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    fill_events(&home, &ann);
    // Without what the hash of that password took.
    server.stop();
    let server = home.serve();
    let most = promised(&home);
    let quiet = server.memory("VmRSS");

    let host = server.address;
    let post = format!(
        "POST /v1/sessions/refresh HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    );
    let name = "\\\"".repeat(32_000);
    let body = format!("{{\"{name}\":1}}");
    let long_name = format!("{post}Content-Length: {}\r\n\r\n{body}", body.len());
    let events = format!(
        "GET /v1/account/events?limit=1000 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n",
        ann.access,
    );
    for (what, request, status) in [
        ("a long name", long_name, "400"),
        ("a page that is not read", typed_again(&server), "422"),
        ("unread events", events, "200"),
    ] {
        let connections = hold(&server, &request, status);
        let peak = server.memory("VmHWM");
        println!("{what}: {quiet} KiB before, {peak} at most, {most} promised");
        assert!(peak <= most, "{what}: {peak} KiB, {most} promised");
        drop(connections);
        eventually("the memory to come back", || {
            (server.memory("VmRSS") < quiet + (peak - quiet) / 4).then_some(())
        });
    }
}
