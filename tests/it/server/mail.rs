//! Mail as it leaves the machine: a real mail server with STARTTLS and authentication, and ones that misbehave.
//!
//! The packages of the mail server are installed under the build's own directory.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::doctor::look;
use crate::examples::python_with;
use crate::wire::{AUTHD, Home, PASSWORD, Ran, Server, SignedIn, eventually};

const NEW_PASSWORD: &str = "seven brass kettles";

/// aiosmtpd, with a certificate authority of its own. It ends with the value.
struct MailServer {
    child: Child,
    stdout: BufReader<ChildStdout>,
    port: u16,
}

impl MailServer {
    /// Starts one that treats each letter as the next of `behaviours` says.
    fn start(home: &Home, behaviours: &[&str]) -> MailServer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/server/smtp");
        let python = python_with("mail-server", &folder.join("requirements.txt"));
        let mut child = Command::new(python)
            .arg(folder.join("server.py"))
            .arg(home.path("authority.pem"))
            .args(behaviours)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a mail server that starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line of output");
        let port = line.trim_end().strip_prefix("listening on ");
        MailServer {
            child,
            stdout,
            port: port.and_then(|port| port.parse().ok()).expect("a port"),
        }
    }

    /// The next letter that is brought.
    fn brought(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line of output");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that sends its mail to `url` and trusts the authority in `home`.
fn serve(home: &Home, url: &str) -> Server {
    let mut command = home.command(AUTHD, &["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("AUTHD_MAIL", url)
        .env("AUTHD_MAIL_FROM", "authd <authd@example.org>")
        .env("SSL_CERT_FILE", home.path("authority.pem"));
    Server::start(command)
}

fn relay(mail: &MailServer) -> String {
    format!(
        "smtp://authd:p%40ss%2Fword@localhost:{}?tls=required",
        mail.port
    )
}

fn ask_for_reset(server: &Server, email: &str) {
    let body = json!({ "email": email });
    server
        .client()
        .post("/v1/password-reset", &body)
        .status(202);
}

/// The token in a letter as it was brought: quoted-printable or not, a line has room for it.
fn token_of(brought: &Value) -> String {
    let message = brought["message"].as_str().expect("a text");
    let message = message.replace("=\r\n", "").replace("=3D", "=");
    let (_, rest) = message.split_once("reset?token=").expect("a link");
    rest.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c))
        .collect()
}

/// Has every letter that waits tried now, as if its pause were over.
fn end_the_pauses(home: &Home) {
    let sql = home.sql();
    sql.busy_timeout(crate::wire::PATIENCE).expect("a timeout");
    eventually("a letter that waits for its next try", || {
        let moved = sql.execute("UPDATE outbox SET due_at = 0 WHERE attempts > 0", []);
        (moved.expect("the outbox") > 0).then_some(())
    });
}

fn waiting(home: &Home) -> i64 {
    let count = "SELECT count(*) FROM outbox";
    home.sql()
        .query_row(count, [], |row| row.get(0))
        .expect("the outbox")
}

#[test] // req 21, req 29, req 30
fn a_forgotten_password_is_replaced_by_mail() {
    let home = Home::new();
    let mut mail = MailServer::start(&home, &["take"]);
    let server = serve(&home, &relay(&mail));
    let ann = server.set_up("ann@example.org");
    ask_for_reset(&server, "nobody@example.org");
    ask_for_reset(&server, "ANN@example.org");

    let letter = mail.brought();
    assert_eq!(letter["encrypted"], true);
    assert_eq!(letter["as"], "authd");
    assert_eq!(letter["from"], "authd@example.org");
    assert_eq!(letter["to"], json!(["ann@example.org"]));
    let message = letter["message"].as_str().expect("a text");
    assert!(message.contains("Auto-Submitted: auto-generated"));
    let token = token_of(&letter);
    let mut client = server.client();
    let body = json!({ "token": token, "new_password": NEW_PASSWORD });
    client.post("/v1/password-reset/confirm", &body).status(204);
    let other = json!({ "token": token, "new_password": PASSWORD });
    client
        .post("/v1/password-reset/confirm", &other)
        .refused(400, "invalid_reset_token");
    client.refresh(&ann.refresh).refused(401, "invalid_grant");
    let body = json!({ "login": "ann@example.org", "password": NEW_PASSWORD });
    SignedIn::read(&client.post("/v1/sessions", &body).status(201));

    // The next that arrives is the notice, so each letter was brought once.
    let notice = mail.brought();
    let message = notice["message"].as_str().expect("a text");
    assert!(message.contains("Subject: Your password for localhost"));
    eventually("an empty outbox", || (waiting(&home) == 0).then_some(()));
    let stopped = server.stop();
    assert!(!stopped.stderr.contains(&token));
    assert!(!stopped.stderr.contains("p%40ss"));
}

#[test] // fault 20
fn a_letter_is_brought_again_until_it_is_taken() {
    let home = Home::new();
    let mut mail = MailServer::start(&home, &["451", "drop", "take"]);
    let server = serve(&home, &relay(&mail));
    server.set_up("ann@example.org");
    ask_for_reset(&server, "ann@example.org");
    let first = mail.brought();
    server.says("Greylisted");
    end_the_pauses(&home);
    let second = mail.brought();
    end_the_pauses(&home);
    let third = mail.brought();
    let did = [&first, &second, &third].map(|letter| letter["did"].clone());
    assert_eq!(did, ["451", "drop", "take"]);
    // Whichever of them arrives, its link is the one that works.
    assert_eq!(token_of(&first), token_of(&third));
    assert_eq!(token_of(&second), token_of(&third));
    eventually("an empty outbox", || (waiting(&home) == 0).then_some(()));
    let body = json!({ "token": token_of(&second), "new_password": NEW_PASSWORD });
    server
        .client()
        .post("/v1/password-reset/confirm", &body)
        .status(204);
}

#[test] // a server that nobody vouches for gets neither the password nor the letter
fn a_certificate_of_an_unknown_authority_is_refused() {
    let home = Home::new();
    let mail = MailServer::start(&home, &["take"]);
    let other = Home::new();
    let _other_mail = MailServer::start(&other, &["take"]);
    std::fs::copy(other.path("authority.pem"), home.path("authority.pem")).expect("a copy");
    let server = serve(&home, &relay(&mail));
    server.set_up("ann@example.org");
    ask_for_reset(&server, "ann@example.org");
    server.says("a message could not be sent");
    let stopped = server.stop();
    assert!(stopped.stderr.contains("certificate"), "{}", stopped.stderr);
    assert_eq!(waiting(&home), 1);
}

#[test] // fault 20
fn a_mail_server_that_hangs_holds_up_nobody() {
    let silent = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let home = Home::new();
    let server = serve(&home, &format!("smtp://127.0.0.1:{port}"));
    let ann = server.set_up("ann@example.org");
    ask_for_reset(&server, "ann@example.org");
    let (hanging, _) = silent.accept().expect("somebody with a letter");

    // While the letter hangs, everything else goes on, asking for another included.
    ask_for_reset(&server, "ann@example.org");
    server.client().refreshed(&ann.refresh);
    home.authd(&["user", "show", "ann@example.org"]).done();
    // The letter still waits for a greeting.
    hanging.set_nonblocking(true).expect("a socket");
    let silence = hanging.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(silence, Err(ErrorKind::WouldBlock));
    // Nor does it keep the server from ending.
    server.stop();
}

#[test] // every mailed link has a twin on the command line
fn an_operator_prints_the_link_where_there_is_no_mail() {
    let home = Home::new();
    let server = home.serve();
    let ann = server.set_up("ann@example.org");
    let body = json!({ "email": "ann@example.org" });
    server
        .client()
        .post("/v1/password-reset", &body)
        .refused(403, "no_mail");
    let line = ["user", "reset-link", "ann@example.org", "--json"];
    // The command does not know on which port the server is; the token is what counts.
    let printed = home.authd(&line).json();
    let link = printed["reset_link"].as_str().expect("a link");
    let (_, token) = link.split_once("/reset?token=").expect("a token");
    server
        .client()
        .get(&format!("/reset?token={token}"))
        .status(303);
    let body = json!({ "token": token, "new_password": NEW_PASSWORD });
    let mut client = server.client();
    client.post("/v1/password-reset/confirm", &body).status(204);
    client.refresh(&ann.refresh).refused(401, "invalid_grant");
    let listed = home
        .authd(&["user", "reset-link", "ann@example.org", "--list", "--json"])
        .json();
    assert_eq!(listed["requests"][0]["end_reason"], "used");
    home.authd(&["user", "reset-link", "nobody"]).refused(1);
}

#[test] // the same for an address
fn an_operator_prints_the_link_that_proves_an_address() {
    let home = Home::new();
    let server = home.serve();
    server.set_up("ann@example.org");
    let line = ["user", "verify-link", "ann@example.org", "--json"];
    let printed = home.authd(&line).json();
    let printed = &printed["links"][0];
    assert_eq!(
        (&printed["email"], &printed["proves"]),
        (&json!("ann@example.org"), &json!("address"))
    );
    let link = printed["verify_link"].as_str().expect("a link");
    let (_, token) = link.split_once("/verify?token=").expect("a token");
    let mut client = server.client();
    client.get(&format!("/verify?token={token}")).status(303);
    let body = json!({ "token": token });
    let path = "/v1/email-verification/confirm";
    client.post(path, &body).status(204);
    let shown = home.authd(&["user", "show", "ann@example.org", "--json"]);
    assert_eq!(shown.json()["email_verified"], true);
    let again = home.authd(&line).refused(1);
    assert!(again.contains("confirmed already"), "{again}");
}

#[test] // req 11
fn a_registration_that_waits_is_let_in_by_an_operator() {
    let home = Home::with("registration = \"open\"\nverification = \"required\"\n");
    let server = home.serve();
    server.says("verification is required and mail is off");
    let body = json!({ "email": "ann@example.org", "password": PASSWORD });
    let answer = server.client().post("/v1/accounts", &body).status(202);
    assert_eq!(answer.text(), "");
    let line = ["user", "verify-link", "ann@example.org"];
    let shown = home.authd(&line).done().stdout;
    assert!(
        shown.contains("registration") && shown.contains("127.0.0.1"),
        "{shown}"
    );
    let (_, rest) = shown.split_once("/verify?token=").expect("a token");
    let token = rest.split_whitespace().next().expect("a token");
    let path = "/v1/email-verification/confirm";
    let alone = json!({ "token": token });
    server
        .client()
        .post(path, &alone)
        .refused(400, "password_required");
    let body = json!({ "token": token, "password": PASSWORD });
    server.client().post(path, &body).status(204);
    server.sign_in("ann@example.org", "laptop");
    home.authd(&["user", "verify-link", "bob@example.org"])
        .refused(1);
}

#[test]
fn a_directory_takes_the_letters() {
    let home = Home::with("mail = \"dir:letters\"\n");
    let server = home.serve();
    server.set_up("ann@example.org");
    ask_for_reset(&server, "ann@example.org");
    let letter = eventually("a letter", || {
        let mut files = std::fs::read_dir(home.path("letters")).ok()?;
        let found = files.find_map(|file| {
            let path = file.expect("an entry").path();
            path.extension()
                .is_some_and(|kind| kind == "eml")
                .then_some(path)
        });
        found.map(|path| std::fs::read_to_string(path).expect("a letter"))
    });
    let token = token_of(&json!({ "message": letter }));
    let body = json!({ "token": token, "new_password": NEW_PASSWORD });
    server
        .client()
        .post("/v1/password-reset/confirm", &body)
        .status(204);
}

#[test]
fn the_doctor_says_what_to_do_by_what_went_wrong() {
    let home = Home::new();
    let mail = MailServer::start(&home, &["take"]);
    let port = mail.port;
    let authority = home.path("authority.pem");
    let says = |url: &str, trusted: &Path, words: &str| {
        let arguments = ["doctor", "--json", "--mail-to", "ann@example.org"];
        let mut command = home.command(AUTHD, &arguments);
        command.env("AUTHD_MAIL", url).env("SSL_CERT_FILE", trusted);
        let (_, told) = look(Ran::of(command, ""), "test message");
        assert!(told.contains(words), "{url}: {told}");
    };
    says(&relay(&mail), &authority, "accepted it");
    let missing = home.path("missing.pem");
    says(&relay(&mail), &missing, "missing.pem");
    let tls = "?tls=required";
    let wrong = format!("smtp://authd:wrong@localhost:{port}{tls}");
    says(&wrong, &authority, "An @ in them is written as %40");
    let nobody = format!("smtp://localhost:{port}{tls}");
    says(&nobody, &authority, "The mail server requires a sign-in");
    says(
        &format!("smtp://localhost:{port}"),
        &authority,
        "?tls=required",
    );
    let other = format!("smtp://authd:p%40ss%2Fword@127.0.0.1:{port}{tls}");
    says(&other, &authority, "has 127.0.0.1 as a subjectAltName");
    let at_once = format!("smtps://localhost:{port}");
    says(&at_once, &authority, "Use smtp:// for port 587");
    let plain = format!("smtp://authd:p%40ss%2Fword@localhost:{port}");
    says(&plain, &authority, "no sign-in with a password");
    drop(mail);
    says(&nobody, &authority, "Check host and port");
}
