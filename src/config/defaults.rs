//! Defaults that depend on the machine's memory.

use bytesize::{ByteSize, MIB};

use super::ConfigError;
use super::key::Sources;
use super::values::Value;

/// Memory of one Argon2id hash at the weakest parameters that authd uses (m = 19456 KiB).
/// With less than this no password could be checked. (req 8)
pub(super) const ONE_HASH: ByteSize = ByteSize::mib(19);

/// Largest default memory for password hashing: three hashes at once keep two cores busy, and more hashes would only help
/// an attacker who floods the sign-in.
pub(super) const DEFAULT_PASSWORD_RAM_LIMIT: ByteSize = ByteSize::mib(64);

/// The most memory of a connection, in bytes. The client may send any request, and need not read the answer. Measured
/// with the release build over all routes: 335 KiB after a body of full size that is one long member name, 285 KiB with an
/// unread list of 100 sessions, 87 KiB after `GET /healthz`. A test holds it (`tests/it/server/memory.rs`).
pub(super) const LARGEST_CONNECTION: u64 = 352 * 1024;

/// Bounds of the default of `max_connections`.
const FEWEST_CONNECTIONS: u64 = 32;
const MOST_CONNECTIONS: u64 = 512;

/// Memory of the process without connections and password hashing, in bytes: measured under load.
pub(super) const BASE_MEMORY: u64 = 16 * MIB;

pub(super) fn quarter_in_connections(sources: &Sources) -> Result<String, ConfigError> {
    let fitting = sources.memory.unwrap_or(0) / 4 / LARGEST_CONNECTION;
    Ok(fitting
        .clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS)
        .to_string())
}

pub(super) fn quarter_of_memory(sources: &Sources) -> Result<String, ConfigError> {
    // If the memory is not known, the smallest value that works.
    let quarter = ByteSize(sources.memory.unwrap_or(0) / 4);
    let whole_mebibytes = ByteSize::mib(quarter.as_u64() / MIB);
    Ok(whole_mebibytes
        .clamp(ONE_HASH, DEFAULT_PASSWORD_RAM_LIMIT)
        .show())
}
