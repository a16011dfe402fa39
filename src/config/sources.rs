//! The sources of values: the file, the environment and the flags, each brought to one text for a key.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::key::{Given, Key, Source, Sources, VARIABLE_PREFIX};
use super::process::Inputs;
use super::table::{FILE_VARIABLE, KEYS, find_key, secret_of};
use super::text::{MAX_ECHO_CHARS, echo};

/// Largest file that is read. Every key at its longest fits many times over, and a `--config` that
/// points at a device or a log must not fill the memory of a small board.
pub(super) const MAX_FILE_BYTES: u64 = 256 * 1024;

impl Sources {
    pub(super) fn add_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
        let place = |offset| Source::File {
            path: path.to_owned(),
            line: line_of(bytes, offset),
        };
        let text = str::from_utf8(bytes).map_err(|e| {
            let place = place(e.valid_up_to());
            ConfigError(format!(
                "{place}: not valid UTF-8.\nSave the file as UTF-8."
            ))
        })?;
        let document = DeTable::parse(text).map_err(|e| {
            let place = place(e.span().map_or(0, |span| span.start));
            ConfigError(format!(
                "{place}: {}.\nA line is `key = value`, each key once, text in double quotes: {}",
                echo(e.message()),
                Key::listen.spell(&place, Key::listen.example),
            ))
        })?;

        let mut entries: Vec<_> = document.get_ref().iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let source = place(name.span().start);
            let name = name.get_ref();
            // Checked first: a table with the name of a setting is an error, too.
            if holds_table(value.get_ref()) {
                return Err(ConfigError(format!(
                    "{source}: {} is a table, and no setting is one.\n\
                     The file is flat: write `key = value` lines without [headings].",
                    echo(name)
                )));
            }
            let Some(key) = find_key(name) else {
                return Err(ConfigError(format!(
                    "{source}: unknown key {}.\n{}",
                    echo(name),
                    suggest(name, |key| key.name.to_owned())
                )));
            };
            let literal = text.get(value.span()).unwrap_or_default();
            let spelled = format!("{} = {} ({source})", key.name, echo(literal));
            let text = key.form.text_of(value.get_ref());
            self.given.insert(
                key.name,
                Given {
                    text,
                    spelled,
                    source,
                },
            );
        }
        Ok(())
    }

    pub(super) fn add_environment(
        &mut self,
        environment: &[(String, String)],
    ) -> Result<(), ConfigError> {
        for (variable, value) in environment {
            let Some(name) = variable.strip_prefix(VARIABLE_PREFIX) else {
                continue;
            };
            let known = KEYS.iter().find(|key| key.variable() == *variable);
            if let Some(key) = known {
                self.add_text(key, value, Source::Environment(variable.clone()));
            } else if let Some(key) = secret_of(name) {
                if environment
                    .iter()
                    .any(|(other, _)| *other == key.variable())
                {
                    return Err(ConfigError(format!(
                        "{variable} and {} are both set.\nUnset one of them.",
                        key.variable()
                    )));
                }
                let path = PathBuf::from(value);
                let text = read_secret(variable, &path)?;
                let variable = variable.clone();
                self.add_text(key, &text, Source::SecretFile { variable, path });
            } else if variable != FILE_VARIABLE && !is_service_link(variable, value) {
                let advice = suggest(&name.to_ascii_lowercase(), Key::variable);
                self.unknown.push(format!(
                    "{} in the environment is not a setting and has no effect. {advice}",
                    echo(variable)
                ));
            }
        }
        Ok(())
    }

    pub(super) fn add_flags(
        &mut self,
        flags: &[(&'static str, String)],
    ) -> Result<(), ConfigError> {
        for (name, value) in flags {
            let Some(key) = find_key(name) else {
                let advice = suggest(name, |key| key.name.to_owned());
                return Err(ConfigError(format!(
                    "Unknown key {name} in a flag.\n{advice}"
                )));
            };
            self.add_text(key, value, Source::Flag);
        }
        Ok(())
    }

    fn add_text(&mut self, key: &Key, text: &str, source: Source) {
        let spelled = key.spell(&source, text);
        self.given.insert(
            key.name,
            Given {
                text: Ok(text.to_owned()),
                spelled,
                source,
            },
        );
    }
}

/// A settings file that was found.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// The settings file; `None` where none is named and none found. Adds to `notices` what an operator should know of the
/// choice.
pub(super) fn find_file(
    inputs: &Inputs,
    notices: &mut Vec<String>,
) -> Result<Option<FoundFile>, ConfigError> {
    let variable = inputs
        .environment
        .iter()
        .find(|(name, _)| name == FILE_VARIABLE);
    let named = match (&inputs.file, variable) {
        (Some(path), _) => Some((path.clone(), "--config")),
        (None, Some((_, path))) => Some((PathBuf::from(path), FILE_VARIABLE)),
        (None, None) => None,
    };
    if let Some((path, by)) = named {
        let bytes = read_file(&path).map_err(|e| {
            let path = path.display();
            ConfigError(format!(
                "Can't read {path}: {e}.\n{by} names this file: check its path."
            ))
        })?;
        return Ok(Some(FoundFile { path, bytes }));
    }
    if let Some(found) = find_local_file(inputs, notices)? {
        return Ok(Some(found));
    }
    let system = inputs.system_file.as_deref().map(open_if_present);
    let Some((path, mut file)) = system.transpose()?.flatten() else {
        return Ok(None);
    };
    let bytes = read_all(&mut file).map_err(|e| unreadable(&path, &e))?;
    Ok(Some(FoundFile { path, bytes }))
}

/// The file of the working directory, if it may be used.
///
/// Root often works in directories of other users, and a service has its file in /etc. There the file of another user
/// must not decide about the database, the mail server and the links that are printed (CWE-426). So the file has to
/// belong to root or to this user, and no other user may be allowed to write to it. Without a system file, a user who is not
/// root may use any file in the working directory.
fn find_local_file(
    inputs: &Inputs,
    notices: &mut Vec<String>,
) -> Result<Option<FoundFile>, ConfigError> {
    let local = inputs.local_file.as_deref().map(open_if_present);
    let Some((path, mut file)) = local.transpose()?.flatten() else {
        return Ok(None);
    };
    let is_root = inputs.user == 0;
    let system = inputs.system_file.as_deref().filter(|path| path.exists());
    if is_root || system.is_some() {
        // The owner of the open file: another file can get this name at any time.
        let found = file.metadata().map_err(|e| unreadable(&path, &e))?;
        let danger = why_unsafe(found.uid(), found.mode(), inputs.user);
        let shown = absolute(&path);
        match (danger, system) {
            (None, _) if is_root => notices.push(format!("Using the settings file {shown}.")),
            (None, _) => {}
            (Some(danger), Some(system)) => {
                notices.push(format!(
                    "{shown} is not used, because {danger}. Using {}. To use the other file, pass --config.",
                    system.display()
                ));
                return Ok(None);
            }
            (Some(danger), None) => {
                return Err(ConfigError(format!(
                    "{shown} is not used, because {danger}, and authd runs as root.\n\
                     Run `chown root` and `chmod go-w` on a file that you trust, or name one with --config."
                )));
            }
        }
    }
    let bytes = read_all(&mut file).map_err(|e| unreadable(&path, &e))?;
    Ok(Some(FoundFile { path, bytes }))
}

/// Why a file with this owner and mode may have been written by another user than `user` and root.
pub(super) fn why_unsafe(owner: u32, mode: u32, user: u32) -> Option<String> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    if owner != 0 && owner != user {
        return Some(format!("it belongs to another user (uid {owner})"));
    }
    (mode & WRITABLE_BY_OTHERS != 0).then(|| {
        let mode = mode & 0o7777;
        format!("other users can write to it (mode {mode:o})")
    })
}

