//! The pass with which `authd doctor` asks a running server what arrives of a request.
//!
//! What a server sees of proxies and addresses is nobody's business but the operator's, and an operator is who can read
//! the file. So the pass is made from the file alone, with its tag key, and nothing is written: whoever presents it has
//! read the key within the last minute. It opens one route, which tells whoever asks about their own request.

use std::time::Duration;

use crate::clock::Clock;
use crate::secret::TagKey;
use crate::service::{Authd, Error};
use crate::store::{ReadOnlyDatabase, params};

/// How long a pass is good for: as long as a few requests take.
const LIFETIME: Duration = Duration::from_secs(60);

/// Makes a pass for the server of this file. `None` if it was never served.
///
/// # Errors
/// [`Error::Broken`] if the file can't be read.
pub fn issue(database: &ReadOnlyDatabase, clock: &Clock) -> Result<Option<String>, Error> {
    let key: Option<TagKey> = database.read(clock.wall(), |tx| {
        tx.row(
            "SELECT tag_key FROM server WHERE id = 1",
            params![],
            |row| row.get(0),
        )
    })?;
    Ok(key.map(|key| key.pass(clock.wall().plus(LIFETIME))))
}

impl Authd {
    /// Whether this is a pass for this server's file, made within the last minute by this machine's clock.
    pub fn admits(&self, pass: &str) -> bool {
        let now = self.clock.wall();
        let end = self.settings.tag_key.end_of_pass(pass);
        end.is_some_and(|end| now < end && end <= now.plus(LIFETIME))
    }
}
