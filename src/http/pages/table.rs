//! The routes of the pages.
//!
//! They are not in the OpenAPI document, which is for programs.

use http::Method;

use super::admin::{
    account as admin_account, accounts, actions, events, groups, invitations, locked, outbox,
    overview, server,
};
use super::entry::{recovery, sign_in, sign_up};
use super::files;
use super::oauth::{authorize, device, logout};
use super::owner::{account, activity, apps, sessions};
use super::visitor::{Administrator, Everyone, Owner};
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
    get("/oauth/authorize", ENTRY, &Everyone(authorize::authorize)),
    post(
        "/oauth/authorize",
        ENTRY,
        &Public(authorize::authorize_by_form),
    ),
    get("/oauth/logout", ENTRY, &Everyone(logout::log_out)),
    post("/oauth/logout", ENTRY, &Public(logout::log_out_by_form)),
    post("/oauth/logout/confirm", ENTRY, &Everyone(logout::confirm)),
    get("/device", ENTRY, &Owner(device::show)),
    post("/device", ENTRY, &Owner(device::decide)),
    get("/account/apps", OWN, &Owner(apps::list)),
    post("/account/apps/end", OWN, &Owner(apps::end)),
    get("/consent", ENTRY, &Everyone(authorize::show_consent)),
    post("/consent", ENTRY, &Owner(authorize::decide)),
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
    get("/admin", OWN, &Administrator(overview::show)),
    get("/admin/accounts", OWN, &Administrator(accounts::list)),
    get(
        "/admin/accounts/new",
        OWN,
        &Administrator(accounts::show_new),
    ),
    post("/admin/accounts/new", OWN, &Administrator(accounts::create)),
    get(
        "/admin/accounts/{id}",
        OWN,
        &Administrator(admin_account::show),
    ),
    get(
        "/admin/accounts/{id}/change",
        OWN,
        &Administrator(admin_account::show_names),
    ),
    post(
        "/admin/accounts/{id}/change",
        OWN,
        &Administrator(admin_account::change_names),
    ),
    post(
        "/admin/accounts/{id}/enable",
        OWN,
        &Administrator(admin_account::enable),
    ),
    post(
        "/admin/accounts/{id}/unlock",
        OWN,
        &Administrator(admin_account::unlock),
    ),
    post(
        "/admin/accounts/{id}/end-session",
        OWN,
        &Administrator(admin_account::end_session),
    ),
    post(
        "/admin/accounts/{id}/groups/add",
        OWN,
        &Administrator(admin_account::add_group),
    ),
    post(
        "/admin/accounts/{id}/groups/remove",
        OWN,
        &Administrator(admin_account::remove_group),
    ),
    get(
        "/admin/accounts/{id}/promote",
        OWN,
        &Administrator(actions::show_promote),
    ),
    post(
        "/admin/accounts/{id}/promote",
        OWN,
        &Administrator(actions::promote),
    ),
    get(
        "/admin/accounts/{id}/demote",
        OWN,
        &Administrator(actions::show_demote),
    ),
    post(
        "/admin/accounts/{id}/demote",
        OWN,
        &Administrator(actions::demote),
    ),
    get(
        "/admin/accounts/{id}/disable",
        OWN,
        &Administrator(actions::show_disable),
    ),
    post(
        "/admin/accounts/{id}/disable",
        OWN,
        &Administrator(actions::disable),
    ),
    get(
        "/admin/accounts/{id}/end-sessions",
        OWN,
        &Administrator(actions::show_end_sessions),
    ),
    post(
        "/admin/accounts/{id}/end-sessions",
        OWN,
        &Administrator(actions::end_sessions),
    ),
    get(
        "/admin/accounts/{id}/reset-link",
        OWN,
        &Administrator(actions::show_reset_link),
    ),
    post(
        "/admin/accounts/{id}/reset-link",
        OWN,
        &Administrator(actions::create_reset_link),
    ),
    get(
        "/admin/accounts/{id}/delete",
        OWN,
        &Administrator(actions::show_delete),
    ),
    post(
        "/admin/accounts/{id}/delete",
        OWN,
        &Administrator(actions::delete),
    ),
    get("/admin/invitations", OWN, &Administrator(invitations::list)),
    get(
        "/admin/invitations/new",
        OWN,
        &Administrator(invitations::show_new),
    ),
    post(
        "/admin/invitations/new",
        OWN,
        &Administrator(invitations::create),
    ),
    get(
        "/admin/invitations/{id}/withdraw",
        OWN,
        &Administrator(invitations::show_withdraw),
    ),
    post(
        "/admin/invitations/{id}/withdraw",
        OWN,
        &Administrator(invitations::withdraw),
    ),
    get("/admin/groups", OWN, &Administrator(groups::list)),
    post("/admin/groups", OWN, &Administrator(groups::create)),
    get("/admin/groups/{name}", OWN, &Administrator(groups::show)),
    post(
        "/admin/groups/{name}/add",
        OWN,
        &Administrator(groups::add_member),
    ),
    post(
        "/admin/groups/{name}/remove",
        OWN,
        &Administrator(groups::remove_member),
    ),
    get(
        "/admin/groups/{name}/delete",
        OWN,
        &Administrator(groups::show_delete),
    ),
    post(
        "/admin/groups/{name}/delete",
        OWN,
        &Administrator(groups::delete),
    ),
    get("/admin/events", OWN, &Administrator(events::list)),
    get("/admin/outbox", OWN, &Administrator(outbox::list)),
    post(
        "/admin/outbox/send",
        OWN,
        &Administrator(outbox::send_again),
    ),
    get(
        "/admin/outbox/{id}/delete",
        OWN,
        &Administrator(outbox::show_delete),
    ),
    post(
        "/admin/outbox/{id}/delete",
        OWN,
        &Administrator(outbox::delete),
    ),
    get("/admin/locked", OWN, &Administrator(locked::list)),
    post("/admin/locked/unlock", OWN, &Administrator(locked::unlock)),
    get("/admin/keys", OWN, &Administrator(server::list_keys)),
    get(
        "/admin/keys/rotate",
        OWN,
        &Administrator(server::show_rotate),
    ),
    post("/admin/keys/rotate", OWN, &Administrator(server::rotate)),
    get(
        "/admin/settings",
        OWN,
        &Administrator(server::list_settings),
    ),
];
