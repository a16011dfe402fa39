//! The command line. Each command parses its arguments, makes one call of the service, and prints the answer as a table
//! or, with `--json`, as JSON.
//!
//! A command can run while the server runs, on the same file. It makes the same [`Authd`] from the settings and calls the
//! same methods as an HTTP handler does. No rule about accounts, sessions or tokens is in this folder.
//!
//! Exit codes: 0 done; 1 refused or not found; 2 usage; 70 a fault of authd or its disk; 78 configuration.

mod backup;
mod client;
mod doctor;
mod event;
mod group;
mod health;
mod invite;
mod key;
mod manager;
mod outbox;
mod output;
mod serve;
mod session;
mod user;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::json;

use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Inputs, Loaded, LogFormat, LogLevel};
use crate::entropy::Entropy;
use crate::password::{Hasher, Params};
use crate::service::{self, Authd};
use crate::store::{self, OpenWarning, Options, Role, Store};
use output::Output;

/// A complete auth server in one binary and one SQLite file.
#[derive(Parser)]
#[command(
    name = "authd",
    version,
    about,
    propagate_version = true,
    max_term_width = output::COLUMNS
)]
struct Cli {
    #[command(flatten, next_help_heading = "Options of every command")]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// The options of every command.
#[derive(Args)]
struct Common {
    /// Settings file [default: ./authd.toml if it exists, else /etc/authd/authd.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database file [default: authd.db]
    #[arg(long, global = true, value_name = "FILE")]
    db: Option<String>,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Manage accounts
    #[command(subcommand)]
    User(user::User),
    /// Manage groups of accounts; apps can read who is in them
    #[command(subcommand)]
    Group(group::Group),
    /// Print a link with which one account can be created
    Invite(invite::Invite),
    /// Manage apps that sign people in here (OpenID Connect)
    #[command(subcommand)]
    Client(Box<client::Client>),
    /// List and end sessions
    #[command(subcommand)]
    Session(session::Session),
    /// List and replace the keys that sign access tokens
    #[command(subcommand)]
    Key(key::Key),
    /// List security events
    #[command(subcommand)]
    Event(event::Event),
    /// List messages that wait to leave; try them again or delete them
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Delete expired data; a running server does this every hour
    Sweep(Sweep),
    /// Copy the database to a file; the server can keep running
    Backup(backup::Backup),
    /// Replace the database with a backup; all users have to sign in again
    Restore(backup::Restore),
    /// Check file, disk, clock, mail and settings; changes nothing
    Doctor(doctor::Doctor),
    /// Exit with 0 if the server is ready, else with 1
    Health(health::Health),
    /// Print the value of every setting, and where it came from
    Config,
    /// Print completions for a shell
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for each command into this directory, which must exist
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Sweep {
    /// Accept the time of the clock after it jumped ahead by more than a day
    #[arg(long)]
    accept_clock: bool,
}

/// Why a command failed.
enum Failure {
    /// The settings, or the file that they name, are not usable.
    Configuration(String),
    /// The service refused.
    Refused(String),
    /// A fault.
    Internal(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Configuration(error.to_string())
    }
}

/// The error for an operator. A symbolic link without its target gets a text of its own.
fn open_error_text(error: &store::OpenError) -> String {
    if let store::OpenError::NotAFile(path) = error
        && let Ok(target) = path.read_link()
    {
        return format!(
            "{} is a symbolic link to {}, which does not exist. Restore that file, remove the link, or name another \
             file with --db.",
            path.display(),
            target.display()
        );
    }
    error.to_string()
}

impl From<store::OpenError> for Failure {
    fn from(error: store::OpenError) -> Failure {
        let text = open_error_text(&error);
        match error {
            store::OpenError::AlreadyServed { .. } => Failure::Refused(text),
            store::OpenError::Damaged { .. } => Failure::Internal(text),
            _ => Failure::Configuration(text),
        }
    }
}

impl From<service::OpenError> for Failure {
    fn from(error: service::OpenError) -> Failure {
        Failure::Internal(error.to_string())
    }
}

impl From<service::Error> for Failure {
    fn from(error: service::Error) -> Failure {
        match error {
            service::Error::Broken(text) => Failure::Internal(text),
            service::Error::No(_, text) => Failure::Refused(with_where_to_look(text)),
            other => Failure::Refused(other.to_string()),
        }
    }
}

/// Adds to "There is no such …" and "Another account …" the command that lists what exists.
fn with_where_to_look(text: String) -> String {
    let lists = [
        (
            "such registration",
            "`authd user list --waiting` lists registrations that are not confirmed.",
        ),
        ("such account", "`authd user list` lists the accounts."),
        (
            "Another account has",
            "`authd user list` lists the accounts.",
        ),
        (
            "such session",
            "`authd session list USER` lists the open sessions of an account.",
        ),
        (
            "such open invitation",
            "`authd invite --list` lists the invitations.",
        ),
        (
            "such refresh token",
            "Check that the whole token was passed.",
        ),
    ];
    let advice = lists.iter().find(|(what, _)| text.contains(what));
    match advice {
        Some((_, advice)) => format!("{text} {advice}"),
        None => text,
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Internal(error.to_string())
    }
}

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    forbid_core_dumps();
    let cli = Cli::parse();
    let (code, text) = match cli.execute() {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(text)) => (1, text),
        Err(Failure::Internal(text)) if text.contains("`authd ") => (70, text),
        Err(Failure::Internal(text)) => {
            let text = text.trim_end_matches('.');
            let advice = "Run `authd doctor` to find the cause.";
            (70, format!("{text}. {advice}"))
        }
        Err(Failure::Configuration(text)) => (78, text),
    };
    // If standard error is closed, the exit code still says what happened.
    let _ = writeln!(io::stderr(), "authd: {text}");
    ExitCode::from(code)
}

