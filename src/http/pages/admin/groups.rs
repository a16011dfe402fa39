//! Groups and their members.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LIMIT, Place, address, ids, rows};
use crate::http::api::admin::PathGroup;
use crate::http::error::HttpError;
use crate::http::form::Form;
use crate::http::input::Query;
use crate::http::pages::view::admin::groups::{DeleteGroup, Group as GroupPage, GroupRow, Groups};
use crate::http::pages::view::{FieldError, Language, Notice};
use crate::http::pages::visitor::Visitor;
use crate::http::response::Response;
use crate::ids::AccountId;
use crate::service::{AccountFilter, AccountQuery, Administration, Code, Error, Group, Selector};

const GROUPS: &str = "/admin/groups";

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct NameForm {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct AddForm {
    #[serde(default)]
    login: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct RemoveForm {
    #[serde(default)]
    account: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct After {
    /// The end of the page before.
    #[serde(default)]
    after: String,
}

pub(in crate::http) fn list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Query(place): Query<Place>,
) -> Result<Response, HttpError> {
    show_list(visitor, administration, place, "", Vec::new())
}

fn show_list(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    place: Place,
    name: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let groups = administration.authd().groups()?;
    let next = place.next(GROUPS, groups.len());
    let first = place.first(GROUPS);
    let shown = place.of(groups);
    Ok(visitor.show(&Groups {
        shell: &visitor.shell(),
        groups: shown.iter().map(row).collect(),
        name,
        first_page: first,
        next_page: next.as_deref(),
        errors,
    }))
}

fn row(group: &Group) -> GroupRow<'_> {
    GroupRow {
        name: &group.name,
        members: group.members,
    }
}

pub(in crate::http) fn create(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    Form(form): Form<NameForm>,
) -> Result<Response, HttpError> {
    match administration.add_group(form.name.trim()) {
        Ok(group) => {
            let path = format!("{GROUPS}/{}", group.name);
            Ok(visitor.go_with(&path, Notice::GroupCreated))
        }
        Err(Error::No(Code::InvalidRequest, _)) => {
            let groups = administration.authd().groups()?;
            let text = why_not(visitor.language, &form.name, &groups);
            let errors = vec![FieldError::new("name", text)];
            show_list(
                visitor,
                administration,
                Place { after: 0 },
                &form.name,
                errors,
            )
        }
        Err(error) => Err(error.into()),
    }
}

/// Why there is no new group of this name.
fn why_not(t: Language, name: &str, groups: &[Group]) -> &'static str {
    match groups.iter().any(|group| group.name == name.trim()) {
        true => t.error_group_taken(),
        false if groups.len() >= Group::MOST => t.error_groups_full(),
        false => t.error_group_name(),
    }
}

pub(in crate::http) fn show(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathGroup(name), Query(after)): (PathGroup, Query<After>),
) -> Result<Response, HttpError> {
    show_group(visitor, administration, &name, &after.after, "", Vec::new())
}

fn show_group(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    name: &str,
    after: &str,
    login: &str,
    errors: Vec<FieldError>,
) -> Result<Response, HttpError> {
    let path = format!("{GROUPS}/{name}");
    let is_first = after.is_empty();
    let members = administration.authd().accounts(&AccountQuery {
        filter: AccountFilter::Group(name.to_owned()),
        search: None,
        after: (!is_first).then(|| after.to_owned()),
        newest_first: false,
        limit: LIMIT,
    });
    let page = match members {
        Ok(page) => page,
        // The member that the page before ended with left the group.
        Err(Error::No(Code::InvalidRequest | Code::NotFound, _)) if !is_first => {
            return Ok(visitor.go(&path));
        }
        Err(error) => return Err(error.into()),
    };
    let ids = ids(&page.accounts);
    let next = page.next.as_deref();
    let next = next.map(|after| address(&path, &[("after", after)]));
    Ok(visitor.show(&GroupPage {
        shell: &visitor.shell(),
        name,
        members: rows(&ids, &page.accounts),
        login,
        first_page: (!is_first).then_some(&path),
        next_page: next.as_deref(),
        errors,
    }))
}

pub(in crate::http) fn add_member(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathGroup(name), Form(form)): (PathGroup, Form<AddForm>),
) -> Result<Response, HttpError> {
    let t = visitor.language;
    let text = match administration.grant_group(&name, &Selector::read(form.login.trim())) {
        Ok(_) => return Ok(visitor.go_with(&format!("{GROUPS}/{name}"), Notice::MemberAdded)),
        Err(Error::No(Code::NotFound, _)) => t.error_no_such_account(),
        Err(Error::No(Code::InvalidRequest, _)) => t.error_too_many_groups(),
        Err(error) => return Err(error.into()),
    };
    let errors = vec![FieldError::new("login", text)];
    show_group(visitor, administration, &name, "", &form.login, errors)
}

pub(in crate::http) fn remove_member(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    (PathGroup(name), Form(form)): (PathGroup, Form<RemoveForm>),
) -> Result<Response, HttpError> {
    let path = format!("{GROUPS}/{name}");
    let Ok(id) = form.account.parse::<AccountId>() else {
        return Ok(visitor.go_with(&path, Notice::AccountGone));
    };
    match administration.revoke_group(&name, &Selector::Id(id)) {
        Ok(_) => Ok(visitor.go_with(&path, Notice::MemberRemoved)),
        Err(Error::No(Code::NotFound, _)) => Ok(visitor.go_with(&path, Notice::AccountGone)),
        Err(error) => Err(error.into()),
    }
}

pub(in crate::http) fn show_delete(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathGroup(name): PathGroup,
) -> Result<Response, HttpError> {
    let groups = administration.authd().groups()?;
    let found = groups.iter().find(|group| group.name == name);
    let group = found.ok_or_else(HttpError::no_such_path)?;
    Ok(visitor.show(&DeleteGroup {
        shell: &visitor.shell(),
        name: &name,
        members: group.members,
    }))
}

pub(in crate::http) fn delete(
    visitor: &Visitor<'_>,
    administration: &Administration<'_>,
    PathGroup(name): PathGroup,
) -> Result<Response, HttpError> {
    match administration.delete_group(&name) {
        // Deleted before, perhaps by another administrator: it is gone, as was asked.
        Ok(_) | Err(Error::No(Code::NotFound, _)) => {
            Ok(visitor.go_with(GROUPS, Notice::GroupDeleted))
        }
        Err(error) => Err(error.into()),
    }
}
