//! Set-up: the first administrator.
//!
//! A new server prints a link. It works once, and only as long as there is no administrator.

use crate::password::Requester;
use crate::secret::SetupToken;
use crate::service::authentication::Authenticated;
use crate::service::authentication::session_start::{AppOpening, BrowserOpening, Opening};
use crate::service::session::browser::{BrowserWanted, NewCookie};
use crate::service::{Authd, Code, Device, Error, NewAccount, SignIn, Wanted, account};
use crate::store::params;

/// A set-up link that is open.
#[derive(Clone, Debug)]
pub struct SetupLink {
    /// The plain token, for the link and for `POST /v1/setup`.
    pub token: String,
}

impl Authd {
    /// Opens a set-up link, as long as there is no administrator; an earlier one stops working.
    ///
    /// # Errors
    /// Only those of the store. `None` if there is an administrator.
    pub fn open_setup(&self) -> Result<Option<SetupLink>, Error> {
        let token = SetupToken::from_bytes(self.entropy.bytes());
        let digest = token.digest();
        let opened = self.write(None, move |cx| {
            cx.run(
                "UPDATE server SET setup_digest = ?1 WHERE NOT EXISTS (SELECT 1 FROM account WHERE admin = 1)",
                params![digest],
            )
        })?;
        Ok((opened == 1).then(|| SetupLink {
            token: token.reveal(),
        }))
    }

    /// Whether there is an open set-up link.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn awaits_setup(&self) -> Result<bool, Error> {
        let open: Option<i64> = self.store.read(|tx| {
            tx.row(
                "SELECT 1 FROM server WHERE setup_digest IS NOT NULL",
                params![],
                |row| row.get(0),
            )
        })?;
        Ok(open.is_some())
    }

    /// Makes the first administrator with the token of the set-up link, and signs an app in.
    ///
    /// # Errors
    /// [`Code::InvalidSetupToken`] if the link was used or replaced; [`Code::WeakPassword`]; [`Code::InvalidScope`];
    /// [`Code::InvalidRequest`] for what is wrong with the address; [`Code::EmailTaken`].
    pub fn set_up(
        &self,
        token: &str,
        email: &str,
        password: &str,
        wanted: Wanted<'_>,
        device: &Device,
    ) -> Result<SignIn, Error> {
        let opening = AppOpening::read(wanted, device)?;
        let account = NewAccount {
            email: email.to_owned(),
            username: None,
            name: None,
            admin: true,
            temporary: false,
        };
        let grant = self.create_administrator(token, account, password, opening, device)?;
        self.issue(grant)
    }

    /// Makes the first administrator, as [`Authd::set_up`] does, and signs a browser in.
    ///
    /// # Errors
    /// Those of [`Authd::set_up`], but for the scope.
    pub fn set_up_in_browser(
        &self,
        token: &str,
        account: NewAccount,
        password: &str,
        wanted: BrowserWanted<'_>,
        device: &Device,
    ) -> Result<NewCookie, Error> {
        let opening = BrowserOpening::new(wanted, device);
        self.create_administrator(token, account, password, opening, device)
    }

    fn create_administrator<O: Opening>(
        &self,
        token: &str,
        account: NewAccount,
        password: &str,
        opening: O,
        device: &Device,
    ) -> Result<O::Begun, Error> {
        let digest = SetupToken::read(token).ok_or_else(spent)?.digest();
        // Looked at before hashing, so that strangers cannot make the server hash; decided where it is used up.
        let open = self.store.read(|tx| {
            tx.row(
                "SELECT 1 FROM server WHERE setup_digest = ?1",
                params![digest],
                |row| row.get::<i64>(0),
            )
        })?;
        if open.is_none() {
            return Err(spent());
        }
        let account = NewAccount {
            admin: true,
            ..account
        };
        // The link is the operator's.
        let new = self.prepare(account, Some(password), Requester::OPERATOR)?;
        self.write(Some(device), move |cx| {
            let claimed = cx.run(
                "UPDATE server SET setup_digest = NULL WHERE setup_digest = ?1",
                params![digest],
            )?;
            if claimed == 0 {
                return Err(spent());
            }
            let account = account::insert(cx, &new)?;
            opening.begin(cx, Authenticated::by_set_up_link(cx, account))
        })
    }
}

fn spent() -> Error {
    Error::no(
        Code::InvalidSetupToken,
        "This set-up link was used or replaced. `authd user setup-link` makes a new one, as long as there is no \
         administrator.",
    )
}
