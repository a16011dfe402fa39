//! The keys that sign tokens, and their succession.
//!
//! A key is published before it signs, for as long as verifiers keep the JWKS, and stays published after its
//! successor took over, until the last token that it signed has expired. So a rotation is nothing that anybody
//! notices: [`OVERLAP`] before it signs, the next key is made; then it signs.
//!
//! Keys live in the database, and in memory as a [`KeyRing`], which reads them anew when another process (an
//! operator's `authd key rotate`) changed the file. A key that is lost is never replaced silently: the server
//! refuses to start, since all verifiers and all tokens depend on it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::service::error::unexpected;
use crate::service::event::{Entry, Kind};
use crate::service::token::access;
use crate::service::{Authd, Error, OpenError};
use crate::store::{Broken, ReadTx, Store, Tx, params};

/// The one algorithm of access tokens (RFC 7518 §3.4).
const ES256: &str = "ES256";

/// How long verifiers may keep the JWKS.
const JWKS_MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// How long a new key is published before it signs: a few times the age of any verifier's copy.
const OVERLAP: Duration = Duration::from_secs(60 * 60);

/// How long a key stays published after its successor took over, beyond the lifetime of the last token it signed.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// A public key, as verifiers read it (RFC 7517, RFC 7518 §6.2).
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
    keys: Vec<Jwk>,
}

/// A key, for an operator's list.
#[derive(Clone, Debug, Serialize)]
pub struct SigningKeyInfo {
    /// Its name in JWKS and tokens: the RFC 7638 thumbprint.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: String,
    /// `next`, `signing` or `retired`.
    pub state: &'static str,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
}

/// One key pair, ready for use.
pub(in crate::service) struct SigningKey {
    pair: EcdsaKeyPair,
    header: String,
    jwk: Jwk,
    created_at: Timestamp,
    signs_from: Timestamp,
}

/// Keys in the order in which they sign.
type Keys = Arc<[Arc<SigningKey>]>;

/// All keys of the file, in memory.
pub(in crate::service) struct KeyRing {
    loaded: RwLock<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    keys: Keys,
    /// Where [`Store::foreign_changes`] stood.
    as_of: u64,
}

/// A key that was made and is not written yet.
pub(in crate::service) struct Minted {
    kid: String,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl SigningKey {
    fn from_pkcs8(
        pkcs8: &[u8],
        created_at: Timestamp,
        signs_from: Timestamp,
    ) -> Result<SigningKey, String> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|error| format!("a stored key cannot be read ({error})"))?;
        let jwk = Jwk::of(&pair)?;
        let header = json!({ "typ": access::TYPE, "alg": ES256, "kid": jwk.kid }).to_string();
        let header = URL_SAFE_NO_PAD.encode(header);
        Ok(SigningKey {
            pair,
            header,
            jwk,
            created_at,
            signs_from,
        })
    }

    /// The encoded header of the tokens that it signs.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The only algorithm that it is good for.
    pub fn algorithm(&self) -> &'static str {
        self.jwk.alg
    }

    /// The signature over `message`, in the fixed form of RFC 7518 §3.4.
    pub fn sign(&self, message: &[u8]) -> Result<impl AsRef<[u8]> + use<>, Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature.map_err(|_| Error::Broken("signing failed".into()))
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key())
            .verify(message, signature)
            .is_ok()
    }
}

impl Jwk {
    fn of(pair: &EcdsaKeyPair) -> Result<Jwk, String> {
        // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
        let (x, y) = match pair.public_key().as_ref() {
            [4, point @ ..] if point.len() == 64 => point.split_at(32),
            _ => return Err("a stored key is of an unknown form".into()),
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // RFC 7638 §3.1: the required members only, in this order, without white space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        Ok(Jwk {
            kty: "EC",
            crv: "P-256",
            usage: "sig",
            alg: ES256,
            kid,
            x,
            y,
        })
    }
}

