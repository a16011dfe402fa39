//! Why a request got no answer, for operators.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::Limits;
use crate::network::Scope;
use crate::trust::{self, CertificateFault};

/// Most characters of a reason that another program gave.
const MAX_REASON: usize = 200;

/// Why a request got no answer. Each has the host at most: the rest of a URL may contain a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The URL can't be used.
    Url {
        /// What is wrong with it, after "because".
        why: &'static str,
    },
    /// The URL has the scheme `http`, and the server is not on this machine or the caller does not allow such a server.
    PlainHttp {
        /// The host of the URL.
        host: String,
    },
    /// An address of the host is one that the caller does not allow.
    Address {
        /// The host of the URL.
        host: String,
        /// The address.
        ip: IpAddr,
        /// Where that address is.
        scope: Scope,
    },
    /// The name was not found.
    UnknownName {
        /// The host of the URL.
        host: String,
        /// What the system says.
        why: String,
    },
    /// The certificate was refused.
    Certificate {
        /// The host of the URL.
        host: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The answer was not complete in time.
    TooSlow {
        /// The host of the URL.
        host: String,
        /// [`Limits::deadline`].
        deadline: Duration,
    },
    /// No connection, no TLS, or no HTTP.
    NoAnswer {
        /// The host of the URL.
        host: String,
        /// What happened, in at most 200 characters.
        why: String,
    },
}

impl Failure {
    pub(super) fn of(error: ureq::Error, host: &str, limits: Limits) -> Failure {
        let host = host.to_owned();
        let error = match error {
            ureq::Error::Other(other) => match other.downcast::<Failure>() {
                Ok(failure) => return *failure,
                Err(other) => ureq::Error::Other(other),
            },
            error => error,
        };
        let tls = match &error {
            ureq::Error::Rustls(error) => Some(error),
            ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
            _ => None,
        };
        if let Some(rustls::Error::InvalidCertificate(why)) = tls {
            let fault = trust::fault_of(why);
            return Failure::Certificate { host, fault };
        }
        let is_late = match &error {
            ureq::Error::Timeout(_) => true,
            ureq::Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        };
        if is_late {
            let deadline = limits.deadline;
            return Failure::TooSlow { host, deadline };
        }
        // What another server sent can be part of it.
        let shown = error.to_string();
        let shown = shown.chars().filter(|c| !c.is_control());
        Failure::NoAnswer {
            host,
            why: shown.take(MAX_REASON).collect(),
        }
    }

    /// Whether another try has the same outcome, unless an operator changes the URL or what it may reach.
    pub fn is_final(&self) -> bool {
        matches!(self, Failure::Url { .. } | Failure::PlainHttp { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Url { why } => write!(
                f,
                "The URL can't be used because {why}. Register one like https://app.example/path."
            ),
            Failure::PlainHttp { host } => write!(
                f,
                "Nothing was sent to {host}: its URL is http. Use https. Plain http is for a loopback address, and only \
                 where private addresses are allowed."
            ),
            Failure::Address { host, ip, scope } => {
                write!(f, "Nothing was sent to {host}: {ip} is {scope}. ")?;
                f.write_str(match scope {
                    Scope::Private | Scope::Loopback => {
                        "Allow private addresses if the server is yours, or use the URL of a public server."
                    }
                    _ => "authd never connects to it. Change the address of the name, or use another URL.",
                })
            }
            Failure::UnknownName { host, why } => write!(
                f,
                "The address of {host} can't be looked up: {why}. Check the name and the DNS server of this machine."
            ),
            Failure::Certificate { host, fault } => {
                let (what, advice) = certificate_texts(*fault);
                write!(f, "The certificate of {host} was refused: {what}. {advice}")
            }
            Failure::TooSlow { host, deadline } => write!(
                f,
                "{host} did not answer completely within {} ms. Check that it runs, and that a firewall lets this machine \
                 connect to it.",
                deadline.as_millis()
            ),
            Failure::NoAnswer { host, why } => write!(
                f,
                "{host} gave no usable answer: {why}. Check that it runs, and that the port in its URL is the one for https."
            ),
        }
    }
}

impl Error for Failure {}

/// What is wrong with a certificate, and what to do.
fn certificate_texts(fault: CertificateFault) -> (&'static str, &'static str) {
    match fault {
        CertificateFault::UnknownAuthority => (
            "no authority that authd trusts has signed it",
            "Name a file with the certificate of its authority in the setting outgoing_ca.",
        ),
        CertificateFault::WrongNameOrDate => (
            "it is for another name, or not valid today",
            "Give the server a certificate for this name, and check the clock of this machine.",
        ),
        CertificateFault::IsAuthority => (
            "it is marked as one of an authority",
            "Give the server another certificate, or name a file with exactly this one in the setting outgoing_ca.",
        ),
        CertificateFault::Unusable => (
            "its version, algorithm or extensions can't be used",
            "Give the server another certificate.",
        ),
    }
}
