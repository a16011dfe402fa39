//! Settings: one table, four sources, one [`Config`].
//!
//! Every setting is one entry of the `settings!` table below. The fields of [`Config`], the check
//! for unknown keys, the output of `authd config` and the table in the documentation are made from
//! it, so they cannot disagree: a new key is one entry, and one group of lines in
//! `examples/authd.toml`, which a test demands.
//!
//! A value comes from a flag, else from an `AUTHD_<KEY>` environment variable, else from one flat
//! TOML file, else from the table. Every source is first brought to one text, and each key has one
//! parser for that text, so that `30d` means the same wherever it stands.
//!
//! What never happens here:
//!
//! * *A mistake is never skipped.* A misspelt key that is ignored leaves a server running with a
//!   default that nobody chose, which in an auth server is how registration stays open. So an
//!   unknown key, variable or table is an error that names the nearest key, and a wrong value an
//!   error that shows a right one.
//! * *No other module reads the environment*, and this one does so only in
//!   [`Inputs::from_process`] and, for a service manager's own variables, in
//!   [`Supervision::from_process`]. [`load`] works on [`Inputs`] alone, and tests need no process
//!   state.
//! * *No secret is printed.* What `authd config` says, and an error, may be pasted into a bug report: the one
//!   setting with a secret in it, the mail server's URL, is shown without its password.
//! * *Nothing is opened, bound or resolved* but the file with the settings, and the kernel's files
//!   that tell how much memory there is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytesize::{ByteSize, GIB, KIB, MIB, TIB};
use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use crate::mail::{self, Author, Route};

/// Largest file that is read. Every key at its longest fits many times over, and a `--config` that
/// points at a device or a log must not fill the memory of a small board.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Most entries in a list. Each one is compared with every request, and nobody types more.
const MAX_LIST_ENTRIES: usize = 256;

/// Longest piece of a given value that an error repeats, in characters.
const MAX_ECHO_CHARS: usize = 100;

/// Memory of one Argon2id hash at the weakest parameters that authd uses (m = 19456 KiB).
/// With less than this nobody could sign in. (req 8)
const ONE_HASH: ByteSize = ByteSize::mib(19);

/// Most memory that password hashing takes unless told otherwise: three hashes at once keep two
/// cores busy, and more only helps whoever floods the sign-in.
const DEFAULT_PASSWORD_RAM_LIMIT: ByteSize = ByteSize::mib(64);

/// A larger size is a typing mistake. It also keeps the page count of the largest database, at
/// SQLite's 4 KiB a page, far inside its limit of 2^32 - 2.
const MAX_SIZE: ByteSize = ByteSize::tib(1);

/// Smallest bound on the database: the schema, the keys and some hundred sessions fit.
const MIN_DB_SIZE: ByteSize = ByteSize::mib(1);

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Longest life of a session: browsers keep a cookie for 400 days at most (RFC 6265bis), so
/// what lives longer could not be presented anyway. Signing keys share the bound.
const LONGEST_LIFE: Duration = days(400);

/// A longer retention is a typing mistake; it also keeps sums of times far from overflowing.
const LONGEST_RETENTION: Duration = days(36_500);

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

/// Declares the settings. An entry reads:
///
/// ```text
/// /// One line that says what it is: the field's documentation, `authd config`, the README.
/// name: Type = "default" like "example" => parser;
/// name: Type = "default in words" from function like "example" => parser;
/// ```
///
/// The default stands for the example where no `like` is given. `from` computes a default that
/// depends on other settings or on the machine; what precedes it then only describes it.
macro_rules! settings {
    ($(
        #[doc = $description:literal]
        $name:ident: $type:ty = $default:literal
            $(from $derive:ident)? $(like $example:literal)? => $parse:expr;
    )+) => {
        /// The settings in force, each checked and within its bounds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $(#[doc = $description] pub $name: $type,)+
            /// What is allowed but should be known: one sentence each, to be logged at each start.
            pub warnings: Vec<String>,
        }

        #[expect(non_upper_case_globals, reason = "a key is spelled as in the file")]
        impl Key {
            $(const $name: Key = Key {
                name: stringify!($name),
                // Without the space after the comment's slashes.
                description: $description.trim_ascii_start(),
                default: $default,
                // The first element is the optional one, where the entry has it.
                derive: [$(Some($derive as Derive),)? None][0],
                example: [$($example,)? $default][0],
                form: <$type as Value>::FORM,
            };)+
        }

        /// Every setting, in the order in which they are explained.
        pub const KEYS: &[Key] = &[$(Key::$name),+];

        impl Sources {
            /// Reads every key of the table, in its order.
            fn read_all(&self) -> Result<(Config, Vec<Setting>), ConfigError> {
                let mut settings = Vec::with_capacity(KEYS.len());
                let config = Config {
                    $($name: self.read(&Key::$name, $parse, &mut settings)?,)+
                    warnings: Vec::new(),
                };
                Ok((config, settings))
            }
        }
    };
}

settings! {
    /// Database file; a relative path starts at the working directory.
    db: PathBuf = "authd.db" => path;
    /// IP address and port to listen on.
    listen: SocketAddr = "127.0.0.1:8080" => socket_address;
    /// Address that people and apps use, without a path: the issuer of every token.
    public_url: PublicUrl = "`http://<listen>` if that is loopback, else required"
        from public_url_of_listener like "https://auth.example.com" => PublicUrl::parse;
    /// Allow a public URL without TLS that is not loopback: passwords travel in the clear.
    allow_http: bool = "false" => switch;
    /// Who may create an account: `closed` (operators), `invite` (who is invited) or `open` (everybody).
    registration: Registration = "closed" => word;
    /// Whether an address has to be proven by mail before there is an account: `optional` or `required`.
    verification: Verification = "optional" => word;
    /// Fewest characters in a new password, 8 to 64; NIST asks for 15 without a second factor.
    password_min_length: usize = "12" => number(8..=64);
    /// Memory for password hashing, at least `19MiB`, one hash; the rest of the sign-ins wait.
    password_ram: ByteSize = "a quarter of the memory, `19MiB` to `64MiB`"
        from quarter_of_memory like "64MiB" => size(ONE_HASH..=MAX_SIZE);
    /// Life of an access token, `1m` to `1h`: how long an ended session still passes offline.
    access_token_lifetime: Duration = "10m" => duration(MINUTE..=HOUR);
    /// A session ends when it was not used for this long, `5m` to `400d`.
    session_idle_lifetime: Duration = "30d" => duration(5 * MINUTE..=LONGEST_LIFE);
    /// A session ends this long after sign-in, whatever happens; idle lifetime to `400d`.
    session_lifetime: Duration = "180d" => duration(5 * MINUTE..=LONGEST_LIFE);
    /// For this long a refresh may be retried with the same answer, `0s` to `10m`.
    replay_window: Duration = "60s" => duration(Duration::ZERO..=10 * MINUTE);
    /// A signing key is replaced when it is this old, `1d` to `400d`.
    signing_key_lifetime: Duration = "90d" => duration(days(1)..=LONGEST_LIFE);
    /// Security events are kept for this long, at least `1d`.
    event_retention: Duration = "365d" => duration(days(1)..=LONGEST_RETENTION);
    /// Where mail goes: `off`, `log` (on loopback only), `dir:PATH`, `smtp://…` or `smtps://…`.
    mail: Route = "off" like "smtp://user:password@mail.example.com" => Route::parse;
    /// Whom mail is from.
    mail_from: Author = "`authd@` and the host of `public_url`"
        from author_of_public_url like "authd@example.com" => Author::parse;
    /// Proxies whose forwarding headers are believed, as addresses or networks.
    trusted_proxies: Vec<IpNet> = "" like "10.0.0.0/8" => list(network);
    /// Origins of web apps that may call the API from a browser.
    cors_origins: Vec<Origin> = "" like "https://app.example" => list(Origin::parse);
    /// Most connections at once, 16 to 10000; each takes a thread while it lives.
    max_connections: usize = "what fits a quarter of the memory, `64` to `512`"
        from quarter_in_connections like "512" => number(16..=10_000);
    /// Log lines as `text` for people or `json` for programs.
    log_format: LogFormat = "text" => word;
    /// Least severe message that is logged: `error`, `warn`, `info` or `debug`.
    log_level: LogLevel = "info" => word;
    /// Start on NFS, SMB or 9p, where SQLite can lose data.
    accept_network_filesystem: bool = "false" => switch;
    /// Bound on the database file, at least `1MiB`; `0` is no bound.
    max_db_size: Option<ByteSize> = "0" like "512MiB" => size_or_zero(MIN_DB_SIZE..=MAX_SIZE);
}

