//! What `authd doctor --mail-to` says of mail servers that people have: each follows a script.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::doctor::look;
use crate::wire::{AUTHD, Home, Ran};

/// What the server says: its greeting, then a reply to each line.
type Replies = &'static [&'static [u8]];

/// A server of one connection on a loopback address.
struct Scripted {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Scripted {
    fn start(address: &str, tls: Option<Arc<ServerConfig>>, replies: Replies) -> Scripted {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let thread = thread::spawn(move || {
            let (socket, _) = listener.accept().expect("a client");
            match tls {
                None => converse(socket, replies),
                Some(config) => {
                    let tls = ServerConnection::new(config).expect("a connection");
                    converse(StreamOwned::new(tls, socket), replies);
                }
            }
        });
        Scripted { address, thread }
    }

    fn plain(replies: Replies) -> Scripted {
        Scripted::start("127.0.0.1:0", None, replies)
    }
}

fn converse(stream: impl Read + Write, replies: Replies) {
    let mut stream = BufReader::new(stream);
    let mut in_data = false;
    let mut line = String::new();
    for reply in replies {
        // The client may have gone: the command under test says whether it should have.
        let _ = stream.get_mut().write_all(reply);
        let _ = stream.get_mut().flush();
        in_data |= reply.starts_with(b"354");
        loop {
            line.clear();
            if stream.read_line(&mut line).is_err() || line.is_empty() || line == "QUIT\r\n" {
                return;
            }
            if !in_data || line == ".\r\n" {
                in_data = false;
                break;
            }
        }
    }
}

/// State and words of the doctor on a test message by `url`.
fn test_message(url: &str, trusted: Option<&PathBuf>) -> (String, String) {
    let home = Home::new();
    let arguments = ["doctor", "--json", "--mail-to", "ann@example.org"];
    let mut command = home.command(AUTHD, &arguments);
    command.env("AUTHD_MAIL", url);
    if let Some(file) = trusted {
        command.env("SSL_CERT_FILE", file);
    }
    look(Ran::of(command, ""), "test message")
}

/// The same, by a server that says `replies`.
fn told(credentials: &str, replies: Replies) -> String {
    let server = Scripted::plain(replies);
    let (_, told) = test_message(&format!("smtp://{credentials}{}", server.address), None);
    server.thread.join().expect("a server");
    told
}

const TAKEN: &[&[u8]] = &[
    b"220 M\xfcller ESMTP\r\n",
    b"250-M\xfcller\r\n250 8BitMime\r\n",
    b"250 \xfc\r\n",
    b"250 \xfc\r\n",
    b"354 \xfc\r\n",
    b"250 \xfc\r\n",
];

#[test] // fault 12
fn a_mail_server_that_writes_latin_1_takes_letters() {
    assert!(told("", TAKEN).contains("accepted it"));
    let told = told(
        "ann:wrong@",
        &[
            b"220 mail\r\n",
            b"250-mail\r\n250 AUTH PLAIN\r\n",
            b"535 Passwort ung\xfcltig\r\n",
        ],
    );
    assert!(told.contains("535 Passwort ung\u{fffd}ltig"), "{told}");
    assert!(
        told.contains("User or password in `mail` is wrong"),
        "{told}"
    );
}

#[test] // fault 14
fn an_unknown_mailbox_is_final_in_any_encoding() {
    let rcpt = |reply: Replies| {
        let told = told("", reply);
        told.contains("would get the same reply")
    };
    assert!(rcpt(&[
        b"220 m\r\n",
        b"250 m\r\n",
        b"250 m\r\n",
        b"550 ung\xfcltig\r\n"
    ]));
    assert!(!rcpt(&[
        b"220 m\r\n",
        b"250 m\r\n",
        b"250 m\r\n",
        b"451 sp\xe4ter\r\n"
    ]));
}

#[test] // fault 15
fn an_ipv6_address_can_be_the_mail_server() {
    let server = Scripted::start("[::1]:0", None, TAKEN);
    let (state, told) = test_message(&format!("smtp://{}", server.address), None);
    assert_eq!(state, "ok", "{told}");
    server.thread.join().expect("a server");
}

#[test] // fault 19
fn a_mail_server_without_passwords_is_told_with_what_it_offers() {
    let told = told(
        "ann:pass@",
        &[b"220 mail\r\n", b"250-mail\r\n250 AUTH XOAUTH2\r\n"],
    );
    assert!(told.contains("sign-in with XOAUTH2 only"), "{told}");
    assert!(
        told.contains("The mail server accepts no password"),
        "{told}"
    );
}

#[test]
fn replies_that_end_in_lf_alone_are_read() {
    let told = told(
        "",
        &[
            b"220 m\n",
            b"250-m\n250 x\n",
            b"250 m\n",
            b"250 m\n",
            b"354 m\n",
            b"250 m\n",
        ],
    );
    assert!(told.contains("accepted it"), "{told}");
}

/// A self-signed certificate for `localhost` as `openssl req -x509` makes it, in a file, and a server's configuration.
fn self_signed(home: &Home, file: &str) -> (PathBuf, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let path = home.path(file);
    fs::write(&path, certificate.pem()).expect("a file");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    (path, Arc::new(config))
}

#[test] // fault 17
fn a_self_signed_certificate_is_accepted_where_it_is_the_trusted_one() {
    let home = Home::new();
    let (own, config) = self_signed(&home, "own.pem");
    let (other, _) = self_signed(&home, "other.pem");
    let tried = |trusted: &PathBuf, host: &str| {
        let server = Scripted::start("127.0.0.1:0", Some(config.clone()), TAKEN);
        let url = format!("smtps://{host}:{}", server.address.port());
        let tried = test_message(&url, Some(trusted));
        server.thread.join().expect("a server");
        tried
    };
    let (state, told) = tried(&own, "localhost");
    assert_eq!(state, "ok", "{told}");
    let (_, told) = tried(&other, "localhost");
    assert!(
        told.contains("basicConstraints=critical,CA:FALSE"),
        "{told}"
    );
    assert!(
        told.contains("exactly this certificate in SSL_CERT_FILE"),
        "{told}"
    );
    let (_, told) = tried(&own, "127.0.0.1");
    assert!(told.contains("subjectAltName"), "{told}");
}

#[test]
fn a_name_without_an_address_is_told_as_such() {
    // RFC 1035 §2.3.4: a label has at most 63 characters, so this one is not even asked for.
    let host = "m".repeat(64) + ".example";
    let (_, told) = test_message(&format!("smtp://{host}?tls=none"), None);
    assert!(
        told.contains(&format!("the address of {host} can't be looked up")),
        "{told}"
    );
    assert!(told.contains("Check the name of the host"), "{told}");
}
