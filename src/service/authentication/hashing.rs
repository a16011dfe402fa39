//! Passwords are read, checked against the policy and hashed here, for everything that sets or asks for one. A hash takes a
//! place in the queue of the one who asks for it, and never waits inside of a transaction.

use crate::ids::AccountKey;
use crate::password::{self, Password, Requester};
use crate::service::account::{self, NewAccount, Prepared, identifiers};
use crate::service::{Authd, Error};

impl Authd {
    /// Reads and hashes what a new account is made of.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`](crate::service::Code::InvalidRequest) for an address or a name;
    /// [`Code::WeakPassword`](crate::service::Code::WeakPassword); [`Error::Unavailable`].
    pub(in crate::service) fn prepare(
        &self,
        account: NewAccount,
        password: Option<&str>,
        requester: Requester,
    ) -> Result<Prepared, Error> {
        let (email, email_key) = identifiers::read_email(&account.email)?;
        let username = match account.username.as_deref() {
            Some(username) => identifiers::read_username(username)?,
            None => None,
        };
        let name = match account.name.as_deref() {
            Some(name) => identifiers::read_name(name)?,
            None => None,
        };
        let hash = match password {
            None => None,
            Some(password) => {
                let username = username.as_ref().map(|(_, key)| key.as_str());
                Some(self.hash_checked(password, &[Some(&email_key), username], requester)?)
            }
        };
        Ok(Prepared {
            account,
            email,
            email_key,
            username,
            name,
            hash,
        })
    }

    /// Checks and hashes a new password of `account`; `deleted` is the error if that is gone.
    ///
    /// # Errors
    /// [`Code::WeakPassword`](crate::service::Code::WeakPassword); [`Error::Unavailable`].
    pub(in crate::service) fn hash_new(
        &self,
        account: AccountKey,
        password: &str,
        requester: Requester,
        deleted: impl FnOnce() -> Error,
    ) -> Result<String, Error> {
        let found = self.store.read(|tx| account::find(tx, account))?;
        let account = found.ok_or_else(deleted)?.shown;
        self.hash_checked(
            password,
            &[Some(&account.email), account.username.as_deref()],
            requester,
        )
    }

    /// Whether `password` is the one of `hash`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many passwords wait to be hashed.
    pub(in crate::service) fn is_password(
        &self,
        password: &str,
        hash: &str,
        requester: Requester,
    ) -> Result<bool, Error> {
        let password = read_password(password)?;
        let verification = self.hasher.verify(requester, &password, Some(hash))?;
        Ok(matches!(verification, password::Verification::Right { .. }))
    }

    fn hash_checked(
        &self,
        password: &str,
        context: &[Option<&str>],
        requester: Requester,
    ) -> Result<String, Error> {
        let password = read_password(password)?;
        let words: Vec<&str> = context.iter().flatten().copied().collect();
        self.policy().password.check(&password, &words)?;
        Ok(self
            .hasher
            .hash(requester, &password, self.entropy.bytes())?)
    }
}

pub(super) fn read_password(text: &str) -> Result<Password, Error> {
    Password::new(text).map_err(|too_long| Error::invalid(too_long.to_string()))
}
