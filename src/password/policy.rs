//! Which new passwords are accepted.
//!
//! A password must be long enough, not be among those that attackers try first, and not be a name
//! of the account or the installation. There are no composition rules (one digit, one capital
//! letter, …) and passwords don't expire: both make users choose worse passwords (NIST SP 800-63B-4
//! §3.1.1.2, ASVS 5.0 §6.2).
//!
//! The policy applies to new passwords, never to one that is being checked: a stricter policy must
//! not lock out users whose password was accepted earlier.

use std::{cmp::Ordering, fmt, ops::RangeInclusive};

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::Password;

/// Common passwords in lower case, one in each line, sorted by byte value. `common.NOTICE` says
/// where they come from. The search reads them in place, so they cost no memory but the pages that
/// are read.
const COMMON: &[u8] = include_bytes!("common.txt");

/// The product's own name, which is often the password of a test account.
const PRODUCT: &str = "authd";

/// The rules for a new password.
#[derive(Clone, Debug)]
pub struct Policy {
    min_length: usize,
    words: Vec<Zeroizing<String>>,
}

impl Policy {
    /// The range of the minimum length, in code points (ASVS 5.0 §6.2.1: at least 8; a
    /// minimum above 64 would refuse what NIST says to accept).
    pub const MIN_LENGTH: RangeInclusive<usize> = 8..=64;

    /// The default of the minimum length, in code points.
    ///
    /// NIST SP 800-63B-4 asks for 15 where a password is the only factor. Operators who follow it
    /// set 15.
    pub const DEFAULT_MIN_LENGTH: usize = 12;

    /// A policy with a minimum length in code points and names of this installation that are not
    /// accepted as a password (the issuer: its URL or its host). The product's name is always among
    /// them.
    ///
    /// # Errors
    ///
    /// [`MinLengthOutOfRange`] if `min_length` is not in [`Policy::MIN_LENGTH`].
    pub fn new(min_length: usize, words: &[&str]) -> Result<Policy, MinLengthOutOfRange> {
        if !Policy::MIN_LENGTH.contains(&min_length) {
            return Err(MinLengthOutOfRange);
        }
        let words = words
            .iter()
            .copied()
            .chain([PRODUCT])
            .flat_map(names)
            .map(fold)
            .collect();
        Ok(Policy { min_length, words })
    }

    /// The fewest characters of a new password, in code points.
    pub fn min_length(&self) -> usize {
        self.min_length
    }

    /// Checks a new password.
    ///
    /// `context` holds what is known about the account: its username, e-mail address and display
    /// name. A password that is one of them or a part of an address, also repeated or with digits
    /// and punctuation around it, is refused whatever its case (req 5).
    ///
    /// # Errors
    ///
    /// The first that applies of: too short, a name, common.
    pub fn check(&self, password: &Password, context: &[&str]) -> Result<(), Weak> {
        if password.as_str().chars().count() < self.min_length {
            return Err(Weak::TooShort {
                min: self.min_length,
            });
        }
        let folded = fold(password.as_str());
        let mut account = context.iter().copied().flat_map(names).map(fold);
        if account.any(|name| is_made_of(&folded, &name))
            || self.words.iter().any(|name| is_made_of(&folded, name))
        {
            return Err(Weak::Contextual);
        }
        if has_line(COMMON, folded.as_bytes()) {
            return Err(Weak::Common);
        }
        Ok(())
    }
}

/// Why a new password is refused. `Display` tells the user what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    /// Fewer than `min` code points.
    TooShort {
        /// The policy's minimum, in code points.
        min: usize,
    },
    /// Among the passwords that attackers try first.
    Common,
    /// A name of the account, of this installation or of the product.
    Contextual,
}

impl fmt::Display for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Weak::TooShort { min } => write!(
                f,
                "Use at least {min} characters; a few unrelated words are easy to remember."
            ),
            Weak::Common => f.write_str(
                "Choose another password: this one is among the first that attackers try; \
                 a few unrelated words are easy to remember.",
            ),
            Weak::Contextual => f.write_str(
                "Choose a password that is more than your name, your e-mail address or the name \
                 of this service.",
            ),
        }
    }
}

impl std::error::Error for Weak {}

/// A minimum length outside [`Policy::MIN_LENGTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinLengthOutOfRange;