impl Minted {
    /// Makes a key pair. Its chance is the cryptographic library's own: it does not let itself be handed any.
    pub fn new() -> Result<Minted, Broken> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| unexpected("no signing key could be generated"))?;
        let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
        let at = Timestamp::from_unix(0);
        let key = SigningKey::from_pkcs8(&pkcs8, at, at).map_err(unexpected)?;
        Ok(Minted {
            kid: key.jwk.kid,
            pkcs8,
        })
    }

    /// Writes it, with an event; it signs after `delay`. Returns its name.
    fn begin(&self, tx: &Tx<'_>, delay: Duration) -> Result<String, Broken> {
        let signs_from = tx.now.plus(delay);
        self.insert(tx, signs_from)?;
        Entry::of_nobody(Kind::SigningKeyRotated)
            .detail(json!({ "kid": self.kid, "signs_from": signs_from }))
            .write(tx)?;
        Ok(self.kid.clone())
    }

    /// Writes it.
    pub fn insert(&self, tx: &Tx<'_>, signs_from: Timestamp) -> Result<(), Broken> {
        tx.run(
            "INSERT INTO signing_key (kid, algorithm, private_key, created_at, signs_from) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.kid, ES256, self.pkcs8.as_slice(), tx.now, signs_from],
        )?;
        Ok(())
    }
}

impl KeyRing {
    /// Reads the keys of a file that is not new.
    pub fn load(store: &Store) -> Result<KeyRing, OpenError> {
        let as_of = store.foreign_changes();
        let keys = store.read(read_all)?.map_err(OpenError::KeysLost)?;
        Ok(KeyRing {
            loaded: RwLock::new(Loaded { keys, as_of }),
        })
    }

    /// The key that signs now.
    pub fn signer(&self, store: &Store, now: Timestamp) -> Result<Arc<SigningKey>, Error> {
        let keys = self.current(store)?;
        signing(&keys, now)
            .cloned()
            .ok_or_else(|| Error::Broken("there is no signing key".into()))
    }

    /// The key of that name.
    pub fn verifier(&self, store: &Store, kid: &str) -> Result<Option<Arc<SigningKey>>, Error> {
        Ok(self
            .current(store)?
            .iter()
            .find(|key| key.jwk.kid == kid)
            .cloned())
    }

    /// The public keys, and for how many seconds they may be kept.
    pub fn published(
        &self,
        store: &Store,
        now: Timestamp,
        token_lifetime: Duration,
    ) -> Result<(JwkSet, u64), Error> {
        let keys = self.current(store)?;
        let needed = keys
            .iter()
            .enumerate()
            .filter(|(at, _)| match keys.get(at + 1) {
                Some(successor) => now < successor.signs_from.plus(token_lifetime + GRACE),
                None => true,
            });
        let keys = needed.map(|(_, key)| key.jwk.clone()).collect();
        Ok((JwkSet { keys }, JWKS_MAX_AGE.as_secs()))
    }

    fn current(&self, store: &Store) -> Result<Keys, Error> {
        let as_of = store.foreign_changes();
        {
            let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
            if loaded.as_of == as_of {
                return Ok(loaded.keys.clone());
            }
        }
        self.reload(store)
    }

    fn reload(&self, store: &Store) -> Result<Keys, Error> {
        let as_of = store.foreign_changes();
        let keys = store.read(read_all)?.map_err(Error::Broken)?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded {
            keys: keys.clone(),
            as_of,
        };
        Ok(keys)
    }
}

impl Authd {
    /// All keys, the oldest first.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn signing_keys(&self) -> Result<Vec<SigningKeyInfo>, Error> {
        let keys = self.keys.current(&self.store)?;
        Ok(described(&keys, self.clock.now()))
    }

    /// Makes the next key. It signs in an hour, when all verifiers know it.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn rotate_signing_key(&self) -> Result<SigningKeyInfo, Error> {
        let made = rotate(&self.store)?;
        self.keys.reload(&self.store)?;
        Ok(made)
    }

    /// Housekeeping: makes the next key when the newest has signed for its time, and deletes those that nobody
    /// needs any more. Returns whether anything changed.
    pub(in crate::service) fn tend_signing_keys(&self) -> Result<bool, Error> {
        let lifetime = self.policy().signing_key_lifetime;
        let keys = self.keys.current(&self.store)?;
        let now = self.clock.now();
        let due = keys
            .last()
            .is_some_and(|key| now >= key.signs_from.plus(lifetime).minus(OVERLAP));
        if due {
            rotate(&self.store)?;
        }
        let horizon = now.minus(self.policy().access_token_lifetime + GRACE);
        let unneeded = keys
            .windows(2)
            .filter(|pair| pair[1].signs_from < horizon)
            .count();
        if unneeded > 0 {
            self.store
                .write(move |tx| delete_before_successor(tx, horizon))?;
        }
        if due || unneeded > 0 {
            self.keys.reload(&self.store)?;
        }
        Ok(due || unneeded > 0)
    }
}

