//! Accounts: search, and create.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LIMIT, address, ids, page_of_account, rows};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::{of_account, of_fields};
use crate::http::pages::view::admin::accounts::{Accounts, NewAccount as NewAccountPage, Status};
use crate::http::pages::view::admin::{LinkKind, PrintedLink};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{
    Account, AccountFilter, AccountPage, AccountQuery, Administration, Code, Error, NewAccount,
    Selector,
};

const ACCOUNTS: &str = "/admin/accounts";

/// What is searched for.
#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Search {
    /// A part of an e-mail address, of a username or of a name.
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    /// The end of the page before.
    #[serde(default)]
    after: String,
}

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct NewAccountForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    is_admin: Option<String>,
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Query(search): Query<Search>,
) -> Result<Response, HttpError> {
    let status = Status::read(&search.status);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let found = administration.authd().accounts(&AccountQuery {
        filter: filter_of(status),
        search: text(search.q.trim()),
        after: text(&search.after),
        newest_first: true,
        limit: LIMIT,
    });
    match found {
        Ok(page) => Ok(show_list(visitor, &search, status, &page, Vec::new())),
        // The account or the list that the page before ended in is gone.
        Err(Error::No(Code::InvalidRequest | Code::NotFound, _)) if !search.after.is_empty() => {
            let pairs = [("q", search.q.as_str()), ("status", status.as_str())];
            Ok(visitor.go(&address(ACCOUNTS, &pairs)))
        }
        Err(Error::No(Code::InvalidRequest, _)) => {
            let errors = vec![FieldError::new("q", visitor.language.error_search_long())];
            let nothing = AccountPage {
                accounts: Vec::new(),
                next: None,
                is_cut: false,
            };
            Ok(show_list(visitor, &search, status, &nothing, errors))
        }
        Err(error) => Err(error.into()),
    }
}

fn filter_of(status: Status) -> AccountFilter {
    match status {
        Status::All => AccountFilter::All,
        Status::Administrator => AccountFilter::Administrators,
        Status::Disabled => AccountFilter::Disabled,
        Status::Unverified => AccountFilter::Unverified,
    }
}

fn show_list(
    visitor: &Visitor<'_>,
    search: &Search,
    status: Status,
    page: &AccountPage,
    errors: Vec<FieldError>,
) -> Response {
    let ids = ids(&page.accounts);
    let pairs = [("q", search.q.as_str()), ("status", status.as_str())];
    let first = address(ACCOUNTS, &pairs);
    let next = page.next.as_deref().map(|after| {
        let [q, status] = pairs;
        address(ACCOUNTS, &[q, status, ("after", after)])
    });
    visitor.show(&Accounts {
        shell: &visitor.shell(),
        query: &search.q,
        status,
        accounts: rows(&ids, &page.accounts),
        is_cut: page.is_cut,
        first_page: (!search.after.is_empty()).then_some(&first),
        next_page: next.as_deref(),
        errors,
    })
}

pub(in crate::http) fn show_new(
    visitor: &Visitor<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    Ok(show_form(visitor, &NewAccountForm::default(), Vec::new()))
}

fn show_form(visitor: &Visitor<'_>, form: &NewAccountForm, errors: Vec<FieldError>) -> Response {
    visitor.show(&NewAccountPage {
        shell: &visitor.shell(),
        email: &form.email,
        name: &form.name,
        username: &form.username,
        is_admin: form.is_admin.is_some(),
        errors,
    })
}

/// Creates an account with a temporary password, or with a link by which its owner chooses the first one.
pub(in crate::http) fn create(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Form(form): Form<NewAccountForm>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let errors = of_fields(t, Some(&form.email), Some(&form.username), Some(&form.name));
    if !errors.is_empty() {
        return Ok(show_form(visitor, &form, errors));
    }
    let given = |text: &str| (!text.trim().is_empty()).then(|| text.to_owned());
    let password = (!form.password.is_empty()).then_some(form.password.as_str());
    let new = NewAccount {
        email: form.email.clone(),
        username: given(&form.username),
        name: given(&form.name),
        admin: form.is_admin.is_some(),
        temporary: password.is_some(),
    };
    match (administration.add_account(new, password), password) {
        (Ok(account), Some(_)) => {
            Ok(visitor.go_with(&page_of_account(account.id), Notice::AccountCreated))
        }
        (Ok(account), None) => print_first_link(visitor, administration, &account),
        (Err(error), _) => Ok(show_form(visitor, &form, of_account(t, error)?)),
    }
}

fn print_first_link(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    account: &Account,
) -> Result<Response, HttpError> {
    let link = administration.reset_link(&Selector::Id(account.id))?;
    let issuer = &visitor.call.authd.policy().issuer;
    Ok(visitor.show(&PrintedLink {
        shell: &visitor.shell(),
        kind: LinkKind::FirstPassword,
        url: &format!("{issuer}/reset?token={}", link.token),
        email: Some(&link.email),
        expires_at: link.expires_at,
        back: &page_of_account(account.id),
    }))
}
