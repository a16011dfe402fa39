//! What a client or an operator types for an account: addresses, usernames, names.
//!
//! Each is read into two forms, the one that is shown and the one that is compared, or refused. All of authd reads them
//! here, so one address has one form everywhere.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{GeneralSecurityProfile, MixedScript};

use crate::service::Error;

/// RFC 5321 §4.5.3.1: an address has at most 254 octets, its local part 64.
const EMAIL_LENGTH: usize = 254;
const LOCAL_PART_LENGTH: usize = 64;

/// Longest username, in characters.
const USERNAME_LENGTH: usize = 64;

/// Longest name of a person, in characters and in bytes of UTF-8.
const NAME_LENGTH: usize = 200;
const NAME_BYTES: usize = 256;

/// One form for all ways of writing one login: compatibility-normalised and folded in case, so that full-width letters,
/// ligatures and a final sigma do not make a second `ann`. By way of the capitals, since that is where `ς` and `σ`, `ß` and
/// `ss` meet.
pub fn fold_login(text: &str) -> String {
    // A username has no @, so this is an address, and has the one form that addresses have.
    if text.contains('@')
        && let Ok((_, key)) = read_email(text)
    {
        return key;
    }
    fold(text)
}

/// A name in the form that is searched, and the folding of [`fold_login`] without its rule for addresses.
pub fn fold(text: &str) -> String {
    let capitals = text.trim().nfkc().flat_map(char::to_uppercase);
    let folded: String = capitals.flat_map(char::to_lowercase).collect();
    folded.nfkc().collect()
}

/// Reads an e-mail address: one `@`, no quoting, comments or lists (req 26); an international domain is written as its
/// A-labels (UTS 46), so that both spellings are one. Returns it and its compared form.
pub fn read_email(text: &str) -> Result<(String, String), Error> {
    let refuse = |why: &str| {
        Err(Error::invalid(format!(
            "This is not an e-mail address: {why}."
        )))
    };
    let email = text.trim();
    if email.len() > EMAIL_LENGTH {
        return refuse("it has more than 254 characters");
    }
    let Some((local, domain)) = email.split_once('@') else {
        return refuse("it has no @");
    };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let dot_atom = local
        .split('.')
        .all(|part| !part.is_empty() && part.chars().all(atom));
    // A leading hyphen would be an option to a mail program.
    if !dot_atom || local.len() > LOCAL_PART_LENGTH || local.starts_with('-') {
        return refuse("what stands before the @ is not a plain name");
    }
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let domain = match domain.is_ascii() {
        true => domain.to_owned(),
        false => idna::domain_to_ascii_strict(domain).unwrap_or_default(),
    };
    if !domain.split('.').all(label) || local.len() + 1 + domain.len() > EMAIL_LENGTH {
        return refuse("what stands after the @ is not a host name");
    }
    let email = format!("{local}@{domain}");
    let key = email.to_ascii_lowercase();
    Ok((email, key))
}

/// Reads a username; an empty text is none. Returns it and its compared form.
pub fn read_username(text: &str) -> Result<Option<(String, String)>, Error> {
    let username: String = text.trim().nfc().collect();
    if username.is_empty() {
        return Ok(None);
    }
    // Marks are letters' companions: many scripts cannot be written without them.
    let allowed = |c: char| c.is_alphanumeric() || is_combining_mark(c) || "._-".contains(c);
    let key = fold_login(&username);
    let fits = |text: &str| text.chars().count() <= USERNAME_LENGTH && text.chars().all(allowed);
    let is_id = uuid::Uuid::try_parse(&username).is_ok();
    if is_id || !username.as_str().is_single_script() || username.chars().any(is_hidden) {
        return Err(Error::invalid(
            "A username is written in one script, without invisible characters, and must not look like an id (a UUID).",
        ));
    }
    if !fits(&username) || !fits(&key) || !key.starts_with(char::is_alphanumeric) {
        return Err(Error::invalid(
            "A username has at most 64 letters, digits, dots, hyphens and underscores, and begins with a letter or digit.",
        ));
    }
    Ok(Some((username, key)))
}

