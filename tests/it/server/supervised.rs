//! authd under a service manager: what it tells one, and the units in `examples/systemd`.

use std::fs;
use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::faults::fill;
use crate::wire::{AUTHD, Home, PASSWORD, PATIENCE, Ran, Server};

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn at(address: &SocketAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Manager { socket }
    }

    fn hears(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).expect("UTF-8")
    }

    /// What it hears next that is no sign of life.
    fn hears_news(&self) -> String {
        let mut heard = std::iter::repeat_with(|| self.hears());
        let news = heard.find(|message| message != "WATCHDOG=1");
        news.expect("there is always more")
    }
}

fn serve(home: &Home, variables: &[(&str, &str)]) -> Server {
    let mut command = home.command_under(&[]);
    command.envs(variables.iter().copied());
    Server::start(command)
}

#[test]
fn a_service_manager_hears_of_beginning_life_and_end() {
    let home = Home::new();
    // Not in the home: its path may be longer than a socket's can be.
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("notify");
    let name = format!("authd-test-{}", std::process::id());
    for (address, given) in [
        (SocketAddr::from_pathname(&path), path.display().to_string()),
        (SocketAddr::from_abstract_name(&name), format!("@{name}")),
    ] {
        let manager = Manager::at(&address.expect("an address"));
        let variables = [("NOTIFY_SOCKET", &*given), ("WATCHDOG_USEC", "200000")];
        let server = serve(&home, &variables);
        let (ready, status) = (
            "READY=1\nSTATUS=serving ",
            format!(" on {}", server.address),
        );
        let heard = manager.hears();
        assert!(
            heard.starts_with(ready) && heard.ends_with(&status),
            "{heard}"
        );
        server.client().get("/readyz").status(200);
        // More than once: it goes on.
        assert_eq!([manager.hears(), manager.hears()], ["WATCHDOG=1"; 2]);

        // A request that is under way: the word comes before the end, and the answer before both.
        let mut client = server.client();
        client
            .send(
                b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                  Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            )
            .expect("half a request");
        let mut go_on = [0; 25];
        client.socket().read_exact(&mut go_on).expect("a word");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        server.signal(Signal::TERM);
        let heard = manager.hears_news();
        assert!(heard.starts_with("STOPPING=1\n"), "{heard}");
        client.send(b"{}").expect("the rest");
        let answer = client.answer().expect("an answer");
        answer.refused(400, "invalid_request");
        assert_eq!(server.ended().status.code(), Some(0));
    }
}

#[test] // fault 3: what a new start does not mend is no reason for one
fn a_full_disk_is_no_reason_to_be_started_anew() {
    let home = Home::with("max_db_size = \"1MiB\"");
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).expect("an address"));
    let path = path.display().to_string();
    let variables = [("NOTIFY_SOCKET", &*path), ("WATCHDOG_USEC", "200000")];
    let server = serve(&home, &variables);
    home.add_user("bob@example.org");
    fill(&home, "bob@example.org");
    let sign_in = json!({ "login": "bob@example.org", "password": PASSWORD });
    server.client().post("/v1/sessions", &sign_in).unavailable();

    // What was said until now is read away first.
    let socket = &manager.socket;
    socket.set_nonblocking(true).expect("a socket");
    while socket.recv(&mut [0; 16]).is_ok() {}
    socket.set_nonblocking(false).expect("a socket");
    assert_eq!([manager.hears(), manager.hears()], ["WATCHDOG=1"; 2]);
}

#[test]
fn a_service_manager_that_is_gone_is_no_reason_to_stay_away() {
    let home = Home::new();
    let server = serve(&home, &[("NOTIFY_SOCKET", "/nowhere/notify")]);
    server.says("the service manager at NOTIFY_SOCKET=/nowhere/notify can't be reached");
    server.client().get("/healthz").status(200);
    server.stop();
}

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd")
}

const UNITS: [&str; 3] = [
    "authd.service",
    "authd-backup.service",
    "authd-backup.timer",
];

fn unit(name: &str) -> String {
    fs::read_to_string(units().join(name)).expect("a unit")
}

/// The commands that a unit runs under this key, as they are run: a `%%` stands for `%`, and a `$$` for `$`.
fn commands(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
    lines
        .filter_map(|line| line.strip_prefix('='))
        .map(|line| line.replace("%%", "%").replace("$$", "$"))
        .collect()
}

#[test]
fn systemd_understands_the_units_and_finds_them_hardened() {
    // With the binary that there is in the place of the one that will be installed.
    let directory = TempDir::new().expect("a directory");
    let paths = UNITS.map(|name| {
        let path = directory.path().join(name);
        let text = unit(name).replace("/usr/local/bin/authd", AUTHD);
        fs::write(&path, text).expect("a unit");
        path
    });
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).args(&paths);
    let verified = Ran::of(verify, "").done();
    assert_eq!(verified.stderr, "");

    // From 0, locked away, to 100: 20 leaves the network, which is what it is there for.
    for service in &paths[..2] {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--no-pager", "--offline=yes", "--threshold=20"]);
        security.arg(service);
        Ran::of(security, "").done();
    }
}

#[test]
fn the_units_name_the_same_files_and_commands_that_there_are() {
    let server = unit("authd.service");
    let backup = unit("authd-backup.service");
    for (key, value) in [
        ("User", "authd"),
        ("Group", "authd"),
        ("StateDirectory", "authd"),
        ("WorkingDirectory", "/var/lib/authd"),
    ] {
        assert_eq!(commands(&server, key), [value]);
        assert_eq!(commands(&backup, key), [value]);
    }
    let [serve] = commands(&server, "ExecStart")
        .try_into()
        .expect("one command");
    let home = Home::new();
    let serve = serve.replace("/var/lib/authd", home.path("").to_str().expect("a path"));
    let mut words = serve.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/authd"));
    let mut command = home.command(AUTHD, &words.collect::<Vec<_>>());
    command.args(["--listen", "127.0.0.1:0"]);
    Server::start(command).stop();
    assert!(home.db().exists());
}

#[test] // fault 27
fn the_daily_backup_keeps_the_newest_fourteen() {
    let home = Home::new();
    let server = home.serve();
    let unit = unit("authd-backup.service");
    let state = home.path("");
    let state = state.to_str().expect("a path").trim_end_matches('/');
    let run = |key: &str| {
        for line in commands(&unit, key) {
            let line = line
                .replace("/usr/local/bin/authd", AUTHD)
                .replace("/var/lib/authd", state);
            Ran::of(home.command("sh", &["-c", &line]), "").done();
        }
    };
    run("ExecStartPre");
    let older = (1..=20).map(|day| format!("authd-2020-01-{day:02}T000000Z.db"));
    for name in older.clone().chain(["a-file-of-mine.db".to_owned()]) {
        fs::write(home.path("backups").join(name), "").expect("a file");
    }
    run("ExecStart");
    run("ExecStartPost");

    let entries = fs::read_dir(home.path("backups")).expect("a directory");
    let mut left: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    left.sort();
    assert_eq!(left.remove(0), "a-file-of-mine.db");
    assert_eq!(left.len(), 14);
    let newest = left.pop().expect("a backup");
    assert_eq!(left, older.skip(7).collect::<Vec<_>>());

    server.stop();
    let source = home.path("backups").join(newest);
    let source = source.to_str().expect("a path");
    home.authd(&["restore", "--yes", source]).done();
}
