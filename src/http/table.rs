//! What there is: one table of routes, with the guard of each. The same table gives the OpenAPI document.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::http::api::problem::Problem;
use crate::http::api::{
    accounts, doctor, email_verification, events, health, keys, openapi, password_reset, sessions,
};
use crate::http::pages::{front, links};
use crate::http::request::Method;
use crate::http::response::Response;
use crate::http::route::{Call, Guard, Route};
use crate::service::{AccountDetails, JwkSet, Session, SignIn};

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Every route. The first that fits is taken, so `current` stands before `{id}`.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::Get,
        path: "/",
        operation: "showFront",
        guard: Guard::Public(front::show),
        summary: "What this is, and where a forgotten password leads, in plain text",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: "/setup",
        operation: "showSetUp",
        guard: Guard::Public(links::set_up),
        summary: "How to make the first administrator, in plain text",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Post,
        path: "/v1/setup",
        operation: "setUp",
        guard: Guard::Public(accounts::set_up),
        summary: "Make the first administrator with the token of the set-up link, once",
        takes: Some(schema::<accounts::SetUp>),
        gives: (201, Some(schema::<SignIn>)),
        refuses: &[400, 403, 409, 415, 422],
    },
    Route {
        method: Method::Post,
        path: "/v1/accounts",
        operation: "register",
        guard: Guard::Public(accounts::register),
        summary: "Make an account and sign in; where addresses have to be proven first, have a letter sent",
        takes: Some(schema::<accounts::Register>),
        gives: (201, Some(schema::<SignIn>)),
        refuses: &[400, 403, 409, 415, 422, 429],
    },
    Route {
        method: Method::Get,
        path: "/register",
        operation: "showRegister",
        guard: Guard::Public(links::register),
        summary: "What to do with an invitation, in plain text",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: "/v1/account",
        operation: "showAccount",
        guard: Guard::Bearer(accounts::show),
        summary: "The account of whoever asks",
        takes: None,
        gives: (200, Some(schema::<AccountDetails>)),
        refuses: &[],
    },
    Route {
        method: Method::Patch,
        path: "/v1/account",
        operation: "changeAccount",
        guard: Guard::Bearer(accounts::change),
        summary: "Change name, username or e-mail address; the latter takes the current password, and confirmation at both",
        takes: Some(schema::<accounts::ChangeAccount>),
        gives: (200, Some(schema::<AccountDetails>)),
        refuses: &[400, 403, 409, 415, 429],
    },
    Route {
        method: Method::Delete,
        path: "/v1/account",
        operation: "deleteAccount",
        guard: Guard::Bearer(accounts::delete),
        summary: "Delete the account with all that belongs to it",
        takes: Some(schema::<accounts::DeleteAccount>),
        gives: (204, None),
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::Post,
        path: "/v1/account/delete",
        operation: "deleteAccountByPost",
        guard: Guard::Bearer(accounts::delete),
        summary: "The same, for clients and gateways that send no body with DELETE",
        takes: Some(schema::<accounts::DeleteAccount>),
        gives: (204, None),
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::Get,
        path: "/v1/account/events",
        operation: "listEvents",
        guard: Guard::Bearer(events::list),
        summary: "What happened to the account, newest first; `?before=ID` and `?limit=N` (1 to 1,000, or 50) page",
        takes: None,
        gives: (200, Some(schema::<events::EventList>)),
        refuses: &[400],
    },
    Route {
        method: Method::Put,
        path: "/v1/account/password",
        operation: "changePassword",
        guard: Guard::Bearer(accounts::change_password),
        summary: "Change the password: new tokens for this session, an end to all others",
        takes: Some(schema::<accounts::ChangePassword>),
        gives: (200, Some(schema::<SignIn>)),
        refuses: &[400, 403, 415, 422, 429],
    },
    Route {
        method: Method::Post,
        path: "/v1/sessions",
        operation: "signIn",
        guard: Guard::Public(sessions::sign_in),
        summary: "Sign in",
        takes: Some(schema::<sessions::Credentials>),
        gives: (201, Some(schema::<SignIn>)),
        refuses: &[400, 401, 403, 415, 422, 429],
    },
    Route {
        method: Method::Post,
        path: "/v1/sessions/refresh",
        operation: "refreshSession",
        guard: Guard::Public(sessions::refresh),
        summary: "Exchange a refresh token for its successor. An Idempotency-Key makes a retry safe for a day",
        takes: Some(schema::<sessions::RefreshSession>),
        gives: (200, Some(schema::<SignIn>)),
        refuses: &[400, 401, 415, 429],
    },
    Route {
        method: Method::Get,
        path: "/v1/sessions",
        operation: "listSessions",
        guard: Guard::Bearer(sessions::list),
        summary: "The open sessions of whoever asks, the one used last first",
        takes: None,
        gives: (200, Some(schema::<sessions::SessionList>)),
        refuses: &[],
    },
    Route {
        method: Method::Delete,
        path: "/v1/sessions",
        operation: "endSessions",
        guard: Guard::Bearer(sessions::end_all),
        summary: "End all sessions, or with `?except=current` all others",
        takes: None,
        gives: (200, Some(schema::<sessions::RevokedSessions>)),
        refuses: &[400],
    },
    Route {
        method: Method::Delete,
        path: "/v1/sessions/current",
        operation: "signOut",
        guard: Guard::Bearer(sessions::sign_out),
        summary: "Sign out",
        takes: None,
        gives: (204, None),
        refuses: &[404],
    },
    Route {
        method: Method::Patch,
        path: "/v1/sessions/{id}",
        operation: "nameSession",
        guard: Guard::Bearer(sessions::name),
        summary: "Name the device of a session",
        takes: Some(schema::<sessions::NameSession>),
        gives: (200, Some(schema::<Session>)),
        refuses: &[400, 404, 415],
    },
    Route {
        method: Method::Delete,
        path: "/v1/sessions/{id}",
        operation: "endSession",
        guard: Guard::Bearer(sessions::end),
        summary: "End a session, on whatever device it is",
        takes: None,
        gives: (204, None),
        refuses: &[404],
    },
    Route {
        method: Method::Post,
        path: "/v1/password-reset",
        operation: "requestPasswordReset",
        guard: Guard::Public(password_reset::request),
        summary: "Have a link to choose a new password sent; the answer is the same whether or not the account exists",
        takes: Some(schema::<password_reset::RequestPasswordReset>),
        gives: (202, None),
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::Post,
        path: "/v1/password-reset/confirm",
        operation: "confirmPasswordReset",
        guard: Guard::Public(password_reset::confirm),
        summary: "Choose a new password with the token of that link, once: ends all sessions, and signs nobody in",
        takes: Some(schema::<password_reset::ConfirmPasswordReset>),
        gives: (204, None),
        refuses: &[400, 415, 422],
    },
    Route {
        method: Method::Get,
        path: "/reset",
        operation: "showReset",
        guard: Guard::Public(links::reset),
        summary: "What to do with a reset link, in plain text",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Post,
        path: "/v1/email-verification",
        operation: "requestEmailVerification",
        guard: Guard::Public(email_verification::request),
        summary: "Have a link sent that proves an e-mail address; the answer is the same whether or not the account exists",
        takes: Some(schema::<email_verification::RequestEmailVerification>),
        gives: (202, None),
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::Post,
        path: "/v1/email-verification/confirm",
        operation: "confirmEmailVerification",
        guard: Guard::Public(email_verification::confirm),
        summary: "Prove an e-mail address with the token of a link, once; makes a waiting account, or confirms a new address",
        takes: Some(schema::<email_verification::ConfirmEmailVerification>),
        gives: (204, None),
        refuses: &[400, 403, 409, 415],
    },
    Route {
        method: Method::Get,
        path: "/verify",
        operation: "showVerify",
        guard: Guard::Public(links::verify),
        summary: "What to do with such a link, in plain text",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: "/oauth/jwks",
        operation: "getJwks",
        guard: Guard::Public(keys::jwks),
        summary: "The public keys that verify access tokens",
        takes: None,
        gives: (200, Some(schema::<JwkSet>)),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: "/.well-known/jwks.json",
        operation: "getWellKnownJwks",
        guard: Guard::Public(keys::jwks),
        summary: "The same, where some libraries look for it",
        takes: None,
        gives: (200, Some(schema::<JwkSet>)),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: "/healthz",
        operation: "getHealth",
        guard: Guard::Public(health::alive),
        summary: "Whether the process answers",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: "/readyz",
        operation: "getReadiness",
        guard: Guard::Public(health::ready),
        summary: "Whether requests can be served: the database can be read and written",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
    Route {
        method: Method::Get,
        path: doctor::DOCTOR_PATH,
        operation: "askDoctor",
        guard: Guard::Doctor(doctor::tell),
        summary: "What arrives of a request, for `authd doctor --url` alone",
        takes: None,
        gives: (200, Some(schema::<doctor::Seen>)),
        refuses: &[404],
    },
    Route {
        method: Method::Get,
        path: "/openapi.json",
        operation: "getOpenApi",
        guard: Guard::Public(document),
        summary: "This interface, as OpenAPI 3.1",
        takes: None,
        gives: (200, None),
        refuses: &[],
    },
];

