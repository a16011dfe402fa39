//! The HTTP front end as a socket sees it: what is sent is bytes, what is asserted is the answer
//! and whether the connection lives on.
//!
//! Where a deadline is what is tested, it is short, and the test waits for what the server does at
//! it, never for the time itself.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use authd::http::server::{Drained, Limits, Server, Stop};
use authd::http::{App, HttpCode, Request, Response, Settings};
use serde_json::{Value, json};

use crate::harness::Harness;

/// Far beyond every deadline under test: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const SHORT: Duration = Duration::from_millis(200);

/// A running server; ended when it goes out of scope.
struct TestServer {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<Drained>>,
    gate: Gate,
}

impl TestServer {
    fn open(limits: Limits) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        Self::start(server, handle)
    }

    fn start(
        server: Server,
        handle: impl Fn(&Request, &Gate) -> Response + Send + Sync + 'static,
    ) -> Self {
        let gate = Gate::default();
        let address = server.local_addr();
        let stop = Stop::new();
        let thread = thread::spawn({
            let (stop, gate) = (stop.clone(), gate.clone());
            move || {
                server
                    .run(move |request| handle(&request, &gate), stop)
                    .unwrap()
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
            gate,
        }
    }

    fn usual() -> Self {
        Self::open(Limits::default())
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Stops it and waits for the end.
    fn close(&mut self) -> Drained {
        self.stop.stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.gate.open();
        if self.thread.is_some() && !thread::panicking() {
            self.close();
        }
    }
}

/// Holds handlers until it is opened, and tells how many it holds.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(bool, usize)>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.1 += 1;
        changed.notify_all();
        drop(changed.wait_while(state, |state| !state.0).unwrap());
    }

    fn wait_for(&self, count: usize) {
        let (state, changed) = &*self.0;
        let (state, timeout) = changed
            .wait_timeout_while(state.lock().unwrap(), PATIENCE, |state| state.1 < count)
            .unwrap();
        let arrived = state.1;
        drop(state);
        assert!(!timeout.timed_out(), "{arrived} of {count} arrived");
    }

    fn open(&self) {
        let (state, changed) = &*self.0;
        // Also after a test has failed while it held the lock.
        state.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
        changed.notify_all();
    }
}

fn handle(request: &Request, gate: &Gate) -> Response {
    match request.path.as_str() {
        "/" => Response::text(200, "ok"),
        "/echo" => Response::text(
            200,
            &format!(
                "{} {} {:?} {}",
                request.method,
                request.peer,
                request.query,
                String::from_utf8_lossy(&request.body)
            ),
        ),
        "/host" => Response::text(200, request.header("host").unwrap_or("none")),
        "/empty" => Response::new(200),
        "/none" => Response::new(204).with_body("never sent"),
        "/same" => Response::new(304).with_body("never sent"),
        "/odd" => Response::new(1000),
        "/split" => Response::text(200, "ok")
            .header("x-split", "a\r\nx-injected: b")
            .header("content-length", "1")
            .header("bad name", "c")
            .header("set-cookie", "d=1")
            .header("set-cookie", "e=2"),
        "/bye" => Response::text(200, "ok").header("connection", "close"),
        "/big" => Response::new(200).with_body(vec![b'a'; 32 << 20]),
        "/panic" => std::panic::resume_unwind(Box::new("on purpose, without the hook's noise")),
        "/wait" => {
            gate.pass();
            Response::text(200, "waited")
        }
        _ if request.method.as_str() == "BREW" => Response::new(405),
        _ => Response::text(404, &request.path),
    }
}

