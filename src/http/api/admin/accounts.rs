//! Accounts: find, create, change, disable, enable, unlock, delete.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Limit, PathAccount};
use crate::clock::Timestamp;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Json, Query, null_as_empty};
use crate::http::response::Response;
use crate::service::{
    Account, AccountChange, AccountFilter, AccountQuery, Administration, Failures, NewAccount,
    WaitingRegistration,
};

/// Which accounts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AccountListQuery {
    /// Only accounts whose e-mail address, username or name contains this text, in any case; those that begin with it come
    /// first. At most 254 characters. Or the id of an account.
    #[serde(default)]
    #[schemars(with = "String")]
    search: Option<String>,
    /// Only accounts of this state.
    #[serde(default)]
    #[schemars(with = "AccountStatus")]
    status: Option<AccountStatus>,
    /// Which account comes first where nothing is searched.
    #[serde(default)]
    order: AccountOrder,
    /// `next` of the page before.
    #[serde(default)]
    #[schemars(with = "String")]
    after: Option<String>,
    /// How many accounts at most.
    #[serde(default)]
    #[schemars(schema_with = "super::describe_limit")]
    limit: Limit,
}

/// A state of accounts.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum AccountStatus {
    Administrator,
    Disabled,
    Unverified,
}

/// An order of accounts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum AccountOrder {
    #[default]
    NewestFirst,
    OldestFirst,
}

/// A new account, made by an administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateAccountRequest {
    /// E-mail address to sign in with.
    email: String,
    /// Another name to sign in with.
    username: Option<String>,
    /// What people call its owner.
    name: Option<String>,
    /// Whether it is an administrator.
    #[serde(default)]
    admin: bool,
    /// A password; without one its owner chooses one with a reset link.
    password: Option<String>,
    /// Whether the password has to be changed at the first sign-in.
    #[serde(default)]
    temporary: bool,
}

/// Changes to an account by an administrator. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AdministrateAccountRequest {
    /// Whether it is an administrator. The last administrator stays one, and nobody demotes the own account.
    #[serde(default)]
    #[schemars(with = "bool")]
    admin: Option<bool>,
    /// A new username; null or empty removes it.
    #[serde(default, deserialize_with = "null_as_empty")]
    username: Option<String>,
    /// A new name; null or empty removes it.
    #[serde(default, deserialize_with = "null_as_empty")]
    name: Option<String>,
}

/// The deletion of an account by an administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ConfirmDeletionRequest {
    /// The e-mail address of the account, so that no other one is deleted.
    confirm_email: String,
}

/// A disabled account.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct DisabledAccount {
    account: Account,
    /// How many sessions ended.
    sessions_ended: usize,
}

/// An unlocked account.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct UnlockedAccount {
    account: Account,
    /// Until when it would have been locked, if it was.
    was_locked_until: Option<Timestamp>,
}

/// Locked accounts.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct LockedAccountList {
    locked: Vec<Failures>,
}

/// Registrations that wait for the proof of their addresses.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct RegistrationList {
    registrations: Vec<WaitingRegistration>,
}

pub(in crate::http) fn list(
    call: &Call<'_>,
    _: &Administration<'_>,
    Query(query): Query<AccountListQuery>,
) -> Result<Response, HttpError> {
    let filter = match query.status {
        None => AccountFilter::All,
        Some(AccountStatus::Administrator) => AccountFilter::Administrators,
        Some(AccountStatus::Disabled) => AccountFilter::Disabled,
        Some(AccountStatus::Unverified) => AccountFilter::Unverified,
    };
    let page = call.authd.accounts(&AccountQuery {
        filter,
        search: query.search,
        after: query.after,
        newest_first: query.order == AccountOrder::NewestFirst,
        limit: query.limit.0,
    })?;
    Ok(Response::json(200, &page))
}

pub(in crate::http) fn create(
    _: &Call<'_>,
    administration: &Administration<'_>,
    Json(body): Json<CreateAccountRequest>,
) -> Result<Response, HttpError> {
    let account = NewAccount {
        email: body.email,
        username: body.username,
        name: body.name,
        admin: body.admin,
        temporary: body.temporary,
    };
    let account = administration.add_account(account, body.password.as_deref())?;
    Ok(Response::json(201, &account))
}

pub(in crate::http) fn show(
    call: &Call<'_>,
    _: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    Ok(Response::json(200, &call.authd.account_record(&account)?))
}

pub(in crate::http) fn change(
    _: &Call<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Json(body)): (PathAccount, Json<AdministrateAccountRequest>),
) -> Result<Response, HttpError> {
    let change = AccountChange {
        username: body.username,
        name: body.name,
        admin: body.admin,
    };
    let account = administration.update_account(&account, &change)?;
    Ok(Response::json(200, &account))
}

pub(in crate::http) fn delete(
    _: &Call<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Json(body)): (PathAccount, Json<ConfirmDeletionRequest>),
) -> Result<Response, HttpError> {
    administration.delete_confirmed_account(&account, &body.confirm_email)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn disable(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let (account, sessions_ended) = administration.disable_account(&account)?;
    let disabled = DisabledAccount {
        account,
        sessions_ended,
    };
    Ok(Response::json(200, &disabled))
}

pub(in crate::http) fn enable(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let account = administration.enable_account(&account)?;
    Ok(Response::json(200, &account))
}

pub(in crate::http) fn unlock(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let (account, was_locked_until) = administration.unlock_account(&account)?;
    let unlocked = UnlockedAccount {
        account,
        was_locked_until,
    };
    Ok(Response::json(200, &unlocked))
}

pub(in crate::http) fn list_locked(
    call: &Call<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let locked = call.authd.locked_accounts()?;
    Ok(Response::json(200, &LockedAccountList { locked }))
}

pub(in crate::http) fn list_registrations(
    call: &Call<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let registrations = call.authd.waiting_registrations()?;
    Ok(Response::json(200, &RegistrationList { registrations }))
}
