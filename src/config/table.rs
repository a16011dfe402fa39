//! The table of settings: every key with its type, default, bounds and parser.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;

use super::ConfigError;
use super::defaults::{
    BASE_MEMORY, LARGEST_CONNECTION, ONE_HASH, quarter_in_connections, quarter_of_memory,
};
use super::key::{Derive, Key, Setting, Sources, VARIABLE_PREFIX};
use super::origin::{Origin, PublicUrl};
use super::values::{
    Colour, LogFormat, LogLevel, Value, duration, list, network, number, optional_colour,
    optional_path, path, size, size_or_zero, socket_address, switch, title, word,
};
use crate::mail::{Author, Route};
use crate::policy::{Registration, Verification};

/// The one variable that is not a setting: it names the file.
pub(super) const FILE_VARIABLE: &str = "AUTHD_CONFIG";

/// Settings that may hold a secret: each can be read from a file that `AUTHD_<KEY>_FILE` names, as container platforms
/// mount secrets.
pub(super) const SECRET_KEYS: [&str; 1] = ["mail"];

/// A larger size is a typing mistake. It also keeps the page count of the largest database, at
/// SQLite's 4 KiB a page, far below its limit of 2^32 - 2.
pub(super) const MAX_SIZE: ByteSize = ByteSize::tib(1);

/// Smallest bound on the database: the schema, the keys and some hundred sessions fit.
pub(super) const MIN_DB_SIZE: ByteSize = ByteSize::mib(1);

pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);

/// Longest lifetime of a session: browsers keep a cookie for 400 days at most (RFC 6265bis). Signing keys have the same
/// bound.
pub(super) const LONGEST_LIFE: Duration = days(400);

/// A longer retention is a typing mistake. The bound also keeps sums of times from overflowing.
pub(super) const LONGEST_RETENTION: Duration = days(36_500);

pub(super) const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

/// Declares the settings. An entry reads:
///
/// ```text
/// /// One line that says what it is, for the documentation of the field and for docs/settings.md.
/// name: Type = "default" like "example" => parser;
/// name: Type = "default in words" from function like "example" => parser;
/// ```
///
/// Without `like`, the default is the example, too. `from` computes a default that depends on other settings or on the
/// machine; the text before it then only describes the default.
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
            /// Warnings of values that are allowed but dangerous: one sentence each, logged at each start.
            pub warnings: Vec<String>,
        }

        #[expect(non_upper_case_globals, reason = "a key is spelled as in the file")]
        impl Key {
            $(pub(super) const $name: Key = Key {
                name: stringify!($name),
                // Without the space after the comment's slashes.
                description: $description.trim_ascii_start(),
                default: $default,
                // The first element is the optional one, if the entry has it.
                derive: [$(Some($derive as Derive),)? None][0],
                example: [$($example,)? $default][0],
                form: <$type as Value>::FORM,
            };)+
        }

        /// Every setting, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key::$name),+];

        impl Sources {
            /// Reads every key of the table, in its order.
            pub(super) fn read_all(&self) -> Result<(Config, Vec<Setting>), ConfigError> {
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
    /// URL that clients use, without a path; it is the issuer of every token.
    public_url: PublicUrl = "`http://localhost:PORT` if `listen` is loopback, else required"
        from public_url_of_listener like "https://auth.example.com" => PublicUrl::parse;
    /// Allow a public URL without TLS that is not loopback: passwords travel in the clear.
    allow_http: bool = "false" => switch;
    /// Who may create an account: `closed` (operators), `invite` (also invited users) or `open` (everyone).
    registration: Registration = "closed" => word;
    /// Whether an address must be confirmed before the account exists: `optional` or `required`.
    verification: Verification = "optional" => word;
    /// Fewest characters in a new password, 8 to 64; NIST asks for 15 without a second factor.
    password_min_length: usize = "12" => number(8..=64);
    /// Memory for password hashing, at least `19MiB`, enough for one hash; other sign-ins wait.
    password_ram: ByteSize = "a quarter of the memory, `19MiB` to `64MiB`"
        from quarter_of_memory like "64MiB" => size(ONE_HASH..=MAX_SIZE);
    /// Lifetime of an access token, `1m` to `1h`; offline verifiers accept it until it ends.
    access_token_lifetime: Duration = "10m" => duration(MINUTE..=HOUR);
    /// A session ends when it was not used for this long, `5m` to `400d`.
    session_idle_lifetime: Duration = "30d" => duration(5 * MINUTE..=LONGEST_LIFE);
    /// A session ends this long after sign-in, even if it is used; idle lifetime to `400d`.
    session_lifetime: Duration = "180d" => duration(5 * MINUTE..=LONGEST_LIFE);
    /// For this long a client may repeat a refresh and gets the same answer, `0s` to `10m`.
    replay_window: Duration = "60s" => duration(Duration::ZERO..=10 * MINUTE);
    /// A signing key is replaced when it is this old, `1d` to `400d`.
    signing_key_lifetime: Duration = "90d" => duration(days(1)..=LONGEST_LIFE);
    /// Security events are kept for this long, at least `1d`.
    event_retention: Duration = "365d" => duration(days(1)..=LONGEST_RETENTION);
    /// Where mail goes: `off`, `log` (on loopback only), `dir:PATH`, `smtp://…` or `smtps://…`.
    mail: Route = "off" like "smtp://user:password@mail.example.com" => Route::parse;
    /// Sender of mail: an address, or a name with an address.
    mail_from: Author = "`authd@` and the host of `public_url`"
        from author_of_public_url like "authd@example.com" => Author::parse;
    /// Name of this installation, which pages and messages show; at most 64 characters.
    brand_name: String = "the host of `public_url`" from host_of_public_url like "Example" => title;
    /// Logo on the pages: an SVG, PNG, JPEG or WebP file of at most 64 KiB.
    brand_logo: Option<PathBuf> = "" like "/etc/authd/logo.svg" => optional_path;
    /// Colour whose hue the pages use, as `#rrggbb`.
    brand_accent: Option<Colour> = "" like "#0f766e" => optional_colour;
    /// PEM file of certificates that requests to other servers trust, in addition to those of the system.
    outgoing_ca: Option<PathBuf> = "" like "/etc/authd/ca.pem" => optional_path;
    /// Proxies whose `X-Forwarded-For` header is used, as addresses or networks.
    trusted_proxies: Vec<IpNet> = "" like "10.0.0.0/8" => list(network);
    /// Origins of web apps that may call the API from a browser.
    cors_origins: Vec<Origin> = "" like "https://app.example" => list(Origin::parse_of_page);
    /// Most connections at once, 16 to 10000; each takes a thread while it lives.
    max_connections: usize = "what fits a quarter of the memory, `32` to `512`"
        from quarter_in_connections like "512" => number(16..=10_000);
    /// Log lines as `text` for people or `json` for programs.
    log_format: LogFormat = "text" => word;
    /// Least severe message that is logged: `error`, `warn`, `info` or `debug`.
    log_level: LogLevel = "info" => word;
    /// Start on NFS, SMB or 9p, where SQLite can lose data.
    accept_network_filesystem: bool = "false" => switch;
    /// Largest size of the database file, at least `1MiB`; `0` means no limit.
    max_db_size: Option<ByteSize> = "0" like "512MiB" => size_or_zero(MIN_DB_SIZE..=MAX_SIZE);
}

pub(super) fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The setting that is read from the file that the variable `name` names, such as `MAIL_FILE`.
pub(super) fn secret_of(name: &str) -> Option<&'static Key> {
    let key = name.strip_suffix("_FILE")?.to_ascii_lowercase();
    find_key(&key).filter(|key| SECRET_KEYS.contains(&key.name))
}

