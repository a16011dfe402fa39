//! Passwords: which are accepted, how they are stored and how they are checked.
//!
//! [`Policy`] says whether a new password may be used. It refuses the passwords that attackers try
//! first, and otherwise only asks for length (NIST SP 800-63B-4 §3.1.1.2). [`Hasher`] converts a
//! password into the only form that may be stored, an Argon2id PHC string (RFC 9106), and checks a
//! password against it. Its `workers` bound the memory and the time that this takes, however many
//! sign-ins arrive at once.
//!
//! # What a password is
//!
//! The characters that were typed, in Unicode normalisation form C: `é` typed as one code point on
//! one keyboard and as `e` with an accent on another is the same password. Case and spaces at the
//! ends count, and nothing is ever cut off.
//!
//! # What never happens here
//!
//! No password is stored, logged or printed: [`Password`] wipes its memory, prints only its type's
//! name and has no serialised form. No clock is read and no random number generated: a salt is an
//! argument. This module knows no accounts, so "unknown account" and "wrong password" are the
//! result of the same computation (req 10).

mod hasher;
mod policy;
mod queue;
mod workers;

pub use hasher::{Hasher, InvalidParams, Params, SALT_LEN, Verification};
pub use policy::{MinLengthOutOfRange, Policy, Weak};
pub use queue::{Overloaded, Requester};

use std::{fmt, sync::Arc};

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A password as it was typed, in Unicode normalisation form C.
///
/// The text is held once, shared between clones, and wiped when the last of them is dropped.
/// `Debug` prints only the type's name.
#[derive(Clone)]
pub struct Password(Arc<Zeroizing<String>>);

impl Password {
    /// The longest password, in bytes of UTF-8 after normalisation.
    ///
    /// At least 128 code points of any script fit, twice what NIST SP 800-63B-4 asks for, and the
    /// text that one request can make the server hash stays small.
    pub const MAX_BYTES: usize = 1024;

    /// Takes a password from input: normalised to NFC, otherwise left exactly as it was typed
    /// (no trim, no case folding, no truncation: req 6, req 7).
    ///
    /// The bound applies to the normalised form, so that it does not depend on how the password was
    /// typed.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if the password takes more than [`Password::MAX_BYTES`].
    pub fn new(typed: &str) -> Result<Password, TooLong> {
        // The whole capacity at once: a string that grows leaves copies of its beginning behind.
        let mut text = Zeroizing::new(String::with_capacity(Password::MAX_BYTES));
        for c in typed.nfc() {
            if text.len() + c.len_utf8() > Password::MAX_BYTES {
                return Err(TooLong);
            }
            text.push(c);
        }
        Ok(Password(Arc::new(text)))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The password takes more than [`Password::MAX_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "use a password of at most {} bytes; 128 characters always fit",
            Password::MAX_BYTES
        )
    }
}

impl std::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(typed: &str) -> Password {
        Password::new(typed).expect("within the bound")
    }

    #[test] // req 2
    fn at_least_128_code_points_of_any_script_fit() {
        for c in ['a', 'é', '한', '🔑', '\u{10FFFF}'] {
            let typed = String::from(c).repeat(128);
            assert_eq!(password(&typed).as_str().chars().count(), 128, "{c:?}");
        }
    }

    #[test] // req 2
    fn the_bound_does_not_depend_on_how_it_was_typed() {
        let composed = "한".repeat(Password::MAX_BYTES / '한'.len_utf8());
        let decomposed: String = composed.nfd().collect();
        assert!(decomposed.len() > Password::MAX_BYTES);
        assert_eq!(password(&composed).as_str(), password(&decomposed).as_str());

        assert_eq!(
            Password::new(&format!("{composed}한")).unwrap_err(),
            TooLong
        );
        assert_eq!(
            Password::new(&format!("{decomposed}한")).unwrap_err(),
            TooLong
        );
        assert!(Password::new(&"a".repeat(Password::MAX_BYTES)).is_ok());
        assert_eq!(
            Password::new(&"a".repeat(Password::MAX_BYTES + 1)).unwrap_err(),
            TooLong
        );
    }

    #[test] // req 6
    fn nothing_is_trimmed_folded_or_cut() {
        for typed in [
            "  padded with spaces\t",
            "MiXeD CaSe",
            "ends with a nul\0",
            "ﬁ ① Å",
        ] {
            let composed: String = typed.nfc().collect();
            assert_eq!(password(typed).as_str(), composed);
        }
        assert_ne!(
            password("ﬁ").as_str(),
            password("fi").as_str(),
            "NFC, not NFKC"
        );
    }

    #[test] // req 7
    fn both_unicode_forms_are_one_password() {
        assert_eq!(
            password("Zoe\u{308} cafe\u{301}").as_str(),
            password("Zoë café").as_str()
        );
    }

    #[test] // req 63
    fn a_password_prints_only_its_name() {
        assert_eq!(
            format!("{:?}", password("correct horse battery staple")),
            "Password"
        );
    }
}
