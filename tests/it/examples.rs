//! What the examples show is so: each is run as its reader would run it.
//!
//! Python's and Node's packages are installed under the build's own directory, once for each list of versions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use authd::clock::Clock;
use authd::http::{App, Settings};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::{AUTHD, Answer, Client, Home, PASSWORD, Ran, SignedIn, eventually};

#[path = "../../examples/embed_tiny_http.rs"]
#[allow(dead_code)] // Its `main` is run as an example only.
mod embed_tiny_http;

#[test] // req 23, req 29, req 30, req 32, req 35
fn the_quickstart_keeps_its_promises() {
    let quickstart = |directory: &TempDir, authd: &str| {
        let mut command = Command::new("bash");
        command
            .arg(example("quickstart.sh"))
            .env("AUTHD", authd)
            .current_dir(directory);
        Ran::of(command, "")
    };
    let directory = TempDir::new().expect("a directory");
    let said = quickstart(&directory, AUTHD).done().stdout;
    for kept in [
        "used twice: 400 invalid_reset_token",
        "every older refresh token: 401",
        "the newest password: 201",
        "11. Stop the server",
    ] {
        assert!(said.contains(kept), "{said}");
    }

    let complaint = quickstart(&directory, AUTHD).refused(1);
    assert!(
        complaint.contains("start in an empty directory"),
        "{complaint}"
    );
    let no_server = quickstart(&TempDir::new().expect("a directory"), "true");
    assert!(!no_server.status.success());
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
    let home = Home::new();
    let authd = home.serve();
    let service = Service::start(&interpreter, &script, &authd.url);
    let status = |token: &str| service.ask(Some(token)).status;

    let ann = authd.set_up("ann@example.org");
    assert_eq!(
        service.ask(Some(&ann.access)).status(200).json(),
        json!({ "account": ann.account, "session": ann.session, "groups": [] })
    );
    home.authd(&["group", "add", "staff"]).done();
    home.authd(&["group", "grant", "staff", "ann@example.org"])
        .done();
    let asked = json!({ "login": "ann@example.org", "password": PASSWORD, "scope": "groups" });
    let asked = authd.client().post("/v1/sessions", &asked).status(201);
    let told = service.ask(Some(&SignedIn::read(&asked).access));
    assert_eq!(told.status(200).json()["groups"], json!(["staff"]));

    assert_eq!(service.ask(None).status, 401);
    assert_eq!(status("garbled"), 401);
    assert_eq!(status(&ann.refresh), 401);
    assert_eq!(status(&ann.access[..ann.access.len() - 2]), 401);

    let forge = Forge::new(&home, &ann);
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
    home.authd(&["key", "rotate", "--now"]).done();
    let newer = eventually("a token of the new key", || {
        // The same token again and again: a lost answer, as far as the server knows.
        let newer = authd.client().refreshed(&ann.refresh);
        (header_of(&newer) != header_of(&ann)).then_some(newer)
    });
    eventually("the new key in the service", || {
        (status(&newer.access) == 200).then_some(())
    });

    // What works offline does not hear of a sign-out until the token expires; what was never heard is not refused.
    authd
        .client()
        .as_owner(&newer, "DELETE", "/v1/sessions/current")
        .status(204);
    assert_eq!(status(&newer.access), 200);
    let newcomer = Service::start(&interpreter, &script, &authd.url);
    drop(authd);
    assert_eq!(newcomer.ask(Some(&newer.access)).status, 503);
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
    let address = server.server_addr().to_ip().expect("an address");
    let authd = embed_tiny_http::open(
        &directory.path().join("authd.db"),
        &format!("http://{address}"),
    );
    let authd = authd.expect("a database");
    let link = authd.open_setup().expect("an answer").expect("a link");
    let app = App::new(authd, Settings::default());
    thread::scope(|scope| {
        let _unblock = Unblock(Arc::clone(&server));
        scope.spawn(|| embed_tiny_http::serve(&server, &app));
        let mut client = Client::connect(address);

        let own = client.get("/").status(200).text();
        assert!(own.contains("accounts"), "{own}");
        let set_up =
            json!({ "token": link.token, "email": "ann@example.org", "password": PASSWORD });
        let ann = SignedIn::read(&client.post("/v1/setup", &set_up).status(201));
        let once = client.refreshed(&ann.refresh);
        let twice = client.refreshed(&ann.refresh);
        assert_eq!(once.refresh, twice.refresh);
        let listed = client
            .as_owner(&once, "GET", "/v1/sessions")
            .status(200)
            .json();
        assert_eq!(listed["sessions"][0]["ip"], "127.0.0.1");
        client.get("/nothing").refused(404, "not_found");

        let too_large = Value::String("x".repeat(70_000));
        client
            .post("/v1/sessions", &too_large)
            .refused(413, "body_too_large");
    });
}

