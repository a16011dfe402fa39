//! What an operator or an administrator sees and changes of one account: names, and whether it administers.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::service::account::{self, Loaded, identifiers};
use crate::service::administration::{self, Administration};
use crate::service::error::unexpected;
use crate::service::event::Kind;
use crate::service::throttle::guesses;
use crate::service::{Account, AccountDetails, Authd, Code, Error, Selector, session};
use crate::store::{Broken, ReadTx, params};

/// An account with all that an administrator sees of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AccountRecord {
    /// The account.
    #[serde(flatten)]
    pub details: AccountDetails,
    /// What is known of its password.
    pub password: PasswordState,
    /// Wrong passwords without a day's break.
    pub failed_sign_ins: u32,
    /// Until when clients at unknown places are refused after too many of them, even with the right password.
    pub locked_until: Option<Timestamp>,
    /// When its owner last signed in, as far as there is an event of it.
    pub last_sign_in_at: Option<Timestamp>,
    /// How many open sessions it has.
    pub sessions: usize,
    /// Whether it is the only administrator that is enabled: then it cannot be disabled, deleted or demoted.
    pub is_last_administrator: bool,
}

/// What is known of a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordState {
    /// There is none yet: nobody can sign in.
    None,
    /// An operator or an administrator set it, and its owner must change it at the next sign-in.
    Temporary,
    /// Its owner chose it.
    Set,
}

/// Changes to an account; what is absent stays as it is, and an empty text takes away.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// A new username.
    pub username: Option<String>,
    /// A new name.
    pub name: Option<String>,
    /// Whether it is an administrator.
    pub admin: Option<bool>,
}

impl Authd {
    /// One account with all that an administrator sees of it.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn account_record(&self, selector: &Selector) -> Result<AccountRecord, Error> {
        let idle = self.policy().session_idle_lifetime;
        self.store.read(|tx| {
            let found = account::select(tx, selector)?;
            let is_last = matches!(
                administration::refuse_last(tx, &found),
                Err(Error::No(Code::LastAdministrator, _))
            );
            let count = guesses::count(tx, found.key)?;
            Ok(AccountRecord {
                password: password_state(tx, &found)?,
                failed_sign_ins: count.as_ref().map_or(0, |count| count.failures),
                locked_until: count.and_then(|count| count.locked_until),
                last_sign_in_at: tx
                    .row(
                        "SELECT max(at) FROM event WHERE account_id = ?1 AND kind = ?2",
                        params![found.key, Kind::SignIn.as_str()],
                        |row| row.get(0),
                    )?
                    .flatten(),
                sessions: session::open_sessions(tx, found.key, None, idle)?.len(),
                is_last_administrator: is_last,
                details: account::details(tx, found)?,
            })
        })
    }
}

fn password_state(tx: &ReadTx<'_>, account: &Loaded) -> Result<PasswordState, Broken> {
    tx.row(
        "SELECT password_hash IS NULL, password_temporary FROM account WHERE id = ?1",
        params![account.key],
        |row| {
            Ok(match (row.get(0)?, row.get(1)?) {
                (true, _) => PasswordState::None,
                (false, true) => PasswordState::Temporary,
                (false, false) => PasswordState::Set,
            })
        },
    )?
    .ok_or_else(|| unexpected("an account is gone"))
}

impl Administration<'_> {
    /// Changes the names of an account, and whether it is an administrator. Returns the account as it is then.
    ///
    /// An account that is no administrator any more keeps its sessions, and its tokens administer no longer.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::UsernameTaken`]; [`Code::InvalidRequest`] for a name; [`Code::LastAdministrator`] and
    /// [`Code::OwnAccount`] for one that is to be no administrator any more.
    pub fn update_account(
        &self,
        selector: &Selector,
        change: &AccountChange,
    ) -> Result<Account, Error> {
        let username = change
            .username
            .as_deref()
            .map(identifiers::read_username)
            .transpose()?;
        let name = change
            .name
            .as_deref()
            .map(identifiers::read_name)
            .transpose()?;
        let (selector, admin) = (selector.clone(), change.admin);
        self.write(move |cx| {
            let account = account::select(cx, &selector)?;
            let mut changed = Vec::new();
            if let Some(username) = &username {
                account::set_username(cx, account.key, username.clone())?;
                changed.push("username");
            }
            if let Some(name) = &name {
                account::set_name(cx, account.key, name.as_deref())?;
                changed.push("name");
            }
            if !changed.is_empty() {
                cx.record(
                    Kind::AccountChanged,
                    account.key,
                    json!({ "changed": changed }),
                )?;
            }
            if let Some(admin) = admin.filter(|admin| *admin != account.shown.admin) {
                if !admin {
                    administration::refuse_removal(cx, &account)?;
                }
                cx.run(
                    "UPDATE account SET admin = ?2 WHERE id = ?1",
                    params![account.key, admin],
                )?;
                let kind = match admin {
                    true => Kind::AdministratorPromoted,
                    false => Kind::AdministratorDemoted,
                };
                cx.event(kind, account.key).write(cx)?;
            }
            if admin == Some(true) {
                // An open set-up link would make another administrator.
                cx.run("UPDATE server SET setup_digest = NULL", params![])?;
            }
            Ok(account::load(cx, account.key)?.shown)
        })
    }
}
