//! The keys that sign tokens, and their algorithms.
//!
//! A [`SigningKey`] is good for one [`Algorithm`] and for nothing else (RFC 8725 §3.1). It signs bytes; what a token looks
//! like is [`jwt`](super::jwt)'s, and which key signs when is [`key_ring`](super::key_ring)'s.
//!
//! Only this file names the cryptographic library. Another algorithm is one more arm in each `match` here.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

/// Longest signature of any algorithm here, in bytes: RSA with 2,048 bits.
pub(super) const LONGEST_SIGNATURE: usize = 256;

/// A signature algorithm (RFC 7518 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4). Access tokens have it.
    Es256,
    /// RSA with PKCS #1 1.5 padding and SHA-256, and keys of 2,048 bits (RFC 7518 §3.3). ID tokens have it unless the client is
    /// registered for another (OpenID Connect Core §2).
    Rs256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];

    /// Its name in JWS headers, in JWKS and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of exactly this name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        let mut all = Algorithm::ALL.into_iter();
        all.find(|algorithm| algorithm.as_str() == name)
    }
}

/// A public key, as verifiers read it (RFC 7517, RFC 7518 §6, RFC 8037 §2).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Jwk {
    /// `EC`, `RSA` or `OKP`.
    kty: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    usage: &'static str,
    /// The only algorithm that it is good for.
    alg: &'static str,
    /// Its name in tokens.
    kid: String,
    /// The curve, of `EC` and `OKP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    /// Of `EC` and `OKP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    /// Of `EC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    /// The modulus, of `RSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    /// The exponent, of `RSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

/// What a public key is made of, in base64url.
enum Numbers {
    /// A point on a curve.
    Ec {
        crv: &'static str,
        x: String,
        y: String,
    },
    /// Modulus and exponent.
    Rsa { n: String, e: String },
    /// The key of an Edwards curve.
    Okp { crv: &'static str, x: String },
}

impl Jwk {
    fn of(algorithm: Algorithm, numbers: Numbers) -> Jwk {
        // RFC 7638 §3.2, RFC 8037 §2: the required members in the order of their names.
        let required = match &numbers {
            Numbers::Ec { crv, x, y } => {
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Numbers::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Numbers::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
        };
        let (kty, crv, x, y, n, e) = match numbers {
            Numbers::Ec { crv, x, y } => ("EC", Some(crv), Some(x), Some(y), None, None),
            Numbers::Rsa { n, e } => ("RSA", None, None, None, Some(n), Some(e)),
            Numbers::Okp { crv, x } => ("OKP", Some(crv), Some(x), None, None, None),
        };
        Jwk {
            kty,
            usage: "sig",
            alg: algorithm.as_str(),
            kid: thumbprint(&required),
            crv,
            x,
            y,
            n,
            e,
        }
    }
}

/// All public keys that verifiers need now.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct JwkSet {
    pub(super) keys: Vec<Jwk>,
}

/// One key pair, ready for use.
pub(in crate::service) struct SigningKey {
    pair: Pair,
    /// Parsed once, and not again for each check.
    public: ParsedPublicKey,
    jwk: Jwk,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a key, and its private form for the database (PKCS #8). The randomness is the cryptographic library's own: it
    /// cannot be handed in. An RSA key takes some tenths of a second.
    ///
    /// # Errors
    /// What the cryptographic library could not do.
    pub fn generate(algorithm: Algorithm) -> Result<(SigningKey, Zeroizing<Vec<u8>>), String> {
        let random = SystemRandom::new();
        let pkcs8 = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map(|pkcs8| pkcs8.as_ref().to_vec())
            }
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| pair.as_der())
                .map(|pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_>| pkcs8.as_ref().to_vec()),
            Algorithm::EdDsa => {
                Ed25519KeyPair::generate_pkcs8(&random).map(|pkcs8| pkcs8.as_ref().to_vec())
            }
        };
        let pkcs8 = pkcs8.map_err(|_| "no signing key could be generated".to_owned())?;
        let pkcs8 = Zeroizing::new(pkcs8);
        Ok((SigningKey::from_pkcs8(algorithm, &pkcs8)?, pkcs8))
    }

    /// Reads a key from its private form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<SigningKey, String> {
        let unreadable = |error| format!("a stored key cannot be read ({error})");
        let (pair, public) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(unreadable)?;
                let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key());
                (Pair::Es256(pair), public)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(unreadable)?;
                let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key());
                (Pair::Rs256(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(unreadable)?;
                let public = ParsedPublicKey::new(&ED25519, pair.public_key());
                (Pair::EdDsa(pair), public)
            }
        };
        Ok(SigningKey {
            jwk: pair.jwk()?,
            public: public.map_err(unreadable)?,
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

    /// The signature over `message`, in the form that JWS wants (RFC 7518 §3, RFC 8037 §3.1). One of RS256 takes some tenths of
    /// a millisecond, ten times as long as the others: never sign inside a transaction.
    ///
    /// # Errors
    /// Only when the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        };
        signature.map_err(|_| "a token could not be signed".to_owned())
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }
}

