//! `authd session …`

use std::io::{self, Read};

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{Ended, Selector};

/// Most of standard input that is read, in bytes: more than the longest refresh token has.
const LONGEST_TOKEN: u64 = 1024;

#[derive(Subcommand)]
pub(super) enum Session {
    /// List the open sessions of an account
    List {
        /// E-mail address, username or id
        user: String,
    },
    /// End one session, all of an account, or that of a refresh token
    #[command(
        override_usage = "authd session revoke <USER> <SESSION>\n       authd session revoke <USER> --all\n       authd session revoke --token-stdin"
    )]
    #[command(group = clap::ArgGroup::new("what").required(true).args(["session", "all", "token_stdin"]))]
    Revoke {
        /// E-mail address, username or id
        #[arg(
            required_unless_present = "token_stdin",
            conflicts_with = "token_stdin"
        )]
        user: Option<String>,
        /// Id of the session
        session: Option<String>,
        /// All sessions of the account
        #[arg(long)]
        all: bool,
        /// End the session of the refresh token on standard input
        #[arg(long)]
        token_stdin: bool,
    },
}

impl Session {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        match self {
            Session::List { user } => out.sessions(&authd.sessions_of(&Selector::read(&user))?),
            Session::Revoke {
                token_stdin: true, ..
            } => {
                let mut token = String::new();
                io::stdin()
                    .lock()
                    .take(LONGEST_TOKEN)
                    .read_to_string(&mut token)?;
                let found = authd.find_refresh_token(token.trim())?;
                let ended = authd
                    .as_operator()
                    .revoke_refresh_token(token.trim(), Ended::Operator)?;
                out.record(&json!({
                    "revoked": usize::from(ended > 0),
                    "session": found.session,
                    "account": found.email,
                    "client_id": found.client_id,
                    "was_valid": found.valid,
                }))
            }
            Session::Revoke { user, session, .. } => {
                let user = Selector::read(&user.unwrap_or_default());
                let revoked = match session {
                    None => authd.as_operator().revoke_sessions(&user)?,
                    Some(session) => {
                        let session = session.parse().map_err(|_| {
                            Failure::Refused(
                                "that is not the id of a session. `authd session list USER` lists them. Pass the account \
                                 before the session."
                                    .into(),
                            )
                        })?;
                        authd.as_operator().revoke_session(&user, session)?;
                        1
                    }
                };
                out.record(&json!({ "revoked": revoked }))
            }
        }
    }
}
