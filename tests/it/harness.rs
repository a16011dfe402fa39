//! The whole of authd in one process, without a socket: a temporary file, a clock moved by hand, seeded chance and
//! passwords that cost next to nothing. Requests are values that are handed to the [`App`], so what a story sees
//! is what a client sees; what must not have happened is read from the file through a connection of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use authd::clock::{Clock, ManualClock, Timestamp};
use authd::entropy::Entropy;
use authd::http::{App, Method, Request, Settings};
use authd::mail::{self, Cause, Letter, Mailer, Undelivered};
use authd::password::{self, Hasher, Params};
use authd::service::{
    Administration, Authd, Device, Event, EventQuery, NewAccount, Policy, Registration, Selector,
    Sender, Session, Verification, Wanted,
};
use authd::store::{OpenError, Options, Role, Store};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;
use rusqlite::types::Value as Column;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const ISSUER: &str = "https://auth.example.org";

/// Everybody's password, until it is changed.
pub const PASSWORD: &str = "plum tortoise violin 42";
pub const NEW_PASSWORD: &str = "sixteen grey umbrellas";

/// 2027-01-15T08:00:00Z, a whole hour: windows and hours begin together.
pub const START: Timestamp = Timestamp::from_unix(1_800_000_000);

pub const LAPTOP: Place = Place::new("192.0.2.10", "Firefox on a laptop");
pub const PHONE: Place = Place::new("198.51.100.20", "Safari on a phone");
pub const THIEF: Place = Place::new("203.0.113.66", "curl");

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn minutes(n: u64) -> Duration {
    seconds(60 * n)
}

pub const fn hours(n: u64) -> Duration {
    minutes(60 * n)
}

pub const fn days(n: u64) -> Duration {
    hours(24 * n)
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub ip: &'static str,
    pub agent: &'static str,
}

impl Place {
    pub const fn new(ip: &'static str, agent: &'static str) -> Place {
        Place { ip, agent }
    }

    pub fn device(self) -> Device {
        Device::new(self.ip.parse().expect("an address"), self.agent)
    }
}

/// What an operator has decided, before a story changes it.
#[derive(Clone)]
pub struct Terms {
    pub policy: Policy,
    pub settings: Settings,
    pub hashing: Params,
    pub max_size: Option<u64>,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            policy: Policy {
                issuer: ISSUER.to_owned(),
                registration: Registration::Closed,
                verification: Verification::Optional,
                password: password::Policy::new(12, &[ISSUER]).expect("a policy"),
                access_token_lifetime: minutes(10),
                session_idle_lifetime: days(30),
                session_lifetime: days(180),
                replay_window: seconds(60),
                signing_key_lifetime: days(90),
                event_retention: days(365),
                sends_mail: true,
            },
            settings: Settings::default(),
            hashing: Params::new(8, 1, 1).expect("parameters"),
            max_size: None,
        }
    }
}

pub struct Harness {
    pub clock: ManualClock,
    /// Where its mail goes.
    pub post_office: PostOffice,
    terms: Terms,
    starts: u64,
    running: Option<Running>,
    dir: TempDir,
}

struct Running {
    authd: Arc<Authd>,
    app: App,
    sender: Mutex<Sender>,
}

/// A mail server in memory, which can be made to refuse.
#[derive(Clone, Default)]
pub struct PostOffice(Arc<Mutex<Counter>>);

#[derive(Default)]
pub struct Counter {
    /// What was brought here, whether or not it was taken.
    pub tries: Vec<Letter>,
    /// What it says to whoever brings a letter.
    pub refusal: Option<Undelivered>,
}

impl PostOffice {
    pub fn counter(&self) -> MutexGuard<'_, Counter> {
        self.0.lock().expect("no panic")
    }

    /// From here on takes nothing.
    pub fn refuse(&self, is_final: bool) {
        let why = "451 not now".to_owned();
        self.counter().refusal = Some(Undelivered {
            is_final,
            why,
            cause: Cause::Other,
        });
    }

    fn take(&self, letter: &Letter) -> Result<(), Undelivered> {
        let mut counter = self.counter();
        counter.tries.push(letter.clone());
        counter.refusal.clone().map_or(Ok(()), Err)
    }
}

/// The token of the link in a letter.
#[track_caller]
pub fn link_token(letter: &Letter) -> String {
    let (_, rest) = letter.text.split_once("?token=").expect("a link");
    rest.lines().next().expect("a token").to_owned()
}

/// A device that holds the tokens of one answer.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub access: String,
    pub refresh: String,
    pub session: String,
    pub account: String,
    pub refresh_expires_in: u64,
    pub place: Place,
}

