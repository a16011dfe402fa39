//! The look-up of a name, with a judgement of each address that was found.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::thread;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::{Failure, Reach};
use crate::network::{self, Scope};

/// Finds the addresses of a name. The second argument is the port.
pub(super) type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Most addresses that are tried: ureq keeps no more.
const MAX_ADDRESSES: usize = 16;

/// Asks the system for the addresses of a name.
pub(super) fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Finds only addresses that `reach` allows. If one address of a name is not allowed, none is used.
pub(super) struct JudgingResolver {
    lookup: Arc<Lookup>,
    reach: Reach,
}

impl JudgingResolver {
    pub fn new(lookup: &Arc<Lookup>, reach: Reach) -> JudgingResolver {
        JudgingResolver {
            lookup: lookup.clone(),
            reach,
        }
    }

    /// The addresses of a host. An address needs no look-up.
    ///
    /// The system can't be told to stop, so another thread waits for it. That thread ends when the system gives up, often
    /// after 10 to 30 seconds.
    fn addresses_of(
        &self,
        host: &str,
        port: u16,
        timeout: NextTimeout,
    ) -> Result<Vec<SocketAddr>, Error> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = literal.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (lookup, name) = (self.lookup.clone(), host.to_owned());
        thread::Builder::new()
            .name("lookup".to_owned())
            // The receiver is gone after the deadline.
            .spawn(move || drop(sender.send(lookup(&name, port))))?;
        let unknown = |why: String| {
            let host = host.to_owned();
            Error::Other(Box::new(Failure::UnknownName { host, why }))
        };
        match receiver.recv_timeout(*timeout.after) {
            Ok(Ok(found)) if found.is_empty() => Err(unknown("it has no address".to_owned())),
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(unknown(error.to_string())),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::Timeout(timeout.reason)),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(unknown("the look-up ended without an answer".to_owned()))
            }
        }
    }

    fn judge(&self, host: &str, is_encrypted: bool, ip: IpAddr) -> Result<(), Failure> {
        let scope = network::scope(ip);
        let host = host.to_owned();
        if !self.reach.allows(scope) {
            return Err(Failure::Address { host, ip, scope });
        }
        if !is_encrypted && scope != Scope::Loopback {
            return Err(Failure::PlainHttp { host });
        }
        Ok(())
    }
}

impl Resolver for JudgingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let is_encrypted = uri.scheme_str() == Some("https");
        let port = uri
            .port_u16()
            .unwrap_or(if is_encrypted { 443 } else { 80 });
        let found = self.addresses_of(host, port, timeout)?;
        for address in &found {
            self.judge(host, is_encrypted, address.ip())
                .map_err(|failure| Error::Other(Box::new(failure)))?;
        }
        let mut judged = self.empty();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            judged.push(address);
        }
        Ok(judged)
    }
}

impl fmt::Debug for JudgingResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JudgingResolver({:?})", self.reach)
    }
}
