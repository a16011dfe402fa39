//! The routes of the pages.
//!
//! They are not in the OpenAPI document, which is for programs.

use http::Method;

use super::entry::{recovery, sign_in, sign_up};
use super::files;
use super::owner::{account, activity, sessions};
use super::visitor::{Everyone, Owner};
use crate::http::route::{Guard, Public, Route};
use crate::http::surface::Surface;

/// A page that is opened.
const fn get(path: &'static str, surface: Surface, guard: &'static dyn Guard) -> Route {
    page(Method::GET, path, surface, guard)
}

/// A form that is sent.
const fn post(path: &'static str, surface: Surface, guard: &'static dyn Guard) -> Route {
    page(Method::POST, path, surface, guard)
}

const fn page(
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

/// Pages on which another site's sign-in may begin or end.
const ENTRY: Surface = Surface::EntryPage;

/// Pages of this server alone.
const OWN: Surface = Surface::Page;

/// All of them.
pub(in crate::http) const ROUTES: &[Route] = &[
    get("/", OWN, &Public(account::show_front)),
    get("/assets/{id}", OWN, &Public(files::show_asset)),
    get("/brand/logo", OWN, &Public(files::show_logo)),
    get(
        "/.well-known/change-password",
        OWN,
        &Public(account::well_known_change_password),
    ),
    get("/login", ENTRY, &Everyone(sign_in::show)),
    post("/login", ENTRY, &Everyone(sign_in::sign_in)),
    get(
        "/login/new-password",
        ENTRY,
        &Everyone(sign_in::show_new_password),
    ),
    post(
        "/login/new-password",
        ENTRY,
        &Everyone(sign_in::set_new_password),
    ),
    get("/confirm", ENTRY, &Owner(sign_in::show_step_up)),
    post("/confirm", ENTRY, &Owner(sign_in::step_up)),
    post("/logout", OWN, &Everyone(sign_in::sign_out)),
    get("/signed-out", OWN, &Everyone(sign_in::show_signed_out)),
    get("/register", ENTRY, &Everyone(sign_up::show_register)),
    post("/register", ENTRY, &Everyone(sign_up::register)),
    get("/setup", OWN, &Everyone(sign_up::show_setup)),
    post("/setup", OWN, &Everyone(sign_up::set_up)),
    get("/forgot", ENTRY, &Everyone(recovery::show_forgot)),
    post("/forgot", ENTRY, &Everyone(recovery::request_reset)),
    get("/reset", ENTRY, &Everyone(recovery::show_reset)),
    post("/reset", ENTRY, &Everyone(recovery::reset)),
    get("/verify", ENTRY, &Everyone(recovery::show_verify)),
    post("/verify", ENTRY, &Everyone(recovery::verify)),
    get("/account", OWN, &Owner(account::show)),
    get("/account/profile", OWN, &Owner(account::show_profile)),
    post("/account/profile", OWN, &Owner(account::change_profile)),
    get("/account/email", OWN, &Owner(account::show_email)),
    post("/account/email", OWN, &Owner(account::change_email)),
    post(
        "/account/email/withdraw",
        OWN,
        &Owner(account::withdraw_email),
    ),
    post(
        "/account/email/confirmation",
        OWN,
        &Owner(account::send_confirmation),
    ),
    get("/account/password", OWN, &Owner(account::show_password)),
    post("/account/password", OWN, &Owner(account::change_password)),
    get("/account/delete", OWN, &Owner(account::show_delete)),
    post("/account/delete", OWN, &Owner(account::delete)),
    get("/account-deleted", OWN, &Everyone(account::show_deleted)),
    get("/account/sessions", OWN, &Owner(sessions::list)),
    post("/account/sessions/end", OWN, &Owner(sessions::end)),
    get(
        "/account/sessions/end-others",
        OWN,
        &Owner(sessions::show_end_others),
    ),
    post(
        "/account/sessions/end-others",
        OWN,
        &Owner(sessions::end_others),
    ),
    get("/account/sessions/{id}", OWN, &Owner(sessions::show)),
    post("/account/sessions/{id}", OWN, &Owner(sessions::rename)),
    get("/account/activity", OWN, &Owner(activity::list)),
];
