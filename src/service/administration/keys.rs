//! What an operator or an administrator does of signing keys.

use crate::service::Error;
use crate::service::administration::Administration;
use crate::service::token::key_ring::{NewKey, SigningKeyInfo, replace_next};
use crate::service::token::signing_key::Algorithm;

impl Administration<'_> {
    /// Makes the next key. It signs in an hour, when all verifiers know it.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn rotate_signing_key(&self) -> Result<SigningKeyInfo, Error> {
        let new = NewKey::generate(Algorithm::Es256)?;
        let made = self.write(move |cx| Ok(replace_next(cx, &new, Algorithm::Es256, cx.by())?))?;
        self.authd.keys.reload(&self.authd.store)?;
        Ok(made)
    }
}
