//! The invariants, over sequences of operations that nobody thought of.
//!
//! A model that fits on a page says what each operation must lead to; the server is asked the same, and after every
//! step both are compared: what was answered, which sessions are open, which events were written. The model is kept in
//! other terms than the server's: it remembers every token that was ever issued, which the server does not.

use std::collections::BTreeSet;

use authd::http::Method;
use authd::service::{NewInvitation, Registration, Wanted};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use crate::harness::*;

const WINDOW: i64 = 60;
const DAY: i64 = 86_400;
const IDLE: i64 = 2 * DAY;
const LIFETIME: i64 = 5 * DAY;
const TOKEN_LIFE: i64 = 600;

/// How long an ended session's row is kept.
const KEPT: i64 = 3600;

/// Alone in address, alone in user agent, in both.
const PLACES: [Place; 4] = [
    LAPTOP,
    Place::new(THIEF.ip, LAPTOP.agent),
    Place::new(LAPTOP.ip, THIEF.agent),
    THIEF,
];

const KEYS: [&str; 2] = ["one", "two"];

#[derive(Clone, Debug)]
enum Op {
    SignIn(usize),
    /// Presents the token that is `age` generations old, or the first.
    Refresh {
        family: Index,
        age: usize,
        place: usize,
        key: Option<usize>,
    },
    /// The laptop refreshes and a thief follows, so many generations in a row.
    Follow(Index, usize),
    Garbage(Index, Index),
    Advance(u64),
    /// The wall clock alone, forwards or backwards by less than a day.
    Jump(i64),
    /// Ten years ahead, and back before anybody believes it.
    FarAndBack,
    Restart,
    SignOut(Index),
    EndOthers(Index),
    EndAll,
    ChangePassword(Index),
    Disable,
    Enable,
    Sweep,
}

fn op() -> impl Strategy<Value = Op> {
    let refresh = (
        any::<Index>(),
        prop_oneof![6 => Just(0), 5 => Just(1), 1 => Just(2), 1 => Just(9)],
        prop_oneof![4 => Just(0), 1 => 1..3_usize, 3 => Just(3)],
        prop_oneof![3 => Just(None), 2 => (0..KEYS.len()).prop_map(Some)],
    );
    prop_oneof![
        6 => (0..PLACES.len()).prop_map(Op::SignIn),
        30 => refresh.prop_map(|(family, age, place, key)| Op::Refresh { family, age, place, key }),
        2 => (any::<Index>(), 1..4_usize).prop_map(|(family, rounds)| Op::Follow(family, rounds)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(family, at)| Op::Garbage(family, at)),
        8 => select(vec![1, 30, 60, 61, 599, 3599, 3600, 86_399, 86_400, 86_401, 172_799, 172_800])
            .prop_map(Op::Advance),
        3 => select(vec![-DAY, -3600, -61, 61, 3600, 80_000]).prop_map(Op::Jump),
        1 => Just(Op::FarAndBack),
        2 => Just(Op::Restart),
        2 => any::<Index>().prop_map(Op::SignOut),
        1 => any::<Index>().prop_map(Op::EndOthers),
        1 => Just(Op::EndAll),
        2 => any::<Index>().prop_map(Op::ChangePassword),
        1 => Just(Op::Disable),
        2 => Just(Op::Enable),
        2 => Just(Op::Sweep),
    ]
}

/// I8, in three lines: time goes on by the monotonic clock, and takes from the wall clock at most a day in advance.
struct Time {
    wall: i64,
    latest: i64,
    confirmed: i64,
}

impl Time {
    fn pass(&mut self, seconds: i64) {
        (self.wall, self.latest, self.confirmed) = (
            self.wall + seconds,
            self.latest + seconds,
            self.confirmed + seconds,
        );
    }

    fn look(&mut self) {
        if self.wall - self.confirmed <= DAY {
            self.confirmed = self.confirmed.max(self.wall);
            self.latest = self.latest.max(self.wall);
        } else {
            self.latest = self.latest.max(self.confirmed + DAY);
        }
    }
}