/// One connection, spoken to in bytes.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    fn closes(&self) -> bool {
        self.header("connection") == ["close"]
    }
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// The server may have closed already; what it said before is what counts.
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .answer()
    }

    fn answer(&mut self) -> Answer {
        self.answer_to("GET").expect("an answer")
    }

    /// The next answer; `None` if the connection ends before one begins.
    fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let end = loop {
            if let Some(at) = find(&self.received, b"\r\n\r\n") {
                break at + 4;
            }
            if self.receive() == 0 {
                assert_eq!(String::from_utf8_lossy(&self.received), "");
                return None;
            }
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).unwrap();
        let mut answer = Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::new(),
        };
        let length = match (method, answer.status, &answer.header("content-length")[..]) {
            (_, 100 | 204 | 304, []) => 0,
            ("HEAD", _, [_]) => 0,
            (_, _, [length]) => length.parse().unwrap(),
            _ => panic!("no length: {answer:?}"),
        };
        while self.received.len() < length {
            assert_ne!(self.receive(), 0, "{answer:?} is cut short");
        }
        answer.body = String::from_utf8(self.received.drain(..length).collect()).unwrap();
        Some(answer)
    }

    fn receive(&mut self) -> usize {
        let mut buffer = [0; 16 * 1024];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.received.extend_from_slice(&buffer[..count]);
        count
    }

    /// Waits for the end of the connection, before which nothing more may come.
    fn ends(&mut self) {
        assert!(self.answer_to("GET").is_none());
    }

    /// Whether the server has not ended the connection, as far as can be seen now.
    fn is_open(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends `start` and then one `drop` after another for as long as the server says nothing.
    fn drip(&mut self, start: &str, drop: &str) -> Option<Answer> {
        self.send(start);
        self.stream
            .set_read_timeout(Some(Duration::from_millis(5)))
            .unwrap();
        loop {
            self.send(drop);
            match self.stream.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.answer_to("GET")
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Stays,
    Ends,
}
use Then::{Ends, Stays};

#[test] // req 61, req 64, fault 15
fn every_request_has_its_answers_and_its_end() {
    const H: &str = "Host: a\r\n";
    let get = |rest: &str| format!("GET /echo?q HTTP/1.1\r\n{H}{rest}\r\n");
    let post = |rest: &str| format!("POST /echo HTTP/1.1\r\n{H}{rest}");
    let many = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50);
    let long_line = format!("GET /{} HTTP/1.1\r\n{H}\r\n", "a".repeat(20_000));
    let long_head = get(&format!("X: {}\r\n", "a".repeat(20_000)));
    let near_head = get(&format!("X: {}\r\n", "a".repeat(16_000)));
    let full_body = post(&format!(
        "Content-Length: 65536\r\n\r\n{}",
        "a".repeat(65_536)
    ));
    let full_chunks = post(&format!(
        "Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(16)
    ));
    let server = TestServer::usual();
    let cases: Vec<(String, Vec<u16>, Then)> = vec![
        // What works.
        (get(""), vec![200], Stays),
        (format!("\r\n{}", get("")), vec![200], Stays),
        (post("Content-Length: 5\r\n\r\nhello"), vec![200], Stays),
        (post("Content-Length: 5\r\n\r\nhello\r\n"), vec![200], Stays),
        (post("Content-Length: 0\r\n\r\n"), vec![200], Stays),
        (
            get("Content-Length: 2\r\n").clone() + "hi",
            vec![200],
            Stays,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            vec![200],
            Stays,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\nX: y\r\n\r\n"),
            vec![200],
            Stays,
        ),
        (full_body, vec![200], Stays),
        (full_chunks, vec![200], Stays),
        (near_head, vec![200], Stays),
        (get("Connection: close\r\n"), vec![200], Ends),
        (
            "GET /bye HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            vec![200],
            Ends,
        ),
        ("GET / HTTP/1.0\r\n\r\n".into(), vec![200], Ends),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".into(),
            vec![200],
            Stays,
        ),
        (
            "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            vec![405],
            Stays,
        ),
        (
            "GET http://a/empty HTTP/1.1\r\nHost: b\r\n\r\n".into(),
            vec![200],
            Stays,
        ),
        (format!("GET /none HTTP/1.1\r\n{H}\r\n"), vec![204], Stays),
        (format!("GET /same HTTP/1.1\r\n{H}\r\n"), vec![304], Stays),
        (format!("GET /odd HTTP/1.1\r\n{H}\r\n"), vec![500], Stays),
        (format!("GET /panic HTTP/1.1\r\n{H}\r\n"), vec![500], Stays),
        (
            get("Upgrade: h2c\r\nConnection: upgrade\r\n"),
            vec![200],
            Stays,
        ),
        // Pipelining.
        (many, vec![200; 50], Stays),
        (
            format!("{}{}", post("Content-Length: 2\r\n\r\nhi"), get("")),
            vec![200; 2],
            Stays,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n") + &get(""),
            vec![200; 2],
            Stays,
        ),
        (get("") + "garbage\r\n\r\n", vec![200, 400], Ends),
        (
            get("") + &get("Content-Length: +5\r\n") + &get(""),
            vec![200, 400],
            Ends,
        ),
        (
            get("Connection: close\r\n") + "trailing garbage",
            vec![200],
            Ends,
        ),
        (get("Connection: close\r\n") + &get(""), vec![200], Ends),
        // Expectations.
        (
            post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"),
            vec![100, 200],
            Stays,
        ),
        (
            post("Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n"),
            vec![413],
            Ends,
        ),
        (
            post("Expect: a-pony\r\nContent-Length: 2\r\n\r\n"),
            vec![417],
            Ends,
        ),
        // Framing that could be understood in two ways.
        (
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            vec![400],
            Ends,
        ),
        (
            post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            vec![400],
            Ends,
        ),
        (
            post("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
            vec![400],
            Ends,
        ),
        (post("Content-Length: +5\r\n\r\nhello"), vec![400], Ends),
        (post("Content-Length: 5,5\r\n\r\nhello"), vec![400], Ends),
        (
            post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            vec![501],
            Ends,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n"),
            vec![400],
            Ends,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n"),
            vec![400],
            Ends,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n0\r\n\r\n"),
            vec![400],
            Ends,
        ),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), vec![400], Ends),
        (
            format!("GET / HTTP/1.1\r\n{H}X: a\nY: b\r\n\r\n"),
            vec![400],
            Ends,
        ),
        (get("X: a\r\n folded\r\n"), vec![400], Ends),
        (get("X : a\r\n"), vec![400], Ends),
        (get("X: a\0b\r\n"), vec![400], Ends),
        ("GET / HTTP/1.1\r\n\r\n".into(), vec![400], Ends),
        (get("Host: b\r\n"), vec![400], Ends),
        // Not for this server.
        (
            format!("CONNECT a:443 HTTP/1.1\r\n{H}\r\n"),
            vec![405],
            Ends,
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), vec![505], Ends),
        (
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".into(),
            vec![400],
            Ends,
        ),
        ("GET /\r\n\r\n".into(), vec![400], Ends),
        // Too much.
        (post("Content-Length: 65537\r\n\r\n"), vec![413], Ends),
        (
            post("Content-Length: 9223372036854775807\r\n\r\nhi"),
            vec![413],
            Ends,
        ),
        (
            post("Content-Length: 99999999999999999999\r\n\r\nhi"),
            vec![413],
            Ends,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\n10001\r\n"),
            vec![413],
            Ends,
        ),
        (
            post("Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"),
            vec![413],
            Ends,
        ),
        (long_line, vec![414], Ends),
        (long_head, vec![431], Ends),
        (get(&"X: a\r\n".repeat(101)), vec![431], Ends),
    ];
    assert!(cases.len() >= 40);
    for (bytes, statuses, then) in &cases {
        let shown = bytes[..bytes.len().min(120)].escape_debug();
        let mut client = server.connect();
        client.send(bytes);
        let answers: Vec<_> = statuses.iter().map(|_| client.answer()).collect();
        let got: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(&got, statuses, "{shown}");
        let last = answers.last().unwrap();
        match then {
            Stays => {
                assert!(!last.closes(), "{shown}");
                assert_eq!(client.get("/").body, "ok", "{shown}");
            }
            Ends => client.ends(),
        }
        // The engine's own refusals are problem details and say that they are the last.
        if last.status >= 400 && *then == Ends {
            assert!(last.closes(), "{shown}");
            assert_eq!(
                last.header("content-type"),
                ["application/problem+json"],
                "{shown}"
            );
            let problem: serde_json::Value = serde_json::from_str(&last.body).unwrap();
            assert_eq!(problem["status"], last.status, "{shown}");
            assert!(problem["code"].is_string(), "{shown}");
        }
    }
}

