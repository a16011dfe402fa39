//! authd from outside: the real binary, on a real file, over real sockets.
//!
//! A [`Home`] is a directory with a database and its settings; it outlives the servers that are started on it, so
//! that a test can kill one and start the next. A [`Server`] is a child process that ends with its value. A
//! [`Client`] is one keep-alive connection, written by hand so that a test decides what is sent and when it
//! hangs up.
//!
//! Nothing here waits for time to pass. What takes time is waited for by its sign (an answer, a line of the log,
//! the end of a process), and [`PATIENCE`] turns a sign that never comes into a failure.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use authd::clock::monotonic;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The binary under test.
pub const AUTHD: &str = env!("CARGO_BIN_EXE_authd");

/// How long a sign is waited for before the test fails: far beyond what anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A password that the rules have nothing against.
pub const PASSWORD: &str = "orange kettle drum 42";

/// Waits until `look` sees something; between two looks others get the processor.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = monotonic() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(monotonic() < deadline, "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A directory with a database, on which servers and commands run.
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// An empty one with default settings.
    pub fn new() -> Home {
        Home::with("")
    }

    /// An empty one with these lines in its `authd.toml`.
    pub fn with(settings: &str) -> Home {
        // Beside the build, so that the files are on a disk and not in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let home = Home { dir };
        home.set(settings);
        home
    }

    /// Replaces the settings.
    pub fn set(&self, settings: &str) {
        fs::write(self.path("authd.toml"), settings).expect("settings");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.path("authd.db")
    }

    /// The database, as another program sees it.
    pub fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.db()).expect("the database")
    }

    /// A command line in this directory, with nothing from the environment of the tests.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            // Named, since root is told of a file that is found in the working directory.
            .env("AUTHD_CONFIG", "authd.toml")
            .stdin(Stdio::null());
        command
    }

    /// Starts a server on a free port and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_under(&[])
    }

    /// The same, logging everything that it can.
    pub fn serve_loudly(&self) -> Server {
        let mut command = self.command(AUTHD, SERVE);
        command.env("AUTHD_LOG_LEVEL", "debug");
        Server::start(command)
    }

    /// The same, with another program in front of the command line, which runs it in its own place.
    pub fn serve_under(&self, prefix: &[&str]) -> Server {
        Server::start(self.command_under(prefix))
    }

    /// The command line of a server, with another in front of it.
    pub fn command_under(&self, prefix: &[&str]) -> Command {
        let line: Vec<&str> = prefix.iter().copied().chain([AUTHD]).collect();
        let mut command = self.command(line[0], &line[1..]);
        command.args(SERVE);
        command
    }

    /// Runs `authd serve` where it is expected not to start.
    pub fn serve_in_vain(&self) -> Ran {
        self.authd(SERVE)
    }

    /// Runs an authd command to its end.
    pub fn authd(&self, arguments: &[&str]) -> Ran {
        self.authd_fed(arguments, "")
    }

    /// Runs an authd command with `input` on its standard input.
    pub fn authd_fed(&self, arguments: &[&str], input: &str) -> Ran {
        Ran::of(self.command(AUTHD, arguments), input)
    }

    /// Starts an authd command that goes on until it is ended.
    pub fn watch(&self, arguments: &[&str]) -> Watch {
        let mut command = self.command(AUTHD, arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a process");
        let stdout = Lines::of(child.stdout.take().expect("a pipe"));
        Watch { child, stdout }
    }

    /// Makes an account with [`PASSWORD`].
    pub fn add_user(&self, email: &str) {
        self.authd_fed(&["user", "add", email, "--password-stdin"], PASSWORD)
            .done();
    }

    /// The events of `kind`, newest first.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let listed = self
            .authd(&["event", "list", "--limit", "1000", "--json"])
            .json();
        let events = listed["events"].as_array().expect("a list").iter();
        events
            .filter(|event| event["kind"] == kind)
            .cloned()
            .collect()
    }
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

