//! The client against servers that follow a script.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use super::*;
use crate::mail::Route;

/// What a scripted server does with a connection.
enum Step {
    /// Sends these bytes.
    Say(&'static [u8]),
    /// Reads a line that begins with this.
    Hear(&'static str),
    /// Reads until the line with the dot.
    Data,
    /// Reads until the client says QUIT or closes the connection.
    End,
}

use Step::{Data, End, Hear, Say};

/// Serves one connection, and returns the lines that it heard.
fn serve(listener: TcpListener, script: Vec<Step>) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        let mut writer = socket.try_clone().expect("a socket");
        let mut reader = BufReader::new(socket);
        let mut heard = Vec::new();
        let mut hear = |heard: &mut Vec<String>| {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            heard.push(line.trim_end().to_owned());
            line
        };
        for step in script {
            match step {
                // The client may have closed the connection: it has judged what came before.
                Say(bytes) => drop(writer.write_all(bytes)),
                Hear(start) => {
                    let line = hear(&mut heard);
                    assert!(line.starts_with(start), "{line:?} is no {start}");
                }
                Data => while hear(&mut heard) != ".\r\n" {},
                End => while !["", "QUIT\r\n"].contains(&hear(&mut heard).as_str()) {},
            }
        }
        heard
    })
}

fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn client(url: &str) -> Client {
    let Ok(Route::Server(server)) = Route::parse(url) else {
        panic!("{url}");
    };
    Client::new(&server, "example.org").expect("a client")
}

fn send(client: &Client) -> Result<(), Undelivered> {
    let address = |text: &str| text.parse().expect("an address");
    let from = address("authd@example.org");
    let to = vec![address("ann@example.org")];
    let envelope = Envelope::new(Some(from), to).expect("an envelope");
    client.send(&envelope, b"Subject: x\r\n\r\n.dot\r\nbare\nend\r\n")
}

/// What comes of a letter to a server with this script, and what the server heard.
fn sent(script: Vec<Step>) -> (Result<(), Undelivered>, Vec<String>) {
    sent_as("", script)
}

fn sent_as(credentials: &str, script: Vec<Step>) -> (Result<(), Undelivered>, Vec<String>) {
    let (listener, address) = listener("127.0.0.1:0");
    let server = serve(listener, script);
    let outcome = send(&client(&format!("smtp://{credentials}{address}")));
    (outcome, server.join().expect("a script that is followed"))
}

fn refused(script: Vec<Step>) -> Undelivered {
    sent(script).0.expect_err("a refusal")
}

/// A conversation up to RCPT, whose reply is `reply`.
fn rcpt_is_answered(reply: &'static [u8]) -> Vec<Step> {
    vec![
        Say(b"220 mail ESMTP\r\n"),
        Hear("EHLO example.org"),
        Say(b"250 mail\r\n"),
        Hear("MAIL FROM:<authd@example.org>"),
        Say(b"250 OK\r\n"),
        Hear("RCPT TO:<ann@example.org>"),
        Say(reply),
    ]
}

fn rest() -> Vec<Step> {
    vec![
        Hear("DATA"),
        Say(b"354 go on\r\n"),
        Data,
        Say(b"250 taken\r\n"),
        Hear("QUIT"),
        Say(b"221 bye\r\n"),
        End,
    ]
}

#[test]
fn a_letter_is_sent_with_its_dots_and_line_ends_made_safe() {
    let mut script = rcpt_is_answered(b"250 OK\r\n");
    script.extend(rest());
    let (outcome, heard) = sent(script);
    assert_eq!(outcome, Ok(()));
    assert_eq!(
        heard[4..10],
        ["Subject: x", "", "..dot", "bare", "end", "."]
    );
}

#[test] // fault 12
fn no_text_of_a_reply_keeps_a_letter_from_being_sent() {
    let script = vec![
        Say(b"220-M\xfcller ESMTP\r\n220 gr\xfc\xdf Gott\r\n"),
        Hear("EHLO"),
        Say(b"250-M\xfcller\r\n250-XF\xc4HIG\r\n250 8bitmime\r\n"),
        Hear("MAIL"),
        Say(b"250 \xff\xfe\r\n"),
        Hear("RCPT"),
        Say(b"250 \x80\n"),
    ];
    assert_eq!(sent(script.into_iter().chain(rest()).collect()).0, Ok(()));
}

