//! JSON Web Tokens in the compact form (RFC 7519, RFC 7515 §7.1): how one is signed, and what is checked before its claims
//! may be read.
//!
//! A token becomes [`Verified`] in two steps, and its claims can be read only then. [`Unverified::parse`] bounds its length
//! and reads its header; [`Unverified::verify`] checks its signature with a key of ours. The checks are fixed, and nothing
//! in the token chooses them: the algorithm is the key's (RFC 8725 §3.1), the type is the one that the caller expects
//! (RFC 8725 §3.11), and `jwk`, `jku`, `x5u` and the like are not read.
//!
//! Nothing in this file knows what claims mean: issuer, audience and times are the caller's to check (RFC 8725 §3.8, §3.9).

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::service::Error;
use crate::service::token::checked_signatures::CheckedSignatures;
use crate::service::token::signing_key::{Algorithm, LONGEST_SIGNATURE, SigningKey};

/// Longest token that is looked at, in bytes. Ours have about 700, and less than 5,000 with the most and longest groups
/// and the longest issuer. Longer ones are refused before anything is allocated (CVE-2025-30204).
const LONGEST: usize = 6144;

/// A key, with the encoded headers of the tokens that it signs: one for each type, made when it is first needed.
pub(super) struct Signer {
    key: SigningKey,
    headers: RwLock<Vec<(&'static str, Arc<str>)>>,
}

impl Signer {
    /// A signer with this key.
    pub fn new(key: SigningKey) -> Signer {
        Signer {
            key,
            headers: RwLock::default(),
        }
    }

    /// The key alone.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A token of type `typ` with these claims.
    ///
    /// # Errors
    /// [`Error::Broken`] if the claims have no JSON form, or the cryptographic library fails.
    pub fn sign(&self, typ: &'static str, claims: &impl Serialize) -> Result<String, Error> {
        let claims = serde_json::to_vec(claims)
            .map_err(|error| Error::Broken(format!("claims could not be written: {error}")))?;
        let mut token = String::with_capacity(1024);
        token.push_str(&self.header(typ));
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.key.sign(token.as_bytes()).map_err(Error::Broken)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn header(&self, typ: &'static str) -> Arc<str> {
        let known = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, header)) = known.iter().find(|(of, _)| *of == typ) {
            return header.clone();
        }
        drop(known);
        let header =
            json!({ "typ": typ, "alg": self.key.algorithm().as_str(), "kid": self.key.kid() });
        let header: Arc<str> = URL_SAFE_NO_PAD.encode(header.to_string()).into();
        let mut known = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|(of, _)| *of != typ) {
            known.push((typ, header.clone()));
        }
        header
    }
}

/// A token of the expected type whose signature was not checked yet.
pub(in crate::service) struct Unverified<'a> {
    token: &'a str,
    /// Header and claims as they were signed.
    signed: &'a str,
    claims: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: String,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    kid: String,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// True for a member that is there, with any value: also `null`.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl<'a> Unverified<'a> {
    /// Reads the header. `None` for a text that is not a token of type `typ`, or is longer than [`LONGEST`].
    pub fn parse(token: &'a str, typ: &str) -> Option<Unverified<'a>> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        // RFC 7515 §4.1.11: what is critical and not understood must be refused; nothing is understood.
        if header.crit || !is_type(&header.typ, typ) {
            return None;
        }
        Some(Unverified {
            token,
            signed,
            claims,
            signature,
            algorithm: Algorithm::from_name(&header.alg)?,
            kid: header.kid,
        })
    }

    /// The name of the key that the token says it was signed with.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Checks the signature, unless this very token passed the check with this key before.
    pub(super) fn verify(
        &self,
        key: &SigningKey,
        checked: &CheckedSignatures,
    ) -> Option<Verified<'a>> {
        // RFC 8725 §3.1: a key is good for one algorithm only.
        if self.algorithm != key.algorithm() || self.kid != key.kid() {
            return None;
        }
        let fingerprint = checked.fingerprint(self.token);
        if !checked.contains(&fingerprint) {
            let mut signature = [0; LONGEST_SIGNATURE];
            let length = URL_SAFE_NO_PAD
                .decode_slice(self.signature, &mut signature)
                .ok()?;
            if !key.verifies(self.signed.as_bytes(), &signature[..length]) {
                return None;
            }
            checked.insert(fingerprint);
        }
        Some(Verified {
            claims: self.claims,
        })
    }
}

