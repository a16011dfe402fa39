//! What arrives of a request, for `authd doctor`, which sends one through the proxies in front of the server.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::call::Call;
use crate::http::error::HttpError;
use crate::http::response::Response;

/// The path of the report.
pub const DOCTOR_PATH: &str = "/.well-known/authd-doctor";

/// A cookie as authd sets it under a public URL with TLS (RFC 6265bis §4.1.3.2).
pub const SECURE_COOKIE: &str =
    "__Host-authd_probe=arrived; Path=/; Secure; HttpOnly; SameSite=Lax";

/// The same without TLS.
pub const COOKIE: &str = "authd_probe=arrived; Path=/; HttpOnly; SameSite=Lax";

/// Headers in which proxies describe the request that they received.
const FORWARDING: [&str; 6] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-forwarded-proto",
    "x-forwarded-host",
    "via",
];

/// What the server sees of a request.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DoctorReport")]
pub struct Seen {
    /// The public URL in the server's settings.
    pub public_url: String,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client's address, as the trusted proxies name it.
    pub client: IpAddr,
    /// The networks of trusted proxies.
    pub trusted_proxies: Vec<String>,
    /// The `Host` header.
    pub host: Option<String>,
    /// Headers that proxies add, by their names in lower case, each with its values in order.
    pub forwarding: BTreeMap<String, Vec<String>>,
    /// The `Cookie` headers.
    pub cookies: Vec<String>,
}

pub(in crate::http) fn show(call: &Call<'_>, (): ()) -> Result<Response, HttpError> {
    let request = call.request;
    let values = |name: &str| -> Vec<String> {
        let fields = request.raw_headers_all(name);
        fields
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    };
    let forwarding = FORWARDING.iter().map(|name| (*name, values(name)));
    let public_url = call.authd.policy().issuer.clone();
    let cookie = match public_url.starts_with("https://") {
        true => SECURE_COOKIE,
        false => COOKIE,
    };
    let seen = Seen {
        public_url,
        peer: request.peer,
        client: call.device.ip,
        trusted_proxies: call
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect(),
        host: request.header("host").map(str::to_owned),
        forwarding: forwarding
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| (name.to_owned(), values))
            .collect(),
        cookies: values("cookie"),
    };
    Ok(Response::json(200, &seen).header("set-cookie", cookie))
}
