//! Defaults that depend on another setting or on the machine's memory.

use std::net::Ipv4Addr;

use bytesize::{ByteSize, MIB};

use super::ConfigError;
use super::origin::PublicUrl;
use super::sources::Sources;
use super::table::{Config, Key, ONE_HASH};
use super::values::Value;

/// Largest default memory for password hashing: three hashes at once keep two cores busy, and more hashes would only help
/// an attacker who floods the sign-in.
pub(super) const DEFAULT_PASSWORD_RAM_LIMIT: ByteSize = ByteSize::mib(64);

/// What a connection takes at the most, in bytes, whatever its client sends and whether or not it reads the answer. Measured
/// with the release build over all routes: 335 KiB after a body of full size that is one long member name, 285 KiB with an
/// unread list of 100 sessions, 87 KiB after `GET /healthz`. A test holds it (`tests/it/server/memory.rs`).
pub(super) const LARGEST_CONNECTION: u64 = 352 * 1024;

/// Bounds of the default of `max_connections`.
const FEWEST_CONNECTIONS: u64 = 32;
const MOST_CONNECTIONS: u64 = 512;

/// Memory of the process without connections and password hashing, in bytes: measured under load.
pub(super) const BASE_MEMORY: u64 = 16 * MIB;

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

pub(super) fn quarter_in_connections(sources: &Sources) -> Result<String, ConfigError> {
    let fitting = sources.memory.unwrap_or(0) / 4 / LARGEST_CONNECTION;
    Ok(fitting
        .clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS)
        .to_string())
}

pub(super) fn author_of_public_url(sources: &Sources) -> Result<String, ConfigError> {
    let url = sources.find(&Key::public_url)?.text.ok();
    let url = url.and_then(|text| PublicUrl::parse(&text).ok());
    // After the @ is a domain name. An IP address would need brackets (RFC 5321 §4.1.3).
    let is_name = |host: &&str| !host.starts_with('[') && host.parse::<Ipv4Addr>().is_err();
    let host = url.as_ref().map(PublicUrl::host).filter(is_name);
    Ok(format!("authd@{}", host.unwrap_or("localhost")))
}

pub(super) fn host_of_public_url(sources: &Sources) -> Result<String, ConfigError> {
    let url = sources.find(&Key::public_url)?.text.ok();
    let url = url.and_then(|text| PublicUrl::parse(&text).ok());
    Ok(url.map_or_else(|| "authd".to_owned(), |url| url.host().to_owned()))
}

pub(super) fn quarter_of_memory(sources: &Sources) -> Result<String, ConfigError> {
    // If the memory is not known, the smallest value that works.
    let quarter = ByteSize(sources.memory.unwrap_or(0) / 4);
    let whole_mebibytes = ByteSize::mib(quarter.as_u64() / MIB);
    Ok(whole_mebibytes
        .clamp(ONE_HASH, DEFAULT_PASSWORD_RAM_LIMIT)
        .show())
}

pub(super) fn public_url_of_listener(sources: &Sources) -> Result<String, ConfigError> {
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
