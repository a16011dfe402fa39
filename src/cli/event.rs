//! `authd event …`

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use clap::Subcommand;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{Authd, EventQuery, Selector};

/// Time between two queries for new events with `--follow`. Each is one query by the primary key.
const POLL: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum Event {
    /// List events, newest first
    List {
        /// Only events of this account (e-mail address, username or id)
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Only events of this kind, such as sign_in_failed
        #[arg(long, value_name = "KIND", conflicts_with = "follow")]
        kind: Option<String>,
        /// Only events from this IP address
        #[arg(long, value_name = "ADDRESS", conflicts_with = "follow")]
        ip: Option<IpAddr>,
        /// Only events before the one with this number
        #[arg(long, value_name = "ID", conflicts_with = "follow")]
        before: Option<i64>,
        /// At most this many events
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Print the events oldest first, one on each line, then wait for new ones until interrupted
        #[arg(long)]
        follow: bool,
    },
}

impl Event {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        let Event::List {
            user,
            kind,
            ip,
            before,
            limit,
            follow,
        } = self;
        let query = EventQuery {
            account: user.as_deref().map(Selector::read),
            kind,
            ip,
            before,
            limit,
        };
        match follow {
            false => out.events(&authd.events(&query)?),
            true => follow_events(&authd, &query, out),
        }
    }
}

/// Prints the latest events and then each new one, until the reader of standard output closes it.
fn follow_events(authd: &Authd, query: &EventQuery, out: &Output) -> Result<(), Failure> {
    // By its id, because an attacker who takes over an account may change its address.
    let account = match &query.account {
        Some(selector) => Some(Selector::Id(authd.find_account(selector)?.account.id)),
        None => None,
    };
    let mut news = authd.events(query)?;
    news.reverse();
    let mut last = 0;
    loop {
        for event in &news {
            last = event.id;
            if !out.event(event)? {
                return Ok(());
            }
        }
        if news.is_empty() {
            thread::park_timeout(POLL);
        }
        news = authd.events_after(account.as_ref(), last)?;
    }
}
