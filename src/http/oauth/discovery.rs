//! What this provider can do, for clients (OpenID Connect Discovery §3, RFC 8414 §2). One document under both addresses.
//!
//! It says what is true and no more. Several apps look at a member and choose by it: `token_endpoint_auth_methods_supported`,
//! `code_challenge_methods_supported`, `id_token_signing_alg_values_supported`.

use serde_json::json;

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;
use crate::service::{ACR, GrantType, KNOWN_SCOPES, ResponseMode};

/// How long a client may keep the document, in seconds.
const MAX_AGE: &str = "public, max-age=900";

pub(super) fn show(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let issuer = &call.authd.policy().issuer;
    let at = |path: &str| format!("{issuer}{path}");
    let secret_methods = ["client_secret_basic", "client_secret_post"];
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth/authorize"),
        "token_endpoint": at("/oauth/token"),
        "userinfo_endpoint": at("/oauth/userinfo"),
        "jwks_uri": at("/oauth/jwks"),
        "revocation_endpoint": at("/oauth/revoke"),
        "introspection_endpoint": at("/oauth/introspect"),
        "device_authorization_endpoint": at("/oauth/device_authorization"),
        "end_session_endpoint": at("/oauth/logout"),
        "scopes_supported": KNOWN_SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::as_str),
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": secret_methods,
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "amr", "acr",
            "name", "preferred_username", "email", "email_verified", "groups",
        ],
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "acr_values_supported": [ACR],
        "ui_locales_supported": ["en", "de"],
    });
    Ok(Response::json(200, &document).header("cache-control", MAX_AGE))
}
