//! Requests that the server sends to other servers, such as a logout token to a client.
//!
//! A URL comes from the registration of a client, so its owner may be an attacker. A request must not reach a service that
//! trusts this machine or its network, and must not hold a thread for long:
//!
//! * *Only addresses that the caller allows.* The name is looked up once. Each address that was found is judged, and the
//!   connection goes to one of these addresses. So a name whose address changes between two look-ups gains nothing.
//! * *TLS with a certificate that is trusted.* Plain `http` is for a client on this machine only.
//! * *The time, the head and the body of an answer are bounded.* No redirect is followed: it is an answer like any other.
//! * *Nothing is kept* between two requests: no connection and no cookie. The proxy settings of the environment are not used.
//! * *Nothing secret is told.* A [`Failure`] has the host and the reason, never the path, the query or the body.

mod failure;
mod resolver;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::http::Uri;
use ureq::unversioned::transport::{Connector, TcpConnector};

pub use failure::Failure;
use resolver::{JudgingResolver, Lookup};
pub(crate) use tls::TlsConnector;

use crate::network::Scope;
use crate::trust;

/// Longest URL, in bytes. Most servers take no longer one.
const MAX_URL: usize = 2048;

/// Largest head of an answer that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Which servers a request may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Servers on the internet.
    Public,
    /// Also servers on private networks and on this machine. Link-local addresses are refused: metadata services of cloud
    /// providers have such addresses.
    Private,
}

impl Reach {
    fn allows(self, scope: Scope) -> bool {
        match scope {
            Scope::Public => true,
            Scope::Private | Scope::Loopback => self == Reach::Private,
            Scope::LinkLocal | Scope::Special => false,
        }
    }
}

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time of a request, from the look-up of the name to the last byte of the answer.
    pub deadline: Duration,
    /// Most bytes of the answer's body that are read. The rest is cut.
    pub max_body: u64,
}

impl Default for Limits {
    /// 5 seconds and 4 KiB.
    fn default() -> Limits {
        Limits {
            deadline: Duration::from_secs(5),
            max_body: 4 * 1024,
        }
    }
}

/// What a server answered. It may be any status, also a redirect or an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, up to [`Limits::max_body`].
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    /// Without the body: it may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Answer");
        shown.field("status", &self.status);
        shown.finish_non_exhaustive()
    }
}

/// A blocking client for requests to other servers. It can be shared by threads.
#[derive(Debug)]
pub struct Outgoing {
    public: Agent,
    private: Agent,
    limits: Limits,
}

impl Outgoing {
    /// A client that trusts the authorities of the system and those in the PEM file `ca` (the setting `outgoing_ca`). The
    /// file is read now, the certificates of the system at the first request.
    ///
    /// # Errors
    /// The file can't be used; why.
    pub fn new(ca: Option<&Path>, limits: Limits) -> Result<Outgoing, String> {
        let additional = match ca {
            Some(path) => trust::certificates_in(path)
                .map_err(|why| format!("{} can't be used: {why}.", path.display()))?,
            None => Vec::new(),
        };
        let lookup: Arc<Lookup> = Arc::new(resolver::look_up);
        Ok(Outgoing::with_lookup(&additional, limits, &lookup))
    }

    fn with_lookup(
        additional: &[CertificateDer<'static>],
        limits: Limits,
        lookup: &Arc<Lookup>,
    ) -> Outgoing {
        let agent = |reach| {
            let config = Agent::config_builder()
                .proxy(None)
                .timeout_global(Some(limits.deadline))
                .max_redirects(0)
                .http_status_as_error(false)
                .max_response_header_size(MAX_HEAD)
                // No connection is used again: each request looks its name up and judges the addresses.
                .max_idle_connections(0)
                .user_agent(AutoHeaderValue::Provided(
                    concat!("authd/", env!("CARGO_PKG_VERSION"))
                        .to_owned()
                        .into(),
                ))
                .build();
            let tls = TlsConnector::trusting(additional.to_vec());
            let connector = TcpConnector::default().chain(tls);
            Agent::with_parts(config, connector, JudgingResolver::new(lookup, reach))
        };
        Outgoing {
            public: agent(Reach::Public),
            private: agent(Reach::Private),
            limits,
        }
    }

    /// POSTs `fields` as `application/x-www-form-urlencoded` to `url`, and returns what the server answers.
    ///
    /// # Errors
    /// [`Failure`] if the URL can't be used, or if there is no complete answer within the limits.
    pub fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        reach: Reach,
    ) -> Result<Answer, Failure> {
        let (uri, host) = checked_url(url, reach)?;
        let agent = match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let failure = |error: ureq::Error| Failure::of(error, &host, self.limits);
        let answer = agent
            .post(uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .send(form)
            .map_err(failure)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let reader = answer.into_body().into_reader();
        reader
            .take(self.limits.max_body)
            .read_to_end(&mut body)
            .map_err(|error| failure(error.into()))?;
        Ok(Answer { status, body })
    }
}

/// The parts of a URL that a request may go to, and its host for messages.
fn checked_url(url: &str, reach: Reach) -> Result<(Uri, String), Failure> {
    let wrong = |why| Err(Failure::Url { why });
    if url.len() > MAX_URL {
        return wrong("it has more than 2048 bytes");
    }
    // The parser would drop a fragment without an error.
    if url.contains('#') {
        return wrong("it has a fragment");
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return wrong("it is not a URL");
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("it has no scheme or no host");
    };
    if !matches!(scheme, "https" | "http") {
        return wrong("its scheme is not https");
    }
    if authority.as_str().contains('@') {
        return wrong("it has a user name");
    }
    let host = authority.host().to_owned();
    // RFC 3986 §3.2.2: an address in brackets is an IPv6 address.
    let bracketed = host
        .strip_prefix('[')
        .map(|rest| rest.trim_end_matches(']'));
    if host.is_empty() || bracketed.is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_err()) {
        return wrong("its host is not a name or an address");
    }
    // What follows the host is nothing, or a port.
    let after = &authority.as_str()[host.len()..];
    if !after.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
        return wrong("its port is not a number from 1 to 65535");
    }
    if scheme == "http" && reach == Reach::Public {
        return Err(Failure::PlainHttp { host });
    }
    Ok((uri, host))
}