#[test] // req 61: byte by byte or at once, a request is the same request
fn a_request_in_single_bytes_is_understood() {
    let server = TestServer::usual();
    let mut client = server.connect();
    client.stream.set_nodelay(true).unwrap();
    let request = "POST /echo?a=b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    for byte in request.bytes().chain(request.bytes()) {
        client.send([byte]);
    }
    for _ in 0..2 {
        assert_eq!(client.answer().body, "POST 127.0.0.1 Some(\"a=b\") hello");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = TestServer::usual();
    for path in ["/", "/empty", "/missing", "/panic"] {
        let get = server.connect().get(path);
        let mut client = server.connect();
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.answer_to("HEAD").unwrap();
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-length", "content-type"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
        // Nothing of a body lies before the next answer.
        assert_eq!(client.get("/").body, "ok", "{path}");
    }
}

#[test]
fn a_refused_head_request_has_no_body_either() {
    let server = TestServer::usual();
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").unwrap().status, 400);
    client.ends();
}

#[test]
fn an_answer_has_a_date_and_a_length_and_no_field_but_its_own() {
    let server = TestServer::usual();
    let answer = server.connect().get("/split");
    assert_eq!(answer.header("content-length"), ["2"]);
    assert_eq!(answer.header("date").len(), 1);
    assert_eq!(answer.header("x-split"), ["a  x-injected: b"]);
    assert!(answer.header("x-injected").is_empty());
    assert_eq!(answer.header("set-cookie"), ["d=1", "e=2"]);
    assert!(!answer.head.contains("bad name"));
}

