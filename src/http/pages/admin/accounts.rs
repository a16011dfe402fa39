//! The list of accounts, and a new one.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PAGE, administration, ids, next_page, rows};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::field_errors::{of_account, of_fields};
use crate::http::pages::view::FieldError;
use crate::http::pages::view::Notice;
use crate::http::pages::view::admin::accounts::{Accounts, NewAccount as NewAccountPage};
use crate::http::pages::view::admin::{LinkKind, PrintedLink};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{AccountFilter, AccountQuery, Browser, Code, Error, NewAccount, Selector};

const ACCOUNTS: &str = "/admin/accounts";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct Search {
    #[serde(default)]
    q: String,
    after: Option<String>,
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
    _: &Browser,
    Query(search): Query<Search>,
) -> Result<Response, HttpError> {
    let text = search.q.trim();
    let page = visitor.call.authd.accounts(&AccountQuery {
        filter: AccountFilter::All,
        search: Some(text)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        after: search.after.clone(),
        newest_first: true,
        limit: PAGE,
    })?;
    let ids = ids(&page.accounts);
    let first = match text {
        "" => ACCOUNTS.to_owned(),
        text => next_page(ACCOUNTS, &[], ("q", text)),
    };
    let next = page.next.as_deref();
    let next = next.map(|next| next_page(ACCOUNTS, &[("q", text)], ("after", next)));
    Ok(visitor.show(&Accounts {
        shell: &visitor.shell(),
        query: text,
        accounts: rows(&ids, &page.accounts),
        is_cut: page.is_cut,
        first_page: search.after.as_ref().map(|_| first.as_str()),
        next_page: next.as_deref(),
    }))
}

pub(in crate::http) fn show_new(
    visitor: &Visitor<'_>,
    _: &Browser,
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

/// Creates an account. Without a password it answers with the link to choose the first one.
pub(in crate::http) fn create(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<NewAccountForm>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let errors = of_fields(t, Some(&form.email), Some(&form.username), Some(&form.name));
    if !errors.is_empty() {
        return Ok(show_form(visitor, &form, errors));
    }
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let password = given(&form.password);
    let new = NewAccount {
        email: form.email.clone(),
        username: given(&form.username),
        name: given(&form.name),
        admin: form.is_admin.is_some(),
        temporary: password.is_some(),
    };
    let administration = administration(visitor, browser)?;
    let account = match administration.add_account(new, password.as_deref()) {
        Ok(account) => account,
        Err(Error::No(Code::StepUpRequired, detail)) => {
            return Err(Error::No(Code::StepUpRequired, detail).into());
        }
        Err(error) => return Ok(show_form(visitor, &form, of_account(t, error)?)),
    };
    let page = format!("{ACCOUNTS}/{}", account.id);
    if password.is_some() {
        return Ok(visitor.go_with(&page, Notice::AccountCreated));
    }
    let link = administration.reset_link(&Selector::Id(account.id))?;
    let issuer = &visitor.call.authd.policy().issuer;
    Ok(visitor.show(&PrintedLink {
        shell: &visitor.shell(),
        kind: LinkKind::FirstPassword,
        url: &format!("{issuer}/reset?token={}", link.token),
        email: Some(&link.email),
        expires_at: link.expires_at,
        back: &page,
    }))
}
