//! `authd key …`

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure, open_store};
use crate::config::Config;
use crate::service::{self, SigningKeyInfo};
use crate::store::Role;

#[derive(Subcommand)]
pub(super) enum Key {
    /// List the keys that sign access tokens and ID tokens, oldest first
    List,
    /// Create the next key of each algorithm; it signs after an hour, when all verifiers know it
    Rotate {
        /// Replace all keys at once, after a leak or loss
        ///
        /// authd refuses the access tokens of the old keys from then on. Services that verify tokens offline may accept
        /// them for longer, and may refuse new ones for some minutes; the command prints until when.
        #[arg(long)]
        now: bool,
    },
}

impl Key {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        match self {
            Key::List => out.keys(&common.open()?.signing_keys()?),
            Key::Rotate { now: false } => {
                let made: SigningKeyInfo = common.open()?.as_operator().rotate_signing_key()?;
                out.record(&json!(made))
            }
            Key::Rotate { now: true } => replace_all(&common.settings()?.config, out),
        }
    }
}

/// Replaces all keys, and prints how long services that verify tokens offline may not have noticed.
fn replace_all(config: &Config, out: &Output) -> Result<(), Failure> {
    // On the store alone: the service does not open when no key can be read, and this command is the remedy.
    let opened = open_store(config, Role::Command)?;
    let kid = service::replace_signing_keys(&opened.store)?;
    // Tokens and caches of other machines go by the wall clock.
    let now = opened.clock.wall();
    out.record(&json!({
        "kid": kid,
        "state": "signing",
        "old_keys_cached_until": now.plus(service::JWKS_MAX_AGE),
        "old_tokens_expire_at": now.plus(config.access_token_lifetime),
        "note": "authd refuses tokens of the old keys from now on. A service that verifies tokens offline may keep the \
                 old keys until the first of these times, and accepts tokens of them until then, forged ones too. If it \
                 keeps keys for longer, it accepts the tokens that authd issued until the second time. To end this now, \
                 restart that service, or let it fetch /oauth/jwks.",
    }))
}
