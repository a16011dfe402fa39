use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::trust::CertificateFault;

const NAME: &str = "app.example";

/// A server on this machine for one request.
struct Server {
    port: u16,
    /// The request, or why there was none.
    heard: JoinHandle<io::Result<String>>,
}

/// An authority, which is not one of the system's.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// A client that trusts it. `app.example` has the address of this machine.
    fn client(&self, limits: Limits) -> Outgoing {
        let lookup = |_: &str, port| Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]);
        self.client_with(limits, lookup)
    }

    fn client_with(
        &self,
        limits: Limits,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Outgoing {
        let lookup: Arc<Lookup> = Arc::new(lookup);
        Outgoing::with_lookup(&[self.0.der().clone()], limits, &lookup)
    }

    /// A server with a certificate for `app.example`. `answer` gets the connection after the request was read.
    fn serve(
        &self,
        answer: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> Server {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([NAME.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("a configuration");
        serve_on_tcp(move |socket| {
            let connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
            let mut stream = BufReader::new(StreamOwned::new(connection, socket));
            let request = read_request(&mut stream)?;
            answer(stream.get_mut())?;
            stream.get_mut().conn.send_close_notify();
            stream.get_mut().flush()?;
            Ok(request)
        })
    }

    /// A server with this answer.
    fn answering(&self, answer: &'static str) -> Server {
        self.serve(move |stream| stream.write_all(answer.as_bytes()))
    }
}

fn serve_on_tcp(serve: impl FnOnce(TcpStream) -> io::Result<String> + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = thread::spawn(move || serve(listener.accept()?.0));
    Server { port, heard }
}

/// A head with `Content-Length`, and the body.
fn read_request(stream: &mut impl BufRead) -> io::Result<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if stream.read_line(&mut request)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = request.to_ascii_lowercase();
    let length = head.split_once("content-length: ").expect("a length").1;
    let length = length.lines().next().expect("a line").parse();
    let mut body = vec![0; length.expect("a number")];
    stream.read_exact(&mut body)?;
    Ok(request + &String::from_utf8(body).expect("ASCII"))
}

impl Server {
    fn url(&self) -> String {
        format!("https://{NAME}:{}/logout?key=hidden", self.port)
    }

    fn heard(self) -> io::Result<String> {
        self.heard.join().expect("a server")
    }
}

fn post(client: &Outgoing, url: &str) -> Result<Answer, Failure> {
    client.post_form(url, &[("logout_token", "a.b c&d")], Reach::Private)
}

fn short() -> Limits {
    Limits {
        deadline: Duration::from_millis(250),
        ..Limits::default()
    }
}

/// The sentence for operators. It never has the path, the query or the body.
fn told(failure: &Failure) -> String {
    let told = failure.to_string();
    for hidden in ["logout", "hidden", "a.b"] {
        assert!(!told.contains(hidden), "{told}");
    }
    told
}

#[test] // OpenID Connect Back-Channel Logout 1.0 §2.5
fn a_form_reaches_a_server_with_a_certificate_of_a_private_authority() {
    let authority = Authority::new();
    let server = authority.answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let answer = post(&authority.client(Limits::default()), &server.url());
    let body = b"ok".to_vec();
    assert_eq!(answer, Ok(Answer { status: 200, body }));
    let heard = server.heard().expect("a request");
    let line = "POST /logout?key=hidden HTTP/1.1\r\n";
    assert!(heard.starts_with(line), "{heard}");
    let head = heard.to_ascii_lowercase();
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert!(heard.ends_with("\r\n\r\nlogout_token=a.b+c%26d"), "{heard}");
}

#[test]
fn the_setting_names_a_file_of_certificates() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ca.pem");
    let refused = |text: &str, why: &str| {
        std::fs::write(&path, text).expect("a file");
        let error = Outgoing::new(Some(&path), Limits::default()).expect_err("a refusal");
        assert!(error.contains("ca.pem") && error.contains(why), "{error}");
    };
    refused("", "it has no certificate");
    refused("-----BEGIN CERTIFICATE-----\nx", "it is not PEM");
    refused(&"x".repeat(1024 * 1024 + 1), "more than 1048576 bytes");
    std::fs::write(&path, authority.0.pem()).expect("a file");
    let client = Outgoing::new(Some(&path), Limits::default()).expect("a client");
    std::fs::remove_file(&path).expect("it was there");
    assert!(Outgoing::new(Some(&path), Limits::default()).is_err());
    // The certificate is trusted: only the name is wrong.
    let server = authority.answering("");
    let url = format!("https://127.0.0.1:{}/", server.port);
    let failure = post(&client, &url).expect_err("a refusal");
    let (host, fault) = ("127.0.0.1".to_owned(), CertificateFault::WrongNameOrDate);
    assert_eq!(failure, Failure::Certificate { host, fault });
    assert!(server.heard().is_err());
}

#[test]
fn a_certificate_of_another_authority_or_name_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    for (trusted, name, expected) in [
        (&stranger, NAME, CertificateFault::UnknownAuthority),
        (
            &authority,
            "other.example",
            CertificateFault::WrongNameOrDate,
        ),
    ] {
        let server = authority.answering("");
        let url = server.url().replace(NAME, name);
        let failure = post(&trusted.client(Limits::default()), &url).expect_err("a refusal");
        assert!(
            matches!(&failure, Failure::Certificate { fault, .. } if *fault == expected),
            "{failure:?}"
        );
        assert!(told(&failure).contains(name));
        assert!(server.heard().is_err(), "the request was not sent");
    }
}

