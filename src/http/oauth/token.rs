//! Token, introspection and revocation (RFC 6749 §3.2, RFC 7662, RFC 7009).

use super::client::authenticate;
use super::parameters::{InForm, Parameters};
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::TokenRequest;

pub(super) fn exchange(call: &Call<'_>, InForm(form): InForm) -> Result<Response, HttpError> {
    let client = authenticate(call, &form)?;
    let request = read_request(&form)?;
    let tokens = call.authd.exchange(&client, &request, &call.device)?;
    Ok(Response::json(200, &tokens).header("pragma", "no-cache"))
}

fn read_request(form: &Parameters) -> Result<TokenRequest<'_>, HttpError> {
    let grant_type = form.get("grant_type")?;
    Ok(TokenRequest {
        grant_type: grant_type
            .ok_or_else(|| HttpError::invalid_request("The parameter grant_type is missing."))?,
        code: form.get("code")?,
        redirect_uri: form.get("redirect_uri")?,
        code_verifier: form.get("code_verifier")?,
        refresh_token: form.get("refresh_token")?,
        device_code: form.get("device_code")?,
        scope: form.get("scope")?,
        resource: form.get("resource")?,
    })
}

/// RFC 8628 §3.1.
pub(super) fn begin_device(call: &Call<'_>, InForm(form): InForm) -> Result<Response, HttpError> {
    let client = authenticate(call, &form)?;
    let (scope, resource) = (form.get("scope")?, form.get("resource")?);
    let begun = call
        .authd
        .begin_device(&client, scope, resource, &call.device)?;
    Ok(Response::json(200, &begun))
}

pub(super) fn introspect(call: &Call<'_>, InForm(form): InForm) -> Result<Response, HttpError> {
    let client = authenticate(call, &form)?;
    let answer = call.authd.introspect(&client, token(&form)?)?;
    Ok(Response::json(200, &answer))
}

pub(super) fn revoke(call: &Call<'_>, InForm(form): InForm) -> Result<Response, HttpError> {
    let client = authenticate(call, &form)?;
    call.authd.revoke(&client, token(&form)?, &call.device)?;
    Ok(Response::new(200))
}

fn token(form: &Parameters) -> Result<&str, HttpError> {
    let token = form.get("token")?;
    token.ok_or_else(|| HttpError::invalid_request("The parameter token is missing."))
}
