//! `authd outbox …`: messages that wait to leave.

use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{Common, Failure};

#[derive(Subcommand)]
pub(super) enum Outbox {
    /// List messages that wait to leave, oldest first, with the reason why the last try failed
    List {
        /// Only messages after the one with this number
        #[arg(
            long,
            value_name = "ID",
            default_value_t = 0,
            hide_default_value = true
        )]
        after: i64,
        /// At most this many messages
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Try a message again now; the running server does it within a second
    Retry {
        /// Number of the message
        id: i64,
    },
    /// Delete a message; a link in it never works
    Delete {
        /// Number of the message
        id: i64,
    },
}

impl Outbox {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        match self {
            Outbox::List { after, limit } => out.messages(&authd.outbox(after, limit)?),
            Outbox::Retry { id } => {
                authd.as_operator().retry_message(id)?;
                out.record(&json!({ "retried": id }))
            }
            Outbox::Delete { id } => {
                authd.as_operator().delete_message(id)?;
                out.record(&json!({ "deleted": id }))
            }
        }
    }
}
