//! The time, on machines whose clock may be wrong.
//!
//! A board without a battery boots in the past and jumps when it reaches a time server. A mistyped date sends a server ten
//! years ahead and back again. Everything that authd stores is judged by *tx.now*, which this module computes so that
//! neither does harm:
//!
//! - **Backwards:** the time of the database only moves forward. It is never less than the last stored mark plus the
//!   monotonic time since then. A clock that is set back reopens no window and revives no token.
//! - **Forwards:** a jump of more than [`HORIZON`] is accepted only when it has lasted for [`HOLD`], or when an operator
//!   confirms it. Until then the time is at most [`HORIZON`] after the confirmed mark: every short window closes, and nothing
//!   that lives for days expires or is swept.
//!
//! Times inside signed tokens are the wall clock's ([`Clock::wall`]), because verifiers compare them with their own clocks.
//!
//! No other file reads a clock of the system; the linter enforces that.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How far the wall clock may be ahead of the confirmed mark and be accepted at once. A day: no replay window is longer, so
/// every window closes even while a jump is not confirmed.
pub const HORIZON: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a larger jump must keep step with the monotonic clock before it is accepted.
pub const HOLD: Duration = Duration::from_secs(60 * 60);

/// Two readings of one jump may differ by this many milliseconds, because a time service adjusts the clock gradually.
const STEP_TOLERANCE: i64 = 60_000;

