//! The routes of the endpoints that programs call.

use http::Method;

use super::{discovery, token, userinfo};
use crate::http::route::{Guard, Public, Route};
use crate::http::surface::Surface;

const fn route(
    method: Method,
    path: &'static str,
    surface: Surface,
    guard: &'static dyn Guard,
) -> Route {
    Route {
        method,
        path,
        surface,
        guard,
        operation_id: "",
        summary: "",
        answers: &[],
        refuses: &[],
    }
}

/// All of them.
pub(in crate::http) const ROUTES: &[Route] = &[
    route(
        Method::GET,
        "/.well-known/openid-configuration",
        Surface::Metadata,
        &Public(discovery::show),
    ),
    route(
        Method::GET,
        "/.well-known/oauth-authorization-server",
        Surface::Metadata,
        &Public(discovery::show),
    ),
    route(
        Method::POST,
        "/oauth/token",
        Surface::OAuth,
        &Public(token::exchange),
    ),
    route(
        Method::POST,
        "/oauth/device_authorization",
        Surface::OAuth,
        &Public(token::begin_device),
    ),
    route(
        Method::POST,
        "/oauth/introspect",
        Surface::OAuth,
        &Public(token::introspect),
    ),
    route(
        Method::POST,
        "/oauth/revoke",
        Surface::OAuth,
        &Public(token::revoke),
    ),
    route(
        Method::GET,
        "/oauth/userinfo",
        Surface::OAuth,
        &Public(userinfo::show),
    ),
    route(
        Method::POST,
        "/oauth/userinfo",
        Surface::OAuth,
        &Public(userinfo::show_to_form),
    ),
];
