//! Groups and their members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Limit, PathGroup, PathMember};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Json, Query};
use crate::http::response::Response;
use crate::service::{AccountFilter, AccountQuery, Administration, Group};

/// A new group.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CreateGroupRequest {
    /// Its name: 1 to 64 lower-case letters, digits, dots, hyphens and underscores. It is never changed.
    name: String,
}

/// All groups.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct GroupList {
    /// By name.
    groups: Vec<Group>,
}

/// A deleted group.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct DeletedGroup {
    /// How many accounts were in it.
    members: usize,
}

/// Which members of a group.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MemberListQuery {
    /// Only members whose e-mail address, username or name contains this text, in any case.
    #[serde(default)]
    #[schemars(with = "String")]
    search: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    #[schemars(with = "String")]
    after: Option<String>,
    /// How many accounts at most.
    #[serde(default)]
    #[schemars(schema_with = "super::describe_limit")]
    limit: Limit,
}

/// A membership after a change.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct ChangedMembership {
    /// Whether it was otherwise before.
    changed: bool,
}

pub(in crate::http) fn list(
    call: &Call<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let groups = call.authd.groups()?;
    Ok(Response::json(200, &GroupList { groups }))
}

pub(in crate::http) fn create(
    _: &Call<'_>,
    administration: &Administration<'_>,
    Json(body): Json<CreateGroupRequest>,
) -> Result<Response, HttpError> {
    let group = administration.add_group(&body.name)?;
    Ok(Response::json(201, &group))
}

pub(in crate::http) fn delete(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathGroup(name): PathGroup,
) -> Result<Response, HttpError> {
    let members = administration.delete_group(&name)?;
    Ok(Response::json(200, &DeletedGroup { members }))
}

pub(in crate::http) fn list_members(
    call: &Call<'_>,
    _: &Administration<'_>,
    (PathGroup(name), Query(query)): (PathGroup, Query<MemberListQuery>),
) -> Result<Response, HttpError> {
    let page = call.authd.accounts(&AccountQuery {
        filter: AccountFilter::Group(name),
        search: query.search,
        after: query.after,
        newest_first: false,
        limit: query.limit.0,
    })?;
    Ok(Response::json(200, &page))
}

pub(in crate::http) fn grant(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathMember(group, account): PathMember,
) -> Result<Response, HttpError> {
    let (_, changed) = administration.grant_group(&group, &account)?;
    Ok(Response::json(200, &ChangedMembership { changed }))
}

pub(in crate::http) fn revoke(
    _: &Call<'_>,
    administration: &Administration<'_>,
    PathMember(group, account): PathMember,
) -> Result<Response, HttpError> {
    let (_, changed) = administration.revoke_group(&group, &account)?;
    Ok(Response::json(200, &ChangedMembership { changed }))
}
