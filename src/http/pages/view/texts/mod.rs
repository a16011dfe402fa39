//! The texts of the pages, in every language.
//!
//! Both languages of a text stand side by side, so that a text without its translation does not compile. Three macros
//! make each text a method of [`Language`]; the compiler checks the placeholders in both languages.
//!
//! - `texts!` makes plain text, for titles, labels and attributes.
//! - `counted!` makes plain text with a number, in the singular and in the plural.
//! - `sentences!` makes HTML in which each value is escaped and isolated (`<bdi>`), so that a name written from right to
//!   left cannot rearrange the sentence around it.

pub mod time;

mod account;
mod activity;
mod admin;
mod forms;
mod general;
mod message;

use std::fmt;

use askama::filters::{Escaper, Html};

use super::Markup;

/// A language of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Language {
    #[default]
    English,
    German,
}

impl Language {
    /// Its BCP 47 tag, for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
        }
    }

    /// The language for a client: the first known one of `ui_locales` (OpenID Connect Core §3.1.2.1, separated by spaces,
    /// the preferred one first), else the one with the greatest weight in `accept_language` (RFC 9110 §12.5.4), else English.
    pub fn choose(ui_locales: Option<&str>, accept_language: Option<&str>) -> Language {
        let asked = ui_locales
            .into_iter()
            .flat_map(str::split_ascii_whitespace)
            .find_map(Language::of_tag);
        asked
            .or_else(|| accept_language.and_then(Language::accepted))
            .unwrap_or_default()
    }

    /// The language of a tag such as `de-AT`: its first subtag decides (RFC 4647 §3.4).
    fn of_tag(tag: &str) -> Option<Language> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        [Language::English, Language::German]
            .into_iter()
            .find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// The known language with the greatest weight; the first of those with the same weight. `*` stands for the default.
    fn accepted(header: &str) -> Option<Language> {
        let mut best: Option<(u16, Language)> = None;
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts.find_map(weight).unwrap_or(1000);
            let language = match tag {
                "*" => Some(Language::default()),
                tag => Language::of_tag(tag),
            };
            if let Some(language) = language
                && weight > best.map_or(0, |(weight, _)| weight)
            {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

/// The weight in `q=0.7`, in thousandths; `None` for another parameter. What is no number is the least weight.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let digits = match value.trim().split_once('.') {
        Some(("0" | "", decimals)) => decimals,
        Some(("1", _)) => return Some(1000),
        None if value.trim() == "1" => return Some(1000),
        _ => return Some(0),
    };
    let thousandths = format!("{digits:0<3}");
    Some(
        thousandths
            .get(..3)
            .and_then(|it| it.parse().ok())
            .unwrap_or(0),
    )
}

/// A value inside a sentence: escaped, and isolated from the direction of the text around it.
struct Isolated<'a>(&'a str);

impl fmt::Display for Isolated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi>")?;
        Html.write_escaped_str(&mut *f, self.0)?;
        f.write_str("</bdi>")
    }
}

/// Whether a text can stand in HTML as it is.
const fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'<' || bytes[at] == b'&' {
            return false;
        }
        at += 1;
    }
    true
}

/// Plain texts: `name => "English" / "German";`, with values `name(value: type) => "… {value}" / "{value} …";`.
macro_rules! texts {
    ($($name:ident $(($($arg:ident: $type:ty),+))? => $en:literal / $de:literal;)+) => {
        impl $crate::http::pages::view::Language {
            $(texts!(@one $name $(($($arg: $type),+))? $en / $de);)+
        }
    };
    (@one $name:ident $en:literal / $de:literal) => {
        pub const fn $name(self) -> &'static str {
            match self {
                Self::English => $en,
                Self::German => $de,
            }
        }
    };
    (@one $name:ident ($($arg:ident: $type:ty),+) $en:literal / $de:literal) => {
        pub fn $name(self, $($arg: $type),+) -> String {
            match self {
                Self::English => format!($en),
                Self::German => format!($de),
            }
        }
    };
}
use texts;

/// Texts with a number `n`: `name => "one" | "{n} of them" / "eins" | "{n} davon";`.
macro_rules! counted {
    ($($name:ident => $en_one:literal | $en:literal / $de_one:literal | $de:literal;)+) => {
        impl $crate::http::pages::view::Language {
            $(pub fn $name(self, n: impl $crate::http::pages::view::Given<u64>) -> String {
                let n: u64 = n.given();
                match (self, n) {
                    (Self::English, 1) => $en_one.to_owned(),
                    (Self::English, n) => format!($en, n = n),
                    (Self::German, 1) => $de_one.to_owned(),
                    (Self::German, n) => format!($de, n = n),
                }
            })+
        }
    };
}
use counted;

/// Sentences with values, as HTML: `name(value) => "… {value} …" / "… {value} …";`.
macro_rules! sentences {
    ($($name:ident($($arg:ident),+) => $en:literal / $de:literal;)+) => {
        $(const _: () = assert!(super::is_plain($en) && super::is_plain($de));)+
        impl $crate::http::pages::view::Language {
            $(pub fn $name(self, $($arg: &str),+) -> $crate::http::pages::view::Markup {
                $(let $arg = super::Isolated($arg);)+
                super::Markup::trusted(match self {
                    Self::English => format!($en),
                    Self::German => format!($de),
                })
            })+
        }
    };
}
use sentences;

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // OpenID Connect Core §3.1.2.1, RFC 9110 §12.5.4
    fn the_language_is_the_one_that_the_client_prefers() {
        use Language::{English, German};
        for (ui_locales, accept_language, expected) in [
            (None, None, English),
            (None, Some("de"), German),
            (None, Some("de-AT,de;q=0.9,en;q=0.8"), German),
            (None, Some("fr, en;q=0.3, de;q=0.7"), German),
            (None, Some("fr, de; q=0.3, en;q=0.70"), English),
            (None, Some("en, de"), English),
            (None, Some("DE_ch"), German),
            (None, Some("de;q=0, en;q=0.1"), English),
            (None, Some("de;q=0"), English),
            (None, Some("*, de;q=0.5"), English),
            (None, Some("de;q=0.9, *;q=0.5"), German),
            (None, Some("deutsch"), English),
            (None, Some("de;q=ä€x;q=1"), English),
            (None, Some(";;,=,q=1"), English),
            (None, Some("de;q=1.000"), German),
            (Some("de"), Some("en"), German),
            (Some("fr de-DE en"), Some("en"), German),
            (Some("fr"), Some("de"), German),
            (Some(""), Some("de"), German),
        ] {
            let chosen = Language::choose(ui_locales, accept_language);
            assert_eq!(chosen, expected, "{ui_locales:?} {accept_language:?}");
        }
    }

    #[test]
    fn a_value_in_a_sentence_is_escaped_and_isolated() {
        let hostile = "<script>\u{202e}&";
        let sentence = Language::English.signed_in_as(hostile).to_string();
        assert_eq!(
            sentence,
            "Signed in as <bdi>&#60;script&#62;\u{202e}&#38;</bdi>"
        );
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(Language::English.ends_sessions(1), "This ends one session.");
        assert_eq!(
            Language::German.ends_sessions(3),
            "Das beendet 3 Sitzungen."
        );
    }
}