#[test]
fn a_large_answer_arrives_whole() {
    let server = TestServer::usual();
    assert_eq!(server.connect().get("/big").body.len(), 32 << 20);
}

#[test]
fn a_client_that_has_said_everything_still_hears() {
    let server = TestServer::usual();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().body, "POST 127.0.0.1 None hi");
    assert_eq!(client.answer().body, "ok");
    client.ends();
}

#[test]
fn a_request_that_breaks_off_is_refused() {
    let server = TestServer::usual();
    for part in [
        "GET / HTTP/1.1\r\nHo",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let mut client = server.connect();
        client.send(part);
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.answer().status, 400, "{part:?}");
        client.ends();
    }
}

#[test] // RFC 9110 §10.1.1
fn a_continue_comes_before_the_body_does() {
    let server = TestServer::usual();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        );
        assert_eq!(client.answer().status, 100);
        assert_eq!(client.send("hi").answer().body, "POST 127.0.0.1 None hi");
    }
}

#[test] // fault 15: the answer arrives although the client goes on sending
fn a_refusal_arrives_while_the_body_is_being_sent() {
    let server = TestServer::usual();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send(vec![b'a'; 200_000]);
    assert_eq!(client.answer().status, 413);
    client.ends();
}

#[test] // fault 16
fn an_endless_header_line_is_cut_off() {
    let server = TestServer::usual();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let piece = [b'a'; 64 * 1024];
    let sent = (0..1024)
        .take_while(|_| client.stream.write_all(&piece).is_ok())
        .count();
    assert!(sent < 1024, "64 MiB of a header line were taken");

    let mut client = server.connect();
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
        .send([b'a'; 20_000]);
    assert_eq!(client.answer().status, 431);
    client.ends();
}

#[test] // fault 12
fn a_head_that_drips_is_cut_off_at_the_deadline_for_all_of_it() {
    let server = TestServer::open(Limits {
        head_deadline: SHORT,
        ..Limits::default()
    });
    let answer = server
        .connect()
        .drip("GET / HTTP/1.1\r\nHost: a\r\nX: ", "a")
        .unwrap();
    assert_eq!(answer.status, 408);
    // Also after a request that was in time.
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.drip("GET / ", "a").unwrap().status, 408);
    client.ends();
}

#[test] // fault 12
fn empty_lines_are_no_sign_of_life() {
    let server = TestServer::open(Limits {
        head_deadline: SHORT,
        idle: SHORT,
        ..Limits::default()
    });
    assert!(server.connect().drip("", "\r\n").is_none());
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    assert!(client.drip("", "\r\n").is_none());
}

