//! The life of one family, model-checked: every course that it can take within a bound, not a sample of them.
//!
//! A laptop refreshes, perhaps twice at once, and any answer may be lost on the way to it. A thief copies its token
//! at some moment and uses it from elsewhere. An operator may end the session. The server writes in batches: what
//! the open batch decided is in memory, what was synced is on the disk, and only then the answers leave, so a crash
//! at any point loses exactly what nobody was told. Time passes in steps that stay inside the window, leave it, and
//! leave the day; the wall clock may be set back. And somebody may put an older copy of the file in its place.
//!
//! What decides is the real [`judge`], over real secrets, digests, seals and `Idempotency-Key`s, and the real
//! [`Clock`] makes `now`. What the verdicts do to the row ([`Row::apply`]) is written here once more, in the few
//! lines that `rotate`, `replay` and `end` put into SQL.
//!
//! The invariants are stated over what an observer knows (who was told what, what was synced), not over the
//! columns that `judge` reads. So they fail when it is wrong: accepting the predecessor's predecessor, or the
//! predecessor outside its window, or a stranger for the third time, or taking the time from the wall each breaks
//! one of them.

use std::time::Duration;

use stateright::{Checker, Model, Property};

use super::*;
use crate::clock::{Clock, ManualClock, Mark};
use crate::ids::FamilyId;
use crate::secret::{SealKey, Secret};
use crate::service::session::client;
use crate::service::token::refresh::{ORDINARY_WINDOW, hour};

const START: Timestamp = Timestamp::from_unix(1_800_000_000);

const WINDOW: Duration = Duration::from_secs(60);

/// Time passes in these steps: two of the first are inside the window, the others leave the window, and the day.
const STEPS: [Duration; 3] = [
    Duration::from_secs(30),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(25 * 60 * 60),
];

/// One of the longest steps is not idle for too long, two are; and two are past the absolute end.
const LIFETIMES: Lifetimes = Lifetimes {
    window: WINDOW,
    idle: Duration::from_secs(40 * 60 * 60),
};
const ABSOLUTE: Duration = Duration::from_secs(45 * 60 * 60);

/// How far the stored mark of the clock falls behind while nothing is written.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// By how much the wall clock is set back.
const BACK: i64 = -3600;

/// How many generations in a row a stranger may replay.
const TOLERATED: usize = 2;

/// Decisions in one batch: enough for two tabs, or a thief beside the laptop.
const BATCH: usize = 2;

const FOREIGN: ClientKey = ClientKey::from_row(2);

/// Seconds after [`START`].
type Seconds = i64;

fn at(seconds: Seconds) -> Timestamp {
    Timestamp::from_unix(START.as_unix() + seconds)
}

fn seconds(at: Timestamp) -> Seconds {
    at.as_unix() - START.as_unix()
}

/// Who presents a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Party {
    Laptop,
    Thief,
}

impl Party {
    fn ip(self) -> IpAddr {
        match self {
            Party::Laptop => [192, 0, 2, 1].into(),
            Party::Thief => [198, 51, 100, 9].into(),
        }
    }

    fn agent(self) -> AgentKey {
        AgentKey::from_row(self as i64)
    }
}

/// A token that was handed out: its number, and which of the secrets drawn so far is in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Token {
    generation: u32,
    secret: u8,
}

impl Token {
    fn real(self) -> RefreshToken {
        RefreshToken {
            family: FamilyId::from_bytes([1; 16]),
            generation: self.generation,
            secret: Secret::from_bytes([self.secret; 32]),
        }
    }

    /// The `Idempotency-Key` of a client that sends one: a new one for each new request, the same for its retries.
    fn retry(self) -> Digest {
        let text = self.generation.to_string();
        Digest::of_idempotency_key(FamilyId::from_bytes([1; 16]), &text)
    }
}