#[test]
fn a_redirect_is_an_answer() {
    let authority = Authority::new();
    for status in [301, 302, 303, 307, 308] {
        let target = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = target.local_addr().expect("an address").port();
        let server = authority.serve(move |stream| {
            let to = format!("https://{NAME}:{port}/");
            write!(
                stream,
                "HTTP/1.1 {status} x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            )
        });
        let answer = post(&authority.client(Limits::default()), &server.url());
        assert_eq!(answer.map(|answer| answer.status), Ok(status));
        target.set_nonblocking(true).expect("a listener");
        assert!(target.accept().is_err(), "{status} was not followed");
        server.heard().expect("a request");
    }
}

#[test]
fn a_body_is_cut_and_a_large_head_is_refused() {
    let authority = Authority::new();
    let limits = Limits {
        max_body: 10,
        ..Limits::default()
    };
    let server = authority.serve(|stream| {
        stream.write_all(b"HTTP/1.1 500 x\r\n\r\n")?;
        // It ends when the client has closed the connection.
        while stream.write_all(&[b'y'; 1024]).is_ok() {}
        Ok(())
    });
    let answer = post(&authority.client(limits), &server.url());
    let body = b"yyyyyyyyyy".to_vec();
    assert_eq!(answer, Ok(Answer { status: 500, body }));
    let server = authority.serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 x\r\nA: ")?;
        while stream.write_all(&[b'y'; 1024]).is_ok() {}
        Ok(())
    });
    let failure = post(&authority.client(limits), &server.url()).expect_err("a refusal");
    assert!(matches!(failure, Failure::NoAnswer { .. }), "{failure:?}");
    assert!(told(&failure).len() < 400);
}