#[test] // fault 12
fn a_wrong_password_is_told_as_such_in_any_encoding() {
    let script = vec![
        Say(b"220 mail\r\n"),
        Hear("EHLO"),
        Say(b"250-mail\r\n250 Auth Plain\r\n"),
        Hear("AUTH PLAIN AGFubgBwQHNz"),
        Say(b"535 Error: \xc7\xeb\xca\xb9\r\n"),
    ];
    let refusal = sent_as("ann:p%40ss@", script).0.expect_err("a refusal");
    assert_eq!(refusal.cause, Cause::WrongPassword);
    assert!(refusal.why.contains("535 Error"), "{}", refusal.why);
    assert!(!refusal.why.contains("AGFubgBwQHNz"), "{}", refusal.why);
}

#[test]
fn login_is_used_where_plain_is_not_offered() {
    let script = vec![
        Say(b"220 mail\r\n"),
        Hear("EHLO"),
        Say(b"250-mail\r\n250 AUTH=login\r\n"),
        Hear("AUTH LOGIN"),
        Say(b"334 VXNlcm5hbWU6\r\n"),
        Hear("YW5u"),
        Say(b"334 UGFzc3dvcmQ6\r\n"),
        Hear("cEBzcw=="),
        Say(b"235 welcome\r\n"),
        Hear("MAIL"),
        Say(b"452 full\r\n"),
    ];
    let refusal = sent_as("ann:p%40ss@", script).0.expect_err("a refusal");
    assert!(
        refusal
            .why
            .contains("MAIL FROM: the server replied 452 full")
    );
}

#[test] // fault 14
fn a_refusal_is_final_by_its_code() {
    for (reply, is_final) in [
        (&b"550 5.1.1 no such mailbox\r\n"[..], true),
        (b"550 5.1.1 unbekannt: ung\xfcltig\r\n", true),
        (b"550-\xfc\r\n550 \xfc\r\n", true),
        (b"550\n", true),
        (b"451 4.7.1 Greylisted\r\n", false),
        (b"451 sp\xe4ter\r\n", false),
        (b"354 what?\r\n", false),
    ] {
        let refusal = refused(rcpt_is_answered(reply));
        let shown = String::from_utf8_lossy(reply);
        assert_eq!(refusal.is_final, is_final, "{shown}: {}", refusal.why);
        assert_eq!(refusal.cause, Cause::Other);
        assert!(refusal.why.starts_with("RCPT TO: the server replied "));
    }
}

#[test] // fault 15
fn an_ipv6_address_is_connected_to() {
    let (listener, address) = listener("[::1]:0");
    let mut script = rcpt_is_answered(b"250 OK\r\n");
    script.extend(rest());
    let server = serve(listener, script);
    let url = format!("smtp://[::1]:{}", address.port());
    assert_eq!(send(&client(&url)), Ok(()));
    server.join().expect("a script that is followed");
}

#[test] // fault 19
fn a_server_without_passwords_is_told_with_what_it_offers() {
    let offers = |reply| {
        let script = vec![Say(b"220 mail\r\n"), Hear("EHLO"), Say(reply), End];
        sent_as("ann:pass@", script).0.expect_err("a refusal")
    };
    let refusal = offers(b"250-mail\r\n250-AUTH XOAUTH2\r\n250 AUTH CRAM-MD5\r\n");
    assert_eq!(refusal.cause, Cause::OtherSignIn);
    assert!(
        refusal.why.contains("XOAUTH2, CRAM-MD5 only"),
        "{}",
        refusal.why
    );
    assert_eq!(offers(b"250 mail\r\n").cause, Cause::NoSignIn);
}

#[test]
fn a_server_that_wants_tls_or_a_sign_in_is_told_apart_without_its_words() {
    let mail_is_refused = |ehlo| {
        refused(vec![
            Say(b"220 mail\r\n"),
            Hear("EHLO"),
            Say(ehlo),
            Hear("MAIL"),
            Say(b"530 5.7.0 no\r\n"),
        ])
    };
    let refusal = mail_is_refused(b"250-mail\r\n250 StartTls\r\n");
    assert_eq!(refusal.cause, Cause::TlsWanted);
    let refusal = mail_is_refused(b"250-mail\r\n250 AUTH PLAIN\r\n");
    assert_eq!(refusal.cause, Cause::SignInWanted);
}

#[test] // CVE-2011-0411, for a client
fn plain_text_after_the_reply_to_starttls_ends_the_connection() {
    let (listener, address) = listener("127.0.0.1:0");
    let server = serve(
        listener,
        vec![
            Say(b"220 mail\r\n"),
            Hear("EHLO"),
            Say(b"250-mail\r\n250 STARTTLS\r\n"),
            Hear("STARTTLS"),
            Say(b"220 go on\r\n250-mail\r\n250 AUTH PLAIN\r\n"),
            End,
        ],
    );
    let Ok(Route::Server(route)) = Route::parse(&format!("smtp://{address}?tls=required")) else {
        panic!("a route");
    };
    let client = Client {
        tls: Some((
            trust::trusting_none().expect("a configuration"),
            server_name(&route).expect("a name"),
        )),
        server: route,
        own_name: "example.org".to_owned(),
        silence: SILENCE,
    };
    let refusal = send(&client).expect_err("a refusal");
    assert_eq!(refusal.cause, Cause::OtherProtocol, "{}", refusal.why);
    server.join().expect("a script that is followed");
}

