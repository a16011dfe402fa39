//! `authd key …`

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure, open_store};
use crate::service::{self, SigningKeyInfo};
use crate::store::Role;

#[derive(Subcommand)]
pub(super) enum Key {
    /// List the keys that sign access tokens, oldest first
    List,
    /// Create the next key; it signs after an hour, when all verifiers know it
    Rotate {
        /// Replace all keys at once, after a leak or loss. authd refuses tokens of the old keys, and verifiers that cache
        /// the old list refuse new tokens for up to 15 minutes
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
            // On the store alone: the service does not open when no key can be read, and this command is the remedy.
            Key::Rotate { now: true } => {
                let opened = open_store(&common.settings()?.config, Role::Command)?;
                let kid = service::replace_signing_keys(&opened.store)?;
                out.record(&json!({ "kid": kid, "state": "signing" }))
            }
        }
    }
}
