//! Which servers are trusted: those with a certificate of an authority in the system's store, or in the file that
//! `SSL_CERT_FILE` names. The mail client, outgoing requests and `authd doctor` use the same rules. Outgoing requests also trust
//! the certificates in a file of their own.
//!
//! `openssl req -x509` marks a self-signed certificate as one of an authority, and RFC 5280 does not allow such a
//! certificate for a server. Other clients accept it if exactly this certificate is trusted, and so does authd. Its name
//! and its dates are checked in any case.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Largest file of certificates, in bytes: all public authorities together have less than 300 KiB.
const MAX_FILE: u64 = 1024 * 1024;

/// Reads the system's certificates, or those of `SSL_CERT_FILE`.
///
/// # Errors
/// No certificate could be read; why.
pub fn system_certificates() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    match found.errors.first() {
        Some(error) if found.certs.is_empty() => Err(format!(
            "the certificates that this system trusts can't be read: {error}. See SSL_CERT_FILE"
        )),
        None if found.certs.is_empty() => Err(
            "this system trusts no certificate. Install its package of certificates (ca-certificates), or name a file in \
             SSL_CERT_FILE"
                .to_owned(),
        ),
        _ => Ok(found.certs),
    }
}

/// Reads the certificates in a PEM file, of at most 1 MiB.
///
/// # Errors
/// The file can't be read, is too large, or has no certificate that can be used; why.
pub fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut pem));
    let read = read.map_err(|error| format!("it can't be read: {error}"))?;
    if read as u64 > MAX_FILE {
        return Err(format!("it has more than {MAX_FILE} bytes"));
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| format!("it is not PEM: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| format!("a certificate in it can't be used: {error}"))?;
    }
    if certificates.is_empty() {
        return Err("it has no certificate (a PEM file has lines with BEGIN CERTIFICATE)".into());
    }
    Ok(certificates)
}

/// A configuration that trusts `additional` and the certificates of the system. If the system has none, the additional ones
/// are enough.
///
/// # Errors
/// There is no certificate to trust, or none can be used; why.
pub fn client_config_with(
    additional: &[CertificateDer<'static>],
) -> Result<Arc<ClientConfig>, String> {
    let mut certificates = match system_certificates() {
        Err(why) if additional.is_empty() => return Err(why),
        found => found.unwrap_or_default(),
    };
    certificates.extend_from_slice(additional);
    client_config(certificates)
}

/// A configuration that trusts `certificates`.
///
/// # Errors
/// None of them can be used.
pub fn client_config(
    certificates: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    let provider = Arc::new(default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let verifier = Verifier {
        inner: verifier.map_err(|error| error.to_string())?,
        trusted: certificates,
    };
    let config = builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A configuration that trusts no server: with it, a client can begin a handshake but never complete one.
pub fn trusting_none() -> Result<Arc<ClientConfig>, String> {
    let config = builder(Arc::new(default_provider()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

/// The usual checks, with the exception for a trusted certificate that a server uses as its own.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The dates were checked before this error is found.
            Err(Error::InvalidCertificate(why))
                if is_authority(&why) && self.trusted.iter().any(|root| root == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because it is marked as an authority's (RFC 5280 §4.2.1.9). The error has no
/// variant for that.
fn is_authority(why: &CertificateError) -> bool {
    matches!(why, CertificateError::Other(error) if error.to_string() == "CaUsedAsEndEntity")
}

/// What is wrong with the certificate of a server, as far as operators need different advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// No authority that this system trusts has signed it.
    UnknownAuthority,
    /// It is for another name, or not valid today.
    WrongNameOrDate,
    /// It is marked as one of an authority, and is not trusted itself.
    IsAuthority,
    /// It can't be used at all: its version, its algorithm or its extensions.
    Unusable,
}

/// The fault for which a certificate was refused.
pub fn fault_of(why: &CertificateError) -> CertificateFault {
    match why {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
        | CertificateError::NotValidForName
        | CertificateError::NotValidForNameContext { .. } => CertificateFault::WrongNameOrDate,
        // The last: an authority of that name is trusted, and has another kind of key.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            CertificateFault::UnknownAuthority
        }
        why if is_authority(why) => CertificateFault::IsAuthority,
        _ => CertificateFault::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    const NAME: &str = "mail.example.org";

    fn certificate(change: impl Fn(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").into()
    }

    /// What a client that trusts `trusted` says about the certificate `shown`.
    fn judged(
        trusted: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        name: &str,
    ) -> Result<(), CertificateFault> {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).expect("a root");
        let verifier = Verifier {
            inner: WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .expect("a verifier"),
            trusted: vec![trusted.clone()],
        };
        let name = ServerName::try_from(name).expect("a name");
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        match verifier.verify_server_cert(shown, &[], &name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(why)) => Err(fault_of(&why)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test] // fault 17
    fn a_trusted_certificate_of_an_authority_is_accepted_as_the_servers_own() {
        let own = certificate(|_| ());
        assert_eq!(judged(&own, &own, NAME), Ok(()));
        let leaf = certificate(|params| params.is_ca = IsCa::ExplicitNoCa);
        assert_eq!(judged(&leaf, &leaf, NAME), Ok(()));
    }

    #[test] // fault 17
    fn another_certificate_name_or_date_is_refused() {
        let own = certificate(|_| ());
        let other = certificate(|_| ());
        assert_eq!(
            judged(&other, &own, NAME),
            Err(CertificateFault::IsAuthority)
        );
        assert_eq!(
            judged(&own, &own, "mail.example.com"),
            Err(CertificateFault::WrongNameOrDate)
        );
        for (from, until) in [(2020, 2021), (2035, 2036)] {
            let dated = certificate(|params| {
                params.not_before = date_time_ymd(from, 1, 1);
                params.not_after = date_time_ymd(until, 1, 1);
            });
            assert_eq!(
                judged(&dated, &dated, NAME),
                Err(CertificateFault::WrongNameOrDate)
            );
        }
        let nameless = certificate(|params| params.subject_alt_names.clear());
        assert_eq!(
            judged(&nameless, &nameless, NAME),
            Err(CertificateFault::WrongNameOrDate)
        );
        let leaf = certificate(|params| params.is_ca = IsCa::ExplicitNoCa);
        assert_eq!(
            judged(&own, &leaf, NAME),
            Err(CertificateFault::UnknownAuthority)
        );
    }
}