/// RFC 7515 §4.1.9: a media type without regard to case, of which `application/` may be left out.
fn is_type(said: &str, expected: &str) -> bool {
    const PREFIX: &str = "application/";
    let short = match said.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => said,
    };
    short.eq_ignore_ascii_case(expected)
}

/// A token whose signature is good.
pub(in crate::service) struct Verified<'a> {
    claims: &'a str,
}

impl Verified<'_> {
    /// Its claims; `None` if they do not have the form of `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        let json = URL_SAFE_NO_PAD.decode(self.claims).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    fn signer() -> Signer {
        Signer::new(SigningKey::generate(Algorithm::Es256).unwrap().0)
    }

    fn nothing_checked() -> CheckedSignatures {
        CheckedSignatures::new(&Entropy::seeded(1))
    }

    fn verified(token: &str, typ: &str, signer: &Signer) -> Option<serde_json::Value> {
        let unverified = Unverified::parse(token, typ)?;
        let verified = unverified.verify(signer.key(), &nothing_checked())?;
        verified.claims()
    }

    #[test]
    fn a_token_reads_back_as_it_was_signed() {
        let signer = signer();
        let claims = json!({ "sub": "ann", "exp": 1 });
        for typ in ["at+jwt", "JWT", "at+jwt"] {
            let token = signer.sign(typ, &claims).unwrap();
            assert_eq!(verified(&token, typ, &signer), Some(claims.clone()));
        }
    }

    #[test] // RFC 8725 §3.11
    fn a_token_of_one_type_is_refused_as_another() {
        let signer = signer();
        let token = signer.sign("JWT", &json!({})).unwrap();
        assert!(verified(&token, "at+jwt", &signer).is_none());
        assert!(verified(&token, "application/JWT", &signer).is_none());
        assert!(verified(&token, "jwt", &signer).is_some());
    }

    #[test]
    fn a_checked_token_is_good_for_its_own_key_only() {
        let (signer, other, checked) = (signer(), signer(), nothing_checked());
        let token = signer.sign("JWT", &json!({})).unwrap();
        let unverified = Unverified::parse(&token, "JWT").unwrap();
        for _ in 0..2 {
            assert!(unverified.verify(other.key(), &checked).is_none());
            assert!(unverified.verify(signer.key(), &checked).is_some());
        }
        assert_eq!(checked.len(), 1);
    }

    #[test] // CVE-2026-27840: the memory holds whole tokens
    fn a_checked_token_with_another_signature_is_refused() {
        let (signer, checked) = (signer(), nothing_checked());
        let token = signer.sign("JWT", &json!({})).unwrap();
        let other = signer.sign("JWT", &json!({ "admin": true })).unwrap();
        let is_good = |token: &str| {
            let unverified = Unverified::parse(token, "JWT").unwrap();
            unverified.verify(signer.key(), &checked).is_some()
        };
        assert!(is_good(&token) && is_good(&other));
        let (signed, _) = token.rsplit_once('.').unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        assert!(!is_good(&format!("{signed}.{signature}")));
        assert!(!is_good(&format!("{signed}.")));
        assert_eq!(checked.len(), 2);
    }

    #[test] // RFC 7515 §4.1.11; the signature does not matter, as it is refused before
    fn a_critical_header_is_refused_with_any_value() {
        for crit in ["null", "[]", r#"["exp"]"#, "false"] {
            let header = format!(r#"{{"typ":"JWT","alg":"ES256","kid":"x","crit":{crit}}}"#);
            let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
            assert!(Unverified::parse(&token, "JWT").is_none(), "{crit}");
        }
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256","kid":"x"}"#);
        assert!(Unverified::parse(&format!("{header}.e30.AA"), "JWT").is_some());
    }

    #[test]
    fn a_longer_token_than_any_of_ours_is_not_read() {
        let signer = signer();
        let token = |length: usize| signer.sign("JWT", &"x".repeat(length)).unwrap();
        let overhead = token(0).len();
        let fits = token((LONGEST - overhead) * 3 / 4);
        assert!(fits.len() > LONGEST - 4 && Unverified::parse(&fits, "JWT").is_some());
        assert!(Unverified::parse(&token(LONGEST * 3 / 4), "JWT").is_none());
    }
}