impl Pair {
    const fn algorithm(&self) -> Algorithm {
        match self {
            Pair::Es256(_) => Algorithm::Es256,
            Pair::Rs256(_) => Algorithm::Rs256,
            Pair::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    fn jwk(&self) -> Result<Jwk, String> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let numbers = match self {
            Pair::Es256(pair) => {
                // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
                let (x, y) = match pair.public_key().as_ref() {
                    [4, point @ ..] if point.len() == 64 => point.split_at(32),
                    _ => return Err("a stored key has a public point of unknown form".into()),
                };
                let (x, y) = (text(x), text(y));
                Numbers::Ec { crv: "P-256", x, y }
            }
            Pair::Rs256(pair) => {
                let public = pair.public_key();
                // RFC 7518 §6.3.1.1: without leading zeros.
                Numbers::Rsa {
                    n: text(public.modulus().big_endian_without_leading_zero()),
                    e: text(public.exponent().big_endian_without_leading_zero()),
                }
            }
            Pair::EdDsa(pair) => Numbers::Okp {
                crv: "Ed25519",
                x: text(pair.public_key().as_ref()),
            },
        };
        Ok(Jwk::of(self.algorithm(), numbers))
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
        Algorithm::Es256 | Algorithm::Rs256 => &digest::SHA256,
        Algorithm::EdDsa => &digest::SHA512,
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
            assert!(signature.len() <= LONGEST_SIGNATURE);
            assert!(made.verifies(b"message", &signature));
            assert!(!made.verifies(b"another", &signature));
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
        for algorithm in Algorithm::ALL {
            assert!(SigningKey::from_pkcs8(algorithm, &[0]).is_err());
        }
    }

    #[test] // RFC 7517 §4, app 2: apps look for each of these members, and take none that is null
    fn a_public_key_has_its_members_and_no_others() {
        let members = |algorithm| {
            let (key, _) = SigningKey::generate(algorithm).unwrap();
            let jwk = serde_json::to_value(key.jwk()).unwrap();
            let jwk = jwk.as_object().unwrap().clone();
            assert!(jwk.values().all(serde_json::Value::is_string));
            assert_eq!(jwk["use"], "sig");
            assert_eq!(jwk["alg"], algorithm.as_str());
            let mut names: Vec<String> = jwk.keys().cloned().collect();
            names.sort();
            (names.join(" "), jwk)
        };
        assert_eq!(members(Algorithm::Es256).0, "alg crv kid kty use x y");
        assert_eq!(members(Algorithm::EdDsa).0, "alg crv kid kty use x");
        let (names, rsa) = members(Algorithm::Rs256);
        assert_eq!(names, "alg e kid kty n use");
        let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
        // app 1: exactly 2,048 bits
        assert!(modulus.len() == 256 && modulus[0] >= 128);
        assert_eq!(rsa["e"], "AQAB");
    }

    #[test] // RFC 7638 §3.1
    fn the_name_of_an_rsa_key_is_its_thumbprint() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = Jwk::of(
            Algorithm::Rs256,
            Numbers::Rsa {
                n: n.into(),
                e: "AQAB".into(),
            },
        );
        assert_eq!(jwk.kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test] // RFC 7636 appendix B
    fn a_challenge_is_the_digest_of_its_verifier() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(
            sha256(verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
