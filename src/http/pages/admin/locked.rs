//! Accounts that are locked after too many wrong passwords.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Place;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::operations::{Locked, LockedRow};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::ids::AccountId;
use crate::service::{Administration, Code, Error, Failures, Selector};

const LOCKED: &str = "/admin/locked";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct UnlockForm {
    #[serde(default)]
    account: String,
}

/// The texts that a row borrows.
struct Texts {
    id: String,
    addresses: Vec<String>,
}

impl Texts {
    fn of(failures: &Failures) -> Texts {
        Texts {
            id: failures.id.to_string(),
            addresses: failures.addresses.iter().map(ToString::to_string).collect(),
        }
    }

    fn show<'a>(&'a self, failures: &'a Failures) -> LockedRow<'a> {
        LockedRow {
            id: &self.id,
            email: &failures.email,
            failures: failures.failures.into(),
            last_at: failures.last_at,
            locked_until: failures.locked_until,
            addresses: self.addresses.iter().map(String::as_str).collect(),
        }
    }
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Query(place): Query<Place>,
) -> Result<Response, HttpError> {
    let locked = administration.authd().locked_accounts()?;
    let next = place.next(LOCKED, locked.len());
    let first = place.first(LOCKED);
    let shown = place.of(locked);
    let texts: Vec<Texts> = shown.iter().map(Texts::of).collect();
    Ok(visitor.show(&Locked {
        shell: &visitor.shell(),
        accounts: std::iter::zip(&texts, &shown)
            .map(|(texts, failures)| texts.show(failures))
            .collect(),
        first_page: first,
        next_page: next.as_deref(),
    }))
}

pub(in crate::http) fn unlock(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Form(form): Form<UnlockForm>,
) -> Result<Response, HttpError> {
    let Ok(id) = form.account.parse::<AccountId>() else {
        return Ok(visitor.go_with(LOCKED, Notice::AccountGone));
    };
    match administration.unlock_account(&Selector::Id(id)) {
        Ok(_) => Ok(visitor.go_with(LOCKED, Notice::AccountUnlocked)),
        Err(Error::No(Code::NotFound, _)) => Ok(visitor.go_with(LOCKED, Notice::AccountGone)),
        Err(error) => Err(error.into()),
    }
}
