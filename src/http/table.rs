//! The table of routes. Requests are dispatched from it, and the OpenAPI document is written from it. The routes of the
//! administration and of the pages are in tables of their own.

mod admin;

use http::Method;

use super::api::{
    accounts, apps, doctor, email_verification, events, health, keys, openapi, password_reset,
    sessions,
};
use super::call::Parameters;
use super::route::{Access, Answer, Bearer, Doctor, Public, Route, match_pattern};
use super::surface::Surface;
use super::{oauth, pages};
use crate::service::{AccountDetails, JwkSet, Session, SignIn};

/// The routes of the API for account owners and their apps.
static ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/v1/setup",
        surface: Surface::Api,
        guard: &Public(accounts::set_up),
        operation_id: "setUp",
        summary: "Create the first administrator with the token of the set-up link, once",
        answers: &[Answer::json::<SignIn>(201, "Created and signed in.")],
        refuses: &[400, 403, 409, 415, 422],
    },
    Route {
        method: Method::POST,
        path: "/v1/accounts",
        surface: Surface::Api,
        guard: &Public(accounts::register),
        operation_id: "register",
        summary: "Create an account and sign in; with `verification = \"required\"`, send a link that proves the address",
        answers: &[
            Answer::json::<SignIn>(201, "Created and signed in."),
            Answer::nothing(
                202,
                "With `verification = \"required\"`: the account is created when the link in the message is followed.",
            ),
        ],
        refuses: &[400, 403, 409, 415, 422, 429],
    },
    Route {
        method: Method::GET,
        path: "/v1/account",
        surface: Surface::Api,
        guard: &Bearer(accounts::show),
        operation_id: "getAccount",
        summary: "The account that the access token belongs to",
        answers: &[Answer::json::<AccountDetails>(200, "The account.")],
        refuses: &[],
    },
    Route {
        method: Method::PATCH,
        path: "/v1/account",
        surface: Surface::Api,
        guard: &Bearer(accounts::change),
        operation_id: "updateAccount",
        summary: "Change the name, the username or the e-mail address",
        answers: &[Answer::json::<AccountDetails>(200, "The changed account.")],
        refuses: &[400, 403, 409, 415, 429],
    },
    Route {
        method: Method::DELETE,
        path: "/v1/account",
        surface: Surface::Api,
        guard: &Bearer(accounts::delete),
        operation_id: "deleteAccountWithBody",
        summary: "The same as `POST /v1/account/delete`, for clients that can send a body with DELETE",
        answers: &[Answer::nothing(204, "Deleted.")],
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::POST,
        path: "/v1/account/delete",
        surface: Surface::Api,
        guard: &Bearer(accounts::delete),
        operation_id: "deleteAccount",
        summary: "Delete the account and everything that belongs to it",
        answers: &[Answer::nothing(204, "Deleted.")],
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::GET,
        path: "/v1/account/events",
        surface: Surface::Api,
        guard: &Bearer(events::list),
        operation_id: "listAccountEvents",
        summary: "What happened to the account, newest first",
        answers: &[Answer::json::<events::EventList>(200, "A page of events.")],
        refuses: &[400],
    },
    Route {
        method: Method::PUT,
        path: "/v1/account/password",
        surface: Surface::Api,
        guard: &Bearer(accounts::change_password),
        operation_id: "changePassword",
        summary: "Change the password: new tokens for this session; all other sessions end",
        answers: &[Answer::json::<SignIn>(200, "Changed.")],
        refuses: &[400, 403, 415, 422, 429],
    },
    Route {
        method: Method::GET,
        path: "/v1/account/apps",
        surface: Surface::Api,
        guard: &Bearer(apps::list),
        operation_id: "listApps",
        summary: "The apps that have access to the account (OpenID Connect), by name",
        answers: &[Answer::json::<apps::AppList>(200, "The apps.")],
        refuses: &[],
    },
    Route {
        method: Method::DELETE,
        path: "/v1/account/apps/{id}",
        surface: Surface::Api,
        guard: &Bearer(apps::end),
        operation_id: "endApp",
        summary: "Take the access of an app back: it is signed out everywhere",
        answers: &[Answer::nothing(204, "Ended.")],
        refuses: &[404],
    },
    Route {
        method: Method::POST,
        path: "/v1/sessions",
        surface: Surface::Api,
        guard: &Public(sessions::sign_in),
        operation_id: "signIn",
        summary: "Sign in",
        answers: &[Answer::json::<SignIn>(201, "Signed in.")],
        refuses: &[400, 401, 403, 415, 422, 429],
    },
    Route {
        method: Method::POST,
        path: "/v1/sessions/refresh",
        surface: Surface::Api,
        guard: &Public(sessions::refresh),
        operation_id: "refreshSession",
        summary: "Exchange a refresh token for its successor",
        answers: &[Answer::json::<SignIn>(200, "New tokens.")],
        refuses: &[400, 401, 415, 429],
    },
    Route {
        method: Method::GET,
        path: "/v1/sessions",
        surface: Surface::Api,
        guard: &Bearer(sessions::list),
        operation_id: "listSessions",
        summary: "The open sessions of the account, the one used last first",
        answers: &[Answer::json::<sessions::SessionList>(
            200,
            "The open sessions.",
        )],
        refuses: &[],
    },
    Route {
        method: Method::DELETE,
        path: "/v1/sessions",
        surface: Surface::Api,
        guard: &Bearer(sessions::end_all),
        operation_id: "endSessions",
        summary: "End all sessions, or all others",
        answers: &[Answer::json::<sessions::EndedSessions>(200, "Ended.")],
        refuses: &[400],
    },
    Route {
        method: Method::DELETE,
        path: "/v1/sessions/current",
        surface: Surface::Api,
        guard: &Bearer(sessions::sign_out),
        operation_id: "signOut",
        summary: "Sign out",
        answers: &[Answer::nothing(204, "Signed out.")],
        refuses: &[404],
    },
    Route {
        method: Method::PATCH,
        path: "/v1/sessions/{id}",
        surface: Surface::Api,
        guard: &Bearer(sessions::rename),
        operation_id: "renameSession",
        summary: "Name the device of a session",
        answers: &[Answer::json::<Session>(200, "The renamed session.")],
        refuses: &[400, 404, 415],
    },
    Route {
        method: Method::DELETE,
        path: "/v1/sessions/{id}",
        surface: Surface::Api,
        guard: &Bearer(sessions::end),
        operation_id: "endSession",
        summary: "End a session, on any device",
        answers: &[Answer::nothing(204, "Ended.")],
        refuses: &[404],
    },
    Route {
        method: Method::POST,
        path: "/v1/password-reset",
        surface: Surface::Api,
        guard: &Public(password_reset::request),
        operation_id: "requestPasswordReset",
        summary: "Send a link to choose a new password; the answer is the same whether or not the account exists",
        answers: &[Answer::nothing(
            202,
            "If there is such an account, a link is sent.",
        )],
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::POST,
        path: "/v1/password-reset/confirm",
        surface: Surface::Api,
        guard: &Public(password_reset::confirm),
        operation_id: "confirmPasswordReset",
        summary: "Choose a new password with the token of that link, once: ends all sessions, and does not sign in",
        answers: &[Answer::nothing(204, "The new password is set.")],
        refuses: &[400, 415, 422],
    },
    Route {
        method: Method::POST,
        path: "/v1/email-verification",
        surface: Surface::Api,
        guard: &Public(email_verification::request),
        operation_id: "requestEmailVerification",
        summary: "Send a link that proves an e-mail address; the answer is the same whether or not the account exists",
        answers: &[Answer::nothing(
            202,
            "If there is such an account, a link is sent.",
        )],
        refuses: &[400, 403, 415, 429],
    },
    Route {
        method: Method::POST,
        path: "/v1/email-verification/confirm",
        surface: Surface::Api,
        guard: &Public(email_verification::confirm),
        operation_id: "confirmEmailVerification",
        summary: "Prove an e-mail address with the token of a link, once: creates a waiting account, or confirms a new address",
        answers: &[Answer::nothing(204, "Proven.")],
        refuses: &[400, 403, 409, 415],
    },
    Route {
        method: Method::GET,
        path: "/oauth/jwks",
        surface: Surface::Metadata,
        guard: &Public(keys::jwks),
        operation_id: "getJwks",
        summary: "The public keys that verify access tokens",
        answers: &[Answer::json::<JwkSet>(200, "The keys (RFC 7517).")],
        refuses: &[],
    },
    Route {
        method: Method::GET,
        path: "/.well-known/jwks.json",
        surface: Surface::Metadata,
        guard: &Public(keys::jwks),
        operation_id: "getWellKnownJwks",
        summary: "The same keys, where some libraries look for them",
        answers: &[Answer::json::<JwkSet>(200, "The keys (RFC 7517).")],
        refuses: &[],
    },
    Route {
        method: Method::GET,
        path: "/healthz",
        surface: Surface::Api,
        guard: &Public(health::alive),
        operation_id: "checkLiveness",
        summary: "Whether the process answers",
        answers: &[Answer::text("It does.")],
        refuses: &[],
    },
    Route {
        method: Method::GET,
        path: "/readyz",
        surface: Surface::Api,
        guard: &Public(health::ready),
        operation_id: "checkReadiness",
        summary: "Whether requests can be served: the database can be read and written",
        answers: &[Answer::text("They can.")],
        refuses: &[],
    },
    Route {
        method: Method::GET,
        path: doctor::DOCTOR_PATH,
        surface: Surface::Api,
        guard: &Doctor(doctor::show),
        operation_id: "inspectRequest",
        summary: "What arrives of a request, for `authd doctor --url` alone",
        answers: &[Answer::json::<doctor::Seen>(200, "What arrived.")],
        refuses: &[404],
    },
    Route {
        method: Method::GET,
        path: "/openapi.json",
        surface: Surface::Api,
        guard: &Public(openapi::show),
        operation_id: "getOpenApi",
        summary: "This interface, as OpenAPI 3.1",
        answers: &[Answer::any_json("The document.")],
        refuses: &[],
    },
];