impl SignedIn {
    /// The claims of the access token, unchecked.
    pub fn claims(&self) -> Value {
        let claims = self.access.split('.').nth(1).expect("three parts");
        let json = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        serde_json::from_slice(&json).expect("JSON")
    }

    /// The same tokens in other hands.
    pub fn copied_to(&self, place: Place) -> SignedIn {
        SignedIn {
            place,
            ..self.clone()
        }
    }
}

impl Harness {
    pub fn new() -> Harness {
        Harness::with(|_| {})
    }

    /// A new server whose operator changed something.
    pub fn with(change: impl FnOnce(&mut Terms)) -> Harness {
        let mut terms = Terms::default();
        change(&mut terms);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let post_office = PostOffice::default();
        let (running, clock) = start(dir.path(), &terms, &post_office, START, 0);
        Harness {
            clock,
            post_office,
            terms,
            starts: 1,
            running: Some(running),
            dir,
        }
    }

    pub fn authd(&self) -> &Arc<Authd> {
        &self.running.as_ref().expect("it runs").authd
    }

    pub fn operator(&self) -> Administration<'_> {
        self.authd().as_operator()
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("authd.db")
    }

    /// Ends the server and starts it again on the same file.
    pub fn restart(&mut self) {
        self.stopped(|_| {});
    }

    /// Does something with the file while no server runs.
    pub fn stopped<T>(&mut self, meanwhile: impl FnOnce(&Path) -> T) -> T {
        let wall = self.clock.wall();
        self.running = None;
        let done = meanwhile(&self.path());
        self.start_at(wall);
        done
    }

    /// A restart of the machine, after which its clock says `wall`.
    pub fn reboot_at(&mut self, wall: Timestamp) {
        self.running = None;
        self.start_at(wall);
    }

    /// A restart with other settings.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Terms)) {
        change(&mut self.terms);
        self.restart();
    }

    fn start_at(&mut self, wall: Timestamp) {
        let (running, clock) = start(
            self.dir.path(),
            &self.terms,
            &self.post_office,
            wall,
            self.starts,
        );
        self.starts += 1;
        (self.running, self.clock) = (Some(running), clock);
    }

    /// A request without a body; [`Ask`] adds to it.
    pub fn ask(&self, method: Method, target: &str) -> Ask<'_> {
        Ask {
            app: &self.running.as_ref().expect("it runs").app,
            request: Request::new(method, target),
            place: LAPTOP,
        }
    }

    pub fn post(&self, target: &str, body: Value) -> Ask<'_> {
        self.ask(Method::POST, target).json(&body)
    }

    /// Lets the mail leave that is due, and returns what was brought to the post office.
    pub fn mail(&self) -> Vec<Letter> {
        let running = self.running.as_ref().expect("it runs");
        let mut sender = running.sender.lock().expect("no panic");
        sender.send_due().expect("the outbox can be read");
        std::mem::take(&mut self.post_office.counter().tries)
    }

    pub fn ask_for_reset(&self, email: &str) -> Answer {
        self.post("/v1/password-reset", json!({ "email": email }))
            .send()
    }

    pub fn reset(&self, token: &str, password: &str) -> Answer {
        let body = json!({ "token": token, "new_password": password });
        self.post("/v1/password-reset/confirm", body).send()
    }

    /// The token of a reset link that was asked for by mail.
    pub fn mailed_reset(&self, name: &str) -> String {
        assert_eq!(self.ask_for_reset(&email(name)).status, 202);
        link_token(self.mail().last().expect("a letter"))
    }

    /// Makes an account, as an operator does.
    pub fn add(&self, name: &str) {
        let account = NewAccount {
            username: Some(name.to_owned()),
            ..new_account(name)
        };
        self.operator()
            .add_account(account, Some(PASSWORD))
            .expect("an account");
    }

    /// Makes an administrator, as an operator does.
    pub fn add_administrator(&self, name: &str) {
        let account = NewAccount {
            username: Some(name.to_owned()),
            admin: true,
            ..new_account(name)
        };
        self.operator()
            .add_account(account, Some(PASSWORD))
            .expect("an account");
    }

    /// Signs in on the laptop as an administrator who administers; the account is made if there is none.
    pub fn administrator(&self, name: &str) -> SignedIn {
        if self.authd().find_account(&account(name)).is_err() {
            self.add_administrator(name);
        }
        self.try_administrator(name).issued()
    }

    pub fn try_administrator(&self, name: &str) -> Answer {
        let body = json!({ "login": email(name), "password": PASSWORD, "scope": "admin" });
        self.post("/v1/sessions", body).send()
    }

    /// Signs in on the laptop; the account is made if there is none.
    pub fn sign_in(&self, name: &str) -> SignedIn {
        self.sign_in_on(LAPTOP, name)
    }

    pub fn sign_in_on(&self, place: Place, name: &str) -> SignedIn {
        if self.authd().find_account(&account(name)).is_err() {
            self.add(name);
        }
        self.try_sign_in(place, &email(name), PASSWORD).issued()
    }

    pub fn try_sign_in(&self, place: Place, login: &str, password: &str) -> Answer {
        self.post(
            "/v1/sessions",
            json!({ "login": login, "password": password }),
        )
        .from(place)
        .send()
    }

    /// Presents the refresh token of `device` from where it is.
    pub fn refresh(&self, device: &SignedIn) -> Answer {
        self.refreshing(device).send()
    }

    pub fn refresh_with_key(&self, device: &SignedIn, key: &str) -> Answer {
        self.refreshing(device)
            .header("idempotency-key", key)
            .send()
    }

    fn refreshing(&self, device: &SignedIn) -> Ask<'_> {
        self.post(
            "/v1/sessions/refresh",
            json!({ "refresh_token": device.refresh }),
        )
        .from(device.place)
    }

    /// A request with the access token of `device`.
    pub fn with_token(&self, device: &SignedIn, method: Method, target: &str) -> Ask<'_> {
        self.ask(method, target)
            .from(device.place)
            .bearer(&device.access)
    }

    pub fn sign_out(&self, device: &SignedIn) -> Answer {
        self.with_token(device, Method::DELETE, "/v1/sessions/current")
            .send()
    }

    pub fn change_password(&self, device: &SignedIn, current: &str, new: &str) -> Answer {
        self.with_token(device, Method::PUT, "/v1/account/password")
            .json(&json!({ "current_password": current, "new_password": new }))
            .send()
    }

    /// Refreshes first, where the access token may have expired.
    pub fn change_password_after_refresh(&self, device: &SignedIn) -> SignedIn {
        let fresh = self.refresh(device).issued();
        self.change_password(&fresh, PASSWORD, NEW_PASSWORD)
            .issued()
    }

    /// Bounds the file at its present size, and uses up the room that is left for events: nothing that leaves one can
    /// be written then.
    pub fn fill_the_disk(&mut self, device: &SignedIn) {
        self.restart_with(|terms| terms.max_size = Some(4096));
        let until_full = |ask: &dyn Fn(usize) -> Answer| {
            assert!(
                (0..2000).any(|number| ask(number).status == 503),
                "there is room for everything"
            );
        };
        until_full(&|number| {
            self.with_token(device, Method::PATCH, "/v1/account")
                .json(&json!({ "name": format!("{number:04}") }))
                .send()
        });
        let account = Selector::Id(device.account.parse().expect("an id"));
        while self
            .authd()
            .open_session(&account, Wanted::default(), &LAPTOP.device())
            .is_ok()
        {}
    }

    /// Whether the access token of `device` is honoured.
    pub fn is_open(&self, device: &SignedIn) -> bool {
        self.with_token(device, Method::GET, "/v1/account")
            .send()
            .status
            == 200
    }

    /// The open sessions of an account, as an operator lists them.
    pub fn sessions(&self, name: &str) -> Vec<Session> {
        self.authd()
            .sessions_of(&account(name))
            .expect("an account")
    }

    /// What happened to an account, oldest first, by its names.
    pub fn events(&self, name: &str) -> Vec<String> {
        let events = self.all_events(name);
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The events of one kind, oldest first.
    pub fn events_of(&self, name: &str, kind: &str) -> Vec<Event> {
        let events = self.all_events(name);
        events
            .into_iter()
            .filter(|event| event.kind == kind)
            .collect()
    }

    fn all_events(&self, name: &str) -> Vec<Event> {
        let query = EventQuery {
            account: Some(account(name)),
            before: None,
            limit: EventQuery::MOST,
            ..EventQuery::default()
        };
        let mut events = self.authd().events(&query).expect("an account");
        events.reverse();
        events
    }

    /// Another program's connection to the file.
    pub fn sql(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("the file");
        connection
            .pragma_update(None, "foreign_keys", true)
            .expect("foreign keys");
        connection
    }

    pub fn execute(&self, sql: &str) -> usize {
        self.sql().execute(sql, []).expect(sql)
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.sql().query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    /// Every row of every table, without what the clock moves.
    pub fn dump(&self) -> BTreeMap<String, Vec<Vec<Column>>> {
        let db = self.sql();
        let rows = |sql: &str| -> Vec<Vec<Column>> {
            let mut statement = db.prepare(sql).expect(sql);
            let width = statement.column_count();
            let read = statement.query_map([], |row| {
                (0..width).map(|at| row.get(at)).collect::<Result<_, _>>()
            });
            read.expect(sql).map(|row| row.expect("a row")).collect()
        };
        let tables = rows("SELECT name FROM sqlite_master WHERE type = 'table'");
        let names = tables.into_iter().map(|row| match &row[0] {
            Column::Text(name) => name.clone(),
            other => panic!("{other:?} is no name"),
        });
        let mut dump: BTreeMap<_, _> = names
            .map(|name| {
                let content = match name.as_str() {
                    "server" => rows("SELECT epoch, tag_key, setup_digest, created_at FROM server"),
                    _ => rows(&format!("SELECT * FROM {name} ORDER BY 1")),
                };
                (name, content)
            })
            .collect();
        dump.remove("sqlite_stat1");
        dump
    }

    /// Does something that must leave every row as it was.
    #[track_caller]
    pub fn unchanged<T>(&self, something: impl FnOnce() -> T) -> T {
        let before = self.dump();
        let done = something();
        assert_eq!(before, self.dump(), "the database changed");
        done
    }

    /// The same, but that somebody may have been counted as one who tries.
    #[track_caller]
    pub fn unchanged_but_counted<T>(&self, something: impl FnOnce() -> T) -> T {
        let all_but_throttle = || {
            let mut rows = self.dump();
            rows.remove("throttle");
            rows.remove("sign_in_counter");
            rows
        };
        let before = all_but_throttle();
        let done = something();
        assert_eq!(before, all_but_throttle(), "the database changed");
        done
    }
}

fn start(
    dir: &Path,
    terms: &Terms,
    post_office: &PostOffice,
    wall: Timestamp,
    seed: u64,
) -> (Running, ManualClock) {
    let (clock, hand) = Clock::manual(wall);
    let entropy = Entropy::seeded(seed);
    let options = Options {
        accept_network_filesystem: true,
        readers: 4,
        role: Role::Server,
        max_size: terms.max_size,
    };
    // A test beside this one that starts a program has a copy of the lock's descriptor between its fork and its exec.
    let opened = (0..1_000_000).find_map(|_| {
        let path = dir.join("authd.db");
        match Store::open(&path, clock.clone(), entropy.clone(), options) {
            Err(OpenError::AlreadyServed { .. }) => {
                std::thread::yield_now();
                None
            }
            opened => Some(opened),
        }
    });
    let authd = Authd::open(
        opened.expect("no other server").expect("a database"),
        clock,
        entropy,
        Hasher::new(1 << 20, terms.hashing),
        terms.policy.clone(),
    )
    .expect("a service");
    let app = App::new(authd.clone(), terms.settings.clone());
    let from = mail::Author::parse("authd@example.org").expect("an address");
    let post_office = post_office.clone();
    let mailer = Mailer::by_hand(&from, move |letter| post_office.take(letter));
    let sender = Mutex::new(Sender::new(&authd, mailer));
    let running = Running { authd, app, sender };
    (running, hand)
}

/// An account as an operator adds it: only an address.
pub fn new_account(name: &str) -> NewAccount {
    NewAccount {
        email: email(name),
        username: None,
        name: None,
        admin: false,
        temporary: false,
    }
}

pub fn email(name: &str) -> String {
    format!("{name}@example.org")
}

/// An account as an operator points at it.
pub fn account(name: &str) -> Selector {
    Selector::Login(email(name))
}

/// A request on its way.
pub struct Ask<'a> {
    app: &'a App,
    request: Request,
    place: Place,
}