#[test]
fn a_slow_server_is_cut_at_the_deadline() {
    let authority = Authority::new();
    let client = authority.client(short());
    let is_late = |server: Server| {
        let failure = post(&client, &server.url()).expect_err("a refusal");
        let (host, deadline) = (NAME.to_owned(), short().deadline);
        assert_eq!(failure, Failure::TooSlow { host, deadline });
        assert!(told(&failure).contains("250 ms"));
        assert!(server.heard().is_err(), "the client closed the connection");
    };
    // Each server sends something again and again, so no single read waits for the whole time.
    let drip = |mut socket: TcpStream, bytes: &[u8]| -> io::Result<String> {
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        loop {
            socket.write_all(bytes)?;
            // Waits, and takes what the client sends.
            let _ = socket.read(&mut [0; 1024]);
        }
    };
    // A TLS record of 16 KiB that is never complete (RFC 8446 §5.1).
    is_late(serve_on_tcp(move |socket| {
        let mut head = socket.try_clone()?;
        head.write_all(&[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xf0])?;
        drip(socket, b"\0")
    }));
    for beginning in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"] {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let server = authority.serve(move |stream| {
            stream.write_all(beginning.as_bytes())?;
            // Until the client has given up.
            receiver.recv().map_err(io::Error::other)
        });
        let failure = post(&client, &server.url()).expect_err("a refusal");
        assert!(matches!(failure, Failure::TooSlow { .. }), "{failure:?}");
        drop(sender);
        assert!(server.heard().is_err());
    }
    let server = authority.serve(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
        }
    });
    let answer = post(&client, &server.url()).expect("what is over the bound is cut");
    assert_eq!(answer.body.len(), 4096);
    assert!(server.heard().is_err());
}

#[test]
fn a_slow_look_up_is_cut_at_the_deadline() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let client = Authority::new().client_with(short(), move |_, _| {
        let _ = receiver.lock().expect("one look-up").recv();
        Ok(Vec::new())
    });
    let failure = post(&client, "https://app.example/logout").expect_err("a refusal");
    assert!(matches!(failure, Failure::TooSlow { .. }), "{failure:?}");
    drop(sender);
}

/// What comes of a request to `url`, if every name has the addresses `found`. No request may be sent.
fn refused(url: &str, found: &str, reach: Reach) -> Failure {
    let found: Vec<SocketAddr> = found
        .split_whitespace()
        .map(|ip| SocketAddr::new(ip.parse().expect("an address"), 443))
        .collect();
    let client = Authority::new().client_with(short(), move |_, _| Ok(found.clone()));
    let failure = client.post_form(url, &[], reach).expect_err("a refusal");
    told(&failure);
    failure
}

#[test]
fn an_address_that_the_caller_does_not_allow_is_refused() {
    let name = "https://app.example/logout";
    for (url, found) in [
        (name, "127.0.0.1"),
        (name, "::1"),
        (name, "10.0.0.1"),
        (name, "100.64.0.1"),
        (name, "fd00::1"),
        (name, "169.254.169.254"),
        (name, "::ffff:192.168.0.1"),
        (name, "64:ff9b::10.0.0.1"),
        // One address of several is enough, wherever it stands.
        (name, "1.1.1.1 192.168.0.1"),
        (name, "192.168.0.1 1.1.1.1"),
        ("https://127.0.0.1/", ""),
        ("https://[::1]/", ""),
        ("https://[::ffff:7f00:1]:8443/", ""),
        ("https://[0:0:0:0:0:ffff:10.0.0.1]/", ""),
        ("https://[2002:7f00:1::]/", ""),
        // The system reads these as 127.0.0.1 (inet_aton).
        ("https://2130706433/", "127.0.0.1"),
        ("https://0x7f.1/", "127.0.0.1"),
        ("https://0177.0.0.1/", "127.0.0.1"),
        ("https://localhost./", "127.0.0.1"),
        ("HTTPS://LOCALHOST/", "::1"),
    ] {
        let failure = refused(url, found, Reach::Public);
        assert!(
            matches!(failure, Failure::Address { .. }),
            "{url} {found}: {failure:?}"
        );
    }
    for found in [
        "169.254.169.254",
        "fe80::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "192.0.2.1",
        "2002:a00:1::1",
    ] {
        let failure = refused(name, found, Reach::Private);
        assert!(
            told(&failure).contains("authd never connects to it"),
            "{failure}"
        );
    }
    let sixteen = "1.1.1.1 ".repeat(16);
    let failure = refused(name, &format!("{sixteen} 127.0.0.1"), Reach::Public);
    assert!(matches!(failure, Failure::Address { .. }), "{failure:?}");
}