/// Opens a file that may be missing. No operator named it, so another user may have put a FIFO in its place: opening that
/// would wait for a writer.
fn open_if_present(path: &Path) -> Result<Option<(PathBuf, File)>, ConfigError> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let is_file = |file: &File| file.metadata().map(|found| found.is_file());
    match opened {
        Ok(file) if is_file(&file).is_ok_and(|is_file| !is_file) => {
            let error = io::Error::other("it is not a regular file");
            Err(unreadable(path, &error))
        }
        Ok(file) => Ok(Some((path.to_owned(), file))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(path, &e)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let path = path.display();
    ConfigError(format!(
        "Can't read {path}: {error}.\nMake it readable, or name another with --config."
    ))
}

/// The absolute path, for an operator who does not know in which directory a command was started.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    absolute.as_deref().unwrap_or(path).display().to_string()
}

pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_all(&mut File::open(path)?)
}

fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

/// Whether a value is a table or a list of tables, inline or under a heading.
pub(super) fn holds_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(array) => array.iter().any(|entry| entry.get_ref().is_table()),
        _ => false,
    }
}

/// The line of a byte, counted from 1.
pub(super) fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + bytes
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}

/// Reads a setting from the file that a variable names; one line break at its end is not part of it.
pub(super) fn read_secret(variable: &str, path: &Path) -> Result<String, ConfigError> {
    let bytes = read_file(path).map_err(|error| {
        ConfigError(format!(
            "{variable} in the environment: can't read {}: {error}.\nName a file that this user can read.",
            path.display()
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        ConfigError(format!(
            "{variable} in the environment: {} is not valid UTF-8.\nSave the file as UTF-8.",
            path.display()
        ))
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Names the key that was probably meant, spelled as in its source, or all keys if none is similar.
pub(super) fn suggest(unknown: &str, spell: impl Fn(&Key) -> String) -> String {
    /// A name with less similarity than this is another word and not a misspelling.
    const NEAR: f64 = 0.5;
    // Shortened, because the comparison needs memory for each pair of characters.
    let unknown: String = unknown.chars().take(MAX_ECHO_CHARS).collect();
    let nearest = KEYS
        .iter()
        .map(|key| {
            (
                strsim::normalized_damerau_levenshtein(&unknown, key.name),
                key,
            )
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((likeness, key)) if likeness >= NEAR => {
            format!("Did you mean {}? {}", spell(key), key.description)
        }
        _ => {
            let names: Vec<_> = KEYS.iter().map(spell).collect();
            format!("Known keys: {}", names.join(", "))
        }
    }
}

/// Whether an unknown variable is one of those that Kubernetes puts into every container for a
/// service with a name that begins with "authd" (`AUTHD_SERVICE_HOST`, `AUTHD_PORT=tcp://…`,
/// `AUTHD_PORT_80_TCP_ADDR`). No operator sets or can remove them.
pub(super) fn is_service_link(variable: &str, value: &str) -> bool {
    let has_protocol = ["_TCP", "_UDP", "_SCTP"]
        .iter()
        .any(|name| variable.contains(name));
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || (variable.contains("_PORT_") && has_protocol)
        || (variable.ends_with("_PORT") && value.contains("://"))
}
