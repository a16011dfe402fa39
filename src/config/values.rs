//! The types of values: how each is parsed from text, spelled in the file and shown.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::{ByteSize, GIB, KIB, MIB, TIB};
use ipnet::IpNet;
use toml::de::DeValue;

use super::origin::PublicUrl;
use super::text::{digits, echo};
use crate::mail::{Author, Route};
use crate::policy::{Registration, Verification};

/// Most entries in a list. Each one is compared with every request.
pub(super) const MAX_LIST_ENTRIES: usize = 256;

/// Most characters in the name of an installation: it must fit into a line of a small screen.
const MAX_TITLE_CHARS: usize = 64;

/// A colour, written as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colour(String);

impl Colour {
    /// `#rrggbb`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severe message that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// A failure. An operator must act now.
    Error,
    /// A condition that will become a failure if no operator acts.
    Warn,
    /// An event of normal operation.
    Info,
    /// Details that help to find a fault.
    Debug,
}

/// The TOML type of a value in the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Text,
    Number,
    Switch,
    List,
}

impl Form {
    /// The text of a TOML value, as an environment variable would have it. The error says what is expected.
    pub(super) fn text_of(self, value: &DeValue<'_>) -> Result<String, String> {
        let expected = match (self, value) {
            (Form::Text | Form::Number, DeValue::String(text)) => return Ok(text.to_string()),
            (Form::Number, DeValue::Integer(number)) => {
                let value = i64::from_str_radix(number.as_str(), number.radix());
                return Ok(value.map_or_else(|_| number.to_string(), |value| value.to_string()));
            }
            (Form::Switch, DeValue::Boolean(value)) => return Ok(value.to_string()),
            (Form::List, DeValue::Array(array)) => {
                let texts: Option<Vec<&str>> = array
                    .iter()
                    .map(|item| item.get_ref().as_str().filter(|text| !text.contains(',')))
                    .collect();
                match texts {
                    Some(texts) => return Ok(texts.join(",")),
                    None => "expected each entry of the list in its own double quotes",
                }
            }
            (Form::Text, _) => "expected text in double quotes",
            (Form::Number, _) => "expected a whole number",
            (Form::Switch, _) => "expected true or false, without quotes",
            (Form::List, _) => "expected a list in square brackets",
        };
        Err(expected.to_owned())
    }

    /// The TOML value of a text.
    pub(super) fn literal(self, text: &str) -> String {
        match self {
            Form::Text => format!("\"{}\"", echo(text)),
            Form::Number | Form::Switch => echo(text),
            Form::List if text.is_empty() => "[]".to_owned(),
            Form::List => format!("[\"{}\"]", echo(text).replace(',', "\", \"")),
        }
    }
}

/// A type that a setting can have.
pub(super) trait Value {
    /// Its type in the file.
    const FORM: Form;
    /// The shortest text that its parser reads as the same value.
    fn show(&self) -> String;
}

impl Value for PathBuf {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for SocketAddr {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Option<PathBuf> {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.as_ref().map(Value::show).unwrap_or_default()
    }
}

impl Value for String {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for Option<Colour> {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.as_ref()
            .map(|colour| colour.0.clone())
            .unwrap_or_default()
    }
}

impl Value for PublicUrl {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Route {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Author {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const FORM: Form = Form::Switch;
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    const FORM: Form = Form::Number;
    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: fmt::Display> Value for Vec<T> {
    const FORM: Form = Form::List;
    fn show(&self) -> String {
        let texts: Vec<_> = self.iter().map(T::to_string).collect();
        texts.join(",")
    }
}

impl Value for Duration {
    const FORM: Form = Form::Text;
    /// humantime would write 90 days as "2months 29days 3h 2m 24s".
    fn show(&self) -> String {
        exact(
            self.as_secs(),
            &[("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)],
        )
    }
}

impl Value for ByteSize {
    const FORM: Form = Form::Text;
    /// bytesize would round.
    fn show(&self) -> String {
        let units = [
            ("TiB", TIB),
            ("GiB", GIB),
            ("MiB", MIB),
            ("KiB", KIB),
            ("B", 1),
        ];
        exact(self.as_u64(), &units)
    }
}

/// A size, or no bound.
impl Value for Option<ByteSize> {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        self.map_or_else(|| "0".to_owned(), |size| size.show())
    }
}

impl<T: Word> Value for T {
    const FORM: Form = Form::Text;
    fn show(&self) -> String {
        let found = T::WORDS.iter().find(|(_, value)| value == self);
        found.map_or("", |(word, _)| word).to_owned()
    }
}

/// A value that is one of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl Word for Registration {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("closed", Self::Closed),
        ("invite", Self::Invite),
        ("open", Self::Open),
    ];
}

impl Word for Verification {
    const WORDS: &'static [(&'static str, Self)] =
        &[("optional", Self::Optional), ("required", Self::Required)];
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
}

/// A count in the largest unit that divides it; the last unit is 1.
pub(super) fn exact(count: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, size)| count.is_multiple_of(*size) && (count > 0 || *size == 1))
        .map_or_else(String::new, |(unit, size)| {
            format!("{}{unit}", count / size)
        })
}

