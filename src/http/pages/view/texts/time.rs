//! Instants in words.
//!
//! The server does not know the time zone of the reader, so a full time says that it is UTC; the script shows it in the
//! zone of the browser.

use super::super::Given;
use ::time::{Month, OffsetDateTime};

use super::{Language, counted, texts};
use crate::clock::Timestamp;
use crate::http::pages::view::Markup;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A relative time is easier to read than a date for as long as people count in days.
const LONGEST_RELATIVE: u64 = 14 * DAY;

impl Language {
    /// To the minute: `26 Nov 2026, 14:05 UTC`, `26.11.2026, 14:05 UTC`.
    pub fn instant(self, at: impl Given<Timestamp>) -> String {
        let at = at.given();

        match OffsetDateTime::from_unix_timestamp(at.as_unix()) {
            Ok(utc) => {
                let (hour, minute) = (utc.hour(), utc.minute());
                format!("{}, {hour:02}:{minute:02} UTC", self.date(at))
            }
            Err(_) => at.to_string(),
        }
    }

    /// The day: `26 Nov 2026`, `26.11.2026`.
    pub fn date(self, at: impl Given<Timestamp>) -> String {
        let at = at.given();

        let Ok(utc) = OffsetDateTime::from_unix_timestamp(at.as_unix()) else {
            return at.to_string();
        };
        let (day, month, year) = (utc.day(), utc.month(), utc.year());
        match self {
            Language::English => format!("{day} {} {year}", abbreviation(month)),
            Language::German => format!("{day}.{}.{year}", u8::from(month)),
        }
    }

    /// `2 minutes ago`, `in 3 days`; the day if that is longer ago or later than two weeks.
    pub fn relative(self, at: impl Given<Timestamp>, now: impl Given<Timestamp>) -> String {
        let at = at.given();
        let now = now.given();

        let (past, future) = (now.since(at).as_secs(), at.since(now).as_secs());
        match (past, future) {
            (LONGEST_RELATIVE.., _) | (_, LONGEST_RELATIVE..) => self.date(at),
            (0..MINUTE, 0) => self.just_now().to_owned(),
            (MINUTE..HOUR, _) => self.minutes_ago(past / MINUTE),
            (HOUR..DAY, _) => self.hours_ago(past / HOUR),
            (DAY.., _) => self.days_ago(past / DAY),
            (_, 0..MINUTE) => self.within_a_minute().to_owned(),
            (_, MINUTE..HOUR) => self.in_minutes(future / MINUTE),
            (_, HOUR..DAY) => self.in_hours(future / HOUR),
            (_, DAY..) => self.in_days(future / DAY),
        }
    }

    /// A span of time, to its greatest unit: `12 seconds`, `3 minutes`, `2 days`.
    pub fn span(self, seconds: u64) -> String {
        match seconds {
            0..MINUTE => self.seconds(seconds),
            MINUTE..HOUR => self.minutes(seconds / MINUTE),
            HOUR..DAY => self.hours(seconds / HOUR),
            DAY.. => self.days(seconds / DAY),
        }
    }

    /// A wait, rounded up, so that the reader does not come back too early.
    pub fn wait(self, seconds: u64) -> String {
        match seconds {
            0..MINUTE => self.seconds(seconds.max(1)),
            MINUTE..HOUR => self.minutes(seconds.div_ceil(MINUTE)),
            HOUR.. => self.hours(seconds.div_ceil(HOUR)),
        }
    }

    /// [`instant`](Self::instant) as a `<time>` element.
    pub fn instant_element(self, at: Timestamp) -> Markup {
        let words = self.instant(at);
        Markup::trusted(format!("<time datetime=\"{at}\">{words}</time>"))
    }

    /// [`relative`](Self::relative) as a `<time>` element; the full time is its title.
    pub fn relative_element(self, at: Timestamp, now: Timestamp) -> Markup {
        let (words, full) = (self.relative(at, now), self.instant(at));
        Markup::trusted(format!(
            "<time datetime=\"{at}\" title=\"{full}\">{words}</time>"
        ))
    }
}

const fn abbreviation(month: Month) -> &'static str {
    match month {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    }
}

texts! {
    just_now => "just now" / "gerade eben";
    within_a_minute => "in less than a minute" / "in weniger als einer Minute";
}

counted! {
    minutes_ago => "1 minute ago" | "{n} minutes ago" / "vor 1 Minute" | "vor {n} Minuten";
    hours_ago => "1 hour ago" | "{n} hours ago" / "vor 1 Stunde" | "vor {n} Stunden";
    days_ago => "1 day ago" | "{n} days ago" / "vor 1 Tag" | "vor {n} Tagen";
    in_minutes => "in 1 minute" | "in {n} minutes" / "in 1 Minute" | "in {n} Minuten";
    in_hours => "in 1 hour" | "in {n} hours" / "in 1 Stunde" | "in {n} Stunden";
    in_days => "in 1 day" | "in {n} days" / "in 1 Tag" | "in {n} Tagen";
    seconds => "1 second" | "{n} seconds" / "1 Sekunde" | "{n} Sekunden";
    minutes => "1 minute" | "{n} minutes" / "1 Minute" | "{n} Minuten";
    hours => "1 hour" | "{n} hours" / "1 Stunde" | "{n} Stunden";
    days => "1 day" | "{n} days" / "1 Tag" | "{n} Tage";
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_701_900); // 26 November 2026, 14:05

    #[test]
    fn a_time_is_written_as_the_language_writes_it() {
        assert_eq!(Language::English.instant(NOW), "26 Nov 2026, 14:05 UTC");
        assert_eq!(Language::German.instant(NOW), "26.11.2026, 14:05 UTC");
        assert_eq!(
            Language::German.instant_element(NOW).to_string(),
            "<time datetime=\"2026-11-26T14:05:00Z\">26.11.2026, 14:05 UTC</time>"
        );
        // No year has so many digits; the text still names the instant.
        let never = Timestamp::from_unix(i64::MAX);
        assert_eq!(Language::English.instant(never), never.to_string());
    }

    #[test]
    fn near_times_are_relative() {
        for (seconds, english, german) in [
            (0, "just now", "gerade eben"),
            (-59, "just now", "gerade eben"),
            (-60, "1 minute ago", "vor 1 Minute"),
            (-7199, "1 hour ago", "vor 1 Stunde"),
            (-3 * 86_400, "3 days ago", "vor 3 Tagen"),
            (-14 * 86_400, "12 Nov 2026", "12.11.2026"),
            (1, "in less than a minute", "in weniger als einer Minute"),
            (900, "in 15 minutes", "in 15 Minuten"),
            (86_400, "in 1 day", "in 1 Tag"),
            (30 * 86_400, "26 Dec 2026", "26.12.2026"),
        ] {
            let at = Timestamp::from_unix(NOW.as_unix() + seconds);
            assert_eq!(Language::English.relative(at, NOW), english);
            assert_eq!(Language::German.relative(at, NOW), german);
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(Language::English.wait(0), "1 second");
        assert_eq!(Language::English.wait(61), "2 minutes");
        assert_eq!(Language::German.wait(3601), "2 Stunden");
        assert_eq!(Language::English.span(119), "1 minute");
    }
}
