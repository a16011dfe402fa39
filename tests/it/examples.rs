//! What the examples show is so: each is run as its reader would run it.
//!
//! Python's and Node's packages are installed under the build's own directory, once for each list of versions.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use authd::clock::{Clock, monotonic};
use authd::http::{App, Settings};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../examples/embed_tiny_http.rs"]
#[allow(dead_code)] // Its `main` is run as an example only.
mod embed_tiny_http;

const AUTHD: &str = env!("CARGO_BIN_EXE_authd");

/// Far beyond what anything here takes; whoever waits longer waits for nothing.
const DEADLINE: Duration = Duration::from_secs(30);

/// Between two looks at something that takes a moment.
const MOMENT: Duration = Duration::from_millis(50);

const EMAIL: &str = "ann@example.org";
const PASSWORD: &str = "three grey herons at dawn";

#[test] // req 32, req 35
fn the_quickstart_keeps_its_promises() {
    let directory = TempDir::new().expect("a directory");
    let quickstart = |directory: &TempDir, authd: &str| {
        Command::new("bash")
            .arg(example("quickstart.sh"))
            .current_dir(directory)
            .env("AUTHD", authd)
            .output()
            .expect("bash")
    };
    let output = quickstart(&directory, AUTHD);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{output:?}");
    assert!(said.contains("10. Stop the server"), "{said}");

    let again = quickstart(&directory, AUTHD);
    let complaint = String::from_utf8_lossy(&again.stderr);
    assert!(complaint.contains("authd.db here already"), "{complaint}");
    assert_eq!(again.status.code(), Some(1));

    let elsewhere = TempDir::new().expect("a directory");
    assert!(!quickstart(&elsewhere, "true").status.success());
}

#[test] // req 56, req 58, req 59
fn a_python_service_verifies_tokens_by_itself() {
    verifies_tokens_by_itself(python);
}

#[test] // req 56, req 58, req 59
fn a_node_service_verifies_tokens_by_itself() {
    verifies_tokens_by_itself(node);
}

fn verifies_tokens_by_itself(runtime: fn() -> (PathBuf, PathBuf)) {
    let (interpreter, script) = runtime();
    let directory = TempDir::new().expect("a directory");
    let authd = Process::authd(&directory);
    let start = || {
        let mut command = Command::new(&interpreter);
        command
            .arg(&script)
            .arg("0")
            .env("ISSUER", &authd.url)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Process::start(command, "listening on ")
    };
    let service = start();
    let status = |token: &str| service.get(token).0;

    let signed_in = authd.set_up();
    let token = text(&signed_in["access_token"]);
    assert_eq!(
        service.get(token),
        (
            200,
            json!({ "account": signed_in["account"]["id"], "session": signed_in["session"]["id"] })
        )
    );

    assert_eq!(ask("GET", &service.url, &[], "").0, 401);
    assert_eq!(status("garbled"), 401);
    assert_eq!(status(text(&signed_in["refresh_token"])), 401);
    assert_eq!(status(&token[..token.len() - 2]), 401);

    let forge = Forge::new(&directory, token);
    assert_eq!(
        status(&forge.sign(json!({}), json!({}))),
        200,
        "the forge works"
    );
    let past = Clock::system().wall().as_unix() - 60;
    for (what, header, claims) in [
        ("an ID token", json!({ "typ": "JWT" }), json!({})),
        ("no type", json!({ "typ": null }), json!({})),
        ("another algorithm", json!({ "alg": "ES384" }), json!({})),
        ("an unknown key", json!({ "kid": "unknown" }), json!({})),
        (
            "another issuer",
            json!({}),
            json!({ "iss": "https://elsewhere.example" }),
        ),
        (
            "another audience",
            json!({}),
            json!({ "aud": "https://elsewhere.example" }),
        ),
        ("another client's", json!({}), json!({ "client_id": "app" })),
        ("an expired one", json!({}), json!({ "exp": past })),
        ("one without an end", json!({}), json!({ "exp": null })),
    ] {
        assert_eq!(status(&forge.sign(header, claims)), 401, "{what}");
    }
    assert_eq!(status(&forge.unsigned()), 401);

    // After an emergency rotation the service finds the new key by itself.
    let rotated = Command::new(AUTHD)
        .args(["key", "rotate", "--now"])
        .current_dir(&directory)
        .env_clear()
        .output()
        .expect("authd");
    assert!(rotated.status.success(), "{rotated:?}");
    // The server takes the new key within a second; until then it is asked for the same answer again.
    let again = json!({ "refresh_token": signed_in["refresh_token"] });
    let newer = authd.wait_for(|| {
        let (status, refreshed) = authd.post("/v1/sessions/refresh", &again);
        assert_eq!(status, 200, "{refreshed}");
        let newer = text(&refreshed["access_token"]).to_owned();
        (newer.split('.').next() != token.split('.').next()).then_some(newer)
    });
    let newer = newer.as_str();
    service.wait_for(|| (status(newer) == 200).then_some(()));

    // What works offline does not hear of a sign-out until the token expires; what it never heard of is not refused.
    let bearer = format!("Bearer {newer}");
    let sign_out = format!("{}/v1/sessions/current", authd.url);
    assert_eq!(
        ask("DELETE", &sign_out, &[("Authorization", &bearer)], "").0,
        204
    );
    assert_eq!(status(newer), 200);
    let newcomer = start();
    drop(authd);
    assert_eq!(newcomer.get(newer).0, 503);
}