/// Keys and passwords are in memory, and a core dump would write them to the disk. Other programs of the same user cannot
/// read the memory then, either (prctl(2), PR_SET_DUMPABLE).
fn forbid_core_dumps() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // It fails on no Linux that authd runs on; the unit for systemd sets a limit as well.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

impl Cli {
    fn execute(self) -> Result<(), Failure> {
        let Cli { common, command } = self;
        let out = Output { json: common.json };
        match command {
            Command::Serve(serve) => serve.run(&common),
            Command::User(user) => user.run(&common, &out),
            Command::Group(group) => group.run(&common, &out),
            Command::Invite(invite) => invite.run(&common, &out),
            Command::Client(client) => client.run(&common, &out),
            Command::Session(session) => session.run(&common, &out),
            Command::Key(key) => key.run(&common, &out),
            Command::Event(event) => event.run(&common, &out),
            Command::Outbox(outbox) => outbox.run(&common, &out),
            Command::Sweep(sweep) => sweep.run(&common, &out),
            Command::Backup(backup) => backup.run(&common, &out),
            Command::Restore(restore) => restore.run(&common, &out),
            Command::Doctor(doctor) => doctor.run(&common, &out),
            Command::Health(health) => health.run(&common, &out),
            Command::Config => out.settings(&common.settings()?),
            Command::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "authd", &mut text);
                output::print(&text)
            }
            Command::Man { dir: None } => {
                let mut text = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut text)?;
                output::print(&text)
            }
            Command::Man { dir: Some(dir) } => {
                clap_mangen::generate_to(Cli::command(), &dir).map_err(|error| {
                    let dir = dir.display();
                    Failure::Refused(format!(
                        "the manual pages can't be written to {dir}: {error}. Name a directory in which you can create \
                         files."
                    ))
                })?;
                out.record(&json!({ "manual_pages": dir }))
            }
        }
    }
}