/// What [`load`] works on; a process takes its own with [`Inputs::from_process`].
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file that `--config` names. It must exist.
    pub file: Option<PathBuf>,
    /// Flags as key of the table and text, the last of a key wins.
    pub flags: Vec<(&'static str, String)>,
    /// Environment variables. Only those whose name begins with `AUTHD_` are looked at.
    pub environment: Vec<(String, String)>,
    /// Files to try in turn when neither `--config` nor `AUTHD_CONFIG` names one. The first that
    /// exists is read.
    pub search: Vec<PathBuf>,
    /// Memory that this process may use, in bytes, where the system tells.
    pub memory: Option<u64>,
}

impl Inputs {
    /// Takes the environment and the memory of this process, and the usual places of the file:
    /// `./authd.toml`, then `/etc/authd/authd.toml`.
    ///
    /// # Errors
    ///
    /// An `AUTHD_…` variable that is not UTF-8.
    pub fn from_process(
        file: Option<PathBuf>,
        flags: Vec<(&'static str, String)>,
    ) -> Result<Inputs, ConfigError> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            // Other programs' variables may be anything; only ours are judged.
            let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(VARIABLE_PREFIX))
            else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                ConfigError(format!(
                    "{name} in the environment is not valid UTF-8.\nSet it again, or unset it."
                ))
            })?;
            environment.push((name.to_owned(), value));
        }
        Ok(Inputs {
            file,
            flags,
            environment,
            search: vec!["authd.toml".into(), "/etc/authd/authd.toml".into()],
            memory: memory_available(Path::new("/")),
        })
    }
}

/// What a service manager asks of the process that it started: systemd's variables, which no operator
/// sets (sd_notify(3), sd_watchdog_enabled(3)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// The datagram socket on which it wants to hear: a path, or an abstract name after `@`.
    pub socket: OsString,
    /// After this long without a word it takes the process for dead.
    pub watchdog: Option<Duration>,
}

impl Supervision {
    /// What this process was started with; `None` where nobody wants to hear of it.
    pub fn from_process() -> Option<Supervision> {
        Supervision::read(|name| std::env::var_os(name), std::process::id())
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Option<Supervision> {
        let socket = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
        let number = |name| digits::<u64>(variable(name)?.to_str()?);
        // Set, it says for whom the watchdog is: a wrapper may have handed its own variables down.
        let is_ours = variable("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(u64::from(process));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        Some(Supervision {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
        })
    }
}

/// The settings together with where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// The same for people, in the order of [`KEYS`].
    pub settings: Vec<Setting>,
    /// The file that was read, if any. It may have set nothing.
    pub file: Option<PathBuf>,
    /// Memory that this process may use, in bytes, where the system tells.
    pub memory: Option<u64>,
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
    /// Nobody set it.
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
    /// A flag on the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Source::Environment(variable) => f.write_str(variable),
            Source::Flag => f.write_str("flag"),
        }
    }
}

/// One entry of the table of settings.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    name: &'static str,
    description: &'static str,
    default: &'static str,
    derive: Option<Derive>,
    example: &'static str,
    form: Form,
}

impl Key {
    /// The key as it stands in the file.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is, in one line. Backquotes mark what is typed.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// The default: its text, empty for an empty list, or how it is found, in words, where it
    /// depends on the machine or on another setting.
    pub fn default(&self) -> &'static str {
        self.default
    }

    /// Whether [`default`](Self::default) is a description and not a text that could be given.
    pub fn default_is_derived(&self) -> bool {
        self.derive.is_some()
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase())
    }

    /// How somebody who uses `source` writes this key with the value `text`.
    fn spell(&self, source: &Source, text: &str) -> String {
        match source {
            Source::Default | Source::File { .. } => {
                format!("{} = {}", self.name, self.form.literal(text))
            }
            Source::Environment(variable) => format!("{variable}={}", echo(text)),
            Source::Flag => format!("--{} {}", self.name.replace('_', "-"), echo(text)),
        }
    }
}

pub use crate::policy::{Registration, Verification};

/// How log lines look.
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
    /// What failed and needs somebody.
    Error,
    /// What will need somebody.
    Warn,
    /// What happens, once for each thing of note.
    Info,
    /// What helps to find a fault.
    Debug,
}

/// A web origin (RFC 6454): `http` or `https`, a host, perhaps a port, and nothing else.
///
/// It is kept as browsers send it (lower case, no default port), so that an `Origin` header is
/// compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: String,
}