/// The names of the fields that are not valid, of those that are given: for a form that shows the mistake beside its field.
pub fn invalid_fields(
    email: Option<&str>,
    username: Option<&str>,
    name: Option<&str>,
) -> Vec<&'static str> {
    let mut invalid = Vec::new();
    if email.is_some_and(|text| read_email(text).is_err()) {
        invalid.push("email");
    }
    if username.is_some_and(|text| read_username(text).is_err()) {
        invalid.push("username");
    }
    if name.is_some_and(|text| read_name(text).is_err()) {
        invalid.push("name");
    }
    invalid
}

/// Whether a character is one that people do not see, or that is not for names (UTS 39 §3.1): fillers, variation selectors,
/// letters that look like others.
fn is_hidden(c: char) -> bool {
    !c.is_ascii() && !GeneralSecurityProfile::identifier_allowed(c)
}

/// Reads a person's name; an empty text is none.
pub fn read_name(text: &str) -> Result<Option<String>, Error> {
    let name: String = text.trim().nfc().collect();
    let is_short = name.len() <= NAME_BYTES && name.chars().count() <= NAME_LENGTH;
    if !is_short || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "A name has at most 200 characters in 256 bytes of UTF-8, and no control characters.",
        ));
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // req 26, CVE-2020-28247
    fn addresses_are_plain_or_refused() {
        for good in [
            "ann@example.org",
            "a.b+c@x",
            "o'neil@xn--bcher-kva.example",
            "Ann@Example.ORG",
        ] {
            assert!(read_email(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        for bad in [
            "",
            "ann",
            "@",
            "ann@",
            "@example.org",
            "a@b@c",
            "a,b@example.org",
            "a b@example.org",
            "ann@example.org\r\nBcc: x@y",
            "ann\u{ff20}example.org",
            "-ann@example.org",
            "\"a\"@example.org",
            ".a@example.org",
            "a..b@example.org",
            "ann@-x.org",
            "ann@x-.org",
            "ann@x..org",
            "ann@[192.0.2.1]",
            "a<b>@example.org",
            "änn@example.org",
            "a\0@example.org",
            &long,
        ] {
            assert!(read_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test] // CVE-2025-24806: one account, one counter, however it is written
    fn one_login_has_one_form() {
        let forms = ["ann", "ANN", " Ann ", "ＡＮＮ", "Ａnn"];
        assert!(forms.iter().all(|form| fold_login(form) == "ann"));
        assert_eq!(fold_login("ÉLODIE"), fold_login("e\u{301}lodie"));
        assert_eq!(fold_login("ﬁn"), "fin");
        assert_eq!(fold_login("ΣΑΣ"), fold_login("σας"));
        assert_eq!(fold_login("Straße"), fold_login("STRASSE"));
    }

    #[test] // fault 24, UTS 46
    fn an_international_domain_has_one_form() {
        let key = |text: &str| read_email(text).ok().map(|(_, key)| key);
        let ascii = Some("info@xn--mller-kva.example".to_owned());
        for form in [
            "info@müller.example",
            "Info@MÜLLER.example",
            "info@xn--mller-kva.example",
            "\tinfo@müller.example\u{a0}\n",
        ] {
            assert_eq!(key(form), ascii, "{form:?}");
            assert_eq!(Some(fold_login(form)), ascii, "{form:?}");
        }
    }

    #[test] // finding 21, fault 35
    fn usernames_can_be_seen_and_told_apart() {
        for bad in [
            "root\u{34f}",
            "root\u{fe0f}",
            "ro\u{180b}ot",
            "rоot",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "d292cf34-0000-4000-8000-000000000000",
            "D292CF340000400080000000000000AB",
        ] {
            assert!(read_username(bad).is_err(), "{bad:?}");
        }
        for good in ["root", "Łukasz", "мария", "さくら", "ann.b-c_9"] {
            assert!(read_username(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn usernames_cannot_be_taken_for_addresses() {
        let key = |text: &str| read_username(text).map(|read| read.map(|(_, key)| key));
        assert_eq!(
            key("Ann.B-c_9").ok().flatten().as_deref(),
            Some("ann.b-c_9")
        );
        assert_eq!(key("Łukasz").ok().flatten().as_deref(), Some("łukasz"));
        assert_eq!(key("  ").ok().flatten(), None);
        assert!(key("İstanbul").is_ok() && key("हिन्दी").is_ok());
        for bad in [
            "a@b",
            "a b",
            "-a",
            "_a",
            "a\u{200b}b",
            "a/b",
            "℀",
            &"a".repeat(65),
        ] {
            assert!(read_username(bad).is_err(), "{bad:?}");
        }
    }
}