impl Common {
    /// Loads the settings; `flags` are those of the command itself.
    fn load(&self, mut flags: Vec<(&'static str, String)>) -> Result<Loaded, Failure> {
        flags.extend(self.db.clone().map(|db| ("db", db)));
        Ok(config::load(Inputs::from_process(
            self.config.clone(),
            flags,
        )?)?)
    }

    /// Loads the settings for a command, and prints on standard error what its operator should know about their sources.
    fn settings(&self) -> Result<Loaded, Failure> {
        let loaded = self.load(Vec::new())?;
        for notice in &loaded.notices {
            // A command also does its work if standard error is closed.
            let _ = writeln!(io::stderr(), "authd: {notice}");
        }
        Ok(loaded)
    }

    /// Opens the service on the existing database. A server may have the database open at the same time.
    fn open(&self) -> Result<Arc<Authd>, Failure> {
        let config = self.settings()?.config;
        log_to_stderr(LogFormat::Text, LogLevel::Warn);
        let store = open_store(&config, Role::Command)?;
        open_authd(&config, store)
    }
}

impl Sweep {
    fn run(&self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        if self.accept_clock {
            authd.confirm_clock()?;
        }
        let swept = authd.sweep()?;
        if swept.paused {
            return Err(Failure::Refused(
                "nothing was deleted, because the clock jumped ahead by more than a day. If the time is right now, run \
                 `authd sweep --accept-clock`. A running server accepts it by itself after an hour."
                    .into(),
            ));
        }
        out.record(&json!(swept))
    }
}

/// Opens the database of the settings, and logs what an operator should know about where it is. A command runs beside a
/// server, which has warned of what matters to the server alone.
fn open_store(config: &Config, role: Role) -> Result<Opened, Failure> {
    let opened = open_store_at(&config.db, config, role, Clock::system())?;
    match opened.store.warning() {
        Some(OpenWarning::Temporary { .. }) if role == Role::Command => {}
        Some(warning) => tracing::warn!("{warning}"),
        None => {}
    }
    Ok(opened)
}

/// As root, becomes the owner of the database's directory; see [`store::become_owner_of`]. Called before anything there is
/// opened.
fn become_owner_of(database: &Path) -> Result<Option<u32>, store::OpenError> {
    let user = store::become_owner_of(database)?;
    if let Some(user) = user {
        tracing::info!(
            user,
            "gave up the rights of root for those of the owner of the database's directory"
        );
    }
    Ok(user)
}

fn open_store_at(
    path: &Path,
    config: &Config,
    role: Role,
    clock: Clock,
) -> Result<Opened, store::OpenError> {
    become_owner_of(path)?;
    let entropy = Entropy::system();
    let options = Options {
        accept_network_filesystem: config.accept_network_filesystem,
        readers: READERS,
        role,
        max_size: config.max_db_size.map(|size| size.as_u64()),
    };
    let store = Store::open(path, clock.clone(), entropy.clone(), options)?;
    Ok(Opened {
        store,
        clock,
        entropy,
    })
}

/// Number of reading connections: enough that one slow read does not block the others, and few enough for a small machine.
const READERS: u32 = 4;

/// A store, with the clock and the source of randomness that it was opened with.
struct Opened {
    store: Store,
    clock: Clock,
    entropy: Entropy,
}

fn open_authd(config: &Config, opened: Opened) -> Result<Arc<Authd>, Failure> {
    let policy = config.policy()?;
    let hasher = Hasher::new(config.password_ram.as_u64(), Params::default());
    let Opened {
        store,
        clock,
        entropy,
    } = opened;
    Ok(Authd::open(store, clock, entropy, hasher, policy)?)
}

/// Sends the log to standard error. Standard output is for answers.
fn log_to_stderr(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(false)
        // It would report a closed standard error on standard error, and panic.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // Fails only in a program that has its own log, which is used then.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each command of the tree, with the help that it prints.
    fn helps(command: &mut clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        let path = format!("{path} {}", command.get_name());
        found.push((path.clone(), command.render_help().to_string()));
        found.push((path.clone(), command.render_long_help().to_string()));
        for subcommand in command.get_subcommands_mut() {
            helps(subcommand, &path, found);
        }
    }

    #[test]
    fn every_help_text_fits_into_80_columns() {
        let mut root = Cli::command().term_width(output::COLUMNS);
        root.build();
        let mut found = Vec::new();
        helps(&mut root, "", &mut found);
        assert!(found.len() > 100, "the commands were found");
        for (path, help) in found {
            for line in help.lines() {
                let width = line.chars().count();
                assert!(width <= output::COLUMNS, "{path}: {line}");
            }
        }
    }

    #[test]
    fn every_command_and_option_is_described() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{name}: {}",
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
