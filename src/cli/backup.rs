//! `authd backup` and `authd restore`

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure, Opened, become_owner_of, log_to_stderr, open_store, open_store_at};
use crate::clock::Clock;
use crate::config::{Config, LogFormat, LogLevel};
use crate::service::{self, Contents, Losses};
use crate::store::{CopyError, OpenError, Progress, Restoration, RestoreSource, Role};

#[derive(Args)]
pub(super) struct Backup {
    /// File to write; it must not exist yet
    dest: PathBuf,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["src", "here"]))]
pub(super) struct Restore {
    /// Backup, or another copy of a database
    src: Option<PathBuf>,
    /// Restore from the database file itself, after a copy was put in its place
    #[arg(long)]
    here: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Failure {
        let text = error.to_string();
        match error {
            CopyError::Refused(refusal) => refusal.into(),
            CopyError::Damaged { .. } | CopyError::System { .. } => Failure::Internal(text),
            _ => Failure::Refused(text),
        }
    }
}

impl Backup {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let config = common.settings()?.config;
        log_to_stderr(LogFormat::Text, LogLevel::Warn);
        let user = become_owner_of(&config.db)?;
        // Only the store is opened, so that a database whose keys cannot be read can be copied as well.
        let Opened { store, .. } = open_store(&config, Role::Command)?;
        let is_watched = io::stderr().is_terminal();
        let written = store.backup(&self.dest, move |progress| {
            if is_watched {
                show(progress);
            }
        });
        if is_watched {
            eprint!("{ERASE_LINE}");
        }
        let written = written.map_err(|error| match (user, error) {
            (Some(user), CopyError::Refused(OpenError::ReadOnly(path))) => {
                Failure::Configuration(format!(
                    "{} can't be written by user {user}. When root runs this command, it runs as the owner of the \
                     directory of the database. Write the backup to a directory of user {user}, such as {}, and move \
                     it from there.",
                    path.display(),
                    config.db.parent().unwrap_or(&config.db).display()
                ))
            }
            (_, error) => error.into(),
        })?;
        out.record(&json!({ "backup": self.dest, "bytes": written }))
    }
}

/// Moves to the beginning of the line and clears it (ECMA-48, EL).
const ERASE_LINE: &str = "\r\x1b[K";

fn show(progress: Progress) {
    const MIB: u64 = 1 << 20;
    let Progress { done, total } = progress;
    // Writes during the copy may make the database larger than it was at the beginning.
    let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
    eprint!(
        "{ERASE_LINE}{percent} % of {} MiB",
        total.max(done).div_ceil(MIB)
    );
    // If this fails, only the progress is not shown.
    let _ = io::stderr().flush();
}

/// The file that will be replaced.
enum Present {
    Missing,
    Unreadable(String),
    Read(Contents, Losses),
}

impl Restore {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let config = common.settings()?.config;
        log_to_stderr(LogFormat::Text, LogLevel::Warn);
        let source = self.src.as_deref().map(RestoreSource::open).transpose()?;
        become_owner_of(&config.db)?;
        let restoration =
            Restoration::prepare(&config.db, source, config.accept_network_filesystem)?;
        if let Some(warning) = restoration.warning() {
            tracing::warn!("{warning}");
        }
        // One clock for both files, so that the time continues from the later of their marks (I8).
        let clock = Clock::system();
        let scratch = open_store_at(restoration.scratch(), &config, Role::Command, clock.clone())?;
        let backup = service::contents(&scratch.store)?;
        let present = match restoration.replaces() && !self.here {
            true => compare_with_present(&config, restoration.path(), &scratch, &clock)?,
            false => Present::Missing,
        };
        if !out.json || !self.yes {
            let source = self.src.as_deref().unwrap_or(restoration.path());
            explain(source, restoration.path(), &backup, &present, &clock);
        }
        if restoration.replaces() && !self.yes {
            ask()?;
        }