/// A service of an example. It ends with the value.
struct Service {
    child: Child,
    address: SocketAddr,
    /// Kept open: who prints where nobody listens may end.
    _stdout: BufReader<ChildStdout>,
}

impl Service {
    fn start(interpreter: &Path, script: &Path, issuer: &str) -> Service {
        let mut child = Command::new(interpreter)
            .arg(script)
            .arg("0")
            .env("ISSUER", issuer)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("a service that starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line of output");
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        Service {
            child,
            address: address.expect("an address"),
            _stdout: stdout,
        }
    }

    /// Asks who somebody with this access token is.
    fn ask(&self, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|bearer| ("Authorization", bearer.as_str()))
            .collect();
        Client::connect(self.address).request("GET", "/", &headers, None)
    }
}

impl Drop for Service {
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
    /// With the key of a database, after the pattern of somebody's token.
    fn new(home: &Home, owner: &SignedIn) -> Forge {
        let key: Vec<u8> = home
            .sql()
            .query_row("SELECT private_key FROM signing_key", [], |row| row.get(0))
            .expect("a key");
        Forge {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).expect("a key"),
            header: header_of(owner),
            claims: owner.claims(),
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

fn header_of(owner: &SignedIn) -> Value {
    let part = owner.access.split('.').next().expect("three parts");
    let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

fn python() -> (PathBuf, PathBuf) {
    let requirements = example("python/requirements.txt");
    (
        python_with("python-example", &requirements),
        example("python/server.py"),
    )
}

/// A Python interpreter with the packages of a list, installed under `name` in the build's directory.
pub fn python_with(name: &str, requirements: &Path) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let interpreter = place.join("bin/python");
    install(&place, &[requirements.to_owned()], || {
        run(
            Path::new("python3"),
            &["-m", "venv", "--clear", "."],
            &place,
        );
        let requirements = requirements.to_str().expect("a path in UTF-8");
        run(
            &interpreter,
            &["-m", "pip", "install", "--quiet", "-r", requirements],
            &place,
        );
    });
    interpreter
}

/// Node finds packages beside the script, so the script goes to where they are.
fn node() -> (PathBuf, PathBuf) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node-example");
    let copied = ["package.json", "package-lock.json", ".npmrc", "server.js"];
    let copied = copied.map(|name| example("node").join(name));
    install(&place, &copied, || {
        for file in &copied {
            fs::copy(file, place.join(file.file_name().expect("a name"))).expect("a copy");
        }
        run(Path::new("npm"), &["ci", "--silent"], &place);
    });
    ("node".into(), place.join("server.js"))
}

fn run(program: &Path, arguments: &[&str], place: &Path) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place);
    Ran::of(command, "").done();
}

/// Has `install` fill `place`, unless it did so before from the same files.
fn install(place: &Path, files: &[PathBuf], install: impl FnOnce()) {
    // Tests run beside each other, and several may want the same packages.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let stamp = place.join("installed-from");
    let files: String = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a file"))
        .collect();
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == files) {
        return;
    }
    fs::create_dir_all(place).expect("a directory");
    install();
    fs::write(stamp, files).expect("a stamp");
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}
