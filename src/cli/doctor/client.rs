//! A blocking HTTP client, which sends requests through the proxy in front of authd as any client does.
//!
//! The answer may come from another server: a proxy's error page, a parked domain, an attacker. So the time of a request,
//! the head and the body are bounded, and no redirect is followed. The proxy settings of the environment are not used,
//! because clients do not have them.

use std::time::Duration;

use rustls::Error as TlsError;
use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};

use crate::outgoing::TlsConnector;
use crate::trust::{self, CertificateFault};

/// Longest time of one request of the doctor, from the look-up of the host name to the last byte.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// Largest head of an answer that is read, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// Largest body that is read, in bytes. An answer of authd has less than 1 KiB and what the request contained.
const MAX_BODY: u64 = 64 * 1024;

/// A client with the same rules for certificates as the mail client.
pub(in crate::cli) struct Client(Agent);

/// An answer, perhaps of another server.
#[derive(Debug)]
pub(in crate::cli) struct Reply {
    pub status: u16,
    /// The URL that it redirects to.
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
    /// For operators.
    pub why: String,
    /// What is wrong with the certificate, if that is the reason.
    pub certificate: Option<CertificateFault>,
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
            certificate: match tls {
                Some(TlsError::InvalidCertificate(why)) => Some(trust::fault_of(why)),
                _ => None,
            },
        }
    }
}

/// What to do about a certificate that was refused. `host` is the name that it must have.
pub(super) fn certificate_advice(fault: CertificateFault, host: &str) -> String {
    match fault {
        CertificateFault::UnknownAuthority => match trust::system_certificates() {
            Ok(_) => "Add the certificate of its authority to the system's store, or name its file in SSL_CERT_FILE."
                .to_owned(),
            Err(why) => format!("No authority is trusted: {why}."),
        },
        CertificateFault::WrongNameOrDate => format!(
            "Use a certificate that has {host} as a subjectAltName and is valid today. Check the clock of this machine."
        ),
        CertificateFault::IsAuthority => {
            "The certificate is marked as one of an authority. Name a file with exactly this certificate in \
             SSL_CERT_FILE. Or make another with openssl req -x509 and -addext basicConstraints=critical,CA:FALSE."
                .to_owned()
        }
        CertificateFault::Unusable => format!(
            "No client can use this certificate. Make another with openssl req -x509, -addext subjectAltName=DNS:{host} \
             and -addext basicConstraints=critical,CA:FALSE."
        ),
    }
}

impl Client {
    /// `name` is in the user agent. Each request ends after `timeout`, from the look-up of the host's name to the last
    /// byte.
    pub fn new(name: &str, timeout: Duration) -> Client {
        let config = Agent::config_builder()
            .proxy(None)
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .http_status_as_error(false)
            .max_response_header_size(MAX_HEAD)
            // A connection for each request, as separate clients have: a proxy may close it after an answer.
            .max_idle_connections(0)
            .user_agent(AutoHeaderValue::Provided(
                format!("{name}/{}", env!("CARGO_PKG_VERSION")).into(),
            ))
            .build();
        let connector = TcpConnector::default().chain(TlsConnector::default());
        Client(Agent::with_parts(
            config,
            connector,
            DefaultResolver::default(),
        ))
    }

    /// GETs `url` with these headers.
    ///
    /// # Errors
    /// [`NoAnswer`] if there is no answer, or one that is too large or not HTTP.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply, NoAnswer> {
        let mut request = self.0.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call().map_err(|error| NoAnswer::of(&error))?;
        let body = answer.body_mut().with_config().limit(MAX_BODY);
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