// Parsers: the text of every source -> the value, or why not.

pub(super) fn optional_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

pub(super) fn optional_colour(text: &str) -> Result<Option<Colour>, String> {
    let digits = text.strip_prefix('#').unwrap_or_default();
    let is_colour = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (text, is_colour) {
        ("", _) => Ok(None),
        (_, true) => Ok(Some(Colour(text.to_ascii_lowercase()))),
        (_, false) => Err("expected a colour such as #0f766e".to_owned()),
    }
}

pub(super) fn title(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_TITLE_CHARS {
        return Err(format!("expected 1 to {MAX_TITLE_CHARS} characters"));
    }
    if text.chars().any(char::is_control) {
        return Err("a name has no control characters".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    // A NUL ends a path early in every system call.
    if text.is_empty() || text.contains('\0') {
        return Err("expected the path of a file".to_owned());
    }
    Ok(PathBuf::from(text))
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address, a colon and a port".to_owned())
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "expected true or false".to_owned())
}

pub(super) fn word<T: Word>(text: &str) -> Result<T, String> {
    if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
    Err(format!("expected one of {}", words.join(", ")))
}

pub(super) fn number(bounds: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> {
    move |text| {
        digits(text)
            .filter(|value| bounds.contains(value))
            .ok_or_else(|| {
                format!(
                    "expected a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                )
            })
    }
}

pub(super) fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        humantime::parse_duration(text)
            .ok()
            .filter(|value| value.subsec_nanos() == 0 && bounds.contains(value))
            .ok_or_else(|| {
                let (least, most) = (bounds.start().show(), bounds.end().show());
                format!("expected whole seconds, minutes, hours or days from {least} to {most}")
            })
    }
}

pub(super) fn size(bounds: RangeInclusive<ByteSize>) -> impl Fn(&str) -> Result<ByteSize, String> {
    move |text| {
        text.parse()
            .ok()
            .filter(|value| bounds.contains(value))
            .ok_or_else(|| {
                format!(
                    "expected a size from {} to {}",
                    bounds.start().show(),
                    bounds.end().show()
                )
            })
    }
}

pub(super) fn size_or_zero(
    bounds: RangeInclusive<ByteSize>,
) -> impl Fn(&str) -> Result<Option<ByteSize>, String> {
    let size = size(bounds);
    move |text| match text {
        "0" => Ok(None),
        _ => size(text)
            .map(Some)
            .map_err(|why| format!("{why}, or 0 for no bound")),
    }
}

pub(super) fn list<T>(
    entry: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Vec<T>, String> {
    move |text| {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        if text.split(',').count() > MAX_LIST_ENTRIES {
            return Err(format!("expected at most {MAX_LIST_ENTRIES} entries"));
        }
        text.split(',')
            .map(str::trim)
            .map(|text| entry(text).map_err(|why| format!("\"{}\": {why}", echo(text))))
            .collect()
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|network| network.trunc())
        .map_err(|_| "expected an IP address or a network".to_owned())
}
