//! Links that an administrator hands out or has mailed: to choose a password, and to prove an address.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::PathAccount;
use crate::clock::Timestamp;
use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::input::Json;
use crate::http::response::Response;
use crate::service::{Administration, LinkRequest, Proves};

/// How a link reaches its owner.
#[derive(Clone, Copy, JsonSchema)]
#[schemars(inline, rename_all = "snake_case")]
enum Delivery {
    /// It is in the answer, and the administrator hands it out.
    Print,
    /// It is mailed to the address of the account.
    Mail,
}

/// Reads a delivery. The error does not repeat what was sent, which can be long.
fn delivery<'de, D: Deserializer<'de>>(source: D) -> Result<Delivery, D::Error> {
    match String::deserialize(source)?.as_str() {
        "print" => Ok(Delivery::Print),
        "mail" => Ok(Delivery::Mail),
        _ => Err(D::Error::custom("`delivery` is `print` or `mail`")),
    }
}

/// A reset link that an administrator wants.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ResetLinkRequest {
    /// How it reaches the account's owner.
    #[serde(deserialize_with = "delivery")]
    delivery: Delivery,
}

/// A reset link, shown this once.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct PrintedResetLink {
    /// The link.
    reset_link: String,
    /// The e-mail address of the account.
    email: String,
    /// Until when it works.
    expires_at: Timestamp,
}

/// Requests for reset links.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct ResetRequestList {
    /// Those of the last week, newest first, at most 100.
    requests: Vec<LinkRequest>,
}

/// Links that prove addresses, which an administrator wants.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct VerificationLinksRequest {
    /// The id, e-mail address or username of an account, or the e-mail address of a registration that waits.
    user: String,
}

/// Links that prove addresses, shown this once.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct VerificationLinkList {
    links: Vec<PrintedVerificationLink>,
}

/// A link that proves an address.
#[derive(Serialize, JsonSchema)]
pub(in crate::http) struct PrintedVerificationLink {
    /// The link.
    verify_link: String,
    /// What it proves.
    proves: Proves,
    /// The address.
    email: String,
    /// Until when it works.
    expires_at: Timestamp,
    /// When the registration came; absent for an account.
    requested_at: Option<Timestamp>,
    /// From which address it came.
    ip: Option<IpAddr>,
}

pub(in crate::http) fn create_reset_link(
    call: &Call<'_>,
    administration: &Administration<'_>,
    (PathAccount(account), Json(body)): (PathAccount, Json<ResetLinkRequest>),
) -> Result<Response, HttpError> {
    match body.delivery {
        Delivery::Print => {
            let link = administration.reset_link(&account)?;
            let issuer = &call.authd.policy().issuer;
            let printed = PrintedResetLink {
                reset_link: format!("{issuer}/reset?token={}", link.token),
                email: link.email,
                expires_at: link.expires_at,
            };
            Ok(Response::json(201, &printed))
        }
        Delivery::Mail => {
            administration.mail_reset_link(&account)?;
            Ok(Response::new(202))
        }
    }
}

pub(in crate::http) fn list_reset_requests(
    call: &Call<'_>,
    _: &Administration<'_>,
    PathAccount(account): PathAccount,
) -> Result<Response, HttpError> {
    let requests = call.authd.reset_requests(&account)?;
    Ok(Response::json(200, &ResetRequestList { requests }))
}

pub(in crate::http) fn create_verification_links(
    call: &Call<'_>,
    administration: &Administration<'_>,
    Json(body): Json<VerificationLinksRequest>,
) -> Result<Response, HttpError> {
    let issuer = &call.authd.policy().issuer;
    let links = administration.verification_links(&body.user)?;
    let links = links.into_iter().map(|link| {
        let (requested_at, ip) = link.asked_for.unzip();
        PrintedVerificationLink {
            verify_link: format!("{issuer}/verify?token={}", link.token),
            proves: link.proves,
            email: link.email,
            expires_at: link.expires_at,
            requested_at,
            ip,
        }
    });
    let links = links.collect();
    Ok(Response::json(201, &VerificationLinkList { links }))
}