struct Family {
    session: String,
    /// Every token that it ever issued; the last is the live one.
    tokens: Vec<String>,
    access: String,
    access_dated: i64,
    rotated_at: i64,
    expires_at: i64,
    replays: u32,
    by: Place,
    key: Option<usize>,
    lockstep: usize,
    lockstep_generation: usize,
    ended_at: Option<i64>,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Successor,
    Same,
    Refused,
}

struct Model {
    time: Time,
    families: Vec<Family>,
    is_disabled: bool,
    reuses: usize,
    strangers: usize,
    /// Sessions whose rows a sweep has not deleted.
    kept: BTreeSet<String>,
    /// Every refresh token that was ever handed out.
    issued: BTreeSet<String>,
}

impl Model {
    fn now(&self) -> i64 {
        self.time.latest
    }

    fn is_open(&self, family: &Family) -> bool {
        family.ended_at.is_none()
            && self.now() < family.expires_at
            && self.now() - family.rotated_at < IDLE
    }

    fn open_sessions(&self) -> BTreeSet<String> {
        let open = self.families.iter().filter(|family| self.is_open(family));
        open.map(|family| family.session.clone()).collect()
    }

    /// Whether the access token of the last answer is honoured: it is the session's, and outlives a family that was
    /// replaced by a new password.
    fn is_honoured(&self, family: &Family) -> bool {
        let (dated, wall) = (family.access_dated, self.time.wall);
        self.open_sessions().contains(&family.session)
            && dated + TOKEN_LIFE > wall
            && dated <= wall + 60
    }

    fn end(&mut self, which: impl Fn(&Family) -> bool) {
        let now = self.now();
        for family in &mut self.families {
            if which(family) && family.ended_at.is_none() {
                family.ended_at = Some(now);
            }
        }
    }

    fn begin(&mut self, device: &SignedIn, expires_at: i64) {
        assert!(self.issued.insert(device.refresh.clone()));
        self.kept.insert(device.session.clone());
        self.families.push(Family {
            session: device.session.clone(),
            tokens: vec![device.refresh.clone()],
            access: device.access.clone(),
            access_dated: self.time.wall,
            rotated_at: self.now(),
            expires_at,
            replays: 0,
            by: device.place,
            key: None,
            lockstep: 0,
            lockstep_generation: 0,
            ended_at: None,
        });
    }

    /// What presenting the token of this generation must lead to.
    fn present(
        &mut self,
        at: usize,
        generation: usize,
        place: Place,
        key: Option<usize>,
    ) -> Expected {
        let now = self.now();
        let is_open = self.is_open(&self.families[at]);
        let family = &mut self.families[at];
        if !is_open {
            return Expected::Refused;
        }
        let live = family.tokens.len();
        if generation == live {
            (family.rotated_at, family.by, family.key, family.replays) = (now, place, key, 0);
            return Expected::Successor;
        }
        let age = now - family.rotated_at;
        let in_time = age <= WINDOW || (key.is_some() && key == family.key && age <= DAY);
        let stranger = place.ip != family.by.ip && place.agent != family.by.agent;
        if generation + 1 == live && in_time {
            let streak = match live - family.lockstep_generation {
                0 => family.lockstep,
                1 => family.lockstep + 1,
                _ => 1,
            };
            if !stranger || streak < 3 {
                family.replays += 1;
                if stranger {
                    // One event for a generation, however often a stranger presents the token.
                    self.strangers += usize::from(family.lockstep_generation != live);
                    (family.lockstep, family.lockstep_generation) = (streak, live);
                }
                return Expected::Same;
            }
        }
        self.reuses += 1;
        let session = family.session.clone();
        self.end(|family| family.session == session);
        Expected::Refused
    }

    fn sweep(&mut self) -> usize {
        let (now, before) = (self.now(), self.kept.len());
        let families = &self.families;
        self.kept.retain(|session| {
            let mut of_session = families.iter().filter(|family| family.session == *session);
            // A session lasts as long as its last family.
            let last = of_session.clone().next_back().expect("a family");
            let ended = last.ended_at.is_some_and(|at| at < now - KEPT);
            let used = of_session.any(|family| family.rotated_at > now - IDLE);
            !ended && now < last.expires_at && used
        });
        before - self.kept.len()
    }
}