#[test] // DNS rebinding
fn a_name_is_looked_up_once_and_the_judged_address_is_used() {
    let authority = Authority::new();
    let server = authority.answering("HTTP/1.1 204 x\r\n\r\n");
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let client = authority.client_with(short(), move |_, port| {
        Ok(match counter.fetch_add(1, Ordering::SeqCst) {
            0 => vec![SocketAddr::from(([127, 0, 0, 1], port))],
            _ => vec![SocketAddr::from(([169, 254, 169, 254], port))],
        })
    });
    let answer = post(&client, &server.url()).expect("an answer");
    assert_eq!((answer.status, asked.load(Ordering::SeqCst)), (204, 1));
    server.heard().expect("a request");
    // The next request looks it up and judges it again.
    let failure = post(&client, "https://app.example/").expect_err("a refusal");
    assert!(matches!(failure, Failure::Address { .. }), "{failure:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn plain_http_is_for_this_machine_and_only_if_the_caller_allows_it() {
    let http = "http://app.example/logout";
    for (found, reach) in [
        ("1.1.1.1", Reach::Public),
        ("127.0.0.1", Reach::Public),
        ("10.0.0.1", Reach::Private),
        ("127.0.0.1 10.0.0.1", Reach::Private),
    ] {
        let failure = refused(http, found, reach);
        assert!(matches!(failure, Failure::PlainHttp { .. }), "{failure:?}");
        assert!(failure.is_final());
    }
    let server = serve_on_tcp(|socket| {
        let mut stream = BufReader::new(socket);
        let request = read_request(&mut stream)?;
        stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n")?;
        Ok(request)
    });
    let url = server.url().replace("https", "http");
    let answer = post(&Authority::new().client(short()), &url).expect("an answer");
    assert_eq!(answer.status, 200);
    server.heard().expect("a request");
}

#[test]
fn a_url_that_is_not_plain_is_refused() {
    let long = format!("https://app.example/{}", "x".repeat(MAX_URL));
    for url in [
        "",
        "/logout",
        "app.example",
        "app.example:443",
        "ftp://app.example/",
        "https:///logout",
        "https://",
        "https://:443/",
        "https://ann:pw@app.example/",
        "https://app.example@127.0.0.1/",
        "https://app.example/#logout",
        "https://app.example/?a#",
        "https://app.example:0/",
        "https://app.example:/",
        "https://app.example:65536/",
        "https://app.example:x/",
        "https://[::1/",
        "https://[127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://app.example/a b",
        "https://app.example/\r\nx: y",
        "https://käse.example/",
        "https://app.example\\@127.0.0.1/",
        &long,
    ] {
        let failure = refused(url, "1.1.1.1", Reach::Private);
        assert!(matches!(failure, Failure::Url { .. }), "{url}: {failure:?}");
        assert!(failure.is_final());
    }
}

#[test]
fn what_cannot_be_reached_is_told() {
    let client =
        Authority::new().client_with(short(), |_, _| Err(io::Error::other("no such name")));
    let failure = post(&client, "https://app.example/logout").expect_err("a refusal");
    assert!(
        told(&failure).starts_with("The address of app.example can't be looked up: no such name.")
    );
    let failure = refused("https://app.example/logout", "", Reach::Public);
    assert!(
        matches!(failure, Failure::UnknownName { .. }),
        "{failure:?}"
    );
    // A port that was free a moment ago, and one without TLS.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let client = Authority::new().client(Limits::default());
    let failure = post(&client, &format!("https://{NAME}:{port}/logout")).expect_err("a refusal");
    assert!(told(&failure).contains("refused"), "{failure}");
    let server = serve_on_tcp(|mut socket| {
        socket.write_all(b"HTTP/1.1 400 no\x1b[2J\r\n\r\n")?;
        Ok(String::new())
    });
    let failure = post(&client, &server.url()).expect_err("a refusal");
    assert!(matches!(failure, Failure::NoAnswer { .. }), "{failure:?}");
    assert!(!told(&failure).contains('\x1b'));
    server.heard().expect("a connection");
}