impl fmt::Display for MinLengthOutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (Policy::MIN_LENGTH.start(), Policy::MIN_LENGTH.end());
        write!(
            f,
            "the minimum length of passwords must be {min} to {max} characters"
        )
    }
}

impl std::error::Error for MinLengthOutOfRange {}

/// The names in a username, an e-mail address, a host or a URL: the whole, the parts between
/// `@`, `:` and `/` (local part, host), and the parts of those between dots.
fn names(word: &str) -> impl Iterator<Item = &str> {
    let parts = word.split(['@', ':', '/']);
    let pieces = word.split(['@', ':', '/', '.']);
    std::iter::once(word).chain(parts).chain(pieces)
}

/// Converts texts that differ only in case or in Unicode form to the same text.
fn fold(text: &str) -> Zeroizing<String> {
    // Enough capacity for nearly every text: a string that grows leaves copies behind.
    let mut folded = Zeroizing::new(String::with_capacity(2 * text.len()));
    folded.extend(text.nfc().flat_map(char::to_lowercase));
    folded
}

/// Whether a password consists of a name: it is the name, or the name one or more times with
/// characters between that are not letters. Both are folded.
fn is_made_of(password: &str, name: &str) -> bool {
    /// A shorter name occurs by chance in passwords that are good for other reasons.
    const SHORTEST_NAME: usize = 4;

    password == name
        || name.chars().count() >= SHORTEST_NAME
            && password.contains(name)
            && password
                .split(name)
                .all(|rest| !rest.contains(char::is_alphabetic))
}