struct Run {
    t: Harness,
    model: Model,
}

impl Run {
    fn new() -> Run {
        let t = Harness::with(|terms| {
            terms.policy.replay_window = seconds(WINDOW.unsigned_abs());
            terms.policy.session_idle_lifetime = seconds(IDLE.unsigned_abs());
            terms.policy.session_lifetime = seconds(LIFETIME.unsigned_abs());
        });
        t.add("ann");
        let start = START.as_unix();
        let time = Time {
            wall: start,
            latest: start,
            confirmed: start,
        };
        let model = Model {
            time,
            families: Vec::new(),
            is_disabled: false,
            reuses: 0,
            strangers: 0,
            kept: BTreeSet::new(),
            issued: BTreeSet::new(),
        };
        Run { t, model }
    }

    /// The device that the last answer of this family went to.
    fn device(&self, at: usize) -> SignedIn {
        let family = &self.model.families[at];
        SignedIn {
            access: family.access.clone(),
            refresh: family.tokens.last().expect("a token").clone(),
            session: family.session.clone(),
            account: String::new(),
            refresh_expires_in: 0,
            place: family.by,
        }
    }

    fn pick(&self, index: Index) -> Option<usize> {
        let count = self.model.families.len();
        (count > 0).then(|| index.index(count))
    }

    fn step(&mut self, op: &Op) {
        self.model.time.look();
        match op {
            Op::SignIn(place) => self.sign_in(PLACES[*place]),
            Op::Refresh {
                family,
                age,
                place,
                key,
            } => {
                if let Some(at) = self.pick(*family) {
                    let live = self.model.families[at].tokens.len();
                    let generation = live.saturating_sub(*age).max(1);
                    self.refresh(at, generation, PLACES[*place], *key);
                }
            }
            Op::Follow(family, rounds) => {
                if let Some(at) = self.pick(*family) {
                    for _ in 0..*rounds {
                        let live = self.model.families[at].tokens.len();
                        self.refresh(at, live, LAPTOP, None);
                        self.refresh(at, live, THIEF, None);
                    }
                }
            }
            Op::Garbage(family, at) => {
                if let Some(which) = self.pick(*family) {
                    self.garbage(which, *at);
                }
            }
            Op::Advance(span) => {
                self.t.clock.advance(seconds(*span));
                self.model.time.pass(span.cast_signed());
            }
            Op::Jump(by) => {
                self.t.clock.jump(*by);
                self.model.time.wall += by;
            }
            Op::FarAndBack => {
                let far = 3650 * DAY;
                self.t.clock.jump(far);
                self.model.time.wall += far;
                self.model.time.look();
                assert!(self.t.authd().sweep().expect("a sweep").paused);
                self.t.clock.jump(-far);
                self.model.time.wall -= far;
            }
            Op::Restart => self.t.restart(),
            Op::SignOut(index) => {
                if let Some(at) = self.pick(*index) {
                    let status = self.t.sign_out(&self.device(at)).status;
                    if self.honoured(at, status, 204) {
                        let session = self.model.families[at].session.clone();
                        self.model.end(|family| family.session == session);
                    }
                }
            }
            Op::EndOthers(index) => {
                if let Some(at) = self.pick(*index) {
                    let target = "/v1/sessions?except=current";
                    let device = self.device(at);
                    let answer = self.t.with_token(&device, Method::DELETE, target).send();
                    if self.honoured(at, answer.status, 200) {
                        self.model.end(|family| family.session != device.session);
                    }
                }
            }
            Op::EndAll => {
                self.t
                    .operator()
                    .revoke_sessions(&account("ann"))
                    .expect("ann");
                self.model.end(|_| true);
            }
            Op::ChangePassword(index) => {
                if let Some(at) = self.pick(*index) {
                    self.change_password(at);
                }
            }
            Op::Disable => {
                self.t
                    .operator()
                    .disable_account(&account("ann"))
                    .expect("ann");
                self.model.is_disabled = true;
                self.model.end(|_| true);
            }
            Op::Enable => {
                self.t
                    .operator()
                    .enable_account(&account("ann"))
                    .expect("ann");
                self.model.is_disabled = false;
            }
            Op::Sweep => {
                let swept = self.t.authd().sweep().expect("a sweep");
                assert_eq!(swept.sessions, self.model.sweep());
            }
        }
        self.model.time.look();
        self.compare();
    }

