//! What becomes of what was asked for by e-mail address.
//!
//! A request notes a wish and is answered; here, on the thread that sends the mail, is found out whose address it is.

use crate::service::delivery::mailed_link::{self, Wish};
use crate::service::recovery::email_verification;
use crate::service::recovery::password_reset;
use crate::service::{Authd, Error};

/// Wishes that one transaction looks at.
const BATCH: u32 = 50;

/// What can be wished for.
const KNOWN: [Wish; 2] = [password_reset::WISH, email_verification::WISH];

impl Authd {
    /// Notes the links, and the letters that carry them, for the oldest 50 wishes that wait. Returns how many that were.
    pub(in crate::service) fn grant_wishes(&self) -> Result<usize, Error> {
        // A look that costs no commit: most of the time nobody wishes for anything.
        if !self.store.read(mailed_link::is_wished)? {
            return Ok(0);
        }
        let outbox = self.outbox();
        self.store.write(move |tx| {
            let wishes = mailed_link::take(tx, BATCH)?;
            for noted in &wishes {
                // One of another release is for nobody here to grant.
                let known = KNOWN
                    .iter()
                    .find(|wish| wish.letter.purpose.as_str() == noted.purpose);
                if let Some(wish) = known {
                    mailed_link::grant(tx, outbox, *wish, noted)?;
                }
            }
            Ok(wishes.len())
        })
    }
}
