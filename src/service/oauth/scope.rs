//! Scopes that apps ask for (RFC 6749 §3.3).
//!
//! The words that this server knows disclose claims ([`OPENID`] and the others here). An operator may register further words
//! for a client, which mean something to the servers that take its access tokens. A word that the client is not registered
//! for is left out, not refused: apps ask for more than they need, and RFC 6749 §3.3 lets the server grant less.

use std::fmt;

/// The client wants an ID token (OpenID Connect Core §3.1.2.1).
pub const OPENID: &str = "openid";
/// Name, username and the time of the last change (OpenID Connect Core §5.4).
pub const PROFILE: &str = "profile";
/// E-mail address.
pub const EMAIL: &str = "email";
/// The names of the account's groups.
pub const GROUPS: &str = "groups";
/// The grant goes on after the browser's session has expired (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The words that disclose something of an account, in the order in which they are shown.
pub const KNOWN: [&str; 5] = [OPENID, PROFILE, EMAIL, GROUPS, OFFLINE_ACCESS];

/// The longest scope that is read, in bytes.
pub const LONGEST: usize = 1024;

/// Words, each once, in the order in which they were asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Reads words with spaces between them. `None` if there is a character that RFC 6749 §3.3 does not allow in a word, or
    /// more than [`LONGEST`] bytes. Several spaces count as one: some apps send them.
    pub fn read(text: &str) -> Option<Scopes> {
        let is_word_char = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        if text.len() > LONGEST || !text.chars().all(|c| c == ' ' || is_word_char(c)) {
            return None;
        }
        Some(Scopes::from_row(text))
    }

    /// The words of a column.
    pub fn from_row(text: &str) -> Scopes {
        text.split(' ').filter(|word| !word.is_empty()).collect()
    }

    /// Whether the word is among them.
    pub fn has(&self, word: &str) -> bool {
        self.0.iter().any(|own| own == word)
    }

    /// Whether all words of `other` are among them.
    pub fn include(&self, other: &Scopes) -> bool {
        other.0.iter().all(|word| self.has(word))
    }

    /// Those that are also in `allowed`.
    pub fn within(&self, allowed: &Scopes) -> Scopes {
        self.iter().filter(|word| allowed.has(word)).collect()
    }

    /// These and the words of `other`.
    pub fn with(&self, other: &Scopes) -> Scopes {
        self.iter().chain(other.iter()).collect()
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(words: I) -> Scopes {
        let mut scopes = Scopes::default();
        for word in words {
            if !scopes.has(word) {
                scopes.0.push(word.to_owned());
            }
        }
        scopes
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // RFC 6749 §3.3, app 13
    fn a_scope_is_a_set_of_words() {
        let read = |text: &str| Scopes::read(text).map(|scopes| scopes.to_string());
        assert_eq!(read("openid  email openid "), Some("openid email".into()));
        assert_eq!(read(""), Some(String::new()));
        for bad in ["open\"id", "a\\b", "a\tb", "ä", "a\nb", &"a".repeat(1025)] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn words_are_compared_whole_and_with_case() {
        let scopes = Scopes::from_row("openid email");
        assert!(scopes.include(&Scopes::from_row("email")));
        assert!(scopes.include(&Scopes::default()));
        assert!(!scopes.include(&Scopes::from_row("Email")));
        let asked = Scopes::from_row("email mail openid");
        assert_eq!(asked.within(&scopes).to_string(), "email openid");
    }
}