#[test]
fn authd_can_be_embedded_in_another_server() {
    /// Lets the server's threads end, also when an assertion fails.
    struct Unblock(Arc<tiny_http::Server>);
    impl Drop for Unblock {
        fn drop(&mut self) {
            (0..embed_tiny_http::THREADS).for_each(|_| self.0.unblock());
        }
    }

    let directory = TempDir::new().expect("a directory");
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").expect("a port"));
    let url = format!("http://{}", server.server_addr());
    let authd =
        embed_tiny_http::open(&directory.path().join("authd.db"), &url).expect("a database");
    let link = authd.open_setup().expect("an answer").expect("a link");
    let app = App::new(authd, Settings::default());
    thread::scope(|scope| {
        let _unblock = Unblock(Arc::clone(&server));
        scope.spawn(|| embed_tiny_http::serve(&server, &app));

        let (status, answer) = ask("GET", &format!("{url}/"), &[], "");
        assert_eq!((status, answer.contains("accounts")), (200, true));
        let set_up = json!({ "token": link.token, "email": EMAIL, "password": PASSWORD });
        let (status, signed_in) = post(&format!("{url}/v1/setup"), &set_up);
        assert_eq!(status, 201, "{signed_in}");
        let refresh = json!({ "refresh_token": signed_in["refresh_token"] });
        let (status, once) = post(&format!("{url}/v1/sessions/refresh"), &refresh);
        let (again, twice) = post(&format!("{url}/v1/sessions/refresh"), &refresh);
        assert_eq!((status, again), (200, 200));
        assert_eq!(once["refresh_token"], twice["refresh_token"]);
        let bearer = format!("Bearer {}", text(&once["access_token"]));
        let (status, sessions) = ask(
            "GET",
            &format!("{url}/v1/sessions"),
            &[("Authorization", &bearer)],
            "",
        );
        assert_eq!((status, sessions.contains("127.0.0.1")), (200, true));

        let too_large = "x".repeat(70_000);
        assert_eq!(
            ask("POST", &format!("{url}/v1/sessions"), &[], &too_large).0,
            413
        );
        assert_eq!(
            ask("HEAD", &format!("{url}/healthz"), &[], ""),
            (200, String::new())
        );
        assert_eq!(ask("GET", &format!("{url}/nothing"), &[], "").0, 404);
    });
}

/// A server of an example, or authd's. It ends with the value.
struct Process {
    child: Child,
    url: String,
    lines: Receiver<String>,
}

impl Process {
    /// `authd serve` in `directory`.
    fn authd(directory: &TempDir) -> Process {
        let mut command = Command::new(AUTHD);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        // The settings of whoever runs the tests are not these tests' business.
        command.current_dir(directory).env_clear();
        Process::start(command, " serves ")
    }

