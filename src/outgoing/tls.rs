//! TLS for HTTP clients, with the rules of [`trust`] for certificates.
//!
//! ureq has a TLS connector of its own, which takes no such rules: it would refuse a certificate that browsers accept. This
//! one follows it in all other respects.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::trust;

/// Encrypts the connections of `https` URLs.
#[derive(Debug, Default)]
pub(crate) struct TlsConnector {
    /// Trusted in addition to the certificates of the system.
    additional: Vec<CertificateDer<'static>>,
    /// Made for the first such URL: reading the certificates of the system takes some milliseconds.
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl TlsConnector {
    /// A connector that trusts `additional` and the certificates of the system. Without any, it trusts the system's alone.
    pub fn trusting(additional: Vec<CertificateDer<'static>>) -> TlsConnector {
        TlsConnector {
            additional,
            config: OnceLock::new(),
        }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let made = self
            .config
            .get_or_init(|| trust::client_config_with(&self.additional));
        made.clone().map_err(|why| Error::Io(io::Error::other(why)))
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        connected: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = connected else {
            return Ok(None);
        };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        // RFC 3986 §3.2.2: an IPv6 address stands in brackets.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name =
            ServerName::try_from(host).map_err(|error| Error::Io(io::Error::other(error)))?;
        let mut connection = ClientConnection::new(self.config()?, name)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(remaining(details));
        connection.complete_io(&mut socket)?;
        let config = &details.config;
        Ok(Some(Either::B(TlsTransport {
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            stream: StreamOwned::new(connection, socket),
        })))
    }
}

/// What is left of the time for the request, after the connection was made.
fn remaining(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Instant::Exact(start), Instant::Exact(now)) = (details.now, (details.current_time)())
        && let Duration::Exact(after) = timeout.after
    {
        let spent = now.saturating_duration_since(start);
        timeout.after = Duration::Exact(after.saturating_sub(spent));
    }
    timeout
}

/// An encrypted connection.
pub(crate) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
