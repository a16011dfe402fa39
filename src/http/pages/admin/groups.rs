//! Groups and their members.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PAGE, account_of, administration, ids, next_page, rows};
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::view::admin::groups::{DeleteGroup, Group as GroupPage, GroupRow, Groups};
use crate::http::pages::view::{FieldError, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::service::{AccountFilter, AccountQuery, Browser, Code, Error, Group, Selector};

const GROUPS: &str = "/admin/groups";

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct Page {
    /// Where the list goes on.
    after: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct NameForm {
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize, JsonSchema)]
pub(in crate::http) struct LoginForm {
    #[serde(default)]
    login: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct AccountForm {
    #[serde(default)]
    account: String,
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    _: &Browser,
    Query(page): Query<Page>,
) -> Result<Response, HttpError> {
    show_list(visitor, page.after.as_deref(), "", Vec::new())
}

/// A page of the groups, which are in the order of their names.
fn show_list(
    visitor: &Visitor<'_>,
    after: Option<&str>,
    typed: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let groups = visitor.call.authd.groups()?;
    let mut shown = groups
        .iter()
        .filter(|group| after.is_none_or(|after| group.name.as_str() > after));
    let rows: Vec<GroupRow<'_>> = shown
        .by_ref()
        .take(PAGE as usize)
        .map(|group| GroupRow {
            name: &group.name,
            members: group.members,
        })
        .collect();
    let next = match (shown.next(), rows.last()) {
        (Some(_), Some(last)) => Some(next_page(GROUPS, &[], ("after", last.name))),
        _ => None,
    };
    Ok(visitor.show(&Groups {
        shell: &visitor.shell(),
        groups: rows,
        name: typed,
        first_page: after.map(|_| GROUPS),
        next_page: next.as_deref(),
        errors,
    }))
}

pub(in crate::http) fn create(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<NameForm>,
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let name = form.name.trim();
    match administration(visitor, browser)?.add_group(name) {
        Ok(group) => {
            let path = format!("{GROUPS}/{}", group.name);
            Ok(visitor.go_with(&path, Notice::GroupCreated))
        }
        Err(Error::No(Code::InvalidRequest, _)) => {
            let is_taken = find(visitor, name)?.is_some();
            let text = match is_taken {
                true => t.error_group_taken(),
                false => t.error_group_name(),
            };
            show_list(visitor, None, name, vec![FieldError::new("name", text)])
        }
        Err(error) => Err(error.into()),
    }
}

fn find(visitor: &Visitor<'_>, name: &str) -> Result<Option<Group>, HttpError> {
    let groups = visitor.call.authd.groups()?;
    Ok(groups.into_iter().find(|group| group.name == name))
}

/// The group that the path names.
fn named(visitor: &Visitor<'_>) -> Result<Group, HttpError> {
    let found = find(visitor, visitor.call.parameters[0])?;
    found.ok_or_else(|| HttpError::not_found("There is no such group."))
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    _: &Browser,
    Query(page): Query<Page>,
) -> Result<Response, HttpError> {
    show_members(visitor, page.after, "", Vec::new())
}

fn show_members(
    visitor: &Visitor<'_>,
    after: Option<String>,
    login: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let group = named(visitor)?;
    let path = format!("{GROUPS}/{}", group.name);
    let page = visitor.call.authd.accounts(&AccountQuery {
        filter: AccountFilter::Group(group.name.clone()),
        search: None,
        after: after.clone(),
        newest_first: false,
        limit: PAGE,
    })?;
    let ids = ids(&page.accounts);
    let next = page.next.as_deref();
    let next = next.map(|next| next_page(&path, &[], ("after", next)));
    Ok(visitor.show(&GroupPage {
        shell: &visitor.shell(),
        name: &group.name,
        members: rows(&ids, &page.accounts),
        login,
        first_page: after.map(|_| path.as_str()),
        next_page: next.as_deref(),
        errors,
    }))
}

pub(in crate::http) fn add(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<LoginForm>,
) -> Result<Response, HttpError> {
    let group = named(visitor)?;
    let login = form.login.trim();
    match administration(visitor, browser)?.grant_group(&group.name, &Selector::read(login)) {
        Ok(_) => {
            let path = format!("{GROUPS}/{}", group.name);
            Ok(visitor.go_with(&path, Notice::MemberAdded))
        }
        Err(Error::No(Code::NotFound | Code::InvalidRequest, _)) => {
            let text = visitor.language.error_no_such_account();
            let errors = vec![FieldError::new("login", text)];
            show_members(visitor, None, login, errors)
        }
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn remove(
    visitor: &Visitor<'_>,
    browser: &Browser,
    Form(form): Form<AccountForm>,
) -> Result<Response, HttpError> {
    let group = named(visitor)?;
    let account = account_of(&form.account)?;
    administration(visitor, browser)?.revoke_group(&group.name, &account)?;
    let path = format!("{GROUPS}/{}", group.name);
    Ok(visitor.go_with(&path, Notice::MemberRemoved))
}

pub(in crate::http) fn ask_delete(
    visitor: &Visitor<'_>,
    _: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let group = named(visitor)?;
    Ok(visitor.show(&DeleteGroup {
        shell: &visitor.shell(),
        name: &group.name,
        members: group.members,
    }))
}

pub(in crate::http) fn delete(
    visitor: &Visitor<'_>,
    browser: &Browser,
    (): (),
) -> Result<Response, HttpError> {
    let group = named(visitor)?;
    administration(visitor, browser)?.delete_group(&group.name)?;
    Ok(visitor.go_with(GROUPS, Notice::GroupDeleted))
}