/// A command that ended.
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(mut command: Command, input: &str) -> Ran {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        // A command that does not read its input may be gone already.
        let _ = child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(input.as_bytes());
        let output = child.wait_with_output().expect("its end");
        Ran {
            status: output.status,
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Asserts that it did what it was asked.
    #[track_caller]
    pub fn done(self) -> Ran {
        assert!(
            self.status.success(),
            "{}\n{}{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that it ended with `code`, and returns what it said.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}{}",
            self.stdout,
            self.stderr
        );
        self.stderr
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let done = self.done();
        serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("not JSON: {}", done.stdout))
    }
}

/// A command that goes on; it is killed when the value goes.
pub struct Watch {
    child: Child,
    stdout: Lines,
}

impl Watch {
    /// Waits for a line with `text` in it.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        let line = self.stdout.wait_for(text);
        line.unwrap_or_else(|| panic!("never showed {text:?}:\n{}", self.stdout.text()))
    }

    /// All lines so far.
    pub fn shown(&self) -> String {
        self.stdout.text()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running server; it is killed when the value goes.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub url: String,
    stdout: Lines,
    stderr: Lines,
}

/// How a server ended, and all that it had to say.
pub struct Stopped {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Server {
    pub fn start(command: Command) -> Server {
        Server::try_start(command).unwrap_or_else(|stderr| panic!("it did not start:\n{stderr}"))
    }

    /// Starts a server, or returns what it said when it ended instead.
    pub fn try_start(mut command: Command) -> Result<Server, String> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdout = Lines::of(child.stdout.take().expect("a pipe"));
        let stderr = Lines::of(child.stderr.take().expect("a pipe"));
        let mut server = Server {
            child,
            address: SocketAddr::from(([0; 4], 0)),
            url: String::new(),
            stdout,
            stderr,
        };
        // authd VERSION serves URL on ADDRESS, from FILE
        let Some(first) = server.stdout.wait_for(" serves ") else {
            return Err(server.stderr.text());
        };
        let words: Vec<&str> = first.split([' ', ',']).collect();
        server.url = words[3].to_owned();
        server.address = words[5].parse().expect("an address");
        Ok(server)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// All that is printed at the first start.
    pub fn printed(&self) -> String {
        let last = self.stdout.wait_for("-X DELETE");
        assert!(last.is_some(), "{}", self.stdout.text());
        self.stdout.text()
    }

    /// The token of the set-up link that was printed.
    pub fn setup_token(&self) -> String {
        let printed = self.printed();
        let (_, rest) = printed.split_once("/setup?token=").expect("a link");
        rest.lines().next().expect("a token").to_owned()
    }

    /// Waits until the log says `text`.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let said = self.stderr.wait_for(text);
        assert!(
            said.is_some(),
            "never said {text:?}:\n{}",
            self.stderr.text()
        );
    }

    /// Makes the first administrator over HTTP.
    pub fn set_up(&self, email: &str) -> SignedIn {
        let body = json!({ "token": self.setup_token(), "email": email, "password": PASSWORD });
        SignedIn::read(&self.client().post("/v1/setup", &body).status(201))
    }