        let (epoch_now, lost) = match &present {
            Present::Read(contents, losses) => (contents.epoch, Some(losses)),
            Present::Missing | Present::Unreadable(_) => (0, None),
        };
        let begun = service::begin_epoch(&scratch.store, &clock, epoch_now)?;
        drop(scratch);
        let path = restoration.path().to_owned();
        let kept = restoration.put_in_place()?;
        out.record(&json!({
            "restored": path,
            "kept": kept,
            "as_of": backup.as_of,
            "accounts": backup.accounts,
            "accounts_missing": lost.map(|lost| lost.missing),
            "accounts_revived": lost.map(|lost| lost.revived),
            "accounts_enabled_again": lost.map(|lost| lost.enabled_again),
            "accounts_in_group_again": lost.map(|lost| lost.in_group_again),
            "older_passwords": lost.map(|lost| lost.older_passwords),
            "epoch": begun.epoch,
            "signing_key": begun.kid,
        }))
    }
}

/// Compares the file that will be replaced with the backup. It is no error if it can't be read: that is often the reason for
/// a restore.
fn compare_with_present(
    config: &Config,
    path: &Path,
    scratch: &Opened,
    clock: &Clock,
) -> Result<Present, Failure> {
    let opened = match open_store_at(path, config, Role::Command, clock.clone()) {
        Ok(opened) => opened,
        Err(refusal @ (OpenError::Foreign(_) | OpenError::Busy(_) | OpenError::ReadOnly(_))) => {
            return Err(refusal.into());
        }
        // A migration needs the lock, which the restore holds.
        Err(OpenError::Older { .. }) => {
            return Ok(Present::Unreadable("an older release wrote it".into()));
        }
        Err(OpenError::Newer { .. }) => {
            return Ok(Present::Unreadable("a newer release wrote it".into()));
        }
        Err(OpenError::Backup(_)) => {
            return Ok(Present::Unreadable("it is a backup itself".into()));
        }
        Err(OpenError::Damaged { what, .. }) => {
            return Ok(Present::Unreadable(format!("it is damaged: {what}")));
        }
        Err(refusal) => return Ok(Present::Unreadable(refusal.to_string())),
    };
    let read = service::contents(&opened.store)
        .and_then(|contents| Ok((contents, service::compare(&opened.store, &scratch.store)?)));
    Ok(match read {
        Ok((contents, losses)) => Present::Read(contents, losses),
        Err(error) => Present::Unreadable(error.to_string()),
    })
}

/// Prints what will happen on standard error. Standard output is for the result.
fn explain(source: &Path, path: &Path, backup: &Contents, present: &Present, clock: &Clock) {
    let now = clock.wall();
    let age = match now.since(backup.as_of).as_secs() / 60 {
        0 => "less than a minute".to_owned(),
        minutes => humantime::format_duration(Duration::from_secs(60 * minutes)).to_string(),
    };
    eprintln!(
        "{} has the state of {}, {age} before now ({now}). It is sound and has {}.",
        source.display(),
        backup.as_of,
        counted(backup.accounts, "account"),
    );
    match present {
        Present::Missing => {}
        Present::Unreadable(why) => eprintln!(
            "{} can't be compared with it ({why}). It will be kept under another name.",
            path.display()
        ),
        Present::Read(contents, losses) => {
            eprintln!(
                "It replaces {}, which has {} and will be kept under another name.",
                path.display(),
                counted(contents.accounts, "account")
            );
            for (count, what) in [
                (losses.missing, "created since then and will be missing"),
                (losses.revived, "deleted since then and will exist again"),
                (
                    losses.older_passwords,
                    "given a new password since then and will have the older one",
                ),
                (
                    losses.enabled_again,
                    "disabled since then and will be enabled",
                ),
                (
                    losses.in_group_again,
                    "removed from a group since then and will be in it again",
                ),
            ] {
                if count > 0 {
                    eprintln!("- {}: {what}.", counted(count, "account"));
                }
            }
        }
    }
    let open = match present {
        Present::Read(contents, _) => contents.sessions,
        Present::Missing | Present::Unreadable(_) => backup.sessions,
    };
    eprintln!(
        "All users will be signed out ({}). Tokens will stop working. Passwords will keep working.",
        counted(open, "session")
    );
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Asks the operator at the terminal.
fn ask() -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Refused(
            "nothing was changed, because there is no terminal to ask for confirmation. Pass --yes.".into(),
        ));
    }
    eprint!("Continue? Type yes: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => Err(Failure::Refused(
            "nothing was changed, because the answer was not yes.".into(),
        )),
    }
}
