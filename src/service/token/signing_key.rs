//! The keys that sign tokens, and their algorithms.
//!
//! A [`SigningKey`] is good for one [`Algorithm`] and for nothing else (RFC 8725 §3.1). It signs bytes; what a token looks
//! like is [`jwt`](super::jwt)'s, and which key signs when is [`key_ring`](super::key_ring)'s.
//!
//! Only this file names the cryptographic library. Another algorithm is one more arm in each `match` here.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

/// Longest signature of any algorithm here, in bytes.
pub(super) const LONGEST_SIGNATURE: usize = 64;

/// A signature algorithm (RFC 7518 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::service) enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 1] = [Algorithm::Es256];

    /// Its name in JWS headers, in JWKS and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
        }
    }

    /// The algorithm of exactly this name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        let mut all = Algorithm::ALL.into_iter();
        all.find(|algorithm| algorithm.as_str() == name)
    }
}

/// A public key, as verifiers read it (RFC 7517, RFC 7518 §6).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Jwk {
    kty: &'static str,
    crv: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: String,
    x: String,
    y: String,
}

/// All public keys that verifiers need now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JwkSet {
    pub(super) keys: Vec<Jwk>,
}

/// One key pair, ready for use.
pub(in crate::service) struct SigningKey {
    pair: Pair,
    jwk: Jwk,
}

enum Pair {
    Es256 {
        private: EcdsaKeyPair,
        /// Parsed once, and not again for each check.
        public: ParsedPublicKey,
    },
}

impl SigningKey {
    /// Makes a key, and its private form for the database (PKCS #8). The randomness is the cryptographic library's own: it
    /// cannot be handed in.
    ///
    /// # Errors
    /// What the cryptographic library could not do.
    pub fn generate(algorithm: Algorithm) -> Result<(SigningKey, Zeroizing<Vec<u8>>), String> {
        let pkcs8 = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            }
        };
        let pkcs8 = pkcs8.map_err(|_| "no signing key could be generated".to_owned())?;
        let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
        Ok((SigningKey::from_pkcs8(algorithm, &pkcs8)?, pkcs8))
    }

    /// Reads a key from its private form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<SigningKey, String> {
        let unreadable = |error| format!("a stored key cannot be read ({error})");
        let pair = match algorithm {
            Algorithm::Es256 => {
                let private = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(unreadable)?;
                let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, private.public_key());
                Pair::Es256 {
                    public: public.map_err(unreadable)?,
                    private,
                }
            }
        };
        Ok(SigningKey {
            jwk: pair.jwk()?,
            pair,
        })
    }

    /// The only algorithm that it is good for.
    pub const fn algorithm(&self) -> Algorithm {
        self.pair.algorithm()
    }

    /// Its name in JWKS and tokens: the RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.jwk.kid
    }

    /// Its public half.
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The signature over `message`, in the form that JWS wants (RFC 7518 §3.4).
    ///
    /// # Errors
    /// Only when the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<impl AsRef<[u8]> + use<>, String> {
        let signature = match &self.pair {
            Pair::Es256 { private, .. } => private.sign(&SystemRandom::new(), message),
        };
        signature.map_err(|_| "a token could not be signed".to_owned())
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.pair {
            Pair::Es256 { public, .. } => public.verify_sig(message, signature).is_ok(),
        }
    }
}

impl Pair {
    const fn algorithm(&self) -> Algorithm {
        match self {
            Pair::Es256 { .. } => Algorithm::Es256,
        }
    }

    fn jwk(&self) -> Result<Jwk, String> {
        match self {
            Pair::Es256 { private, .. } => {
                // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
                let (x, y) = match private.public_key().as_ref() {
                    [4, point @ ..] if point.len() == 64 => point.split_at(32),
                    _ => return Err("a stored key has a public point of unknown form".into()),
                };
                let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
                Ok(Jwk {
                    kty: "EC",
                    crv: "P-256",
                    usage: "sig",
                    alg: self.algorithm().as_str(),
                    kid: thumbprint(&format!(
                        r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#
                    )),
                    x,
                    y,
                })
            }
        }
    }
}

/// The SHA-256 digest of a text as base64url: a PKCE challenge (RFC 7636 §4.2).
pub(in crate::service) fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The left half of the digest of a token, by the hash of the algorithm that the ID token is signed with: `at_hash` (OpenID
/// Connect Core §3.1.3.6). Of EdDSA that is SHA-512 (RFC 8032 §5.1).
pub(in crate::service) fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = match algorithm {
        Algorithm::Es256 => &digest::SHA256,
    };
    let digest = digest::digest(hash, token.as_bytes());
    let half = digest.as_ref().len() / 2;
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..half])
}

/// RFC 7638 §3.1: over the required members alone, in the order of their names, without white space.
fn thumbprint(required: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, required.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_is_the_same_key() {
        for algorithm in Algorithm::ALL {
            let (made, pkcs8) = SigningKey::generate(algorithm).unwrap();
            let read = SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap();
            assert_eq!((read.kid(), read.algorithm()), (made.kid(), algorithm));
            let signature = read.sign(b"message").unwrap();
            assert!(signature.as_ref().len() <= LONGEST_SIGNATURE);
            assert!(made.verifies(b"message", signature.as_ref()));
            assert!(!made.verifies(b"another", signature.as_ref()));
        }
    }

    #[test]
    fn an_algorithm_has_exactly_one_name() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.as_str()), Some(algorithm));
            assert_eq!(
                Algorithm::from_name(&algorithm.as_str().to_lowercase()),
                None
            );
        }
        assert_eq!(Algorithm::from_name("none"), None);
    }

    #[test]
    fn a_damaged_key_is_refused() {
        assert!(SigningKey::from_pkcs8(Algorithm::Es256, &[0]).is_err());
    }
}
