//! How a client says who it is: by HTTP Basic, or by parameters of the form (RFC 6749 §2.3.1). Every client with a secret may
//! use either, because many apps can do only one of them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::parameters::Parameters;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::service::{Client, ClientCredentials};

/// The longest `Authorization` header that is decoded, in bytes.
const LONGEST: usize = 1024;

/// The client that a request authenticates.
///
/// # Errors
/// 401 for every kind of wrong; 400 where header and form do not fit together.
pub fn authenticate(call: &Call<'_>, form: &Parameters) -> Result<Arc<Client>, HttpError> {
    let (id, secret) = (form.get("client_id")?, form.get("client_secret")?);
    let Some((basic_id, basic_secret)) = read_basic(call)? else {
        let client_id =
            id.ok_or_else(|| HttpError::invalid_request("The parameter client_id is missing."))?;
        return Ok(call
            .authd
            .authenticate_client(&ClientCredentials { client_id, secret })?);
    };
    // Some libraries name the client in both places (RFC 6749 §2.3 forbids two secrets alone).
    if id.is_some_and(|id| id != basic_id) || secret.is_some_and(|secret| secret != basic_secret) {
        return Err(HttpError::invalid_request(
            "The header and the form name two clients.",
        ));
    }
    let credentials = ClientCredentials {
        client_id: &basic_id,
        secret: Some(&basic_secret),
    };
    Ok(call.authd.authenticate_client(&credentials)?)
}

/// Id and secret of a Basic header, each decoded as a form value (RFC 6749 §2.3.1).
fn read_basic(call: &Call<'_>) -> Result<Option<(String, String)>, HttpError> {
    let Some(header) = call.request.header("authorization") else {
        return Ok(None);
    };
    let wrong = || HttpError::invalid_request("The Authorization header is not a Basic one.");
    let (scheme, encoded) = header.split_once(' ').ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > LONGEST {
        return Err(wrong());
    }
    let decoded = STANDARD
        .decode(encoded.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(wrong)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

fn form_decoded(text: &str) -> String {
    // `=` and `&` would end a name or a pair; whoever encodes, encodes them.
    let (text, rest) = text.split_at(text.find(['&', '=']).unwrap_or(text.len()));
    let decoded = form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned());
    decoded.unwrap_or_default() + rest
}
