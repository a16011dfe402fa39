//! Scopes: what access tokens are to tell, beyond who somebody is (RFC 6749 §3.3).
//!
//! A sign-in asks for a scope, and the refresh-token family that it begins keeps it. What that lets a token tell is looked
//! up in the transaction that grants the token, so a refresh tells what is so now. A family without a scope costs no look,
//! and its tokens have no word of it.
//!
//! Every word that this server knows is an entry of [`Word`]. One that it does not know is refused, and not left out: an
//! app that misspells a word would otherwise find out only by what its tokens lack.
//!
//! `admin` is a word that lets a token do something: it is granted to administrators alone.

use crate::service::account::{self, Loaded};
use crate::service::{Account, Code, Error};
use crate::store::{Broken, ReadTx};

/// Longest scope that is read, in bytes: every known word many times over.
const LONGEST: usize = 256;

/// One thing that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    /// The names of the account's groups.
    Groups,
    /// The administration of this server, for administrators.
    Admin,
}

impl Word {
    const ALL: [Word; 2] = [Word::Groups, Word::Admin];

    const fn as_str(self) -> &'static str {
        match self {
            Word::Groups => "groups",
            Word::Admin => "admin",
        }
    }

    fn read(text: &str) -> Option<Word> {
        Word::ALL.into_iter().find(|word| word.as_str() == text)
    }
}

/// What was asked for: some of the known words, each once and in their order. Empty is nothing in particular.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::service) struct Scope(Vec<Word>);

impl Scope {
    /// Reads a scope from outside: words with one space between them (RFC 6749 §3.3). An empty one is none (§3.2).
    pub fn read(text: Option<&str>) -> Result<Scope, Error> {
        let text = text.unwrap_or_default();
        if text.is_empty() {
            return Ok(Scope::default());
        }
        let asked: Option<Vec<Word>> = match text.len() {
            ..=LONGEST => text.split(' ').map(Word::read).collect(),
            _ => None,
        };
        asked.map(Scope::of).ok_or_else(|| {
            Error::no(
                Code::InvalidScope,
                format!(
                    "The scope has a word that this server does not know. It knows `{}`; several are separated by one space.",
                    Word::ALL.map(Word::as_str).join("`, `")
                ),
            )
        })
    }

    /// The scope that a family keeps. A word of another release tells nothing in this one.
    pub fn from_row(text: Option<&str>) -> Scope {
        let words = text.unwrap_or_default().split(' ').filter_map(Word::read);
        Scope::of(words.collect())
    }

    fn of(words: Vec<Word>) -> Scope {
        let known = Word::ALL.into_iter();
        Scope(known.filter(|word| words.contains(word)).collect())
    }

    /// Its words, for a column, a claim or an answer; `None` if there are none.
    pub fn text(&self) -> Option<String> {
        let words: Vec<&str> = self.0.iter().map(|word| word.as_str()).collect();
        Some(words.join(" ")).filter(|text| !text.is_empty())
    }

    /// Whether an access token of this scope lets an administrator administer.
    pub fn lets_administer(&self) -> bool {
        self.0.contains(&Word::Admin)
    }

    /// Refuses a scope that a session of this account cannot have.
    ///
    /// # Errors
    /// [`Code::InvalidScope`] for `admin` where the account is no administrator.
    pub fn require_granted(&self, account: &Account) -> Result<(), Error> {
        match self.lets_administer() && !account.admin {
            true => Err(Error::no(
                Code::InvalidScope,
                "The scope `admin` is for administrators, and this account is none.",
            )),
            false => Ok(()),
        }
    }

    /// What it lets an access token tell and do at this moment. Without a word nothing is looked up. An account that is no
    /// administrator any more keeps the rest of its scope (RFC 6749 §6).
    pub fn disclose(&self, tx: &ReadTx<'_>, account: &Loaded) -> Result<Disclosure, Broken> {
        let words = self.0.iter().copied();
        let granted = words.filter(|word| *word != Word::Admin || account.shown.admin);
        let granted = Scope(granted.collect());
        let mut disclosure = Disclosure {
            scope: granted.text(),
            ..Disclosure::default()
        };
        for word in &self.0 {
            match word {
                Word::Groups => disclosure.groups = Some(account::groups(tx, account.key)?),
                Word::Admin => {}
            }
        }
        Ok(disclosure)
    }
}

/// What an access token tells because of its scope; what is absent has no claim.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::service) struct Disclosure {
    /// The scope itself.
    pub scope: Option<String>,
    /// The names of the account's groups, sorted.
    pub groups: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Option<String>> {
        Scope::read(Some(text)).ok().map(|scope| scope.text())
    }

    #[test] // RFC 6749 §3.3
    fn a_scope_is_known_words_with_one_space_between_them() {
        let groups = Some("groups".to_owned());
        assert_eq!(read("groups"), Some(groups.clone()));
        assert_eq!(read("groups groups"), Some(groups));
        assert_eq!(read(""), Some(None));
        let long = ["groups"; 37].join(" ");
        assert_eq!(long.len(), 258);
        for bad in [
            "Groups",
            "group",
            "groups,",
            "groups  groups",
            " groups",
            "groups ",
            " ",
            "groups\t",
            "groups openid",
            "Admin",
            "groups\0",
            &long,
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test] // an older release on a newer one's rows tells less, not more
    fn a_word_of_another_release_tells_nothing() {
        assert_eq!(Scope::from_row(Some("openid")).text(), None);
        let both = Scope::from_row(Some("groups openid"));
        assert_eq!(both.text().as_deref(), Some("groups"));
        assert_eq!(Scope::from_row(None), Scope::default());
    }
}