    pub fn sign_in(&self, login: &str, device: &str) -> SignedIn {
        self.client().sign_in(login, device)
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A client at another address of the loopback network.
    pub fn client_from(&self, ip: [u8; 4]) -> Client {
        let from = SocketAddr::from((IpAddr::from(Ipv4Addr::from(ip)), 0));
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("one");
        socket.bind(&from.into()).expect("an address");
        socket.connect(&self.address.into()).expect("a connection");
        Client::over(socket.into())
    }

    /// A figure of `/proc/PID/status`, in KiB.
    pub fn memory(&self, figure: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the process");
        let line = status.lines().find(|line| line.starts_with(figure));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number
            .and_then(|number| number.parse().ok())
            .expect("a figure")
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("it is alive");
    }

    /// `kill -9`, as the power switch does it to a process.
    pub fn kill(self) -> Stopped {
        self.signal(Signal::KILL);
        let stopped = self.ended();
        assert_eq!(stopped.status.signal(), Some(Signal::KILL.as_raw()));
        stopped
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(self) -> Stopped {
        self.signal(Signal::TERM);
        let stopped = self.ended();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        stopped
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> Stopped {
        let status = eventually("the end of the server", || {
            self.child.try_wait().expect("it was not waited for before")
        });
        self.stdout.wait_for_end();
        self.stderr.wait_for_end();
        Stopped {
            status,
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process prints, line by line as it comes.
#[derive(Clone)]
struct Lines(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    text: String,
    ended: bool,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let lines = Lines(Arc::default());
        let ours = lines.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                let read = pipe.read_until(b'\n', &mut line).unwrap_or(0);
                let mut printed = ours.0.0.lock().expect("no panic");
                printed.text += &String::from_utf8_lossy(&line);
                printed.ended = read == 0;
                ours.0.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        lines
    }

    fn text(&self) -> String {
        self.0.0.lock().expect("no panic").text.clone()
    }

    /// The first line with `text` in it, once it is there; `None` if the process ends without.
    fn wait_for(&self, text: &str) -> Option<String> {
        let find = |printed: &Printed| {
            let found = printed.text.lines().find(|line| line.contains(text));
            found.map(str::to_owned)
        };
        let printed = self.wait_while(|printed| find(printed).is_none());
        find(&printed)
    }

    fn wait_for_end(&self) {
        drop(self.wait_while(|_| true));
    }

    fn wait_while(&self, still: impl Fn(&Printed) -> bool) -> std::sync::MutexGuard<'_, Printed> {
        let printed = self.0.0.lock().expect("no panic");
        let (printed, waited) = self
            .0
            .1
            .wait_timeout_while(printed, PATIENCE, |printed| {
                !printed.ended && still(printed)
            })
            .expect("no panic");
        assert!(!waited.timed_out(), "waited in vain:\n{}", printed.text);
        printed
    }
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.text()))
    }

    #[track_caller]
    pub fn status(self, expected: u16) -> Answer {
        assert_eq!(self.status, expected, "{}", self.text());
        self
    }

    /// Asserts a problem with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Answer {
        let answer = self.status(status);
        assert_eq!(answer.json()["code"], code, "{}", answer.text());
        answer
    }

    /// Asserts that the server cannot do it now, and says when to ask again.
    #[track_caller]
    pub fn unavailable(self) -> Answer {
        let answer = self.refused(503, "unavailable");
        let seconds = answer
            .header("retry-after")
            .expect("a time to come back")
            .parse();
        assert!(matches!(seconds, Ok(1..=60)), "{:?}", answer.headers);
        answer
    }
}