/// Whether the value of this `AUTHD_…` variable is used.
pub(super) fn is_read(variable: &str) -> bool {
    let name = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or_default();
    let is_key = KEYS.iter().any(|key| key.variable() == variable);
    is_key || variable == FILE_VARIABLE || secret_of(name).is_some()
}

// Defaults that depend on another setting.

fn author_of_public_url(sources: &Sources) -> Result<String, ConfigError> {
    let url = sources.find(&Key::public_url)?.text.ok();
    let url = url.and_then(|text| PublicUrl::parse(&text).ok());
    // After the @ is a domain name. An IP address would need brackets (RFC 5321 §4.1.3).
    let is_name = |host: &&str| !host.starts_with('[') && host.parse::<Ipv4Addr>().is_err();
    let host = url.as_ref().map(PublicUrl::host).filter(is_name);
    Ok(format!("authd@{}", host.unwrap_or("localhost")))
}

fn host_of_public_url(sources: &Sources) -> Result<String, ConfigError> {
    let url = sources.find(&Key::public_url)?.text.ok();
    let url = url.and_then(|text| PublicUrl::parse(&text).ok());
    Ok(url.map_or_else(|| "authd".to_owned(), |url| url.host().to_owned()))
}

fn public_url_of_listener(sources: &Sources) -> Result<String, ConfigError> {
    let listen = sources.find(&Key::listen)?;
    let address = listen.text.ok().and_then(|text| text.parse().ok());
    match address.and_then(PublicUrl::of_listener) {
        Some(url) => Ok(url.to_string()),
        None => Err(ConfigError(format!(
            "{} is missing, and {} does not tell the name under which clients reach the server.\n\
             Set the URL that clients use, for example: {}",
            Key::public_url.name,
            listen.spelled,
            Key::public_url.spell(&listen.source, Key::public_url.example),
        ))),
    }
}

impl Config {
    /// The most memory that the server needs with these settings, in bytes: every connection at its largest, and all of
    /// `password_ram`.
    pub fn most_memory(&self) -> u64 {
        self.least_memory() + self.max_connections as u64 * LARGEST_CONNECTION
    }

    /// The memory that it needs with few connections while many users sign in, in bytes.
    pub fn least_memory(&self) -> u64 {
        BASE_MEMORY + self.password_ram.as_u64()
    }
}