    /// Compares whether an access token was honoured; `fine` is the status if it was.
    fn honoured(&self, at: usize, status: u16, fine: u16) -> bool {
        let expected = self.model.is_honoured(&self.model.families[at]);
        assert_eq!(status, if expected { fine } else { 401 });
        expected
    }

    fn sign_in(&mut self, place: Place) {
        let opened =
            self.t
                .authd()
                .open_session(&account("ann"), Wanted::default(), &place.device());
        assert_eq!(opened.is_ok(), !self.model.is_disabled);
        if let Ok(opened) = opened {
            let device = SignedIn {
                access: opened.access_token,
                refresh: opened.refresh_token,
                session: opened.session.id.to_string(),
                account: opened.account.id.to_string(),
                refresh_expires_in: opened.refresh_expires_in,
                place,
            };
            let expires_at = self.model.now() + LIFETIME;
            self.model.begin(&device, expires_at);
        }
    }

    fn refresh(&mut self, at: usize, generation: usize, place: Place, key: Option<usize>) {
        let presented = SignedIn {
            refresh: self.model.families[at].tokens[generation - 1].clone(),
            place,
            ..self.device(at)
        };
        let answer = match key {
            Some(key) => self.t.refresh_with_key(&presented, KEYS[key]),
            None => self.t.refresh(&presented),
        };
        let expected = self.model.present(at, generation, place, key);
        if expected == Expected::Refused {
            answer.refused("invalid_grant");
            return;
        }
        let issued = answer.issued();
        let (now, wall) = (self.model.now(), self.model.time.wall);
        let family = &mut self.model.families[at];
        assert_eq!(issued.session, family.session);
        match expected {
            // I2
            Expected::Same => assert_eq!(Some(&issued.refresh), family.tokens.last()),
            // I1: never one that was issued before.
            _ => {
                assert!(self.model.issued.insert(issued.refresh.clone()));
                family.tokens.push(issued.refresh.clone());
            }
        }
        (family.access, family.access_dated) = (issued.access, wall);
        // I7
        let until = (family.rotated_at + IDLE).min(family.expires_at);
        assert_eq!(issued.refresh_expires_in.cast_signed(), until - now);
        let find = |token: &str| self.t.authd().find_refresh_token(token).expect("a token");
        let (live, old) = family.tokens.split_last().expect("a token");
        assert!(find(live).valid);
        assert!(old.iter().all(|token| !find(token).valid));
    }

    /// I5: another letter somewhere.
    fn garbage(&self, which: usize, at: Index) {
        let mut bad = self.device(which);
        let at = at.index(bad.refresh.len());
        let other = if &bad.refresh[at..=at] == "x" {
            "y"
        } else {
            "x"
        };
        bad.refresh.replace_range(at..=at, other);
        self.t
            .unchanged(|| self.t.refresh(&bad).refused("invalid_grant"));
    }

    /// I10
    fn change_password(&mut self, at: usize) {
        let device = self.device(at);
        let answer = self.t.change_password(&device, PASSWORD, PASSWORD);
        if self.honoured(at, answer.status, 200) {
            let anew = answer.issued();
            assert_ne!(anew.session, device.session);
            let expires_at = self.model.families[at].expires_at;
            self.model.end(|_| true);
            // The session goes on under another id.
            self.model.kept.remove(&device.session);
            self.model.begin(&anew, expires_at);
        }
    }

    fn compare(&self) {
        let listed: BTreeSet<String> = self
            .t
            .sessions("ann")
            .iter()
            .map(|open| open.id.to_string())
            .collect();
        assert_eq!(listed, self.model.open_sessions());
        let events = |kind| self.t.events_of("ann", kind).len();
        assert_eq!(events("refresh_token_reused"), self.model.reuses);
        assert_eq!(events("refresh_replayed_elsewhere"), self.model.strangers);
        assert_eq!(events("file_rolled_back"), 0);
        let rows = self.t.number("SELECT count(*) FROM session");
        assert_eq!(rows, i64::try_from(self.model.kept.len()).expect("few"));
    }