/// The family's row. Of `chain` the file has only the digest of the last secret, and a seal over it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Row {
    /// The secrets of all generations, from `first`.
    chain: Vec<u8>,
    first: u32,
    rotated_at: Seconds,
    replays: u32,
    by: Party,
    with_key: bool,
    lockstep: u32,
    lockstep_generation: u32,
    ended: bool,
    /// Not a column: the generations that were replayed to another party than rotated.
    followed: Vec<u32>,
}

impl Row {
    fn live(&self) -> Token {
        self.token(self.chain.len() - 1)
    }

    fn token(&self, n: usize) -> Token {
        Token {
            generation: self.first + n as u32,
            secret: self.chain[n],
        }
    }

    fn has(&self, token: Token) -> bool {
        (0..self.chain.len()).any(|n| self.token(n) == token)
    }

    fn predecessor(&self) -> Option<Token> {
        Some(self.token(self.chain.len().checked_sub(2)?))
    }

    fn family(&self) -> Family {
        Family {
            key: FamilyKey::from_row(1),
            session: SessionKey::from_row(1),
            session_id: SessionId::random([1; 16]),
            account: AccountKey::from_row(1),
            client: client::FIRST_PARTY_KEY,
            generation: self.live().generation,
            digest: self.live().real().secret.digest(),
            // What it gives is told to `judge` by `seal_opens`.
            seal: Seal::NONE,
            seal_key: SealKeyKey::from_row(1),
            rotated_at: at(self.rotated_at),
            replays: self.replays,
            ip: self.by.ip(),
            agent: self.by.agent(),
            retry: self
                .predecessor()
                .filter(|_| self.with_key)
                .map(Token::retry),
            lockstep: self.lockstep,
            lockstep_generation: self.lockstep_generation,
            expires_at: START.plus(ABSOLUTE),
            ended: self.ended,
            client_window: None,
        }
    }

    /// As `open_seal` finds out for a predecessor, with the keys swept as soon as they may be.
    fn opens_for(&self, token: &RefreshToken, now: Timestamp) -> bool {
        let Some(predecessor) = self.predecessor() else {
            return false;
        };
        let kept = match self.with_key {
            true => RETRY_WINDOW,
            false => ORDINARY_WINDOW,
        };
        let is_swept = hour(at(self.rotated_at)) < hour(now.minus(kept));
        let key = SealKey::from_bytes([9; 32]);
        let live = self.live().real().secret;
        let seal = Seal::close(&live, &predecessor.real(), [3; 16], &key);
        !is_swept && seal.open(token, &key).digest() == live.digest()
    }

    /// What `rotate`, `replay` and `end` write.
    fn apply(&mut self, verdict: &Verdict, by: Party, with_key: bool, now: Seconds, fresh: u8) {
        let generation = self.live().generation;
        match verdict {
            Verdict::Rotate => {
                self.chain.push(fresh);
                self.rotated_at = now;
                self.replays = 0;
                self.by = by;
                self.with_key = with_key;
            }
            Verdict::Replay { stranger } => {
                self.replays += 1;
                if let Some(streak) = stranger {
                    self.lockstep = *streak;
                    self.lockstep_generation = generation;
                }
                if by != self.by && !self.followed.contains(&generation) {
                    self.followed.push(generation);
                }
            }
            Verdict::Reuse(_) | Verdict::RolledBack => self.ended = true,
            Verdict::TooOften | Verdict::Refuse(_) => {}
        }
    }

    /// In how many generations in a row somebody else than rotated was given the successor, at most.
    fn longest_pursuit(&self) -> usize {
        let generations = self.followed.iter();
        let runs = generations.map(|first| {
            (*first..)
                .take_while(|next| self.followed.contains(next))
                .count()
        });
        runs.max().unwrap_or(0)
    }
}

/// The file: the row, and the clock's mark.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct File {
    row: Row,
    mark: (Seconds, Seconds),
}

/// What was decided in the open batch, and for whom.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Decision {
    to: Party,
    presented: Token,
    successor: Option<Token>,
    is_final: bool,
}