/// Whether `line` is one of the lines of `text`, which is sorted by byte value.
fn has_line(text: &[u8], line: &[u8]) -> bool {
    let newline = |b: &u8| *b == b'\n';
    // Both are where a line begins, or the end of the text.
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = text[low..middle]
            .iter()
            .rposition(newline)
            .map_or(low, |at| low + at + 1);
        let end = text[middle..high]
            .iter()
            .position(newline)
            .map_or(high, |at| middle + at);
        match text[start..end].cmp(line) {
            Ordering::Equal => return true,
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min_length: usize) -> Policy {
        Policy::new(min_length, &["https://login.beekeepers.example:8443"]).expect("in range")
    }

    fn check(min_length: usize, typed: &str) -> Result<(), Weak> {
        let password = Password::new(typed).expect("within the bound");
        policy(min_length).check(
            &password,
            &["Ann.Thornbury", "ann.t+authd@apiary-mail.example"],
        )
    }

    fn common() -> impl Iterator<Item = &'static str> {
        std::str::from_utf8(COMMON)
            .expect("the list is text")
            .lines()
    }

    #[test] // req 1
    fn the_minimum_is_8_to_64_and_12_by_default() {
        assert_eq!(Policy::DEFAULT_MIN_LENGTH, 12);
        for (min_length, accepted) in [(7, false), (8, true), (12, true), (64, true), (65, false)] {
            assert_eq!(
                Policy::new(min_length, &[]).is_ok(),
                accepted,
                "{min_length}"
            );
        }
    }

    #[test] // req 1
    fn one_character_less_than_the_minimum_is_too_short() {
        for (min, typed) in [
            (8, "vqo fej"),
            (12, "vqo fejw lxm"),
            (15, "vqo fejw lxm tu"),
        ] {
            let shorter: String = typed.chars().take(min - 1).collect();
            assert_eq!(check(min, &shorter), Err(Weak::TooShort { min }));
        }
        assert_eq!(check(12, "vqo fejw lxm"), Ok(()));
        assert_eq!(check(8, "vqo fejw"), Ok(()));
    }

    #[test] // req 2
    fn length_is_counted_in_code_points() {
        assert_eq!(check(12, "ключ от двери"), Ok(()));
        assert_eq!(
            check(12, "🔑🚪🏠🌲🐝🍯🌻🌧️🚲🎻"),
            Err(Weak::TooShort { min: 12 })
        );
        let eleven_composed = "e\u{301}".repeat(11);
        assert_eq!(check(12, &eleven_composed), Err(Weak::TooShort { min: 12 }));
    }

    #[test] // req 2
    fn long_passwords_are_accepted() {
        for length in [64, 128, Password::MAX_BYTES] {
            assert_eq!(
                check(12, &"xkq7 ".repeat(length)[..length]),
                Ok(()),
                "{length}"
            );
        }
    }

    #[test] // req 3
    fn no_kind_of_character_is_required() {
        for typed in [
            "aaaaaaaaaaaaaaa1",
            "only lower case here",
            "8 27 361 4095 11",
            "ノルウェイの森を歩いた日",
        ] {
            assert_eq!(check(12, typed), Ok(()), "{typed}");
        }
    }

    #[test] // req 4
    fn common_passwords_are_refused_in_any_case() {
        let policy = policy(8);
        let check = |typed: &str| policy.check(&Password::new(typed).expect("short"), &[]);
        // A sample, because checking all of them takes some seconds.
        for entry in common()
            .step_by(97)
            .chain(["password", "1q2w3e4r5t6y", "password1234"])
        {
            assert_eq!(check(entry), Err(Weak::Common), "{entry}");
            assert_eq!(check(&entry.to_uppercase()), Err(Weak::Common), "{entry}");
            assert_eq!(check(&format!("{entry} \u{2603}")), Ok(()), "{entry}");
        }
        for entry in common() {
            assert!(has_line(COMMON, entry.as_bytes()), "{entry}");
        }
    }

    #[test] // req 4
    fn the_list_is_large_and_sorted() {
        let is_long = |entry: &&str| entry.len() >= Policy::DEFAULT_MIN_LENGTH;
        assert!(common().filter(is_long).count() >= 3_000);
        assert!(common().filter(|entry| !is_long(entry)).count() >= 3_000);
        assert!(common().is_sorted_by(|a, b| a < b), "sorted, none twice");
        for entry in common() {
            assert!(
                entry.len() >= *Policy::MIN_LENGTH.start(),
                "{entry}: refused by its length"
            );
            assert_eq!(fold(entry).as_str(), entry, "lower case");
        }
    }

    #[test] // req 4
    fn a_line_is_found_wherever_it_stands() {
        for text in [
            "",
            "\n",
            "b\n",
            "b\nd\n",
            "b\nd\nf\n",
            "b\nd\nf",
            "bb\nbbd\nbd\n",
        ] {
            for line in text.lines() {
                assert!(
                    has_line(text.as_bytes(), line.as_bytes()),
                    "{line} in {text:?}"
                );
            }
            for line in ["a", "c", "e", "g", "bbb", "bbc", "f\n"] {
                assert!(
                    !has_line(text.as_bytes(), line.as_bytes()),
                    "{line} in {text:?}"
                );
            }
        }
    }

    #[test] // req 5
    fn names_of_the_account_and_of_the_installation_are_refused_in_any_case() {
        for typed in [
            "ANN.THORNBURY",
            "thornbury",
            "ann.t+authd",
            "ann.t+authd@apiary-mail.example",
            "apiary-mail",
            "login.beekeepers.example",
            "BeeKeepers",
            "https://login.beekeepers.example:8443",
        ] {
            assert_eq!(check(8, typed), Err(Weak::Contextual), "{typed}");
        }
        for typed in [
            "thornbury's bees",
            "beekeepers at night",
            "com 4711 0815 22",
        ] {
            assert_eq!(check(8, typed), Ok(()), "{typed}");
        }
    }

    #[test] // req 5
    fn a_name_does_not_become_a_password_by_repeating_or_numbering_it() {
        for typed in [
            "AuthdAuthd",
            "authd1234567",
            "2026-Thornbury!!",
            "ann.thornbury1987",
        ] {
            assert_eq!(check(8, typed), Err(Weak::Contextual), "{typed}");
        }
    }

    #[test] // req 5
    fn an_account_without_letters_in_its_name_can_have_a_password() {
        let policy = Policy::new(8, &[]).expect("in range");
        let password = Password::new("8 27 361 4095 11").expect("within the bound");
        assert_eq!(policy.check(&password, &["2", "", "@", "70112"]), Ok(()));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert_eq!(
            Weak::TooShort { min: 12 }.to_string(),
            "Use at least 12 characters; a few unrelated words are easy to remember."
        );
        for weak in [Weak::Common, Weak::Contextual] {
            assert!(weak.to_string().starts_with("Choose "), "{weak}");
        }
    }
}
