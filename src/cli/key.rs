//! `authd key …`

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure, open_store};
use crate::service::{self, SigningKeyInfo};
use crate::store::Role;

#[derive(Subcommand)]
pub(super) enum Key {
    /// List the keys that sign tokens, the oldest first
    List,
    /// Make the next key; it signs in an hour, when every verifier knows it
    Rotate {
        /// Put it in the place of all others at once: for keys that leaked or were lost. Tokens that they signed are
        /// refused, and verifiers that keep the old list refuse new ones for up to 15 minutes
        #[arg(long)]
        now: bool,
    },
}

impl Key {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        match self {
            Key::List => out.keys(&common.open()?.signing_keys()?),
            Key::Rotate { now: false } => {
                let made: SigningKeyInfo = common.open()?.rotate_signing_key()?;
                out.record(&json!(made))
            }
            // On the bare store: it is also the way out when no key can be read, and the service does not start.
            Key::Rotate { now: true } => {
                let opened = open_store(&common.settings()?.config, Role::Command)?;
                let kid = service::replace_signing_keys(&opened.store)?;
                out.record(&json!({ "kid": kid, "state": "signing" }))
            }
        }
    }
}