/// How often things may still happen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Budget {
    presentations: u8,
    steps: u8,
    crashes: u8,
    set_backs: u8,
    thefts: u8,
    operators: u8,
    copies: u8,
}

/// The verdicts, for "it has been seen".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Seen {
    Rotate,
    Replay,
    ReplayToStranger,
    TooOften,
    Ended,
    Expired,
    LastGeneration,
    Copied,
    RetriedLateOrCopied,
    Lockstep,
    RolledBack,
    OtherClient,
}

impl Seen {
    fn of(verdict: &Verdict) -> Seen {
        match verdict {
            Verdict::Rotate => Seen::Rotate,
            Verdict::Replay { stranger: None } => Seen::Replay,
            Verdict::Replay { stranger: Some(_) } => Seen::ReplayToStranger,
            Verdict::TooOften => Seen::TooOften,
            Verdict::Refuse(Refusal::OtherClient) => Seen::OtherClient,
            Verdict::Refuse(Refusal::Ended) => Seen::Ended,
            Verdict::Refuse(Refusal::Expired) => Seen::Expired,
            Verdict::Refuse(Refusal::LastGeneration) => Seen::LastGeneration,
            Verdict::Reuse(Reuse::Copied) => Seen::Copied,
            Verdict::Reuse(Reuse::RetriedLateOrCopied) => Seen::RetriedLateOrCopied,
            Verdict::Reuse(Reuse::Lockstep) => Seen::Lockstep,
            Verdict::RolledBack => Seen::RolledBack,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    /// As the open batch has it.
    row: Row,
    /// As it was synced.
    disk: File,
    /// A copy that was taken at some time.
    copy: Option<File>,
    batch: Vec<Decision>,
    /// Secrets drawn so far; no two draws are alike.
    drawn: u8,

    wall: Seconds,
    /// What the running process knows of time: the latest instant, and the latest that it believes.
    mark: (Seconds, Seconds),
    /// Time as it really passed.
    passed: Seconds,

    /// What the laptop holds; nothing after it was refused.
    laptop: Option<Token>,
    /// When the laptop first presented what it holds, in real time.
    asked_at: Option<Seconds>,
    /// Whether it sends an `Idempotency-Key`.
    sends_keys: bool,
    thief: Option<Token>,

    /// Who was told what: the token that was presented, and its successor.
    told: Vec<(Token, Token)>,
    /// The end of the family was synced.
    end_was_synced: bool,
    /// Somebody was told that the family is at its end.
    end_was_told: bool,
    /// The generation whose predecessor's window was seen to close.
    closed: Option<u32>,
    thief_acted: bool,
    operator_acted: bool,
    rolled_back: bool,

    seen: Option<Seen>,
    left: Budget,
}

impl State {
    fn new(row: Row, laptop: Token, sends_keys: bool, left: Budget) -> State {
        State {
            disk: File {
                row: row.clone(),
                mark: (0, 0),
            },
            drawn: row.chain.len() as u8,
            row,
            copy: None,
            batch: Vec::new(),
            wall: 0,
            mark: (0, 0),
            passed: 0,
            laptop: Some(laptop),
            asked_at: None,
            sends_keys,
            thief: None,
            told: Vec::new(),
            end_was_synced: false,
            end_was_told: false,
            closed: None,
            thief_acted: false,
            operator_acted: false,
            rolled_back: false,
            seen: None,
            left,
        }
    }

    fn now(&self) -> Seconds {
        self.mark.0
    }

    /// Moves the real clock's hands, and takes down what it makes of that.
    fn turn(&mut self, turn: impl FnOnce(&ManualClock)) {
        let (clock, hand) = Clock::manual(at(self.wall));
        clock.resume(Mark {
            latest: at(self.mark.0),
            confirmed: at(self.mark.1),
        });
        turn(&hand);
        let mark = clock.mark();
        self.mark = (seconds(mark.latest), seconds(mark.confirmed));
        self.wall = seconds(clock.wall());
    }

    fn judged(&self, token: Token, by: Party, client: ClientKey) -> Verdict {
        let real = token.real();
        let sends_key = self.sends_keys && by == Party::Laptop;
        let presentation = Presentation {
            token: &real,
            client,
            ip: by.ip(),
            agent: by.agent(),
            retry: sends_key.then(|| token.retry()),
        };
        let now = at(self.now());
        let is_predecessor = token.generation.checked_add(1) == Some(self.row.live().generation);
        let seal_opens = is_predecessor && self.row.opens_for(&real, now);
        judge(
            &self.row.family(),
            &presentation,
            seal_opens,
            LIFETIMES,
            now,
        )
    }

    fn judged_as_ours(&self, token: Token, by: Party) -> Verdict {
        self.judged(token, by, client::FIRST_PARTY_KEY)
    }

    fn present(&mut self, by: Party, token: Token) {
        let verdict = self.judged_as_ours(token, by);
        let with_key = self.sends_keys && by == Party::Laptop;
        let (now, fresh) = (self.now(), self.drawn);
        self.row.apply(&verdict, by, with_key, now, fresh);
        self.drawn = self.drawn.max(*self.row.chain.last().unwrap_or(&0) + 1);
        let is_granted = matches!(verdict, Verdict::Rotate | Verdict::Replay { .. });
        self.batch.push(Decision {
            to: by,
            presented: token,
            successor: is_granted.then(|| self.row.live()),
            is_final: matches!(verdict, Verdict::Reuse(_) | Verdict::RolledBack),
        });
        match by {
            Party::Laptop => self.asked_at = self.asked_at.or(Some(self.passed)),
            Party::Thief => self.thief_acted = true,
        }
        self.seen = Some(Seen::of(&verdict));
    }

    /// The sync, and then the answers; those to the laptop may be `lost`.
    fn commit(&mut self, lost: bool) {
        self.disk = File {
            row: self.row.clone(),
            mark: self.mark,
        };
        self.end_was_synced |= self.row.ended;
        for decision in std::mem::take(&mut self.batch) {
            self.end_was_told |= decision.is_final;
            if let Some(successor) = decision.successor {
                let told = (decision.presented, successor);
                if !self.told.contains(&told) {
                    self.told.push(told);
                }
            }
            match decision.to {
                Party::Thief => self.thief = decision.successor,
                Party::Laptop if !lost && self.laptop != decision.successor => {
                    self.laptop = decision.successor;
                    self.asked_at = None;
                }
                Party::Laptop => {}
            }
        }
    }

    /// The process begins anew with what is on the disk.
    fn restart(&mut self) {
        self.row = self.disk.row.clone();
        self.batch.clear();
        self.mark = self.disk.mark;
        self.turn(|_| {});
        self.closed = self
            .closed
            .filter(|closed| *closed == self.row.live().generation);
    }

    fn pass(&mut self, step: Duration) {
        self.turn(|hand| hand.advance(step));
        self.passed += step.as_secs() as Seconds;
        if self.mark.0 >= self.disk.mark.0 + HOUSEKEEPING.as_secs() as Seconds {
            self.disk.mark = self.mark;
        }
        let age = self.now() - self.row.rotated_at;
        if self.batch.is_empty() && age > WINDOW.as_secs() as Seconds {
            self.closed = Some(self.row.live().generation);
        }
    }

    /// For how long whoever presents a token again may expect the same successor.
    fn patience(&self, by: Party) -> Seconds {
        let patience = match by {
            Party::Laptop if self.sends_keys => RETRY_WINDOW,
            _ => WINDOW,
        };
        patience.as_secs() as Seconds
    }

    fn has_expired(&self) -> bool {
        let age = Duration::from_secs((self.now() - self.row.rotated_at).unsigned_abs());
        age >= LIFETIMES.idle || at(self.now()) >= START.plus(ABSOLUTE)
    }

    /// All tokens that anybody was ever told of.
    fn known(&self) -> Vec<Token> {
        let told = self.told.iter().flat_map(|told| [told.0, told.1]);
        let held = self.laptop.into_iter().chain(self.thief);
        let mut known: Vec<Token> = Vec::new();
        for token in told.chain(held) {
            if !known.contains(&token) {
                known.push(token);
            }
        }
        known
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Present(Party),
    Commit { lost: bool },
    Pass(Duration),
    SetBack,
    Crash,
    Steal,
    EndSession,
    Copy,
    PutBack,
}

/// The family and everybody around it.
struct Life(Vec<State>);

impl Model for Life {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.0.clone()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        if state.batch.len() < BATCH && left.presentations > 0 {
            actions.extend(state.laptop.map(|_| Action::Present(Party::Laptop)));
            actions.extend(state.thief.map(|_| Action::Present(Party::Thief)));
        }
        if !state.batch.is_empty() || state.row != state.disk.row {
            actions.push(Action::Commit { lost: false });
            if state.batch.iter().any(|answer| answer.to == Party::Laptop) {
                actions.push(Action::Commit { lost: true });
            }
        }
        let may = |often: u8, action: Action| (often > 0).then_some(action);
        actions.extend(
            STEPS
                .iter()
                .filter_map(|step| may(left.steps, Action::Pass(*step))),
        );
        actions.extend(may(left.set_backs, Action::SetBack));
        actions.extend(may(left.crashes, Action::Crash));
        actions.extend(may(left.operators, Action::EndSession));
        actions.extend(state.laptop.and(may(left.thefts, Action::Steal)));
        actions.extend(may(left.copies, Action::Copy));
        if state.copy.as_ref().is_some_and(|copy| *copy != state.disk) {
            actions.push(Action::PutBack);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.seen = None;
        match action {
            Action::Present(Party::Laptop) => {
                state.left.presentations -= 1;
                state.present(Party::Laptop, state.laptop?);
            }
            Action::Present(Party::Thief) => {
                state.left.presentations -= 1;
                state.present(Party::Thief, state.thief?);
            }
            Action::Commit { lost } => state.commit(lost),
            Action::Pass(step) => {
                state.left.steps -= 1;
                state.pass(step);
            }
            Action::SetBack => {
                state.left.set_backs -= 1;
                state.turn(|hand| hand.jump(BACK));
            }
            Action::Crash => {
                state.left.crashes -= 1;
                state.restart();
            }
            Action::Steal => {
                state.left.thefts -= 1;
                state.thief = state.laptop;
            }
            Action::EndSession => {
                state.left.operators -= 1;
                state.operator_acted = true;
                state.row.ended = true;
            }
            Action::Copy => {
                state.left.copies -= 1;
                state.copy = Some(state.disk.clone());
            }
            Action::PutBack => {
                state.disk = state.copy.take()?;
                state.rolled_back = true;
                state.end_was_synced = state.disk.row.ended;
                state.end_was_told = false;
                state.closed = None;
                state.restart();
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Life>> {
        let mut properties = invariants();
        macro_rules! seen {
            ($($seen:ident),*) => {$(
                properties.push(Property::sometimes(
                    concat!("seen: ", stringify!($seen)),
                    |_, state: &State| state.seen == Some(Seen::$seen),
                ));
            )*};
        }
        seen!(
            Rotate,
            Replay,
            ReplayToStranger,
            TooOften,
            Ended,
            Expired,
            LastGeneration,
            Copied,
            RetriedLateOrCopied,
            Lockstep,
            RolledBack
        );
        properties
    }
}

fn invariants() -> Vec<Property<Life>> {
    vec![
        Property::always("I1: one live secret", |_, state: &State| {
            let live =
                |token: &Token| state.judged_as_ours(*token, Party::Laptop) == Verdict::Rotate;
            state.known().iter().filter(|token| live(token)).count() <= 1
        }),
        Property::always("I2: one successor", |_, state: &State| {
            let told = &state.told;
            let agree = |a: &(Token, Token), b: &(Token, Token)| {
                (a.0 == b.0) == (a.1 == b.1) && (a.1.generation != b.1.generation || a.1 == b.1)
            };
            state.rolled_back || told.iter().all(|a| told.iter().all(|b| agree(a, b)))
        }),
        Property::always("I3: revoked is for good", |_, state: &State| {
            let refused = |token: Token| {
                state.judged_as_ours(token, Party::Laptop) == Verdict::Refuse(Refusal::Ended)
            };
            let is_ended = || state.disk.row.ended && state.row.ended;
            !state.end_was_synced || (is_ended() && state.known().into_iter().all(refused))
        }),
        Property::always(
            "I4: a verdict of reuse is durable before it is answered",
            |_, state: &State| !state.end_was_told || state.disk.row.ended,
        ),
        Property::always("I5: another client changes nothing", |_, state: &State| {
            let refused = Verdict::Refuse(Refusal::OtherClient);
            let judged = |token| state.judged(token, Party::Thief, FOREIGN);
            state
                .known()
                .into_iter()
                .all(|token| judged(token) == refused)
        }),
        Property::always(
            "I6: what was answered is live, or an ancestor of what is",
            |_, state: &State| {
                state.rolled_back || state.told.iter().all(|(_, told)| state.disk.row.has(*told))
            },
        ),
        Property::always(
            "I7: nothing is granted after the end",
            |_, state: &State| {
                let granted = |token: Token| {
                    let verdict = state.judged_as_ours(token, Party::Laptop);
                    matches!(verdict, Verdict::Rotate | Verdict::Replay { .. })
                };
                !state.has_expired() || !state.known().into_iter().any(granted)
            },
        ),
        Property::always("I8: time does not go back", |_, state: &State| {
            state.now() >= state.disk.mark.0 && state.now() >= state.row.rotated_at
        }),
        Property::always(
            "I8: a window that has closed stays closed",
            |_, state: &State| {
                let is_replayed = |token: Token| {
                    matches!(
                        state.judged_as_ours(token, Party::Thief),
                        Verdict::Replay { .. }
                    )
                };
                state.closed != Some(state.row.live().generation)
                    || !state.row.predecessor().is_some_and(is_replayed)
            },
        ),
        Property::always(
            "an honest client that retries in time is served",
            |_, state: &State| {
                let waited = state.asked_at.map_or(0, |asked| state.passed - asked);
                let is_in_time = waited <= state.patience(Party::Laptop);
                let is_disturbed = state.thief_acted || state.operator_acted || state.rolled_back;
                let is_at_a_limit = state.has_expired()
                    || state.row.replays >= MOST_REPLAYS
                    || state.row.live().generation == u32::MAX;
                let Some(held) = state.laptop else {
                    // Nobody takes away what it holds, but its own late retry or one of these.
                    return true;
                };
                let served = matches!(
                    state.judged_as_ours(held, Party::Laptop),
                    Verdict::Rotate | Verdict::Replay { stranger: None }
                );
                served || !is_in_time || is_disturbed || is_at_a_limit
            },
        ),
        Property::always(
            "a token that is used late is found out, and whoever has it",
            |_, state: &State| {
                let found_out = |by: Party, token: Token| {
                    let behind = state.row.live().generation - token.generation;
                    let age = state.now() - state.row.rotated_at;
                    let is_late = behind > 1 || (behind == 1 && age > state.patience(by));
                    let verdict = state.judged_as_ours(token, by);
                    !is_late || matches!(verdict, Verdict::Reuse(_))
                };
                let held = [(Party::Laptop, state.laptop), (Party::Thief, state.thief)];
                let mut held = held
                    .into_iter()
                    .filter_map(|(by, token)| Some((by, token?)));
                state.row.ended
                    || state.has_expired()
                    || held.all(|(by, token)| !state.row.has(token) || found_out(by, token))
            },
        ),
        Property::always(
            "who follows in lockstep is found out, after two generations and no sooner",
            |_, state: &State| {
                let pursuit = state.row.longest_pursuit();
                let is_found_out = state.seen == Some(Seen::Lockstep);
                pursuit <= TOLERATED && (!is_found_out || pursuit == TOLERATED)
            },
        ),
        Property::always(
            "a token of a lost course of time is not honoured, and shows the rollback if it is newer",
            |_, state: &State| {
                let strange = state
                    .known()
                    .into_iter()
                    .filter(|token| !state.row.has(*token));
                strange.into_iter().all(|token| {
                    let verdict = state.judged_as_ours(token, Party::Laptop);
                    let newer = token.generation >= state.row.live().generation;
                    match verdict {
                        Verdict::Rotate | Verdict::Replay { .. } => false,
                        Verdict::RolledBack | Verdict::Refuse(_) => true,
                        Verdict::Reuse(_) | Verdict::TooOften => !newer,
                    }
                })
            },
        ),
    ]
}

fn row(first: u32, chain: Vec<u8>, replays: u32) -> Row {
    Row {
        chain,
        first,
        rotated_at: 0,
        replays,
        by: Party::Laptop,
        with_key: false,
        lockstep: 0,
        lockstep_generation: 0,
        ended: false,
        followed: Vec::new(),
    }
}

/// Where lives begin, and what may happen in each. All of it at once is more than can be looked through, so a life
/// has some of it: everything that befalls an honest client; a thief beside it; and an old copy of the file.
fn beginnings() -> Vec<State> {
    let nothing = Budget {
        presentations: 0,
        steps: 0,
        crashes: 0,
        set_backs: 0,
        thefts: 0,
        operators: 0,
        copies: 0,
    };
    let lost_answers = Budget {
        presentations: 4,
        steps: 2,
        crashes: 1,
        ..nothing.clone()
    };
    let bad_clock = Budget {
        presentations: 3,
        steps: 2,
        crashes: 1,
        set_backs: 1,
        ..nothing.clone()
    };
    let operator = Budget {
        presentations: 4,
        crashes: 1,
        thefts: 1,
        operators: 1,
        ..nothing.clone()
    };
    let theft = Budget {
        presentations: 4,
        steps: 1,
        crashes: 1,
        thefts: 1,
        ..nothing.clone()
    };
    let pursuit = Budget {
        presentations: 6,
        crashes: 1,
        thefts: 1,
        ..nothing.clone()
    };
    let old_copy = Budget {
        presentations: 4,
        steps: 1,
        copies: 1,
        ..nothing.clone()
    };
    let old_copy_and_theft = Budget {
        presentations: 4,
        thefts: 1,
        copies: 1,
        ..nothing.clone()
    };
    let limit = Budget {
        presentations: 3,
        steps: 1,
        crashes: 1,
        ..nothing
    };
    let fresh = row(1, vec![0], 0);
    let almost_last = row(u32::MAX - 1, vec![0], 0);
    let often_replayed = row(1, vec![0, 1], MOST_REPLAYS - 1);
    let mut beginnings = vec![
        State::new(
            almost_last.clone(),
            almost_last.live(),
            false,
            limit.clone(),
        ),
        // Its first answer was lost, and it has tried again ever since.
        State {
            asked_at: Some(0),
            ..State::new(
                often_replayed.clone(),
                often_replayed.token(0),
                false,
                limit,
            )
        },
    ];
    for left in [
        lost_answers,
        bad_clock,
        operator,
        theft,
        pursuit,
        old_copy,
        old_copy_and_theft,
    ] {
        for sends_keys in [false, true] {
            beginnings.push(State::new(
                fresh.clone(),
                fresh.live(),
                sends_keys,
                left.clone(),
            ));
        }
    }
    beginnings
}

#[test] // I1 to I8, fault 1, fault 18, CVE-2026-9802
fn every_course_of_a_family_keeps_the_invariants() {
    // About 166,000 states, six seconds of processor time without optimisation.
    let checker = Life(beginnings()).checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
}
