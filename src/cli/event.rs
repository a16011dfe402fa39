//! `authd event …`

use std::thread;
use std::time::Duration;

use clap::Subcommand;

use super::output::Output;
use super::{Common, Failure};
use crate::service::{Authd, EventQuery, Selector};

/// How often somebody who looks on is shown what is new: one look costs the file next to nothing.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Subcommand)]
pub(super) enum Event {
    /// List events, newest first
    List {
        /// Only of this account (e-mail address, username or id)
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Only before this event number
        #[arg(long, value_name = "ID", conflicts_with = "follow")]
        before: Option<i64>,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// The oldest of them first, a line each, and then what happens from now on, until you end it
        #[arg(long)]
        follow: bool,
    },
}

impl Event {
    pub fn run(self, common: &Common, out: &Output) -> Result<(), Failure> {
        let authd = common.open()?;
        let Event::List {
            user,
            before,
            limit,
            follow,
        } = self;
        let query = EventQuery {
            account: user.as_deref().map(Selector::read),
            before,
            limit,
        };
        match follow {
            false => out.events(&authd.events(&query)?),
            true => look_on(&authd, &query, out),
        }
    }
}

/// Shows the latest events and then each one that comes, until nobody reads along any more.
fn look_on(authd: &Authd, query: &EventQuery, out: &Output) -> Result<(), Failure> {
    // By what never changes: its address may, and that is what somebody looks on for.
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
            thread::park_timeout(LOOK);
        }
        news = authd.events_after(account.as_ref(), last)?;
    }
}