    /// Starts a server, and waits for the line in which its URL follows `mark`.
    fn start(mut command: Command, mark: &str) -> Process {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server that starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| tell.send(line))
        });
        let mut process = Process {
            child,
            url: String::new(),
            lines,
        };
        let line = process.line_with(mark);
        process.url = line.split_whitespace().next().expect("a URL").to_owned();
        process
    }

    /// What follows `mark` in the first line that has it.
    fn line_with(&self, mark: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line of output");
            if let Some((_, rest)) = line.split_once(mark) {
                return rest.to_owned();
            }
        }
    }

    fn set_up(&self) -> Value {
        let token = self.line_with("/setup?token=");
        let set_up = json!({ "token": token, "email": EMAIL, "password": PASSWORD });
        let (status, signed_in) = self.post("/v1/setup", &set_up);
        assert_eq!(status, 201, "{signed_in}");
        signed_in
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        post(&format!("{}{path}", self.url), body)
    }

    /// Asks a service with an access token.
    fn get(&self, token: &str) -> (u16, Value) {
        let bearer = format!("Bearer {token}");
        let (status, body) = ask(
            "GET",
            &format!("{}/", self.url),
            &[("Authorization", &bearer)],
            "",
        );
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    /// Looks until something is seen, as long as the server lives.
    fn wait_for<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let begun = monotonic();
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(begun.elapsed() < DEADLINE, "it never came");
            let ended = self.lines.recv_timeout(MOMENT) == Err(RecvTimeoutError::Disconnected);
            assert!(!ended, "the server has ended");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who has the signing key, and makes tokens that authd would not.
struct Forge {
    key: EcdsaKeyPair,
    header: Value,
    claims: Value,
}

impl Forge {
    /// With the key of the database in `directory`, after the pattern of `token`.
    fn new(directory: &TempDir, token: &str) -> Forge {
        let database =
            rusqlite::Connection::open(directory.path().join("authd.db")).expect("the database");
        let key: Vec<u8> = database
            .query_row("SELECT private_key FROM signing_key", [], |row| row.get(0))
            .expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).expect("a key");
        let mut parts = token.split('.').map(|part| {
            let part = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&part).unwrap_or_default()
        });
        let (header, claims) = (
            parts.next().expect("a header"),
            parts.next().expect("claims"),
        );
        Forge {
            key,
            header,
            claims,
        }
    }

    /// A token with some members changed, or taken away where they are null.
    fn sign(&self, header: Value, claims: Value) -> String {
        let signed = format!(
            "{}.{}",
            changed(&self.header, header),
            changed(&self.claims, claims)
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn unsigned(&self) -> String {
        let header = changed(&self.header, json!({ "alg": "none" }));
        format!("{header}.{}.", changed(&self.claims, json!({})))
    }
}

fn changed(part: &Value, change: Value) -> String {
    let mut part = part.as_object().expect("an object").clone();
    for (name, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => part.remove(name),
            value => part.insert(name.clone(), value.clone()),
        };
    }
    URL_SAFE_NO_PAD.encode(Value::Object(part).to_string())
}

fn python() -> (PathBuf, PathBuf) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-example");
    let interpreter = place.join("bin/python");
    install(&place, &[example("python/requirements.txt")], || {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&place));
        let mut pip = Command::new(&interpreter);
        run(pip
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(example("python/requirements.txt")));
    });
    (interpreter, example("python/server.py"))
}

/// Node finds packages beside the script, so the script goes to where they are.
fn node() -> (PathBuf, PathBuf) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-example");
    let copied = ["package.json", "package-lock.json", ".npmrc", "server.js"];
    let copied = copied.map(|name| example("node").join(name));
    install(&place, &copied, || {
        fs::create_dir_all(&place).expect("a directory");
        for file in &copied {
            fs::copy(file, place.join(file.file_name().expect("a name"))).expect("a copy");
        }
        run(Command::new("npm")
            .args(["ci", "--silent"])
            .current_dir(&place));
    });
    ("node".into(), place.join("server.js"))
}

/// Has `install` fill `place`, unless it did so before from the same files.
fn install(place: &Path, files: &[PathBuf], install: impl FnOnce()) {
    let stamp = place.join("installed-from");
    let files: String = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a file"))
        .collect();
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == files) {
        return;
    }
    install();
    fs::write(stamp, files).expect("a stamp");
}

fn run(command: &mut Command) {
    let output = command.output().expect("a command that starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn post(url: &str, body: &Value) -> (u16, Value) {
    let (status, body) = ask(
        "POST",
        url,
        &[("Content-Type", "application/json")],
        &body.to_string(),
    );
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// One request on a connection of its own: the status and the body.
fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("a URL");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(host).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream
        .write_all(request.as_bytes())
        .expect("a request that is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    (status, body.to_owned())
}