impl Ask<'_> {
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.with_body(body);
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.with_header(name, value);
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn from(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    pub fn send(self) -> Answer {
        let peer: IpAddr = self.place.ip.parse().expect("an address");
        let request = self
            .request
            .with_peer(peer)
            .with_header("user-agent", self.place.agent);
        let response = self.app.handle(&request);
        let headers = response
            .headers()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Answer {
            status: response.status,
            headers,
            body: response.body().to_vec(),
            place: self.place,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    place: Place,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice");
        value
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn gives(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        match self.body.is_empty() {
            true => Value::Null,
            false => self.json(),
        }
    }

    /// The tokens that were issued.
    #[track_caller]
    pub fn issued(&self) -> SignedIn {
        assert!(matches!(self.status, 200 | 201), "{}", self.text());
        let body = self.json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        SignedIn {
            access: text(&body["access_token"]),
            refresh: text(&body["refresh_token"]),
            session: text(&body["session"]["id"]),
            account: text(&body["account"]["id"]),
            refresh_expires_in: body["refresh_expires_in"].as_u64().expect("seconds"),
            place: self.place,
        }
    }

    /// Asserts a refusal with this code, in the one form that refusals have (RFC 9457).
    #[track_caller]
    pub fn refused(&self, code: &str) -> Value {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], self.status, "{body}");
        body
    }
}