/// The routes of the API.
pub(super) fn api() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(admin::ROUTES)
}

/// Every route.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    api().chain(oauth::ROUTES).chain(pages::ROUTES)
}

/// A path that has routes.
pub(super) struct PathMatch<'p> {
    /// The path as it stands in the table.
    pub(super) pattern: &'static str,
    /// What stands in the places of `{id}` and the like, in their order; empty for those that there are not.
    pub(super) parameters: Parameters<'p>,
}

/// Finds the routes of a path. Paths are compared as they were sent: nothing is decoded, and no dot is resolved. A path
/// that stands in the table itself comes before one with a parameter: the segment `current` is not an id.
pub(super) fn find(path: &str) -> Option<PathMatch<'_>> {
    let exact = all().find(|route| route.path == path);
    if let Some(route) = exact {
        return Some(PathMatch {
            pattern: route.path,
            parameters: Parameters::default(),
        });
    }
    all().find_map(|route| {
        Some(PathMatch {
            pattern: route.path,
            parameters: match_pattern(route.path, path)?,
        })
    })
}

impl PathMatch<'_> {
    fn routes(&self) -> impl Iterator<Item = &'static Route> {
        let pattern = self.pattern;
        all().filter(move |route| route.path == pattern)
    }

    /// The route of a method.
    pub(super) fn route(&self, method: &Method) -> Option<&'static Route> {
        let method = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        self.routes().find(|route| route.method == *method)
    }

    /// The methods of the path, as the `Allow` header lists them (RFC 9110 §10.2.1).
    pub(super) fn methods(&self) -> String {
        let mut names: Vec<&str> = self.routes().map(|route| route.method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.join(", ")
    }

    /// Whether only `authd doctor` may ask for it.
    pub(super) fn is_for_doctor(&self) -> bool {
        self.routes().all(|route| route.access() == Access::Doctor)
    }

    /// The surface of the path: all its routes have the same.
    pub(super) fn surface(&self) -> Surface {
        self.routes()
            .next()
            .map_or(Surface::Api, |route| route.surface)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_routes_of_a_path_have_one_surface() {
        let mut surfaces = BTreeMap::new();
        for route in all() {
            let surface = surfaces.entry(route.path).or_insert(route.surface);
            assert_eq!(*surface, route.surface, "{}", route.path);
        }
    }

    #[test]
    fn a_path_in_the_table_comes_before_an_id() {
        let found = |path| find(path).map(|found| (found.pattern, found.parameters[0]));
        assert_eq!(
            found("/v1/sessions/refresh"),
            Some(("/v1/sessions/refresh", ""))
        );
        assert_eq!(found("/v1/sessions/x"), Some(("/v1/sessions/{id}", "x")));
        assert_eq!(found("/v1/sessions/x/y"), None);
        assert_eq!(found("/v1/sessions/"), None);
    }

    #[test]
    fn a_parameter_can_stand_anywhere_in_a_path() {
        let pattern = "/a/{id}/b/{name}";
        assert_eq!(match_pattern(pattern, "/a/1/b/x"), Some(["1", "x"]));
        for other in [
            "/a/1/b",
            "/a/1/b/",
            "/a//b/x",
            "/a/1/c/x",
            "/a/1/b/x/",
            "/a/1/b/x/y",
            "/b/1/b/x",
            "/a",
            "",
        ] {
            assert_eq!(match_pattern(pattern, other), None, "{other}");
        }
        assert_eq!(match_pattern("/a", "/a"), None);
    }

    #[test]
    fn no_path_has_more_parameters_than_there_is_room_for() {
        let room = Parameters::default().len();
        for route in all() {
            assert!(route.path.matches('{').count() <= room, "{}", route.path);
        }
    }
}