impl Origin {
    /// The origin as browsers send it: `https://app.example` or `http://localhost:3000`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads an origin. Stricter than a URL parser on purpose: what browsers would silently mend
    /// (backslashes, `127.1`, spaces, Unicode) is refused, because two parsers that mend
    /// differently are how redirect and origin checks have been fooled.
    fn parse(text: &str) -> Result<Origin, String> {
        let expected = |why: &str| {
            Err(format!(
                "{why}; expected https:// (or http://), a host and perhaps a port"
            ))
        };
        let Some((scheme, authority)) = text.split_once("://") else {
            return expected("it does not begin with https://");
        };
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return expected("it does not begin with https://"),
        };
        // RFC 3986 §3.2: what ends an authority, and the mark of user information within it.
        if let Some(excess) = authority.chars().find(|c| "/?#\\@".contains(*c)) {
            return expected(match excess {
                '/' => "a path is not allowed",
                '?' => "a query is not allowed",
                '#' => "a fragment is not allowed",
                '@' => "a user name is not allowed",
                _ => "a backslash is not allowed",
            });
        }
        // The last colon begins the port, unless it belongs to an IPv6 address.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let Some(host) = host_name(host) else {
            return expected("the host is not a DNS name (in ASCII), an IPv4 or an [IPv6] address");
        };
        let port = match port.map(digits::<u16>) {
            None => None,
            Some(Some(port)) => Some(port).filter(|port| *port != default_port),
            Some(None) => return expected("the port is not a number up to 65535"),
        };
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Origin {
            text: format!("{scheme}://{host}{port}"),
            host,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where people and apps reach authd: an [`Origin`], for authd has a host of its own.
///
/// A path prefix is not allowed: `/.well-known/` documents and `__Host-` cookies belong to a
/// whole origin, and behind a prefix they would be shared with whatever else lives there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Origin);

impl PublicUrl {
    /// The URL of a server that listens on the loopback interface; `None` for any other address,
    /// whose name nobody can guess.
    pub fn of_listener(listen: SocketAddr) -> Option<PublicUrl> {
        // Without the scope of an IPv6 address, which has no place in a URL.
        let address = SocketAddr::new(listen.ip(), listen.port());
        let origin = Origin::parse(&format!("http://{address}")).ok()?;
        Some(PublicUrl(origin)).filter(PublicUrl::is_loopback)
    }

    /// The URL without a trailing slash: `https://auth.example.com`.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether it is reached over TLS, which also decides how cookies are named and marked.
    pub fn is_https(&self) -> bool {
        self.0.text.starts_with("https://")
    }

    /// Whether only this machine reaches it: `localhost`, 127.0.0.0/8 or `[::1]`.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost"
            || host == "[::1]"
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// The host in lower case without the port; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The origin that a browser names when a page of this URL sends a request.
    pub fn origin(&self) -> &Origin {
        &self.0
    }

    /// Reads a URL, with or without a slash at its end.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<PublicUrl, String> {
        Origin::parse(text.strip_suffix('/').unwrap_or(text)).map(PublicUrl)
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the settings can't be used and what to do next, in one to three lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Finds every setting in its strongest source: flag, environment, file, default.
///
/// # Errors
///
/// A named file that can't be read or is not TOML, a key that does not exist, a value outside its
/// bounds, and values that contradict each other. The first mistake is told.
pub fn load(mut inputs: Inputs) -> Result<Loaded, ConfigError> {
    let mut sources = Sources {
        given: BTreeMap::new(),
        memory: inputs.memory,
        unknown: Vec::new(),
    };
    // Compose hands a variable that is not set on as an empty one.
    inputs.environment.retain(|(_, value)| !value.is_empty());
    // Weakest first: what comes later replaces what was there.
    let file = find_file(&inputs)?;
    if let Some((path, bytes)) = &file {
        sources.add_file(path, bytes)?;
    }
    sources.add_environment(&inputs.environment)?;
    sources.add_flags(&inputs.flags)?;

    let (mut config, settings) = sources.read_all()?;
    sources.check_together(&config)?;
    config.warnings = sources.unknown;
    config.warnings.extend(warnings(&config));
    Ok(Loaded {
        config,
        settings,
        file: file.map(|(path, _)| path),
        memory: inputs.memory,
    })
}

/// Environment variables that begin with this are settings, or mistakes.
const VARIABLE_PREFIX: &str = "AUTHD_";

/// The one variable that is not a setting: it names the file.
const FILE_VARIABLE: &str = "AUTHD_CONFIG";

/// Settings that may hold a secret: each can be read from a file that `AUTHD_<KEY>_FILE` names, as container platforms
/// mount secrets.
const SECRET_KEYS: [&str; 1] = ["mail"];

/// Computes a default from other settings or from the machine.
type Derive = fn(&Sources) -> Result<String, ConfigError>;

/// What the file, the environment and the flags set, by key.
#[derive(Debug)]
struct Sources {
    given: BTreeMap<&'static str, Given>,
    memory: Option<u64>,
    /// Warnings about variables that are no setting: other programs may have set them.
    unknown: Vec<String>,
}

/// A value as somebody gave it.
#[derive(Clone, Debug)]
struct Given {
    /// The text for the parser, or what the file should have had instead of what it has.
    text: Result<String, String>,
    /// The value as its author sees it, with its place: what an error quotes.
    spelled: String,
    source: Source,
}

impl Sources {
    fn add_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
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
            // Asked first: not even a table that has a setting's name is one.
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

    fn add_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
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
                let text = read_secret(variable, Path::new(value))?;
                self.add_text(key, &text, Source::Environment(variable.clone()));
            } else if variable != FILE_VARIABLE && !is_service_link(variable, value) {
                let advice = suggest(&name.to_ascii_lowercase(), Key::variable);
                self.unknown.push(format!(
                    "{} in the environment is no setting, and is not used. {advice}",
                    echo(variable)
                ));
            }
        }
        Ok(())
    }

    fn add_flags(&mut self, flags: &[(&'static str, String)]) -> Result<(), ConfigError> {
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

    /// The value of a key before it is parsed, computed where nobody gave one.
    fn find(&self, key: &Key) -> Result<Given, ConfigError> {
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
    fn read<T: Value>(
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

    /// Refuses values that are right alone and wrong together.
    fn check_together(&self, config: &Config) -> Result<(), ConfigError> {
        if config.session_lifetime < config.session_idle_lifetime {
            return Err(ConfigError(format!(
                "{} is shorter than {}.\nA session can't be idle for longer than it lives: raise \
                 {} or lower {}.",
                self.find(&Key::session_lifetime)?.spelled,
                self.find(&Key::session_idle_lifetime)?.spelled,
                Key::session_lifetime.name,
                Key::session_idle_lifetime.name,
            )));
        }
        let url = &config.public_url;
        if !url.is_https() && !url.is_loopback() && !config.allow_http {
            return Err(ConfigError(format!(
                "{} is refused: without TLS, passwords and tokens can be read on the way.\n\
                 Use https://, or on a network that you trust set {}.",
                self.find(&Key::public_url)?.spelled,
                Key::allow_http.spell(&Source::Default, "true"),
            )));
        }
        if config.mail == Route::Log && !url.is_loopback() {
            return Err(ConfigError(format!(
                "{} is refused: who reads the log could take over accounts.\n\
                 It is for trying authd on one machine. Set {}, or another way for mail to go.",
                self.find(&Key::mail)?.spelled,
                Key::mail.spell(&Source::Default, "off"),
            )));
        }
        Ok(())
    }
}

/// What is allowed but dangerous.
fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let url = &config.public_url;
    if !url.is_https() && !url.is_loopback() {
        warnings.push(format!(
            "public_url is {url}: without TLS, passwords and tokens can be read on the way."
        ));
    }
    if config.mail.is_exposed() {
        warnings.push(format!(
            "mail is {}: without TLS, links that set a password can be read on the way.",
            config.mail
        ));
    }
    let waits = config.verification == Verification::Required;
    if waits && config.mail == Route::Off && config.registration != Registration::Closed {
        warnings.push(
            "verification is required and mail is off: whoever registers waits until `authd user verify-link` prints \
             the link. `authd user list --waiting` shows who does."
                .to_owned(),
        );
    }
    for everybody in config
        .trusted_proxies
        .iter()
        .filter(|network| network.prefix_len() == 0)
    {
        warnings.push(format!(
            "trusted_proxies has {everybody}: everybody can claim to come from any address."
        ));
    }
    warnings
}

// Defaults that depend on something.

fn public_url_of_listener(sources: &Sources) -> Result<String, ConfigError> {
    let listen = sources.find(&Key::listen)?;
    let address = listen.text.ok().and_then(|text| text.parse().ok());
    match address.and_then(PublicUrl::of_listener) {
        Some(url) => Ok(url.to_string()),
        None => Err(ConfigError(format!(
            "{} is missing, and {} does not tell under which name others reach it.\n\
             Set the address that people use, for example: {}",
            Key::public_url.name,
            listen.spelled,
            Key::public_url.spell(&listen.source, Key::public_url.example),
        ))),
    }
}

/// What a connection takes at the most, with a body of full size and an answer that nobody reads: measured.
const LARGEST_CONNECTION: u64 = 160 * 1024;

/// What the process takes without connections and password hashing, under load: measured.
const BASE_MEMORY: u64 = 16 * MIB;

impl Config {
    /// What the server takes at the most with these settings, in bytes: every connection at its largest, and all of
    /// `password_ram`.
    pub fn most_memory(&self) -> u64 {
        self.least_memory() + self.max_connections as u64 * LARGEST_CONNECTION
    }

    /// What it takes with few connections, when many sign in, in bytes.
    pub fn least_memory(&self) -> u64 {
        BASE_MEMORY + self.password_ram.as_u64()
    }
}

fn quarter_in_connections(sources: &Sources) -> Result<String, ConfigError> {
    let fitting = sources.memory.unwrap_or(0) / 4 / LARGEST_CONNECTION;
    Ok(fitting.clamp(64, 512).to_string())
}

fn author_of_public_url(sources: &Sources) -> Result<String, ConfigError> {
    let url = sources.find(&Key::public_url)?.text.ok();
    let url = url.and_then(|text| PublicUrl::parse(&text).ok());
    // An address has no place after an @.
    let is_name = |host: &&str| !host.starts_with('[') && host.parse::<Ipv4Addr>().is_err();
    let host = url.as_ref().map(PublicUrl::host).filter(is_name);
    Ok(format!("authd@{}", host.unwrap_or("localhost")))
}

fn quarter_of_memory(sources: &Sources) -> Result<String, ConfigError> {
    // Where the system does not tell its memory, it gets the least that works.
    let quarter = ByteSize(sources.memory.unwrap_or(0) / 4);
    let whole_mebibytes = ByteSize::mib(quarter.as_u64() / MIB);
    Ok(whole_mebibytes
        .clamp(ONE_HASH, DEFAULT_PASSWORD_RAM_LIMIT)
        .show())
}

// The file.

/// The settings file and its content; `None` where none is named and none found.
fn find_file(inputs: &Inputs) -> Result<Option<(PathBuf, Vec<u8>)>, ConfigError> {
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
        return Ok(Some((path, bytes)));
    }
    for path in &inputs.search {
        match read_file(path) {
            Ok(bytes) => return Ok(Some((path.clone(), bytes))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                let path = path.display();
                return Err(ConfigError(format!(
                    "Can't read {path}: {e}.\nMake it readable, or name another with --config."
                )));
            }
        }
    }
    Ok(None)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

/// Whether a value is a table or a list of tables, inline or under a heading.
fn holds_table(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(array) => array.iter().any(|entry| entry.get_ref().is_table()),
        _ => false,
    }
}

/// The line in which a byte stands, counted from 1.
fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + bytes
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}

// Names.

fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The setting that `name` (`MAIL_FILE`) gives the file of.
fn secret_of(name: &str) -> Option<&'static Key> {
    let key = name.strip_suffix("_FILE")?.to_ascii_lowercase();
    find_key(&key).filter(|key| SECRET_KEYS.contains(&key.name))
}

