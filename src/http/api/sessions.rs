//! Sessions: sign in, refresh, list, rename, end.

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::{Input, InputDescription, Json, Parameter, Query};
use crate::http::response::Response;
use crate::ids::SessionId;
use crate::service::{Actor, Session, Wanted};

/// A sign-in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SignInRequest {
    /// E-mail address or username.
    login: String,
    /// The password.
    password: String,
    /// A new password, where the present one is temporary.
    new_password: Option<String>,
    /// What to call the device in the list of sessions.
    device_name: Option<String>,
    /// What access tokens are to contain and allow, as words separated by spaces: `groups` for the account's groups,
    /// `admin` for the administration, if the account is an administrator.
    scope: Option<String>,
}

/// A refresh.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RefreshRequest {
    /// The refresh token of the last answer.
    refresh_token: String,
}

/// The name of a device.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RenameSessionRequest {
    /// The name; null or empty removes it.
    #[serde(deserialize_with = "Option::deserialize")]
    device_name: Option<String>,
}

/// Which sessions to end.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EndSessionsQuery {
    /// Keep the session that asks.
    #[serde(default)]
    #[schemars(with = "Except")]
    except: Option<Except>,
}

/// A session that does not end with the others.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Except {
    Current,
}

/// Open sessions.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct SessionList {
    pub(super) sessions: Vec<Session>,
}

/// How many sessions were ended.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct EndedSessions {
    pub(super) revoked: usize,
}

/// The session in the path.
pub(in crate::http) struct PathSession(SessionId);

impl Input for PathSession {
    fn read(call: &Call<'_>) -> Result<PathSession, HttpError> {
        let id = call.parameters[0].parse();
        id.map(PathSession)
            .map_err(|_| HttpError::no_such_session())
    }

    fn describe(description: &mut InputDescription, generator: &mut SchemaGenerator) {
        description.parameters.push(Parameter {
            name: "id".to_owned(),
            place: "path",
            is_required: true,
            description: Some("The id of a session.".to_owned()),
            schema: SessionId::json_schema(generator).to_value(),
        });
    }
}

/// The `Idempotency-Key` header, if it was sent.
pub(in crate::http) struct IdempotencyKey(Option<String>);

impl Input for IdempotencyKey {
    fn read(call: &Call<'_>) -> Result<IdempotencyKey, HttpError> {
        let mut keys = call.request.raw_headers_all("idempotency-key");
        let key = keys.next().map(|key| String::from_utf8(key.to_vec()));
        match (key.transpose(), keys.next()) {
            (Ok(key), None) => Ok(IdempotencyKey(key)),
            // A client whose key is ignored would rely on a retry that ends its session.
            (Err(_), _) => Err(HttpError::invalid_request(
                "Send an Idempotency-Key of ASCII characters.",
            )),
            (_, Some(_)) => Err(HttpError::invalid_request("Send one Idempotency-Key.")),
        }
    }

    fn describe(description: &mut InputDescription, _: &mut SchemaGenerator) {
        let words = "A retry with the same key is answered for a day. Use a new key of at least 16 random bytes for each refresh.";
        description.parameters.push(Parameter {
            name: "Idempotency-Key".to_owned(),
            place: "header",
            is_required: false,
            description: Some(words.to_owned()),
            schema: json_schema!({ "type": "string", "minLength": 1, "maxLength": 255 }).to_value(),
        });
    }
}

pub(in crate::http) fn sign_in(
    call: &Call<'_>,
    Json(body): Json<SignInRequest>,
) -> Result<Response, HttpError> {
    let wanted = Wanted {
        device_name: body.device_name.as_deref(),
        scope: body.scope.as_deref(),
    };
    let signed_in = call.authd.sign_in(
        &body.login,
        &body.password,
        body.new_password.as_deref(),
        wanted,
        &call.device,
    )?;
    Ok(Response::json(201, &signed_in))
}

pub(in crate::http) fn refresh(
    call: &Call<'_>,
    (Json(body), IdempotencyKey(key)): (Json<RefreshRequest>, IdempotencyKey),
) -> Result<Response, HttpError> {
    let signed_in = call
        .authd
        .refresh(&body.refresh_token, key.as_deref(), &call.device)?;
    Ok(Response::json(200, &signed_in))
}

pub(in crate::http) fn list(call: &Call<'_>, actor: &Actor, (): ()) -> Result<Response, HttpError> {
    let sessions = call.authd.sessions(actor)?;
    Ok(Response::json(200, &SessionList { sessions }))
}

pub(in crate::http) fn rename(
    call: &Call<'_>,
    actor: &Actor,
    (PathSession(id), Json(body)): (PathSession, Json<RenameSessionRequest>),
) -> Result<Response, HttpError> {
    let name = body.device_name.as_deref();
    let session = call.authd.name_session(actor, id, name)?;
    Ok(Response::json(200, &session))
}

pub(in crate::http) fn end(
    call: &Call<'_>,
    actor: &Actor,
    PathSession(id): PathSession,
) -> Result<Response, HttpError> {
    call.authd.end_session(actor, id, &call.device)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn sign_out(
    call: &Call<'_>,
    actor: &Actor,
    (): (),
) -> Result<Response, HttpError> {
    call.authd.end_session(actor, actor.session, &call.device)?;
    Ok(Response::new(204))
}

pub(in crate::http) fn end_all(
    call: &Call<'_>,
    actor: &Actor,
    Query(query): Query<EndSessionsQuery>,
) -> Result<Response, HttpError> {
    let except_current = query.except.is_some();
    let revoked = call
        .authd
        .end_sessions(actor, except_current, &call.device)?;
    Ok(Response::json(200, &EndedSessions { revoked }))
}
