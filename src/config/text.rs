//! Texts of values: how an error repeats one, and how a number is read.

use std::str::FromStr;

use crate::mail;

/// Longest piece of a given value that an error repeats, in characters.
pub(super) const MAX_ECHO_CHARS: usize = 100;

/// A given text for an error message: on one line, without control characters and password, and of limited length.
pub(super) fn echo(text: &str) -> String {
    let text = mail::without_password(text);
    let mut echo = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MAX_ECHO_CHARS {
            echo.push('…');
            break;
        }
        if c.is_control() {
            echo.extend(c.escape_default());
        } else {
            echo.push(c);
        }
    }
    echo
}

/// A number without a sign, which `parse` alone would take.
pub(super) fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}