#[test] // fault 13
fn a_body_that_drips_is_cut_off_at_the_deadline_for_all_of_it() {
    let server = TestServer::open(Limits {
        body_deadline: SHORT,
        ..Limits::default()
    });
    for (framing, drop) in [
        ("Content-Length: 60000\r\n\r\n", "a"),
        ("Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n1;", "a"),
        (
            "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X: y\r\n",
        ),
    ] {
        let mut client = server.connect();
        let start = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}");
        let mut answer = if framing.starts_with("Expect") {
            client.send(&start);
            assert_eq!(client.answer().status, 100);
            client.drip("", drop)
        } else {
            client.drip(&start, drop)
        };
        assert_eq!(answer.take().unwrap().status, 408, "{framing:?}");
        client.ends();
    }
}

#[test] // fault 12
fn silence_is_ended_in_silence() {
    let server = TestServer::open(Limits {
        head_deadline: SHORT,
        idle: SHORT,
        ..Limits::default()
    });
    server.connect().ends();
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    client.ends();
}

#[test] // fault 13
fn a_client_that_never_reads_loses_its_connection() {
    let server = TestServer::open(Limits {
        max_connections: 1,
        write_deadline: SHORT,
        ..Limits::default()
    });
    let mut client = server.connect();
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    // Its head has arrived once it can be read back; nothing more is read.
    assert_eq!(client.stream.peek(&mut [0]).unwrap(), 1);
    let freed = std::iter::repeat_with(|| server.connect().get("/").status)
        .take(100_000)
        .any(|status| status == 200);
    assert!(freed);
}

#[test] // req 64, fault 22
fn a_thousand_panics_change_nothing() {
    let mut server = TestServer::open(Limits {
        max_connections: 2,
        ..Limits::default()
    });
    let mut client = server.connect();
    for _ in 0..1000 {
        let answer = client.get("/panic");
        assert_eq!(answer.status, 500);
        assert!(answer.body.contains("server_error"));
    }
    assert_eq!(client.get("/").body, "ok");
    assert_eq!(server.connect().get("/").body, "ok");
    assert_eq!(server.close(), Drained { abandoned: 0 });
}

#[test] // fault 12, finding 9
fn at_the_limit_the_one_that_did_nothing_for_longest_is_evicted() {
    let server = TestServer::open(Limits {
        max_connections: 4,
        ..Limits::default()
    });
    let mut silent = server.connect();
    let mut regular = server.connect();
    assert_eq!(regular.get("/").status, 200);
    let mut dripping = server.connect();
    dripping.send("GET / HTTP/1.1\r\n");
    let mut busy = server.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    server.gate.wait_for(1);

    let mut first = server.connect();
    assert_eq!(first.get("/").status, 200);
    silent.ends();
    assert!(regular.is_open() && dripping.is_open());
    // It asked again meanwhile, and so stays.
    assert_eq!(regular.get("/").status, 200);
    let mut second = server.connect();
    assert_eq!(second.get("/").status, 200);
    dripping.ends();
    assert!(regular.is_open() && first.is_open());
    server.gate.open();
    assert_eq!(busy.answer().body, "waited");
}

#[test] // finding 9: idle connections that asked once, and bare connects that push newcomers out
fn a_newcomer_is_not_evicted_before_its_request_has_come() {
    let server = TestServer::open(Limits {
        max_connections: 16,
        ..Limits::default()
    });
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..16 {
        let mut client = server.connect();
        assert_eq!(client.get("/").status, 200);
        idle.push(client);
    }
    let mut bare = Vec::new();
    for _ in 0..20 {
        let mut honest = server.connect();
        bare.extend([(); 8].map(|()| server.connect()));
        assert_eq!(honest.get("/").status, 200);
    }
    idle[0].ends();
}

