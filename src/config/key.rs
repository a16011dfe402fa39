//! One setting: its key, and its value as the sources give it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::ConfigError;
use super::text::echo;
use super::values::{Form, Value};

/// The beginning of the environment variables that are settings.
pub(super) const VARIABLE_PREFIX: &str = "AUTHD_";

/// Computes a default from other settings or from the machine.
pub(super) type Derive = fn(&Sources) -> Result<String, ConfigError>;

/// One entry of the table of settings.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) default: &'static str,
    pub(super) derive: Option<Derive>,
    pub(super) example: &'static str,
    pub(super) form: Form,
}

impl Key {
    /// The key as it is written in the file.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it sets, in one line. Backquotes mark literal text.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The default: its text, which is empty for an empty list; or a description, if the default depends on the machine or
    /// on another setting.
    pub fn default(&self) -> &'static str {
        self.default
    }

    /// Whether [`default`](Self::default) is a description and not a value.
    pub fn default_is_derived(&self) -> bool {
        self.derive.is_some()
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// How an operator writes this key with the value `text` in `source`.
    pub(super) fn spell(&self, source: &Source, text: &str) -> String {
        match source {
            Source::Default | Source::File { .. } => {
                format!("{} = {}", self.name, self.form.literal(text))
            }
            Source::Environment(variable) => format!("{variable}={}", echo(text)),
            Source::SecretFile { path, .. } => format!("{} in {}", echo(text), path.display()),
            Source::Flag => format!("--{} {}", self.name.replace('_', "-"), echo(text)),
        }
    }
}

/// One setting in force, as `authd config` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub name: &'static str,
    /// The value in its shortest exact spelling; a list is separated by commas.
    pub value_text: String,
    /// Where the value came from.
    pub source: Source,
    /// What the key is, in one line.
    pub description: &'static str,
}

/// Where a value came from, weakest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was not set.
    Default,
    /// The settings file.
    File {
        /// The file, as it was named or found.
        path: PathBuf,
        /// The line of the key, counted from 1.
        line: usize,
    },
    /// The environment variable of this name.
    Environment(String),
    /// The file that an environment variable names: `AUTHD_MAIL_FILE`.
    SecretFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A flag on the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Source::Environment(variable) => f.write_str(variable),
            Source::SecretFile { variable, path } => {
                write!(f, "{}, from {variable}", path.display())
            }
            Source::Flag => f.write_str("flag"),
        }
    }
}

/// What the file, the environment and the flags set, by key.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) memory: Option<u64>,
    /// A warning for each variable that is not a setting: another program may use it.
    pub(super) unknown: Vec<String>,
}

/// A value as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The text for the parser, or what was expected in the file.
    pub(super) text: Result<String, String>,
    /// The value as it is written, with its place, for error messages.
    pub(super) spelled: String,
    pub(super) source: Source,
}

impl Sources {
    /// The value of a key before it is parsed, computed where none was given.
    pub(super) fn find(&self, key: &Key) -> Result<Given, ConfigError> {
        if let Some(given) = self.given.get(key.name) {
            return Ok(given.clone());
        }
        let text = match key.derive {
            Some(derive) => derive(self)?,
            None => key.default.to_owned(),
        };
        let spelled = format!(
            "{} ({})",
            key.spell(&Source::Default, &text),
            Source::Default
        );
        Ok(Given {
            text: Ok(text),
            spelled,
            source: Source::Default,
        })
    }

    /// The value of a key; notes it in `settings`.
    pub(super) fn read<T: Value>(
        &self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, String>,
        settings: &mut Vec<Setting>,
    ) -> Result<T, ConfigError> {
        let Given {
            text,
            spelled,
            source,
        } = self.find(key)?;
        let value = text.and_then(|text| parse(&text)).map_err(|why| {
            let example = key.spell(&source, key.example);
            ConfigError(format!(
                "{spelled} is refused: {why}.\nFor example: {example}"
            ))
        })?;
        settings.push(Setting {
            name: key.name,
            value_text: value.show(),
            source,
            description: key.description,
        });
        Ok(value)
    }
}
