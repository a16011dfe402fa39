//! Clients: who asks for tokens.
//!
//! First-party sessions belong to the built-in public client `authd`, which every file has from its first start.
//! `/v1` takes only its access tokens and `/v1/sessions/refresh` only its families, so that an application that
//! somebody signed in to can never act on that person's account.

use crate::ids::ClientKey;
use crate::store::{Broken, Tx, params};

/// The `client_id` of first-party sessions.
pub const FIRST_PARTY: &str = "authd";

/// The row of the built-in client: the first one, made with the file.
pub(in crate::service) const FIRST_PARTY_KEY: ClientKey = ClientKey::from_row(1);

/// Makes the built-in client.
pub(in crate::service) fn create_first_party(tx: &Tx<'_>) -> Result<(), Broken> {
    tx.run(
        "INSERT INTO client (id, client_id, name, created_at) VALUES (?1, ?2, 'authd', ?3)",
        params![FIRST_PARTY_KEY, FIRST_PARTY, tx.now],
    )?;
    Ok(())
}