/// One keep-alive connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    agent: String,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).expect("a connection"))
    }

    fn over(stream: TcpStream) -> Client {
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| stream.set_nodelay(true))
            .expect("a socket");
        Client {
            stream: BufReader::new(stream),
            agent: "authd-tests".to_owned(),
        }
    }

    /// The same connection, calling itself something else.
    pub fn calling_itself(self, agent: &str) -> Client {
        Client {
            agent: agent.to_owned(),
            ..self
        }
    }

    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request and does not wait for its answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<()> {
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {}\r\n",
            self.agent
        );
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        let body = body.map(Value::to_string);
        if let Some(body) = &body {
            text += &format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        text += "\r\n";
        text += body.as_deref().unwrap_or_default();
        self.send(text.as_bytes())
    }

    /// Reads an answer. The end of the connection before its first byte is `UnexpectedEof`.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let status = head[0].split(' ').nth(1).and_then(|word| word.parse().ok());
        let headers: Vec<(String, String)> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            headers,
            body,
        })
    }

    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        self.ask(method, path, headers, body)?;
        self.answer()
    }

    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], None)
    }

    #[track_caller]
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &[], Some(body))
    }

    /// A request with an access token.
    #[track_caller]
    pub fn as_owner(&mut self, owner: &SignedIn, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {}", owner.access);
        self.request(method, path, &[("Authorization", &bearer)], None)
    }

    #[track_caller]
    pub fn sign_in(&mut self, login: &str, device: &str) -> SignedIn {
        let body = json!({ "login": login, "password": PASSWORD, "device_name": device });
        SignedIn::read(&self.post("/v1/sessions", &body).status(201))
    }

    pub fn try_refresh(&mut self, token: &str) -> io::Result<Answer> {
        self.try_request(
            "POST",
            "/v1/sessions/refresh",
            &[],
            Some(&refresh_body(token)),
        )
    }

    /// Presents a refresh token.
    #[track_caller]
    pub fn refresh(&mut self, token: &str) -> Answer {
        self.post("/v1/sessions/refresh", &refresh_body(token))
    }

    /// Presents a refresh token that is good.
    #[track_caller]
    pub fn refreshed(&mut self, token: &str) -> SignedIn {
        SignedIn::read(&self.refresh(token).status(200))
    }

    /// Waits until the first byte of an answer is here, and leaves it where it is.
    pub fn answer_is_here(&self) {
        let mut byte = [0];
        let seen = self.socket().peek(&mut byte).expect("an answer");
        assert_eq!(seen, 1, "the connection was closed without one");
    }

    /// Hangs up with a reset, whatever is still on its way.
    pub fn hang_up(self) {
        let socket = socket2::SockRef::from(self.socket());
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Says that nothing more will be sent, and keeps listening.
    pub fn half_close(&self) {
        self.socket().shutdown(Shutdown::Write).expect("a socket");
    }

    /// Whether the server has closed the connection, once that is known.
    pub fn is_closed_by_server(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// The body of a refresh.
pub fn refresh_body(token: &str) -> Value {
    json!({ "refresh_token": token })
}

/// What a sign-in or a refresh answers.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub access: String,
    pub refresh: String,
    pub session: String,
    pub account: String,
}

impl SignedIn {
    #[track_caller]
    pub fn read(answer: &Answer) -> SignedIn {
        let value = answer.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        SignedIn {
            access: text(&value["access_token"]),
            refresh: text(&value["refresh_token"]),
            session: text(&value["session"]["id"]),
            account: text(&value["account"]["id"]),
        }
    }

    /// The header of the access token.
    pub fn header(&self) -> Value {
        self.part(0)
    }

    /// The claims of the access token, unchecked.
    pub fn claims(&self) -> Value {
        self.part(1)
    }

    fn part(&self, at: usize) -> Value {
        let part = self.access.split('.').nth(at).expect("three parts");
        serde_json::from_slice(&decoded(part)).expect("JSON")
    }
}

/// The number of a refresh token in its family.
#[track_caller]
pub fn generation(token: &str) -> u32 {
    let bytes = token_bytes(token);
    u32::from_be_bytes(bytes[16..20].try_into().expect("4 bytes"))
}

/// The secret in a refresh token, as the server knows it for a moment.
pub fn secret(token: &str) -> Vec<u8> {
    token_bytes(token)[20..52].to_vec()
}

fn token_bytes(token: &str) -> Vec<u8> {
    decoded(token.strip_prefix("ar_").expect("a refresh token"))
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// How many different values there are.
pub fn distinct<T: std::hash::Hash + Eq>(values: impl IntoIterator<Item = T>) -> usize {
    values.into_iter().collect::<HashSet<_>>().len()
}

/// The bytes of all files of a directory, with their names.
pub fn files_of(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| {
            let bytes = fs::read(&path).expect("a file");
            (path, bytes)
        })
        .collect();
    files.sort();
    files
}