/// Reads a setting from the file that a variable names; one line break at its end is not part of it.
fn read_secret(variable: &str, path: &Path) -> Result<String, ConfigError> {
    let bytes = read_file(path).map_err(|error| {
        ConfigError(format!(
            "{variable} in the environment: can't read {}: {error}.\nName a file that this user can read.",
            path.display()
        ))
    })?;
    let text = String::from_utf8(bytes).map_err(|_| {
        ConfigError(format!(
            "{variable} in the environment: {} is not valid UTF-8.",
            path.display()
        ))
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Names the key that was probably meant, in the spelling of its source; all of them where none is
/// near.
fn suggest(unknown: &str, spell: impl Fn(&Key) -> String) -> String {
    /// Half of the letters in place is a misspelling; less is another word.
    const NEAR: f64 = 0.5;
    // Cut, because the comparison takes memory for each pair of letters.
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
/// service whose name begins with "authd" (`AUTHD_SERVICE_HOST`, `AUTHD_PORT=tcp://…`,
/// `AUTHD_PORT_80_TCP_ADDR`). Nobody wrote them and nobody can remove them.
fn is_service_link(variable: &str, value: &str) -> bool {
    let has_protocol = ["_TCP", "_UDP", "_SCTP"]
        .iter()
        .any(|name| variable.contains(name));
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || (variable.contains("_PORT_") && has_protocol)
        || (variable.ends_with("_PORT") && value.contains("://"))
}

/// Somebody's text for an error message: on one line, without control characters, not endless, and without a
/// password.
fn echo(text: &str) -> String {
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

// Types of values.

/// How the file spells a value.
#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Number,
    Switch,
    List,
}

impl Form {
    /// The text of a TOML value, the same that the environment would have, or what is expected.
    fn text_of(self, value: &DeValue<'_>) -> Result<String, String> {
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
    fn literal(self, text: &str) -> String {
        match self {
            Form::Text => format!("\"{}\"", echo(text)),
            Form::Number | Form::Switch => echo(text),
            Form::List if text.is_empty() => "[]".to_owned(),
            Form::List => format!("[\"{}\"]", echo(text).replace(',', "\", \"")),
        }
    }
}

/// A type that a setting can have.
trait Value {
    /// How the file spells it.
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
    /// Not humantime's: 90 days would be "2months 29days 3h 2m 24s".
    fn show(&self) -> String {
        exact(
            self.as_secs(),
            &[("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)],
        )
    }
}

impl Value for ByteSize {
    const FORM: Form = Form::Text;
    /// Not bytesize's: it rounds.
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

/// A size that may be unbounded.
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
trait Word: Copy + PartialEq + 'static {
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
fn exact(count: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, size)| count.is_multiple_of(*size) && (count > 0 || *size == 1))
        .map_or_else(String::new, |(unit, size)| {
            format!("{}{unit}", count / size)
        })
}

// Parsers: the text of every source -> the value, or why not.

fn path(text: &str) -> Result<PathBuf, String> {
    // A NUL ends a path early in every system call.
    if text.is_empty() || text.contains('\0') {
        return Err("expected the path of a file".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address, a colon and a port".to_owned())
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| "expected true or false".to_owned())
}

fn word<T: Word>(text: &str) -> Result<T, String> {
    if let Some((_, value)) = T::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
    Err(format!("expected one of {}", words.join(", ")))
}

fn number(bounds: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> {
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

/// A number without a sign, which `parse` alone would take.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
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

fn size(bounds: RangeInclusive<ByteSize>) -> impl Fn(&str) -> Result<ByteSize, String> {
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

fn size_or_zero(
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

fn list<T>(entry: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Vec<T>, String> {
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

fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map(|network| network.trunc())
        .map_err(|_| "expected an IP address or a network".to_owned())
}

/// The host of a URL in its one spelling; `None` where it is none or has several.
fn host_name(host: &str) -> Option<String> {
    /// RFC 1035 §2.3.4, less the length octet and the root.
    const MAX_NAME: usize = 253;
    const MAX_LABEL: usize = 63;

    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(allowed)
    };
    if host.len() > MAX_NAME || !host.split('.').all(is_label) {
        return None;
    }
    // Browsers take any host whose last label is a number for an IPv4 address, and `127.1` or
    // `0x7f000001` for 127.0.0.1 (WHATWG URL §3.5): only the plain spelling is allowed.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number && host.parse::<Ipv4Addr>().is_err() {
        return None;
    }
    Some(host)
}

// Memory.

/// Memory that this process may use, in bytes: the least of the machine's and of the limits of its
/// control group and of all groups above it, under `root`. `None` where none of them is told.
fn memory_available(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| {
            let kibibytes = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            digits::<u64>(kibibytes.trim().strip_suffix(" kB")?)?.checked_mul(1024)
        });
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_limit(root, line));
    machine.into_iter().chain(limits).min()
}

/// The least limit along one line of `/proc/self/cgroup`, `hierarchy:controllers:path` (cgroups(7)).
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, file) = if controllers.is_empty() {
        (root.join("sys/fs/cgroup"), "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the path may be the host's, of which only the mount itself exists here.
    let group = mount.join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|directory| directory.starts_with(&mount))
        // Version 2 writes "max" for no limit, version 1 a number beyond any memory.
        .filter_map(|directory| digits(fs::read_to_string(directory.join(file)).ok()?.trim()))
        .min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE_FILE: &str = include_str!("../examples/authd.toml");

    type Variables<'a> = &'a [(&'a str, &'a str)];
    type Flags<'a> = &'a [(&'static str, &'a str)];

    /// Loads from these sources on a machine with 1 GiB.
    fn from_all(
        file: &str,
        environment: Variables<'_>,
        flags: Flags<'_>,
    ) -> Result<Loaded, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authd.toml");
        fs::write(&path, file).unwrap();
        let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
        load(Inputs {
            file: Some(path),
            flags: flags
                .iter()
                .map(|(key, text)| (*key, text.to_string()))
                .collect(),
            environment: environment.iter().map(owned).collect(),
            search: Vec::new(),
            memory: Some(GIB),
        })
    }

    fn from_file(file: &str) -> Result<Loaded, ConfigError> {
        from_all(file, &[], &[])
    }

    fn from_environment(environment: Variables<'_>) -> Result<Loaded, ConfigError> {
        from_all("", environment, &[])
    }

    fn from_flags(flags: Flags<'_>) -> Result<Loaded, ConfigError> {
        from_all("", &[], flags)
    }

    fn setting(loaded: &Loaded, name: &str) -> Setting {
        loaded
            .settings
            .iter()
            .find(|setting| setting.name == name)
            .unwrap()
            .clone()
    }

    /// The error, which must be fit to be shown and contain each of `parts`.
    #[track_caller]
    fn refused(outcome: Result<Loaded, ConfigError>, parts: &[&str]) {
        let error = outcome.expect_err("should be refused").to_string();
        assert!((1..=3).contains(&error.lines().count()), "{error}");
        for part in parts {
            assert!(error.contains(part), "no {part:?} in:\n{error}");
        }
    }

    #[test]
    fn the_defaults_are_safe_on_the_internet() {
        let loaded = from_file("").unwrap();
        assert!(
            loaded
                .settings
                .iter()
                .all(|setting| setting.source == Source::Default)
        );
        assert_eq!(
            loaded.config,
            Config {
                db: "authd.db".into(),
                listen: "127.0.0.1:8080".parse().unwrap(),
                public_url: PublicUrl::parse("http://127.0.0.1:8080").unwrap(),
                allow_http: false,
                registration: Registration::Closed,
                verification: Verification::Optional,
                password_min_length: 12,
                password_ram: ByteSize::mib(64),
                access_token_lifetime: Duration::from_secs(600),
                session_idle_lifetime: Duration::from_secs(30 * 86_400),
                session_lifetime: Duration::from_secs(180 * 86_400),
                replay_window: Duration::from_secs(60),
                signing_key_lifetime: Duration::from_secs(90 * 86_400),
                event_retention: Duration::from_secs(365 * 86_400),
                mail: Route::Off,
                mail_from: Author::parse("authd@localhost").unwrap(),
                trusted_proxies: vec![],
                cors_origins: vec![],
                max_connections: 512,
                log_format: LogFormat::Text,
                log_level: LogLevel::Info,
                accept_network_filesystem: false,
                max_db_size: None,
                warnings: vec![],
            }
        );
    }

    #[test]
    fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
        let file = "# mine\nlog_level = \"error\"\nlog_format = \"json\"\nmax_connections = 100\n";
        let environment = [
            ("AUTHD_LOG_LEVEL", "warn"),
            ("AUTHD_LOG_FORMAT", "text"),
            ("HOME", "/"),
        ];
        let flags = [("log_level", "info"), ("log_level", "debug")];
        let loaded = from_all(file, &environment, &flags).unwrap();
        let path = loaded.file.clone().unwrap();
        let expected = [
            ("log_level", "debug", Source::Flag),
            (
                "log_format",
                "text",
                Source::Environment("AUTHD_LOG_FORMAT".to_owned()),
            ),
            ("max_connections", "100", Source::File { path, line: 4 }),
            ("registration", "closed", Source::Default),
        ];
        for (name, text, source) in expected {
            let setting = setting(&loaded, name);
            assert_eq!(
                (setting.value_text.as_str(), setting.source),
                (text, source),
                "{name}"
            );
        }
        assert_eq!(loaded.config.log_level, LogLevel::Debug);
    }

    #[test]
    fn a_value_means_the_same_in_the_file_and_in_the_environment() {
        #[rustfmt::skip]
        let spellings = [
            ("db", r#""/var/lib/authd/a b.db""#, "/var/lib/authd/a b.db", "/var/lib/authd/a b.db"),
            ("listen", r#""[::1]:80""#, "[::1]:80", "[::1]:80"),
            ("max_connections", "1_000", "1000", "1000"),
            ("max_connections", r#""64""#, "64", "64"),
            ("max_connections", "0x40", "64", "64"),
            ("allow_http", "true", "true", "true"),
            ("registration", r#""open""#, "open", "open"),
            ("event_retention", r#""52weeks 1day""#, "52weeks 1day", "365d"),
            ("session_idle_lifetime", r#""12h""#, "720m", "12h"),
            ("replay_window", r#""90s""#, "1m 30s", "90s"),
            ("replay_window", r#""0s""#, "0s", "0s"),
            ("password_ram", r#""20 mib""#, "20480KiB", "20MiB"),
            ("max_db_size", r#""2MB""#, "2000000", "2000000B"),
            (
                "trusted_proxies",
                r#"["10.1.2.3/8", "::1", "192.0.2.7"]"#,
                "10.1.2.3/8, ::1,192.0.2.7",
                "10.0.0.0/8,::1/128,192.0.2.7/32",
            ),
            (
                "cors_origins",
                "[\n'https://App.Example:443', # a comment\n'http://localhost:3000'\n]",
                "HTTPS://app.example,http://localhost:3000",
                "https://app.example,http://localhost:3000",
            ),
            ("cors_origins", "[]", "", ""),
        ];
        for (name, literal, text, shown) in spellings {
            let file = from_file(&format!("{name} = {literal}")).unwrap();
            let variable = find_key(name).unwrap().variable();
            let environment = from_environment(&[(&variable, text)]).unwrap();
            assert_eq!(file.config, environment.config, "{name}");
            assert_eq!(setting(&file, name).value_text, shown, "{name}");
        }
    }

    #[test]
    fn what_is_printed_can_be_given_again() {
        let first = from_flags(&[
            ("public_url", "https://auth.example.com"),
            ("trusted_proxies", "10.0.0.0/8,::1"),
            ("cors_origins", "https://a.example,https://b.example"),
            ("password_ram", "33MiB"),
            ("replay_window", "61s"),
        ])
        .unwrap();
        let flags: Vec<_> = first
            .settings
            .iter()
            .map(|s| (s.name, s.value_text.as_str()))
            .collect();
        assert_eq!(from_flags(&flags).unwrap().config, first.config);
    }

    // req 1: the minimum can be set from 8 to 64. req 8: no hash with less than 19 MiB.
    #[test]
    fn every_bound_is_held_on_both_sides() {
        #[rustfmt::skip]
        let bounds: &[(&str, &[&str], &[&str])] = &[
            ("db", &["a"], &["", "a\0b"]),
            ("listen", &["127.0.0.1:0"], &["localhost:80", ":80", "127.0.0.1", "[::1]", ""]),
            ("allow_http", &["true", "false"], &["yes", "1", "True", ""]),
            ("registration", &["invite", "open"], &["Open", "invited", ""]),
            ("verification", &["optional", "required"], &["Required", "on", ""]),
            ("password_min_length", &["8", "64"], &["7", "65", "+8", "-8", "8.0", "", "９"]),
            ("password_ram", &["19MiB", "1TiB"], &["19MB", "64", "2TiB", "999999999EiB", "x"]),
            ("access_token_lifetime", &["1m", "1h"], &["59s", "3601s", "10", "-5m", "", "1.5m1ms"]),
            ("session_idle_lifetime", &["5m", "180d"], &["299s", "401d"]),
            ("session_lifetime", &["30d", "400d"], &["299s", "401d"]),
            ("replay_window", &["0s", "10m"], &["601s", "500ms"]),
            ("signing_key_lifetime", &["1d", "400d"], &["23h", "401d"]),
            ("event_retention", &["1d", "36500d"], &["23h", "36501d", "99999999999999999999d"]),
            (
                "mail",
                &["off", "log", "dir:mail", "smtp://h", "smtps://u:p@h:465"],
                &["on", "dir:", "smtp://", "smtp://u@h", "smtps://h?tls=none", "sendmail"],
            ),
            ("mail_from", &["a@b.c", "A B <a@b.c>"], &["", "a", "a@b\nc"]),
            ("trusted_proxies", &["10.0.0.1", "fd00::/8"], &["10.0.0.0/33", "proxy", "::1,,::1"]),
            ("cors_origins", &["https://a.b"], &["*", "null", "https://a.b/", "https://*.b"]),
            ("max_connections", &["16", "10000"], &["15", "10001"]),
            ("log_format", &["json"], &["JSON"]),
            ("log_level", &["error", "warn", "info", "debug"], &["trace"]),
            ("accept_network_filesystem", &["true"], &["nfs"]),
            ("max_db_size", &["0", "1MiB", "1TiB"], &["0B", "1023KiB", "1025GiB", ""]),
        ];
        for (name, right, wrong) in bounds {
            let key = find_key(name).unwrap();
            for text in *right {
                assert!(from_flags(&[(key.name, text)]).is_ok(), "{name} {text}");
            }
            for text in *wrong {
                let flag = format!("--{} ", name.replace('_', "-"));
                refused(
                    from_flags(&[(key.name, text)]),
                    &[&flag, "expected", "For example: --"],
                );
            }
        }
        let tested: Vec<_> = bounds
            .iter()
            .map(|(name, ..)| *name)
            .chain(["public_url"])
            .collect();
        assert!(
            KEYS.iter().all(|key| tested.contains(&key.name)),
            "a key without a line above"
        );
    }

    #[test]
    fn a_list_has_a_bound_and_a_refusal_names_the_entry() {
        let many = |count| vec!["10.0.0.1"; count].join(",");
        assert!(from_flags(&[("trusted_proxies", &many(MAX_LIST_ENTRIES))]).is_ok());
        refused(
            from_flags(&[("trusted_proxies", &many(MAX_LIST_ENTRIES + 1))]),
            &["at most 256"],
        );
        let wrong = r#"trusted_proxies = ["10.0.0.1", "10.0.0.300"]"#;
        refused(from_file(wrong), &[r#"refused: "10.0.0.300": expected"#]);
    }

    #[test] // req 63
    fn the_password_of_the_mail_server_is_never_told() {
        let url = "smtp://ann:s3cret@mail.example.com";
        let loaded = from_file(&format!("mail = \"{url}\"")).unwrap();
        assert_eq!(
            setting(&loaded, "mail").value_text,
            "smtp://ann:***@mail.example.com"
        );
        for wrong in [
            "smtp://ann:s3cret@",
            "smtp://ann:s3cret@h?x",
            "s3cret://a:s3cret@h",
        ] {
            let hidden = wrong.replace(":s3cret@", ":***@");
            let environment = [("AUTHD_MAIL", wrong)];
            for outcome in [
                from_flags(&[("mail", wrong)]),
                from_environment(&environment),
                from_file(&format!("mail = \"{wrong}\"")),
            ] {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(&hidden), "{error}");
                assert!(!error.contains(":s3cret"), "{error}");
            }
        }
    }

    #[test]
    fn mail_in_the_log_is_for_loopback_alone() {
        assert!(from_flags(&[("mail", "log")]).is_ok());
        let public = ("public_url", "https://auth.example.com");
        refused(
            from_flags(&[("mail", "log"), public]),
            &["--mail log", "mail = \"off\""],
        );
        let loaded = from_flags(&[("mail", "smtp://relay?tls=none"), public]).unwrap();
        assert_eq!(loaded.config.warnings.len(), 1);
        assert_eq!(
            setting(&loaded, "mail_from").value_text,
            "authd@auth.example.com"
        );
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place_and_a_right_one() {
        let file = "\n\nlisten = \"localhost:8080\"";
        let error = from_file(file).unwrap_err().to_string();
        let (refusal, example) = error.split_once('\n').unwrap();
        assert!(
            refusal.starts_with("listen = \"localhost:8080\" ("),
            "{error}"
        );
        assert!(
            refusal.ends_with(
                "authd.toml, line 3) is refused: expected an IP address, a colon and a port."
            ),
            "{error}"
        );
        assert_eq!(example, "For example: listen = \"127.0.0.1:8080\"");

        let environment = [("AUTHD_TRUSTED_PROXIES", "nginx")];
        assert_eq!(
            from_environment(&environment).unwrap_err().to_string(),
            "AUTHD_TRUSTED_PROXIES=nginx is refused: \"nginx\": expected an IP address or a \
             network.\nFor example: AUTHD_TRUSTED_PROXIES=10.0.0.0/8"
        );
        assert_eq!(
            from_flags(&[("max_connections", "many")])
                .unwrap_err()
                .to_string(),
            "--max-connections many is refused: expected a whole number from 16 to 10000.\n\
             For example: --max-connections 512"
        );
    }

    #[test]
    fn the_file_spells_each_type_in_one_way() {
        #[rustfmt::skip]
        let wrong = [
            ("replay_window = 60", "expected text in double quotes", "replay_window = \"60s\""),
            ("max_db_size = 1048576", "expected text in double quotes", "max_db_size = \"512MiB\""),
            ("db = true", "expected text in double quotes", "db = \"authd.db\""),
            ("allow_http = \"true\"", "expected true or false, without", "allow_http = false"),
            ("max_connections = 20.0", "expected a whole number", "max_connections = 512"),
            ("max_connections = 99999999999999999999", "expected a whole number", "= 512"),
            ("trusted_proxies = \"::1\"", "expected a list", "trusted_proxies = [\"10.0.0.0/8\"]"),
            ("cors_origins = [1]", "expected each entry", "[\"https://app.example\"]"),
            ("cors_origins = [\"https://a.b,https://c.d\"]", "expected each entry", "https://app"),
            ("log_level = 1979-05-27", "expected text in double quotes", "log_level = \"info\""),
        ];
        for (line, expected, example) in wrong {
            let given = format!("{line} (");
            refused(from_file(line), &[&given, "line 1)", expected, example]);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        #[rustfmt::skip]
        let rows = [
            ("\npublic-url = 1", ["line 2: unknown key public-url", "Did you mean public_url?"]),
            ("regsitration = 'open'", ["unknown key regsitration", "Did you mean registration?"]),
            ("zzz = 1", ["unknown key zzz", "Known keys: db, listen, public_url"]),
            ("listen = '127.0.0.1:1'\nport = 1\nzz = 1", ["line 2: unknown key port", ""]),
            ("\"\\u001b[2J\" = 1", ["unknown key \\u{1b}[2J", ""]),
        ];
        for (file, parts) in rows {
            refused(from_file(file), &parts);
        }
        refused(
            from_flags(&[("lisen", "x")]),
            &["lisen", "Did you mean listen?"],
        );
    }

    #[test] // the `.env` of a compose file has variables of its own (AUTHD_VERSION, AUTHD_TAG)
    fn an_unknown_variable_is_a_warning_with_the_nearest() {
        for variable in ["AUTHD_LISTEN_ADDR", "AUTHD_listen", "AUTHD_PORT"] {
            let environment = [(variable, "127.0.0.1:80")];
            let loaded = from_environment(&environment).expect("settings");
            let warned = loaded.config.warnings.join("\n");
            assert!(warned.contains(variable), "{warned}");
            assert!(warned.contains("AUTHD_LISTEN"), "{warned}");
        }
    }

    #[test] // fault 10: compose hands a variable that is not set on as an empty one
    fn an_empty_variable_is_unset() {
        for variable in [
            "AUTHD_MAIL",
            "AUTHD_LISTEN",
            "AUTHD_TRUSTED_PROXIES",
            "AUTHD_CONFIG",
        ] {
            let loaded = from_environment(&[(variable, "")]).expect("settings");
            assert!(loaded.config.warnings.is_empty());
            assert!(
                loaded
                    .settings
                    .iter()
                    .all(|setting| !matches!(setting.source, Source::Environment(_)))
            );
        }
    }

    #[test] // container platforms mount secrets as files
    fn a_setting_with_a_secret_can_come_from_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("mail");
        fs::write(&file, "smtp://ann:word@mail.example.org\n").expect("a file");
        let path = file.to_str().expect("a path");
        let both = [("AUTHD_MAIL_FILE", path), ("AUTHD_MAIL", "off")];
        refused(from_environment(&both), &["AUTHD_MAIL_FILE", "both set"]);
        let loaded = from_environment(&[("AUTHD_MAIL_FILE", path)]).expect("settings");
        assert!(loaded.config.mail != Route::Off);
        let missing = [("AUTHD_MAIL_FILE", "/nowhere/mail")];
        refused(
            from_environment(&missing),
            &["AUTHD_MAIL_FILE", "/nowhere/mail"],
        );
    }

    #[test]
    fn a_table_is_refused_even_if_it_has_a_settings_name() {
        #[rustfmt::skip]
        let rows = [
            ("[server]\nlisten = '127.0.0.1:1'", "server"),
            ("[listen]\naddress = 1", "listen"),
            ("listen.address = '127.0.0.1:1'", "listen"),
            ("listen = { address = 1 }", "listen"),
            ("[[rule]]\nhost = 'a'", "rule"),
            ("cors_origins = [{}]", "cors_origins"),
        ];
        for (file, name) in rows {
            refused(
                from_file(file),
                &[&format!("line 1: {name} is a table"), "file is flat"],
            );
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_with_its_line() {
        #[rustfmt::skip]
        let rows = [
            ("listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'", "line 2: duplicate key"),
            ("db = 'a'\n\nlisten = 127.0.0.1:8080", "line 3: "),
            ("db", "line 1: "),
            ("db = \"a", "line 1: "),
        ];
        for (file, line) in rows {
            refused(
                from_file(file),
                &[line, "A line is `key = value`, each key once, text in"],
            );
        }
    }

    #[test]
    fn variables_of_a_kubernetes_service_are_not_ours() {
        let environment = [
            ("AUTHD_SERVICE_HOST", "10.0.0.1"),
            ("AUTHD_SERVICE_PORT", "80"),
            ("AUTHD_SERVICE_PORT_HTTP", "80"),
            ("AUTHD_PORT", "tcp://10.0.0.1:80"),
            ("AUTHD_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("AUTHD_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("AUTHD_METRICS_SERVICE_HOST", "10.0.0.2"),
        ];
        let loaded = from_environment(&environment).unwrap();
        assert!(
            loaded
                .settings
                .iter()
                .all(|setting| setting.source == Source::Default)
        );
    }

    // req 25: links are built from this URL, so it has one meaning.
    #[test]
    fn a_public_url_has_one_spelling() {
        #[rustfmt::skip]
        let rows = [
            ("https://auth.example.com", "https://auth.example.com", "auth.example.com"),
            ("https://auth.example.com/", "https://auth.example.com", "auth.example.com"),
            ("HTTPS://Auth.Example.COM:443", "https://auth.example.com", "auth.example.com"),
            ("https://a.example:8443/", "https://a.example:8443", "a.example"),
            ("https://a.example:080", "https://a.example:80", "a.example"),
            ("http://localhost:80", "http://localhost", "localhost"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1"),
            ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080", "[::1]"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
                "xn--bcher-kva.example",
            ),
            ("https://auth_1", "https://auth_1", "auth_1"),
        ];
        for (text, url, host) in rows {
            let parsed = PublicUrl::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (url, host));
            assert_eq!(parsed.origin().as_str(), url);
            assert_eq!(parsed.is_https(), url.starts_with("https:"));
        }
        #[rustfmt::skip]
        let rows = [
            ("", "does not begin"),
            ("auth.example.com", "does not begin"),
            ("//auth.example.com", "does not begin"),
            ("ftp://auth.example.com", "does not begin"),
            (" https://auth.example.com", "does not begin"),
            ("https:/", "does not begin"),
            ("https://", "does not begin"),
            ("https:///", "host"),
            ("https://a.example/auth", "path"),
            ("https://a.example//", "path"),
            ("https://a.example?x", "query"),
            ("https://a.example#x", "fragment"),
            ("https://user@a.example", "user name"),
            ("https://user:pass@a.example/", "user name"),
            ("https:\\\\a.example", "does not begin"),
            ("https://a.example\\b", "backslash"),
            ("https://a.example:", "port"),
            ("https://a.example:+1", "port"),
            ("https://a.example:65536", "port"),
            ("https://a.example:80:80", "host"),
            ("https://:80", "host"),
            ("https://a..example", "host"),
            ("https://a.example.", "host"),
            ("https://*.example", "host"),
            ("https://a example", "host"),
            ("https://a%2eexample", "host"),
            ("https://b\u{fc}cher.example", "host"),
            ("https://::1", "host"),
            ("https://[::1", "host"),
            ("https://[::1]x", "host"),
            ("https://[fe80::1%25eth0]", "host"),
            ("https://127.1", "host"),
            ("https://0x7f.1", "host"),
            ("https://0x7f000001", "host"),
            ("https://2130706433", "host"),
            ("https://127.0.0.01", "host"),
            ("https://a.1", "host"),
        ];
        for (text, why) in rows {
            let error = PublicUrl::parse(text).expect_err(text);
            let (error, _) = error.split_once("; expected https://").unwrap();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        #[rustfmt::skip]
        let rows = [
            ("http://localhost:8080", true),
            ("http://LOCALHOST", true),
            ("http://127.0.0.1", true),
            ("https://127.255.255.254", true),
            ("http://[::1]", true),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("http://128.0.0.1", false),
            ("http://0.0.0.0", false),
            ("http://[::]", false),
            ("http://192.168.1.2", false),
        ];
        for (text, loopback) in rows {
            assert_eq!(
                PublicUrl::parse(text).unwrap().is_loopback(),
                loopback,
                "{text}"
            );
        }
    }

    #[test]
    fn the_public_url_follows_a_loopback_listener_and_no_other() {
        #[rustfmt::skip]
        let rows = [
            ("127.0.0.1:80", Some("http://127.0.0.1")),
            ("127.0.0.2:9000", Some("http://127.0.0.2:9000")),
            ("[::1]:8080", Some("http://[::1]:8080")),
            ("0.0.0.0:8080", None),
            ("[::]:8080", None),
            ("192.168.1.2:80", None),
        ];
        for (listen, url) in rows {
            let loaded = from_flags(&[("listen", listen)]);
            let Some(url) = url else {
                refused(
                    loaded,
                    &[
                        "public_url is missing",
                        listen,
                        "--public-url https://auth.example.com",
                    ],
                );
                continue;
            };
            let setting = setting(&loaded.unwrap(), "public_url");
            assert_eq!(
                (setting.value_text.as_str(), setting.source),
                (url, Source::Default)
            );
        }
    }

    #[test]
    fn http_beyond_this_machine_must_be_asked_for_and_is_warned_about() {
        let file = "public_url = 'http://auth.lan'";
        refused(
            from_file(file),
            &["auth.lan", "line 1", "https://", "allow_http = true"],
        );
        let asked = from_file(&format!("{file}\nallow_http = true")).unwrap();
        assert!(asked.config.warnings[0].contains("http://auth.lan"));
        for quiet in ["https://auth.lan", "http://localhost"] {
            let loaded = from_flags(&[("public_url", quiet), ("allow_http", "true")]).unwrap();
            assert!(loaded.config.warnings.is_empty());
        }
    }

    // req 62: forwarding headers are honoured from named proxies only.
    #[test]
    fn trusting_everybody_is_warned_about() {
        for (text, warnings) in [("0.0.0.0/0,::/0", 2), ("10.0.0.0/8", 0), ("0.0.0.0", 0)] {
            let loaded = from_flags(&[("trusted_proxies", text)]).unwrap();
            assert_eq!(loaded.config.warnings.len(), warnings, "{text}");
        }
    }

    // req 34: both limits hold, so one can't make the other meaningless.
    #[test]
    fn a_session_is_not_idle_for_longer_than_it_lives() {
        let equal = [("session_idle_lifetime", "1h"), ("session_lifetime", "1h")];
        assert!(from_flags(&equal).is_ok());
        refused(
            from_flags(&[("session_idle_lifetime", "181d")]),
            &["session_lifetime = \"180d\" (default) is shorter than --session-idle-lifetime 181d"],
        );
    }

    #[test]
    fn a_named_file_must_be_readable_and_a_searched_one_may_be_missing() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("first.toml"), "max_connections = 100").unwrap();
        fs::write(at("second.toml"), "max_connections = 200").unwrap();
        fs::write(at("latin1.toml"), b"# a\ndb = 'b\xfccher'").unwrap();
        fs::write(at("large.toml"), vec![b'\n'; MAX_FILE_BYTES as usize + 1]).unwrap();
        let search = vec![at("missing.toml"), at("first.toml"), at("second.toml")];
        let by_variable = |name| vec![(FILE_VARIABLE.to_owned(), at(name).display().to_string())];

        let found = load(Inputs {
            search: search.clone(),
            ..Inputs::default()
        })
        .unwrap();
        assert_eq!(found.file, Some(at("first.toml")));
        assert_eq!(found.config.max_connections, 100);
        let environment = by_variable("second.toml");
        let inputs = Inputs {
            search,
            environment,
            ..Inputs::default()
        };
        assert_eq!(load(inputs.clone()).unwrap().config.max_connections, 200);
        let file = Some(at("first.toml"));
        assert_eq!(
            load(Inputs { file, ..inputs })
                .unwrap()
                .config
                .max_connections,
            100
        );
        assert_eq!(load(Inputs::default()).unwrap().file, None);

        let named = |name| {
            load(Inputs {
                file: Some(at(name)),
                ..Inputs::default()
            })
        };
        refused(
            named("missing.toml"),
            &["Can't read", "missing.toml", "--config names"],
        );
        refused(named("large.toml"), &["more than 262144 bytes"]);
        refused(named(""), &["Can't read", "directory"]);
        refused(
            named("latin1.toml"),
            &["latin1.toml, line 2: not valid UTF-8", "UTF-8."],
        );
        let environment = by_variable("missing.toml");
        refused(
            load(Inputs {
                environment,
                ..Inputs::default()
            }),
            &["missing.toml", "AUTHD_CONFIG names"],
        );
        let search = vec![at("")];
        refused(
            load(Inputs {
                search,
                ..Inputs::default()
            }),
            &["Can't read", "--config"],
        );
    }

    #[test]
    fn password_ram_is_a_quarter_of_the_memory_within_bounds() {
        #[rustfmt::skip]
        let rows = [
            (None, "19MiB"),
            (Some(0), "19MiB"),
            (Some(48 * MIB), "19MiB"),
            (Some(100 * MIB), "25MiB"),
            (Some(103 * MIB), "25MiB"),
            (Some(256 * MIB), "64MiB"),
            (Some(u64::MAX), "64MiB"),
        ];
        for (memory, text) in rows {
            let loaded = load(Inputs {
                memory,
                ..Inputs::default()
            })
            .unwrap();
            assert_eq!(
                setting(&loaded, "password_ram").value_text,
                text,
                "{memory:?}"
            );
        }
    }

    #[test] // the smallest supported machine has 48 MiB
    fn connections_fit_a_quarter_of_the_memory() {
        for (memory, text) in [
            (None, "64"),
            (Some(48 * MIB), "76"),
            (Some(128 * MIB), "204"),
            (Some(u64::MAX), "512"),
        ] {
            let loaded = load(Inputs {
                memory,
                ..Inputs::default()
            })
            .unwrap();
            assert_eq!(
                setting(&loaded, "max_connections").value_text,
                text,
                "{memory:?}"
            );
        }
    }

    #[test]
    fn memory_is_the_least_of_the_machine_and_every_control_group() {
        const V1_UNLIMITED: &str = "9223372036854771712\n";
        let available = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = root.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            memory_available(root.path())
        };
        let machine = ("proc/meminfo", "MemTotal:    1048576 kB\nMemFree: 1 kB\n");
        let group = |text| ("proc/self/cgroup", text);
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[machine]), Some(GIB));
        assert_eq!(available(&[("proc/meminfo", "MemTotal: lots\n")]), None);
        assert_eq!(
            available(&[machine, group("nonsense\n0::\n:::::\n\n")]),
            Some(GIB)
        );

        let limit = |text| ("sys/fs/cgroup/memory.max", text);
        assert_eq!(
            available(&[machine, group("0::/\n"), limit("max\n")]),
            Some(GIB)
        );
        assert_eq!(
            available(&[machine, group("0::/\n"), limit("50331648\n")]),
            Some(48 * MIB)
        );
        let a_slice_with_less_than_its_service = [
            machine,
            group("0::/a.slice/authd.service\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "104857600\n"),
            (
                "sys/fs/cgroup/a.slice/authd.service/memory.max",
                "209715200\n",
            ),
        ];
        assert_eq!(
            available(&a_slice_with_less_than_its_service),
            Some(100 * MIB)
        );

        let version_1 = |text| ("sys/fs/cgroup/memory/memory.limit_in_bytes", text);
        let path_of_the_host = group("5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/docker/0123\n");
        let limited = [machine, path_of_the_host, version_1("67108864\n")];
        assert_eq!(available(&limited), Some(64 * MIB));
        let unlimited = [machine, path_of_the_host, version_1(V1_UNLIMITED)];
        assert_eq!(available(&unlimited), Some(GIB));
    }

    #[test]
    fn a_process_has_inputs() {
        let flags = vec![("log_level", "debug".to_owned())];
        let inputs = Inputs::from_process(Some("a.toml".into()), flags.clone()).unwrap();
        assert_eq!((inputs.file, inputs.flags), (Some("a.toml".into()), flags));
        assert!(
            inputs
                .environment
                .iter()
                .all(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        );
        assert_eq!(inputs.search[0], Path::new("authd.toml"));
    }

    #[test]
    fn a_service_manager_says_how_it_wants_to_be_told() {
        let read = |pairs: Variables<'_>| {
            let variable = |name: &str| {
                let pair = pairs.iter().find(|(known, _)| *known == name);
                pair.map(|(_, value)| OsString::from(value))
            };
            let found = Supervision::read(variable, 42);
            found.map(|found| (found.socket, found.watchdog.map(|time| time.as_micros())))
        };
        let (socket, micros) = (("NOTIFY_SOCKET", "@sd"), ("WATCHDOG_USEC", "3000000"));
        let rows: [(Variables<'_>, _); 9] = [
            (&[], None),
            (&[("NOTIFY_SOCKET", "")], None),
            (&[("WATCHDOG_USEC", "3000000")], None),
            (&[socket], Some(None)),
            (&[socket, micros], Some(Some(3_000_000))),
            (
                &[socket, micros, ("WATCHDOG_PID", "42")],
                Some(Some(3_000_000)),
            ),
            (&[socket, micros, ("WATCHDOG_PID", "41")], Some(None)),
            (&[socket, ("WATCHDOG_USEC", "0")], Some(None)),
            (&[socket, ("WATCHDOG_USEC", "-1")], Some(None)),
        ];
        for (pairs, expected) in rows {
            let expected = expected.map(|watchdog| (OsString::from("@sd"), watchdog));
            assert_eq!(read(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn every_key_can_be_read_and_documented() {
        for key in KEYS {
            let loaded = from_flags(&[("allow_http", "true"), (key.name, key.example)]);
            assert!(
                loaded.is_ok(),
                "the example of {}: {}",
                key.name,
                loaded.unwrap_err()
            );
            let description = key.description();
            assert!(
                description.ends_with('.') && description.len() <= 100,
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn the_example_file_has_every_key_with_its_default() {
        let is_setting = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
        let settings: Vec<&str> = EXAMPLE_FILE
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(is_setting)
            .collect();
        assert!(
            EXAMPLE_FILE
                .lines()
                .all(|line| line.is_empty() || line.starts_with('#'))
        );
        assert!(EXAMPLE_FILE.lines().all(|line| line.chars().count() <= 100));

        let keys: Vec<_> = settings
            .iter()
            .map(|line| line.split(" = ").next().unwrap())
            .collect();
        assert_eq!(keys, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
        let loaded = from_file(&settings.join("\n")).unwrap();
        assert!(
            loaded
                .settings
                .iter()
                .all(|s| matches!(s.source, Source::File { .. }))
        );
        assert_eq!(loaded.config, from_file("").unwrap().config);
        assert_eq!(from_file(EXAMPLE_FILE).unwrap().config, loaded.config);
    }

    /// The error of a file, if any, must be fit to be shown.
    fn judge(bytes: &[u8]) {
        let mut sources = Sources {
            unknown: Vec::new(),
            given: BTreeMap::new(),
            memory: None,
        };
        let outcome = sources.add_file(Path::new("authd.toml"), bytes);
        if let Err(error) = outcome.and_then(|()| sources.read_all().map(drop)) {
            let error = error.to_string();
            assert!((1..=3).contains(&error.lines().count()), "{error}");
            assert!(
                !error.contains(|c: char| c.is_control() && c != '\n'),
                "{error:?}"
            );
        }
    }

    proptest! {
        // A failing case is printed; nothing is left in the source tree.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_a_file_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            judge(&bytes);
        }

        #[test]
        fn any_value_of_any_key_is_read_or_refused(
            key in prop::sample::select(KEYS),
            value in r#"[\[{"']?[0-9a-z:/.,@\[\] =#\\\PC]{0,24}[\]}"']?"#,
        ) {
            judge(format!("{} = {value}", key.name).as_bytes());
            let flags = vec![(key.name, value)];
            let _ = load(Inputs { flags, ..Inputs::default() });
        }

        #[test]
        fn a_public_url_that_is_accepted_reads_as_itself(
            text in r"(https?://)?[a-zA-Z0-9.:\[\]@/_-]{0,16}",
        ) {
            if let Ok(url) = PublicUrl::parse(&text) {
                prop_assert_eq!(PublicUrl::parse(url.as_str()), Ok(url.clone()));
                prop_assert!(!url.as_str().ends_with('/') && !url.host().contains('@'));
            }
        }

        #[test]
        fn a_shown_duration_or_size_is_exact(count in 0..u64::MAX / 2) {
            let time = Duration::from_secs(count);
            prop_assert_eq!(humantime::parse_duration(&time.show()), Ok(time));
            prop_assert_eq!(ByteSize(count).show().parse(), Ok(ByteSize(count)));
        }
    }
}