#[test] // RFC 5321 §3.2
fn a_server_that_does_not_know_ehlo_gets_helo() {
    let mut script = rcpt_is_answered(b"250 OK\r\n");
    script.splice(
        2..3,
        [
            Say(b"502 what?\r\n"),
            Hear("HELO example.org"),
            Say(b"250 mail\r\n"),
        ],
    );
    script.extend(rest());
    assert_eq!(sent(script).0, Ok(()));
}

#[test]
fn what_is_no_mail_server_is_told_at_once() {
    for (greeting, cause) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Cause::OtherProtocol),
        (b"J\0\0\0\x0a8.0.36", Cause::OtherProtocol),
        (b"\x15\x03\x03\x00\x02\x02\x28", Cause::TlsPort),
        (b"554 no service\r\n", Cause::Other),
    ] {
        let refusal = refused(vec![Say(greeting), End]);
        assert_eq!(refusal.cause, cause, "{}", refusal.why);
        assert_eq!(refusal.is_final, greeting.starts_with(b"554"));
    }
    let refusal = refused(vec![]);
    assert!(
        refusal.why.contains("closed the connection"),
        "{}",
        refusal.why
    );
}

#[test]
fn a_reply_without_end_is_not_read_to_its_end() {
    let (listener, address) = listener("127.0.0.1:0");
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let chunk = [b'2'; 64 * 1024];
        // It ends when the client has closed the connection.
        while socket.write_all(&chunk).is_ok() {}
    });
    let refusal = send(&client(&format!("smtp://{address}"))).expect_err("a refusal");
    assert!(
        refusal.why.contains("more than 2048 bytes"),
        "{}",
        refusal.why
    );
    assert!(refusal.why.len() < 600, "{}", refusal.why);
    server.join().expect("a server");
}

/// Reads the beginning of a TLS handshake (RFC 8446 §5.1).
fn hear_handshake(socket: &mut impl Read) {
    let mut record = [0; 5];
    socket.read_exact(&mut record).expect("a record");
    assert_eq!(record[..2], [22, 3]);
}

#[test]
fn a_port_with_tls_is_told_before_the_patience_ends() {
    let (listener, address) = listener("127.0.0.1:0");
    let server = thread::spawn(move || {
        // A TLS server says nothing until it has got a handshake. This one serves one connection.
        let (mut socket, _) = listener.accept().expect("a client");
        hear_handshake(&mut socket);
        socket
            .write_all(&[21, 3, 3, 0, 2, 2, 40])
            .expect("an alert");
    });
    let mut client = client(&format!("smtp://{address}"));
    client.silence = Duration::from_millis(1);
    let refusal = send(&client).expect_err("a refusal");
    assert_eq!(refusal.cause, Cause::TlsPort, "{}", refusal.why);
    server.join().expect("a server");
}

#[test]
fn a_server_that_is_slow_to_greet_is_connected_to_again() {
    let (listener, address) = listener("127.0.0.1:0");
    let server = thread::spawn(move || {
        let (mut first, _) = listener.accept().expect("a client");
        hear_handshake(&mut first);
        first.write_all(b"220 mail\r\n").expect("a greeting");
        let (second, _) = listener.accept().expect("a second connection");
        let mut second = BufReader::new(second);
        second
            .get_mut()
            .write_all(b"421 busy\r\n")
            .expect("a greeting");
        // Until the client has judged it.
        let _ = second.read_line(&mut String::new());
    });
    let mut client = client(&format!("smtp://{address}"));
    client.silence = Duration::from_millis(1);
    let refusal = send(&client).expect_err("a refusal");
    assert!(refusal.why.contains("421 busy"), "{}", refusal.why);
    server.join().expect("a server");
}

#[test]
fn bytes_that_arrive_slowly_do_not_prolong_a_step() {
    let (listener, address) = listener("127.0.0.1:0");
    let mut stream = Stream::connect(&[address], PATIENCE).expect("a connection");
    let (mut server, _) = listener.accept().expect("a client");
    server.write_all(b"2").expect("a byte");
    stream.allow(Duration::ZERO);
    let read = stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::TimedOut));
    stream.allow(PATIENCE);
    assert_eq!(stream.read(&mut [0]).expect("a byte"), 1);
}
