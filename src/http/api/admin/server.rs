//! What concerns the server as a whole: its signing keys, and the settings that it runs with.

use schemars::JsonSchema;
use serde::Serialize;

use crate::http::SettingInForce;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::{Administration, SigningKeyInfo};

/// The keys that sign tokens.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct SigningKeyList {
    /// The oldest first.
    keys: Vec<SigningKeyInfo>,
}

/// The settings that the server runs with.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct SettingList<'a> {
    settings: &'a [SettingInForce],
}

pub(in crate::http) fn list_keys(
    call: &Call<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let keys = call.authd.signing_keys()?;
    Ok(Response::json(200, &SigningKeyList { keys }))
}

pub(in crate::http) fn rotate_key(
    _: &Call<'_>,
    administration: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let key = administration.rotate_signing_key()?;
    Ok(Response::json(201, &key))
}

pub(in crate::http) fn list_settings(
    call: &Call<'_>,
    _: &Administration<'_>,
    (): (),
) -> Result<Response, HttpError> {
    let settings = call.settings_in_force;
    Ok(Response::json(200, &SettingList { settings }))
}