/// All keys of a file, the oldest first, or what is wrong with them.
pub(in crate::service) fn list(
    tx: &ReadTx<'_>,
) -> Result<Result<Vec<SigningKeyInfo>, String>, Broken> {
    Ok(read_all(tx)?.map(|keys| described(&keys, tx.now)))
}

fn described(keys: &Keys, now: Timestamp) -> Vec<SigningKeyInfo> {
    let signing = signing(keys, now);
    let info = |key: &Arc<SigningKey>| SigningKeyInfo {
        kid: key.jwk.kid.clone(),
        algorithm: key.jwk.alg.to_owned(),
        state: if signing.is_some_and(|signing| Arc::ptr_eq(key, signing)) {
            "signing"
        } else if key.signs_from > now {
            "next"
        } else {
            "retired"
        },
        created_at: key.created_at,
        signs_from: key.signs_from,
    };
    keys.iter().map(info).collect()
}

/// The key that signs at `now`.
fn signing(keys: &Keys, now: Timestamp) -> Option<&Arc<SigningKey>> {
    // Should time have gone astray, the oldest key signs on: verifiers have it.
    let begun = keys.iter().rev().find(|key| key.signs_from <= now);
    begun.or(keys.first())
}

/// Puts one new key in the place of all others, and returns its name: for keys that leaked or were lost. Whatever the old
/// ones signed is refused from now on. Works also on a file whose keys cannot be read, where [`Authd::open`] refuses. A
/// server on the file notices by itself.
///
/// # Errors
/// Only those of the store.
pub fn replace_all(store: &Store) -> Result<String, Error> {
    let minted = Minted::new()?;
    Ok(store.write(move |tx| begin_anew(tx, &minted))?)
}

/// Puts `minted` in the place of all others, from now on, and returns its name.
pub(in crate::service) fn begin_anew(tx: &Tx<'_>, minted: &Minted) -> Result<String, Broken> {
    tx.run("DELETE FROM signing_key", params![])?;
    minted.begin(tx, Duration::ZERO)
}

/// Makes a key that signs after the overlap.
fn rotate(store: &Store) -> Result<SigningKeyInfo, Broken> {
    let minted = Minted::new()?;
    store.write(move |tx| {
        // A key that was made and does not sign yet gives way.
        tx.run(
            "DELETE FROM signing_key WHERE signs_from > ?1",
            params![tx.now],
        )?;
        Ok(SigningKeyInfo {
            kid: minted.begin(tx, OVERLAP)?,
            algorithm: ES256.to_owned(),
            state: "next",
            created_at: tx.now,
            signs_from: tx.now.plus(OVERLAP),
        })
    })
}

fn delete_before_successor(tx: &Tx<'_>, horizon: Timestamp) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM signing_key WHERE signs_from < \
         (SELECT max(signs_from) FROM signing_key WHERE signs_from < ?1)",
        params![horizon],
    )
}

/// The inner `Err` is what is wrong with the keys themselves.
fn read_all(tx: &ReadTx<'_>) -> Result<Result<Keys, String>, Broken> {
    let rows: Vec<(Vec<u8>, Timestamp, Timestamp)> = tx.rows(
        "SELECT private_key, created_at, signs_from FROM signing_key ORDER BY signs_from, created_at",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if rows.is_empty() {
        return Ok(Err(
            "there is none in the database although there was one".into()
        ));
    }
    let keys = rows.into_iter().map(|(pkcs8, created_at, signs_from)| {
        SigningKey::from_pkcs8(&Zeroizing::new(pkcs8), created_at, signs_from).map(Arc::new)
    });
    Ok(keys.collect::<Result<Vec<_>, _>>().map(Arc::from))
}
