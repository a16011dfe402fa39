//! One request, with what its handler needs of the server.

use std::sync::OnceLock;

use ipnet::IpNet;

use super::SettingInForce;
use super::error::HttpError;
use super::pages::site::Site;
use super::request::Request;
use crate::service::{Actor, Authd, Device};

/// One request on its way through a handler.
pub struct Call<'a> {
    pub(super) authd: &'a Authd,
    pub(super) request: &'a Request,
    pub(super) device: Device,
    /// What stands in the places of `{id}` and the like.
    pub(super) parameters: Parameters<'a>,
    /// The OpenAPI document, once it was asked for.
    pub(super) openapi: &'a OnceLock<Vec<u8>>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub(super) trusted_proxies: &'a [IpNet],
    /// What all pages have in common.
    pub(super) site: &'a Site,
    /// The settings of the process, for administrators.
    pub(super) settings_in_force: &'a [SettingInForce],
}

/// What stands in a path in the places of its parameters, in their order.
pub(super) type Parameters<'a> = [&'a str; 2];

impl Call<'_> {
    /// The token that the request presents.
    pub(super) fn bearer_token(&self) -> Option<&str> {
        self.request.bearer_token()
    }

    /// The account that asks.
    pub(super) fn actor(&self) -> Result<Actor, HttpError> {
        match self.bearer_token() {
            Some(token) => Ok(self.authd.authenticate(token)?),
            None => Err(HttpError::missing_token()),
        }
    }
}