    /// I3: at the end every token that was ever issued is presented once more; only what the model calls good is.
    fn finish(&mut self) {
        for at in 0..self.model.families.len() {
            let honoured = self.model.is_honoured(&self.model.families[at]);
            assert_eq!(self.t.is_open(&self.device(at)), honoured);
            let generations = 1..=self.model.families[at].tokens.len();
            for generation in generations.rev().take(3) {
                self.refresh(at, generation, LAPTOP, None);
            }
        }
        self.compare();
    }
}

/// An eighth of what PROPTEST_CASES says: each case writes a database to the disk.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: ProptestConfig::default().cases / 8,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test] // I1 to I8, I10
    fn every_sequence_leads_where_the_model_says(ops in prop::collection::vec(op(), 1..50)) {
        let mut run = Run::new();
        for op in &ops {
            run.step(op);
        }
        run.finish();
    }
}

/// The 32 secret bytes inside a refresh token.
fn secret_of(token: &str) -> Vec<u8> {
    use base64::Engine;
    let encoded = token.strip_prefix("ar_").expect("a refresh token");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded);
    bytes.expect("base64url")[20..52].to_vec()
}

#[test] // I9, req 22's kin: no secret that was handed out stands in the file, not even while it is good
fn the_file_contains_nothing_that_was_handed_out() {
    let mut t = Harness::with(|terms| terms.policy.registration = Registration::Invite);
    let anybody = NewInvitation {
        email: None,
        group: None,
        lifetime: days(7),
        is_mailed: false,
    };
    let invited = t.operator().invite(&anybody).expect("an invitation");
    let invitation = invited.token.expect("it is printed");
    let link = t.authd().open_setup().expect("a link").expect("no admin");
    let body = json!({ "token": link.token, "email": email("root"), "password": PASSWORD });
    let root = t.post("/v1/setup", body).send().issued();
    let laptop = t.sign_in("ann");
    let mut issued = vec![root, laptop.clone()];
    let mut held = laptop;
    for round in 0..20 {
        let key = format!("retry {round}");
        let next = t.refresh_with_key(&held, &key).issued();
        issued.push(t.refresh_with_key(&held, &key).issued());
        if round % 3 == 0 {
            t.refresh(&held.copied_to(PHONE)).issued();
        }
        held = next.clone();
        issued.push(next);
    }
    issued.push(t.change_password(&held, PASSWORD, NEW_PASSWORD).issued());
    t.try_sign_in(PHONE, "ann", "a wrong password indeed");
    t.clock.advance(minutes(5));
    t.refresh(&held).refused("invalid_grant");

    let mut needles: Vec<(String, Vec<u8>)> = Vec::new();
    for device in &issued {
        needles.push(("a secret".to_owned(), secret_of(&device.refresh)));
        needles.push((
            "a token".to_owned(),
            device.refresh.as_bytes()[3..].to_vec(),
        ));
        let signature = device.access.rsplit('.').next().expect("a signature");
        needles.push(("an access token".to_owned(), signature.as_bytes().to_vec()));
    }
    for text in [
        PASSWORD,
        NEW_PASSWORD,
        "a wrong password indeed",
        "retry 7",
        &link.token[3..],
        &invitation[3..],
    ] {
        needles.push((text.to_owned(), text.as_bytes().to_vec()));
    }
    let search = |t: &Harness, expect_wal: bool| {
        let wal = std::fs::read(t.path().with_extension("db-wal")).unwrap_or_default();
        assert!(!expect_wal || wal.len() > 4096, "the log was looked at too");
        let files = [std::fs::read(t.path()).expect("the file"), wal];
        for (what, needle) in &needles {
            let found = files.iter().any(|file| contains(file, needle));
            assert!(!found, "{what} stands in the file");
        }
    };
    search(&t, true);
    t.restart();
    search(&t, false);
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == first) {
        if haystack[from + at..].starts_with(needle) {
            return true;
        }
        from += at + 1;
    }
    false
}
