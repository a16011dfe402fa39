//! A blocking HTTP client, which sends requests through the proxy in front of authd as any client does.
//!
//! The answer may come from another server: a proxy's error page, a parked domain, an attacker. So the time of a request,
//! the head and the body are bounded, and no redirect is followed. The proxy settings of the environment are not used,
//! because clients do not have them.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls_native_certs::load_native_certs;
use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long one request of the doctor may take, from the look-up of the name to the last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// The largest head of an answer that is read.
const LARGEST_HEAD: usize = 32 * 1024;

/// The largest body that is read: ours have less than one KiB, with all that we send in it.
const LARGEST_BODY: u64 = 64 * 1024;

/// A client that trusts the certificate authorities of the system.
pub(in crate::cli) struct Client(Agent);

/// An answer, perhaps of another server.
#[derive(Debug)]
pub(in crate::cli) struct Reply {
    pub status: u16,
    /// Where it redirects to.
    pub location: Option<String>,
    /// The authentication that the server asks for (RFC 9110 §11.6.1).
    pub challenge: Option<String>,
    /// The values of all `Set-Cookie` fields that are text.
    pub cookies: Vec<String>,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(in crate::cli) struct NoAnswer {
    /// For people.
    pub why: String,
    /// The certificate is not one that this machine accepts.
    pub is_of_certificate: bool,
}

impl NoAnswer {
    fn of(error: &ureq::Error) -> NoAnswer {
        let tls = match error {
            ureq::Error::Rustls(error) => Some(error),
            ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
            _ => None,
        };
        NoAnswer {
            why: error.to_string(),
            is_of_certificate: matches!(tls, Some(rustls::Error::InvalidCertificate(_))),
        }
    }
}

/// What to do about a certificate that no trusted authority signed.
pub(super) fn how_to_trust() -> String {
    let found = load_native_certs();
    match found.errors.first() {
        Some(error) if found.certs.is_empty() => {
            format!(
                "No authority is trusted, since the store can't be read: {error}. See SSL_CERT_FILE."
            )
        }
        _ => "Put its authority into the system's store, or name its file in SSL_CERT_FILE."
            .to_owned(),
    }
}

impl Client {
    /// `name` is in the user agent. Each request ends after `timeout`, from the look-up of the host's name to the last
    /// byte.
    pub fn new(name: &str, timeout: Duration) -> Client {
        let trusted = load_native_certs().certs;
        let trusted = trusted
            .iter()
            .map(|certificate| Certificate::from_der(certificate).to_owned());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(default_provider()))
            .root_certs(RootCerts::from(trusted))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .max_response_header_size(LARGEST_HEAD)
            // A connection each, as separate clients have: a proxy may close one after an answer.
            .max_idle_connections(0)
            .user_agent(AutoHeaderValue::Provided(
                format!("{name}/{}", env!("CARGO_PKG_VERSION")).into(),
            ))
            .build();
        Client(config.into())
    }

    /// GETs `url` with these headers.
    ///
    /// # Errors
    /// [`NoAnswer`], or none that could be read.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply, NoAnswer> {
        let mut request = self.0.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call().map_err(|error| NoAnswer::of(&error))?;
        let body = answer.body_mut().with_config().limit(LARGEST_BODY);
        let body = body.read_to_vec().map_err(|error| NoAnswer::of(&error))?;
        let text = |value: &ureq::http::HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = answer.headers();
        Ok(Reply {
            status: answer.status().as_u16(),
            location: headers.get("location").and_then(text),
            challenge: headers.get("www-authenticate").and_then(text),
            cookies: headers
                .get_all("set-cookie")
                .iter()
                .filter_map(text)
                .collect(),
            body,
        })
    }
}
