//! Apps that have access to an account, for its owner: which, since when, to what, from which sessions; and the end of it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{AccountKey, ClientKey, FamilyKey};
use crate::service::event::Kind;
use crate::service::oauth::grant::end_family;
use crate::service::session::Ended;
use crate::service::{Actor, Authd, Device, Error};
use crate::store::{Broken, ReadTx, params};

/// An app that may see something of the account, or is signed in to it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AppWithAccess {
    /// What the app presents.
    pub client_id: String,
    /// What people call it.
    pub name: String,
    /// What the account owner allowed, separated by spaces.
    pub scope: String,
    /// When that was agreed last.
    pub allowed_at: Timestamp,
    /// When the app was used last; absent if it is signed in nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// In how many sessions it is signed in.
    pub sessions: u32,
}

impl Authd {
    /// The apps that have access to the account of the client that asks, by name.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn apps(&self, actor: &Actor) -> Result<Vec<AppWithAccess>, Error> {
        let account = actor.account_key;
        Ok(self.store.read(|tx| list(tx, account))?)
    }

    /// Takes the access of an app back: every grant of it ends, and it is asked for again at the next sign-in.
    ///
    /// # Errors
    /// [`Code::NotFound`](crate::service::Code::NotFound) if it has none.
    pub fn end_app(&self, actor: &Actor, client_id: &str, device: &Device) -> Result<(), Error> {
        let (account, session, client_id) =
            (actor.account_key, actor.session, client_id.to_owned());
        self.write(Some(device), move |cx| {
            let client: Option<(ClientKey, String)> = cx.row(
                "SELECT c.id, c.name FROM consent o JOIN client c ON c.id = o.client_id \
                 WHERE o.account_id = ?1 AND c.client_id = ?2",
                params![account, client_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let (client, name) = client.ok_or_else(|| Error::not_found("app"))?;
            let families: Vec<FamilyKey> = cx.rows(
                "SELECT f.id FROM refresh_family f JOIN session s ON s.id = f.session_id \
                 WHERE s.account_id = ?1 AND f.client_id = ?2 AND f.revoked_at IS NULL",
                params![account, client],
                |row| row.get(0),
            )?;
            for family in families {
                end_family(cx, family, Ended::SignedOut)?;
            }
            cx.run(
                "DELETE FROM consent WHERE account_id = ?1 AND client_id = ?2",
                params![account, client],
            )?;
            // Codes that wait would bring it back.
            cx.run(
                "DELETE FROM authorization_code WHERE client_id = ?2 AND used_at IS NULL AND session_id IN \
                 (SELECT id FROM session WHERE account_id = ?1)",
                params![account, client],
            )?;
            cx.event(Kind::AppAccessEnded, account)
                .session(session)
                .detail(json!({ "client_id": client_id, "app": name, "by": "owner" }))
                .write(cx)?;
            Ok(())
        })
    }
}

fn list(tx: &ReadTx<'_>, account: AccountKey) -> Result<Vec<AppWithAccess>, Broken> {
    tx.rows(
        "SELECT c.client_id, c.name, o.scope, o.given_at, max(f.rotated_at), count(DISTINCT f.session_id) \
         FROM consent o JOIN client c ON c.id = o.client_id \
         LEFT JOIN session s ON s.account_id = o.account_id AND s.ended_at IS NULL \
         LEFT JOIN refresh_family f ON f.session_id = s.id AND f.client_id = o.client_id AND f.revoked_at IS NULL \
             AND f.expires_at > ?2 \
         WHERE o.account_id = ?1 GROUP BY c.client_id, c.name, o.scope, o.given_at ORDER BY c.name, c.client_id",
        params![account, tx.now],
        |row| {
            Ok(AppWithAccess {
                client_id: row.get(0)?,
                name: row.get(1)?,
                scope: row.get(2)?,
                allowed_at: row.get(3)?,
                last_used_at: row.get(4)?,
                sessions: row.get(5)?,
            })
        },
    )
}