#[test]
fn a_new_connection_is_refused_only_while_all_are_busy() {
    let server = TestServer::open(Limits {
        max_connections: 2,
        ..Limits::default()
    });
    let mut busy = [server.connect(), server.connect()];
    for client in &mut busy {
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    server.gate.wait_for(2);
    for _ in 0..50 {
        let mut refused = server.connect();
        let answer = refused.get("/");
        assert_eq!(answer.status, 503);
        assert!(answer.closes() && answer.body.contains("\"overloaded\""));
        refused.ends();
    }
    server.gate.open();
    for client in &mut busy {
        assert_eq!(client.answer().body, "waited");
        assert_eq!(client.get("/").body, "ok");
    }
}

#[test] // fault 12, with a 16th of the connections
fn silent_connections_do_not_delay_other_clients() {
    let server = TestServer::open(Limits {
        max_connections: 32,
        ..Limits::default()
    });
    let mut regular = server.connect();
    assert_eq!(regular.get("/").status, 200);
    let mut silent = Vec::new();
    for _ in 0..125 {
        silent.push(server.connect());
        assert_eq!(server.connect().get("/").status, 200);
        assert_eq!(regular.get("/").status, 200);
    }
    assert!(silent[0].answer_to("GET").is_none());
}

#[test] // fault 25
fn stopping_ends_the_idle_and_waits_for_the_rest() {
    let mut server = TestServer::usual();
    let mut idle = server.connect();
    assert_eq!(idle.get("/").status, 200);
    let mut silent = server.connect();
    let mut busy = server.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.gate.wait_for(1);

    server.stop.stop();
    idle.ends();
    silent.ends();
    assert!(TcpStream::connect(server.address).is_err());
    assert!(busy.is_open());
    server.gate.open();
    let answer = busy.answer();
    assert_eq!(answer.body, "waited");
    assert!(answer.closes());
    busy.ends();
    assert_eq!(server.close(), Drained { abandoned: 0 });
}

#[test] // fault 25
fn what_does_not_end_is_abandoned() {
    let mut server = TestServer::open(Limits {
        drain: SHORT,
        ..Limits::default()
    });
    let mut busy = server.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    server.gate.wait_for(1);
    assert_eq!(server.close(), Drained { abandoned: 1 });
    busy.ends();
}

#[test] // fault 25: no client reads a 200 and is then cut off
fn stopping_under_load_loses_no_answer() {
    let mut server = TestServer::usual();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.connect();
            assert_eq!(client.get("/").status, 200);
            thread::spawn(move || {
                while let Some(answer) = client
                    .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    .answer_to("GET")
                {
                    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
                }
            })
        })
        .collect();
    assert_eq!(server.close(), Drained { abandoned: 0 });
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn stopped_before_it_runs_it_returns_at_once() {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).unwrap();
    let stop = Stop::new();
    stop.stop();
    stop.stop();
    let drained = server.run(|_| Response::new(200), stop).unwrap();
    assert_eq!(drained, Drained { abandoned: 0 });
}

#[test]
fn the_application_words_the_refusals_of_the_server() {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default())
        .unwrap()
        .with_refuse(|refusal, request| {
            assert_eq!(refusal.code, HttpCode::MalformedRequest);
            let path = request.map_or("nothing", |request| &request.path);
            Response::text(400, &format!("refused: {path}"))
        });
    let address = server.local_addr();
    let stop = Stop::new();
    let running = thread::spawn({
        let stop = stop.clone();
        move || server.run(|_| Response::new(200), stop).unwrap()
    });
    // Without a Host, and without anything that can be read.
    for (sent, answer) in [
        ("GET /a HTTP/1.1\r\n\r\n", "refused: /a"),
        ("GET /a\r\n\r\n", "refused: nothing"),
    ] {
        let mut client = Client::connect(address);
        client.send(sent);
        assert_eq!(client.answer().body, answer);
        client.ends();
    }
    stop.stop();
    running.join().unwrap();
}

/// The origin of an app in a browser, which the settings list.
const APP: &str = "https://app.example.org";

/// authd in this server. `/wait` waits at the gate.
fn serving_authd(t: &Harness, limits: Limits) -> TestServer {
    let settings = Settings {
        cors_origins: vec![APP.to_owned()],
        ..Settings::default()
    };
    let app = Arc::new(App::new(t.authd().clone(), settings));
    let refuses = app.clone();
    TestServer::start(
        Server::bind("127.0.0.1:0".parse().unwrap(), limits)
            .unwrap()
            .with_refuse(move |refusal, request| refuses.refuse(refusal, request)),
        move |request, gate| {
            if request.path == "/wait" {
                gate.pass();
            }
            app.handle(request)
        },
    )
}

