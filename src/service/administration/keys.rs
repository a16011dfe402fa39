//! What an operator or an administrator does of signing keys.

use crate::service::Error;
use crate::service::administration::Administration;
use crate::service::token::key_ring::{NewKeys, SigningKeyInfo, replace_next};

impl Administration<'_> {
    /// Makes the next key of each algorithm that has one. They sign in an hour, when all verifiers know them. Returns the one
    /// for access tokens.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn rotate_signing_key(&self) -> Result<SigningKeyInfo, Error> {
        let new = NewKeys::generate(&self.authd.store)?;
        let made = self.write(move |cx| {
            for key in new.others() {
                replace_next(cx, key, cx.by())?;
            }
            Ok(replace_next(cx, new.access(), cx.by())?)
        })?;
        self.authd.keys.reload(&self.authd.store)?;
        Ok(made)
    }
}