/// An instant in whole seconds since the Unix epoch, as the database stores it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `seconds` after (or, if negative, before) the Unix epoch.
    pub const fn from_unix(seconds: i64) -> Timestamp {
        Timestamp(seconds)
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_unix(self) -> i64 {
        self.0
    }

    /// The instant `span` later, in whole seconds. Saturates instead of wrapping.
    pub fn plus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add_unsigned(span.as_secs()))
    }

    /// The instant `span` earlier, in whole seconds.
    pub fn minus(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub_unsigned(span.as_secs()))
    }

    /// How much later this instant is than `earlier`; zero if it is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Timestamp {
    /// In English, to the minute: `21 November 2026, 01:16 UTC`.
    pub fn in_words(self) -> String {
        match OffsetDateTime::from_unix_timestamp(self.0) {
            Ok(at) => {
                let (date, hour, minute) = (at.date(), at.hour(), at.minute());
                let (day, month, year) = (date.day(), date.month(), date.year());
                format!("{day} {month} {year}, {hour:02}:{minute:02} UTC")
            }
            Err(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second: `2026-11-21T01:16:52Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0).map(|at| at.format(&Rfc3339)) {
            Ok(Ok(text)) => f.write_str(&text),
            _ => write!(f, "@{}", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The monotonic clock of this machine, for deadlines of sockets and queues. Nothing that is stored depends on it.
#[allow(clippy::disallowed_methods)] // The only place that may read it.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The time that the database stores, so that a restart does not turn it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The latest instant that was ever used as *tx.now*.
    pub latest: Timestamp,
    /// The latest instant that is confirmed; at most [`HORIZON`] before `latest`.
    pub confirmed: Timestamp,
}

/// The wall clock compared with the mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The wall clock is used as it is.
    Steady,
    /// The wall clock is behind the mark by this much. Time goes on from the mark.
    Behind(Duration),
    /// The wall clock jumped ahead by this much and is not accepted yet. Expiry and sweeping wait.
    Unconfirmed(Duration),
}

/// The clock of one process. Clones share its state.
#[derive(Clone)]
pub struct Clock {
    source: Source,
    estimate: Arc<Mutex<Option<Estimate>>>,
}

#[derive(Clone)]
enum Source {
    System { start: Instant },
    Manual(ManualClock),
}

/// A clock that a test moves. The wall clock and the monotonic clock move separately, as on a real machine.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Readings>>);

struct Readings {
    wall: i64,
    monotonic: i64,
}

/// All values in milliseconds, so that rounding errors do not add up when the base moves.
#[derive(Clone, Copy)]
struct Estimate {
    latest: i64,
    confirmed: i64,
    /// The monotonic reading at which `latest` and `confirmed` held.
    base: i64,
    jump: Option<Jump>,
}

#[derive(Clone, Copy)]
struct Jump {
    ahead: i64,
    seen_at: i64,
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Clock {
        Clock::new(Source::System { start: monotonic() })
    }

    /// A clock that stands at `start` until its [`ManualClock`] is moved.
    pub fn manual(start: Timestamp) -> (Clock, ManualClock) {
        let readings = Readings {
            wall: start.0.saturating_mul(1000),
            monotonic: 0,
        };
        let manual = ManualClock(Arc::new(Mutex::new(readings)));
        (Clock::new(Source::Manual(manual.clone())), manual)
    }

    fn new(source: Source) -> Clock {
        Clock {
            source,
            estimate: Arc::new(Mutex::new(None)),
        }
    }

    /// *tx.now*: the time by which everything stored is judged. It never goes back.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.observe().0.latest.div_euclid(1000))
    }

    /// The wall clock, accepted or not, for times inside signed tokens.
    pub fn wall(&self) -> Timestamp {
        Timestamp(self.source.read().0.div_euclid(1000))
    }

    /// The wall clock compared with the mark.
    pub fn standing(&self) -> Standing {
        let (estimate, wall) = self.observe();
        let span = |milliseconds: i64| Duration::from_millis(milliseconds.unsigned_abs());
        match estimate.jump {
            Some(jump) => Standing::Unconfirmed(span(jump.ahead)),
            None if wall < estimate.latest => Standing::Behind(span(estimate.latest - wall)),
            None => Standing::Steady,
        }
    }

    /// The mark to store, from which the next start goes on.
    pub fn mark(&self) -> Mark {
        let (r, _) = self.observe();
        // Rounded down, as in `now`. Rounded up, every start would move time ahead by a fraction of a second, and a
        // script of ten thousand commands would move it by hours.
        Mark {
            latest: Timestamp(r.latest.div_euclid(1000)),
            confirmed: Timestamp(r.confirmed.div_euclid(1000)),
        }
    }

    /// Goes on from a stored mark. A mark only moves the time forward, so this may be called again at any time, for example
    /// when another process has confirmed a jump.
    pub fn resume(&self, mark: Mark) {
        let (_, monotonic) = self.source.read();
        let (latest, confirmed) = (
            mark.latest.0.saturating_mul(1000),
            mark.confirmed.0.saturating_mul(1000),
        );
        let mut estimate = self.lock();
        *estimate = Some(match estimate.map(|r| r.carried_to(monotonic)) {
            None => Estimate {
                latest,
                confirmed,
                base: monotonic,
                jump: None,
            },
            Some(r) => {
                let jump = if confirmed > r.confirmed {
                    None
                } else {
                    r.jump
                };
                Estimate {
                    latest: r.latest.max(latest),
                    confirmed: r.confirmed.max(confirmed),
                    jump,
                    ..r
                }
            }
        });
    }

    /// Accepts the wall clock as it is, however far ahead. Called when an operator has confirmed it.
    pub fn confirm(&self) {
        let (wall, monotonic) = self.source.read();
        let mut estimate = self.lock();
        let r = estimate.map_or(Estimate::at(wall, monotonic), |r| r.carried_to(monotonic));
        *estimate = Some(Estimate {
            latest: r.latest.max(wall),
            confirmed: r.confirmed.max(wall),
            jump: None,
            ..r
        });
    }

    /// Reads the clocks, and accepts the wall clock as far as the rules allow.
    fn observe(&self) -> (Estimate, i64) {
        let (wall, monotonic) = self.source.read();
        let mut estimate = self.lock();
        let r = estimate.map_or(Estimate::at(wall, monotonic), |r| r.carried_to(monotonic));
        let r = r.accepting(wall);
        *estimate = Some(r);
        (r, wall)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Estimate>> {
        // No critical section can leave half a value behind.
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Estimate {
    /// At a first start there is no mark to compare the wall clock with.
    fn at(wall: i64, monotonic: i64) -> Estimate {
        Estimate {
            latest: wall,
            confirmed: wall,
            base: monotonic,
            jump: None,
        }
    }

    fn carried_to(self, monotonic: i64) -> Estimate {
        let elapsed = monotonic - self.base;
        Estimate {
            latest: self.latest.saturating_add(elapsed),
            confirmed: self.confirmed.saturating_add(elapsed),
            base: monotonic,
            jump: self.jump,
        }
    }

    fn accepting(self, wall: i64) -> Estimate {
        let horizon = HORIZON.as_millis() as i64;
        let ahead = wall.saturating_sub(self.confirmed);
        if ahead <= horizon {
            let latest = self.latest.max(wall);
            return Estimate {
                latest,
                confirmed: self.confirmed.max(wall),
                jump: None,
                ..self
            };
        }
        let jump = match self.jump {
            Some(seen) if (seen.ahead - ahead).abs() <= STEP_TOLERANCE => seen,
            _ => Jump {
                ahead,
                seen_at: self.base,
            },
        };
        if self.base - jump.seen_at >= HOLD.as_millis() as i64 {
            return Estimate {
                latest: self.latest.max(wall),
                confirmed: wall,
                jump: None,
                ..self
            };
        }
        Estimate {
            latest: self.latest.max(self.confirmed.saturating_add(horizon)),
            jump: Some(jump),
            ..self
        }
    }
}

impl Source {
    /// The wall and the monotonic clock, in milliseconds.
    #[allow(clippy::disallowed_methods)] // The only place that may read them.
    fn read(&self) -> (i64, i64) {
        match self {
            Source::System { start } => {
                let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
                    Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
                    Err(before) => {
                        -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX)
                    }
                };
                (
                    wall,
                    i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX),
                )
            }
            Source::Manual(manual) => {
                let readings = manual.lock();
                (readings.wall, readings.monotonic)
            }
        }
    }
}

impl ManualClock {
    /// Lets time pass: both clocks move.
    pub fn advance(&self, span: Duration) {
        let milliseconds = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let mut readings = self.lock();
        readings.wall = readings.wall.saturating_add(milliseconds);
        readings.monotonic = readings.monotonic.saturating_add(milliseconds);
    }

    /// The wall clock.
    pub fn wall(&self) -> Timestamp {
        Timestamp(self.lock().wall.div_euclid(1000))
    }

    /// Moves the wall clock by `seconds`, backwards if negative. The monotonic clock does not move.
    pub fn jump(&self, seconds: i64) {
        let mut readings = self.lock();
        readings.wall = readings.wall.saturating_add(seconds.saturating_mul(1000));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_800_000_000);
    const YEAR: i64 = 365 * 86_400;

    fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3600)
    }

    #[test] // I8, fault 18
    fn a_clock_that_is_set_back_does_not_move_time_back() {
        for back in [-3600, -YEAR] {
            let (clock, hand) = Clock::manual(START);
            assert_eq!(clock.now(), START);
            hand.jump(back);
            assert_eq!(clock.now(), START);
            hand.advance(hours(2));
            assert_eq!(clock.now(), START.plus(hours(2)));
            assert!(matches!(clock.standing(), Standing::Behind(_)));
        }
    }

    #[test] // I8: the mark, not the process, carries time over a restart
    fn a_restart_goes_on_from_the_mark() {
        let (clock, _) = Clock::manual(START);
        clock.now();
        let (restarted, hand) = Clock::manual(Timestamp::from_unix(0));
        restarted.resume(clock.mark());
        hand.advance(hours(1));
        assert_eq!(restarted.now(), START.plus(hours(1)));
    }

    #[test] // I8: many restarts do not move time ahead
    fn a_thousand_starts_within_a_second_are_within_a_second() {
        let (clock, hand) = Clock::manual(START);
        hand.advance(Duration::from_millis(1));
        let mut mark = clock.mark();
        for _ in 0..1000 {
            let (next, hand) = Clock::manual(START);
            next.resume(mark);
            hand.advance(Duration::from_millis(1));
            assert_eq!(next.now(), START);
            mark = next.mark();
        }
    }

    #[test] // fault 19
    fn a_jump_of_years_is_not_accepted_and_moves_time_by_a_day() {
        let (clock, hand) = Clock::manual(START);
        clock.now();
        hand.jump(10 * YEAR);
        assert_eq!(clock.now(), START.plus(HORIZON));
        assert!(matches!(clock.standing(), Standing::Unconfirmed(_)));
        hand.advance(hours(1) / 2);
        hand.jump(-10 * YEAR);
        assert_eq!(clock.now(), START.plus(HORIZON).plus(hours(1) / 2));
        assert!(matches!(clock.standing(), Standing::Behind(_)));
    }

    #[test] // fault 19: many restarts do not add up to many days
    fn restarts_during_a_jump_stay_within_one_day() {
        let (clock, hand) = Clock::manual(START);
        clock.now();
        hand.jump(10 * YEAR);
        let mut mark = clock.mark();
        for _ in 0..10 {
            let (next, _) = Clock::manual(START.plus(Duration::from_secs(10 * YEAR as u64)));
            next.resume(mark);
            assert_eq!(next.now(), START.plus(HORIZON));
            mark = next.mark();
        }
    }

    #[test]
    fn a_jump_that_lasts_is_accepted() {
        let (clock, hand) = Clock::manual(START);
        clock.now();
        hand.jump(YEAR);
        clock.now();
        hand.advance(HOLD);
        assert_eq!(clock.now(), clock.wall());
        assert_eq!(clock.standing(), Standing::Steady);
    }

    #[test]
    fn an_operator_can_confirm_a_jump_at_once() {
        let (clock, hand) = Clock::manual(START);
        clock.now();
        hand.jump(YEAR);
        clock.now();
        clock.confirm();
        assert_eq!(clock.now(), clock.wall());
        assert_eq!(clock.standing(), Standing::Steady);
    }

    #[test]
    fn nights_asleep_are_not_jumps() {
        let (clock, hand) = Clock::manual(START);
        for _ in 0..30 {
            clock.now();
            hand.jump(10 * 3600);
            assert_eq!(clock.now(), clock.wall());
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(START.to_string(), "2027-01-15T08:00:00Z");
    }
}