/// Checks what every refusal carries, and returns its request id.
fn check_refusal(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("cache-control"), ["no-store"]);
    assert_eq!(answer.header("x-content-type-options"), ["nosniff"]);
    assert_eq!(answer.header("referrer-policy"), ["no-referrer"]);
    assert_eq!(answer.header("content-security-policy").len(), 1);
    assert_eq!(answer.header("content-type"), ["application/problem+json"]);
    assert!(answer.closes(), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&body["code"], &body["status"]),
        (&json!(code), &json!(status))
    );
    let id = body["request_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-request-id"), [&id]);
    id
}

#[test] // fault 22
fn a_page_of_an_allowed_origin_can_read_every_refusal() {
    let t = Harness::new();
    let server = serving_authd(
        &t,
        Limits {
            head_deadline: SHORT,
            body_deadline: SHORT,
            ..Limits::default()
        },
    );
    let head = |line: &str, origin: &str, rest: &str| {
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{rest}")
    };
    let sign_in = "POST /v1/sessions";
    let long = format!("X: {}", "x".repeat(20_000));
    let cases = [
        (sign_in, " folded\r\n\r\n", 400, "malformed_request"),
        (sign_in, "X: 1\r\n\0: 2\r\n\r\n", 400, "malformed_request"),
        ("OPTIONS *", "\r\n", 405, "method_not_allowed"),
        (sign_in, "X: 1\r\n", 408, "request_timeout"),
        (
            sign_in,
            "Content-Length: 5\r\n\r\n{",
            408,
            "request_timeout",
        ),
        (
            sign_in,
            "Content-Length: 70000\r\n\r\n",
            413,
            "body_too_large",
        ),
        (
            sign_in,
            "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            413,
            "body_too_large",
        ),
        (
            sign_in,
            "Transfer-Encoding: chunked\r\n\r\nx",
            400,
            "malformed_request",
        ),
        (sign_in, "Expect: a-pony\r\n\r\n", 417, "expectation_failed"),
        (sign_in, &long, 431, "head_too_large"),
        (
            sign_in,
            "Transfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "unknown_transfer_coding",
        ),
    ];
    let mut ids = HashSet::new();
    for (line, rest, status, code) in cases {
        let mut client = server.connect();
        let answer = client.send(head(line, APP, rest)).answer();
        assert!(ids.insert(check_refusal(&answer, status, code)), "{rest:?}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            [APP],
            "{rest:?}"
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            ["retry-after, x-request-id"]
        );
        assert_eq!(answer.header("vary"), ["origin"]);
        if status == 501 {
            assert!(answer.head.starts_with("HTTP/1.1 501 Not Implemented\r\n"));
            assert!(answer.body.contains("\"title\":\"Not Implemented\""));
        }
    }
    // Another origin may not read it.
    let foreign = head(
        sign_in,
        "https://evil.example",
        "Content-Length: 70000\r\n\r\n",
    );
    let answer = server.connect().send(foreign).answer();
    check_refusal(&answer, 413, "body_too_large");
    assert!(answer.header("access-control-allow-origin").is_empty());
    assert_eq!(answer.header("vary"), ["origin"]);
}

#[test] // fault 22
fn a_refusal_of_what_cannot_be_read_has_the_protecting_headers_too() {
    let t = Harness::new();
    let server = serving_authd(&t, Limits::default());
    let long = format!("GET /{}", "x".repeat(20_000));
    for (sent, status, code) in [
        (long.as_str(), 414, "target_too_long"),
        ("GET / HTTP/1.2\r\n\r\n", 505, "version_not_supported"),
        ("\x16\x03\x01", 400, "malformed_request"),
    ] {
        let answer = server.connect().send(sent).answer();
        check_refusal(&answer, status, code);
        // It is unknown who asks. The one origin that may read answers may read this one.
        assert_eq!(answer.header("access-control-allow-origin"), [APP]);
    }
}