fn document(call: &Call<'_>) -> Result<Response, Problem> {
    let document = openapi::write(ROUTES, &call.authd.policy().issuer);
    Ok(Response::json(200, &document).header("cache-control", "public, max-age=3600"))
}

/// Where a request leads.
pub enum Found<'a> {
    /// To a route, with what stands for its `{id}`.
    Route(&'static Route, &'a str),
    /// To a path that takes other methods: these.
    OtherMethods(String),
    Nothing,
}

/// Finds the route of a request. Paths are compared as they were sent: nothing is decoded, and no dot is resolved.
pub fn find(method: Method, path: &str) -> Found<'_> {
    let wanted = if method == Method::Head {
        Method::Get
    } else {
        method
    };
    let mut known = false;
    let is_written_out = ROUTES.iter().any(|route| route.path == path);
    for route in ROUTES {
        if is_written_out && route.path != path {
            continue;
        }
        if let Some(parameter) = matches(route.path, path) {
            if route.method == wanted {
                return Found::Route(route, parameter);
            }
            known = true;
        }
    }
    if known {
        Found::OtherMethods(methods_of(path))
    } else {
        Found::Nothing
    }
}

/// The methods of a path, as the `Allow` header lists them (RFC 9110 §10.2.1); empty if there is no such path.
pub fn methods_of(path: &str) -> String {
    let mut names = Vec::new();
    // A path that stands in the table as it is has its own methods, and not those of a pattern that it would fit too.
    let is_written_out = ROUTES.iter().any(|route| route.path == path);
    for route in ROUTES.iter().filter(|route| match is_written_out {
        true => route.path == path,
        false => matches(route.path, path).is_some(),
    }) {
        let name = route.method.name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.join(", ")
}

/// The path of the route that `path` leads to, as it stands in the table.
pub fn pattern_of(path: &str) -> Option<&'static str> {
    let mut routes = ROUTES.iter();
    let route = routes.find(|route| matches(route.path, path).is_some());
    route.map(|route| route.path)
}

fn matches<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.strip_suffix("{id}") {
        None => (pattern == path).then_some(""),
        Some(prefix) => path
            .strip_prefix(prefix)
            .filter(|segment| !segment.is_empty() && !segment.contains('/')),
    }
}