#[test] // fault 22: an error on a page is for a person, and for no other origin
fn a_refusal_on_a_page_is_a_page() {
    let t = Harness::new();
    let server = serving_authd(&t, Limits::default());
    let mut client = server.connect();
    let answer = client
        .send(format!(
            "POST /reset?token=x HTTP/1.1\r\nHost: localhost\r\nOrigin: {APP}\r\nContent-Length: 70000\r\n\r\n"
        ))
        .answer();
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("content-type"), ["text/html; charset=utf-8"]);
    assert!(answer.header("access-control-allow-origin").is_empty());
    assert_eq!(answer.header("x-request-id").len(), 1);
    assert!(answer.body.contains("<h1>"), "{}", answer.body);
}

#[test] // fault 22: 503 says when to come back
fn a_refused_connection_says_when_to_try_again() {
    let t = Harness::new();
    let server = serving_authd(
        &t,
        Limits {
            max_connections: 1,
            ..Limits::default()
        },
    );
    let mut busy = server.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.gate.wait_for(1);
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let answer = server.connect().answer();
        assert!(ids.insert(check_refusal(&answer, 503, "overloaded")));
        assert_eq!(answer.header("retry-after"), ["2"]);
        assert_eq!(answer.header("access-control-allow-origin"), [APP]);
    }
    server.gate.open();
    assert_eq!(busy.answer().status, 404);
}

/// Runs the ignored test `name` of this binary in a process of its own, where limits of the
/// process can be lowered without hurting the tests beside it.
fn in_own_process(name: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--test-threads=1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test] // fault 14
fn running_out_of_descriptors_is_survived() {
    in_own_process("http_engine::alone_without_descriptors");
}

#[test]
#[ignore = "lowers a limit of its process; run by running_out_of_descriptors_is_survived"]
fn alone_without_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let server = TestServer::usual();
    let mut regular = server.connect();
    assert_eq!(regular.get("/").status, 200);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(open + 20),
            ..getrlimit(Resource::Nofile)
        },
    )
    .unwrap();
    for round in 0..3 {
        // Clients and server share the descriptors, so the last to connect are never accepted.
        let mut clients: Vec<TcpStream> = Vec::new();
        while let Ok(stream) = TcpStream::connect(server.address) {
            clients.push(stream);
        }
        assert!(clients.len() > 5, "round {round}");
        assert_eq!(regular.get("/").status, 200, "round {round}");
        let mut last = Client {
            stream: clients.pop().unwrap(),
            received: Vec::new(),
        };
        last.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(clients);
        assert_eq!(last.get("/").status, 200, "round {round}");
        assert_eq!(server.connect().get("/").status, 200, "round {round}");
    }
}

#[test] // fault 14
fn running_out_of_threads_is_survived() {
    in_own_process("http_engine::alone_without_threads");
}

#[test]
#[ignore = "lowers a limit of its process; run by running_out_of_threads_is_survived"]
fn alone_without_threads() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let server = TestServer::usual();
    let mut regular = server.connect();
    assert_eq!(regular.get("/").status, 200);
    // Room for the stacks of a few threads more, and not for those of all.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .and_then(|size| size.split_whitespace().next()?.parse().ok())
        .unwrap();
    let before = getrlimit(Resource::As);
    setrlimit(
        Resource::As,
        Rlimit {
            current: Some(kilobytes * 1024 + (6 << 20)),
            ..before
        },
    )
    .unwrap();
    let mut busy = Vec::new();
    let refused = loop {
        let mut client = server.connect();
        client.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if client
            .stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .is_ok()
            && client.stream.peek(&mut [0]).is_ok()
        {
            client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            break client.answer();
        }
        busy.push(client);
        assert!(busy.len() < 100, "every thread was granted");
    };
    assert_eq!(refused.status, 503);
    // Before a connection is refused, the idle one is evicted and leaves its thread.
    regular.ends();
    setrlimit(Resource::As, before).unwrap();
    server.gate.open();
    for client in &mut busy {
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.answer().body, "waited");
    }
    assert_eq!(server.connect().get("/").status, 200);
}
