//! Which key signs when, and which keys verifiers know.
//!
//! A key is published [`OVERLAP`] before it signs, so that verifiers that keep the JWKS have it by then. It stays
//! published after its successor took over, until the last token that it signed has expired. So nothing fails while keys
//! change: an hour before a key's time is over, the next one is made; then it signs. Each algorithm has its own succession.
//!
//! Keys live in the database, and in memory as a [`KeyRing`]. The ring reads them again when another process changed the
//! file. What [`KeyRing::published`] shows is always what the file holds, so nothing is signed with a key that it would not
//! have shown before. A lost key is never replaced silently: the server refuses to start, since every verifier and every
//! token depends on it.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::service::by::By;
use crate::service::error::unexpected;
use crate::service::event::{Entry, Kind};
use crate::service::token::access::ALGORITHM;
use crate::service::token::checked_signatures::CheckedSignatures;
use crate::service::token::jwt::{Signer, Unverified, Verified};
use crate::service::token::signing_key::{Algorithm, JwkSet, SigningKey};
use crate::service::{Authd, Error, OpenError};
use crate::store::{Broken, ReadTx, Store, Tx, params};

/// How long verifiers may keep the JWKS.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// How long a new key is published before it signs: a few times the age of any verifier's copy.
const OVERLAP: Duration = Duration::from_secs(60 * 60);

/// How long a key stays published after its successor took over, beyond the lifetime of the last token it signed.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// A key, for an operator's list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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

/// A key of the file, and its place in the succession.
struct RingKey {
    signer: Signer,
    created_at: Timestamp,
    signs_from: Timestamp,
}

impl RingKey {
    fn key(&self) -> &SigningKey {
        self.signer.key()
    }
}

/// Keys in the order in which they sign.
type Keys = Arc<[RingKey]>;

/// All keys of the file, in memory.
pub(in crate::service) struct KeyRing {
    loaded: RwLock<Loaded>,
    /// Held while the keys are read, so that an older reading does not replace a newer one.
    reading: Mutex<()>,
    checked: CheckedSignatures,
}

#[derive(Clone)]
struct Loaded {
    keys: Keys,
    /// What [`Store::foreign_changes`] was before they were read.
    as_of: u64,
}

impl KeyRing {
    /// Reads the keys of a file that is not new.
    ///
    /// # Errors
    /// [`OpenError::KeysLost`] if there is none or one cannot be used.
    pub fn load(store: &Store, entropy: &Entropy) -> Result<KeyRing, OpenError> {
        let as_of = store.foreign_changes();
        let keys = store.read(read_all)?.map_err(OpenError::KeysLost)?;
        Ok(KeyRing {
            loaded: RwLock::new(Loaded { keys, as_of }),
            reading: Mutex::new(()),
            checked: CheckedSignatures::new(entropy),
        })
    }

    /// A token of type `typ` with these claims, signed with the present key of `algorithm`.
    ///
    /// # Errors
    /// Those of the store, if the keys have to be read again; [`Error::Broken`] if there is no such key.
    pub fn sign(
        &self,
        store: &Store,
        now: Timestamp,
        algorithm: Algorithm,
        typ: &'static str,
        claims: &impl Serialize,
    ) -> Result<String, Error> {
        let keys = self.current(store)?;
        let key = signing(&keys, algorithm, now);
        let name = algorithm.as_str();
        let key = key.ok_or_else(|| Error::Broken(format!("there is no {name} signing key")))?;
        key.signer.sign(typ, claims)
    }

    /// Checks a token's signature with the key that it names. `None` if it is not one of ours, or the signature is wrong.
    ///
    /// # Errors
    /// Those of the store, if the keys have to be read again.
    pub fn verify<'a>(
        &self,
        store: &Store,
        token: &Unverified<'a>,
    ) -> Result<Option<Verified<'a>>, Error> {
        let keys = self.current(store)?;
        let key = keys.iter().find(|key| key.key().kid() == token.kid());
        Ok(key.and_then(|key| token.verify(key.key(), &self.checked)))
    }

    /// The public keys of the algorithms in `used`, and for how many seconds they may be kept. RSA keys come first: some apps
    /// take the first key that there is.
    ///
    /// # Errors
    /// Only those of the store.
    pub fn published(
        &self,
        store: &Store,
        now: Timestamp,
        token_lifetime: Duration,
        used: &[Algorithm],
    ) -> Result<(JwkSet, u64), Error> {
        let keys = self.newest(store)?;
        let is_needed = |at: usize, key: &RingKey| {
            let mut later = of(&keys[at + 1..], key.key().algorithm());
            match later.next() {
                Some(successor) => now < successor.signs_from.plus(token_lifetime + GRACE),
                None => true,
            }
        };
        let needed = keys
            .iter()
            .enumerate()
            .filter(|(at, key)| used.contains(&key.key().algorithm()) && is_needed(*at, key));
        let mut needed: Vec<&SigningKey> = needed.map(|(_, key)| key.key()).collect();
        needed.sort_by_key(|key| match key.algorithm() {
            Algorithm::Rs256 => 0,
            Algorithm::Es256 => 1,
            Algorithm::EdDsa => 2,
        });
        let keys = needed.into_iter().map(|key| key.jwk().clone()).collect();
        Ok((JwkSet { keys }, JWKS_MAX_AGE.as_secs()))
    }

    /// Makes the first key of an algorithm, unless there is one. It signs at once: no verifier has an older copy to miss it in.
    ///
    /// # Errors
    /// Those of the store, and of the cryptographic library.
    pub fn ensure(&self, store: &Store, algorithm: Algorithm) -> Result<(), Error> {
        if of(&self.current(store)?, algorithm).next().is_some() {
            return Ok(());
        }
        let new = NewKey::generate(algorithm)?;
        store.write(move |tx| {
            let known: Option<String> = tx.row(
                "SELECT kid FROM signing_key WHERE algorithm = ?1 LIMIT 1",
                params![algorithm.as_str()],
                |row| row.get(0),
            )?;
            match known {
                // Another request or process was faster.
                Some(_) => Ok::<_, Broken>(()),
                None => new.begin(tx, Duration::ZERO, None).map(drop),
            }
        })?;
        self.reload(store)
    }

    /// The keys, as new as the last write or housekeeping: costs no query unless another process changed the file.
    fn current(&self, store: &Store) -> Result<Keys, Error> {
        let is_fresh = |loaded: &Loaded| loaded.as_of == store.foreign_changes();
        let loaded = self.loaded();
        match is_fresh(&loaded) {
            true => Ok(loaded.keys),
            false => self.read_unless(store, is_fresh),
        }
    }

    /// The keys as they are in the file now.
    fn newest(&self, store: &Store) -> Result<Keys, Error> {
        let names = store.read(names)?;
        let is_fresh = |loaded: &Loaded| {
            let loaded = loaded.keys.iter().map(|key| key.key().kid());
            loaded.eq(names.iter().map(String::as_str))
        };
        let loaded = self.loaded();
        match is_fresh(&loaded) {
            true => Ok(loaded.keys),
            false => self.read_unless(store, is_fresh),
        }
    }

    fn loaded(&self) -> Loaded {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.clone()
    }

    /// Reads the keys again, unless another thread did that first.
    fn read_unless(
        &self,
        store: &Store,
        is_fresh: impl FnOnce(&Loaded) -> bool,
    ) -> Result<Keys, Error> {
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.loaded();
        if is_fresh(&before) {
            return Ok(before.keys);
        }
        let as_of = store.foreign_changes();
        let keys = store.read(read_all)?.map_err(Error::Broken)?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded {
            keys: keys.clone(),
            as_of,
        };
        drop(loaded);
        let is_kept = |old: &RingKey| keys.iter().any(|key| key.key().kid() == old.key().kid());
        if !before.keys.iter().all(is_kept) {
            // What it had signed is refused from now on, and need not be remembered.
            self.checked.clear();
        }
        Ok(keys)
    }

    pub(in crate::service) fn reload(&self, store: &Store) -> Result<(), Error> {
        self.read_unless(store, |_| false).map(drop)
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

    /// Housekeeping: makes the next key when the newest has signed for its time, and deletes those that no token needs any
    /// more. Returns whether anything changed.
    pub(in crate::service) fn tend_signing_keys(&self) -> Result<bool, Error> {
        let keys = self.keys.current(&self.store)?;
        let mut has_changed = false;
        for algorithm in Algorithm::ALL {
            has_changed |= self.tend_succession(&keys, algorithm)?;
        }
        if has_changed {
            self.keys.reload(&self.store)?;
        }
        Ok(has_changed)
    }

    fn tend_succession(&self, keys: &[RingKey], algorithm: Algorithm) -> Result<bool, Error> {
        let now = self.clock.now();
        let end = |key: &RingKey| key.signs_from.plus(self.policy().signing_key_lifetime);
        let newest = of(keys, algorithm).last();
        let is_due = newest.is_some_and(|key| now >= end(key).minus(OVERLAP));
        if is_due {
            make_next(&self.store, algorithm)?;
        }
        let horizon = now.minus(self.longest_token() + GRACE);
        let mut successors = of(keys, algorithm).skip(1);
        let has_unneeded = successors.any(|key| key.signs_from < horizon);
        if has_unneeded {
            self.store
                .write(move |tx| delete_before_successor(tx, algorithm, horizon))?;
        }
        Ok(is_due || has_unneeded)
    }
}

/// All keys of a file, the oldest first, or what is wrong with them.
pub(in crate::service) fn list(
    tx: &ReadTx<'_>,
) -> Result<Result<Vec<SigningKeyInfo>, String>, Broken> {
    Ok(read_all(tx)?.map(|keys| described(&keys, tx.now)))
}

fn described(keys: &[RingKey], now: Timestamp) -> Vec<SigningKeyInfo> {
    let state = |key: &RingKey| match signing(keys, key.key().algorithm(), now) {
        Some(present) if std::ptr::eq(present, key) => "signing",
        _ if key.signs_from > now => "next",
        _ => "retired",
    };
    let info = |key: &RingKey| SigningKeyInfo {
        kid: key.key().kid().to_owned(),
        algorithm: key.key().algorithm().as_str().to_owned(),
        state: state(key),
        created_at: key.created_at,
        signs_from: key.signs_from,
    };
    keys.iter().map(info).collect()
}

/// The keys of one algorithm, in the order in which they sign.
fn of(keys: &[RingKey], algorithm: Algorithm) -> impl DoubleEndedIterator<Item = &RingKey> {
    keys.iter()
        .filter(move |key| key.key().algorithm() == algorithm)
}

/// The key that signs at `now`.
fn signing(keys: &[RingKey], algorithm: Algorithm, now: Timestamp) -> Option<&RingKey> {
    let begun = of(keys, algorithm).rev().find(|key| key.signs_from <= now);
    // If the clock stands before all of them, the oldest key signs: verifiers have it.
    begun.or_else(|| of(keys, algorithm).next())
}

/// A key that was made and is not written yet. Making one takes too long for a transaction.
pub(in crate::service) struct NewKey {
    key: SigningKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl NewKey {
    /// Makes a key.
    pub fn generate(algorithm: Algorithm) -> Result<NewKey, Broken> {
        let (key, pkcs8) = SigningKey::generate(algorithm).map_err(unexpected)?;
        Ok(NewKey { key, pkcs8 })
    }

    /// Writes it.
    pub fn insert(&self, tx: &Tx<'_>, signs_from: Timestamp) -> Result<(), Broken> {
        let (kid, algorithm) = (self.key.kid(), self.key.algorithm().as_str());
        tx.run(
            "INSERT INTO signing_key (kid, algorithm, private_key, created_at, signs_from) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![kid, algorithm, self.pkcs8.as_slice(), tx.now, signs_from],
        )?;
        Ok(())
    }

    /// Writes it, with an event; it signs after `delay`. Returns its name.
    fn begin(&self, tx: &Tx<'_>, delay: Duration, by: Option<&By>) -> Result<String, Broken> {
        let signs_from = tx.now.plus(delay);
        self.insert(tx, signs_from)?;
        Entry::of_nobody(Kind::SigningKeyRotated)
            .by(by)
            .detail(json!({
                "kid": self.key.kid(),
                "algorithm": self.key.algorithm().as_str(),
                "signs_from": signs_from,
            }))
            .write(tx)?;
        Ok(self.key.kid().to_owned())
    }
}

/// Replaces all keys with new ones and returns the name of the one that signs access tokens: for keys that leaked or were
/// lost. Tokens that the old keys signed are refused from now on. Works also on a file whose keys cannot be read, which
/// [`Authd::open`] refuses. A running server on the file notices by itself.
///
/// # Errors
/// Only those of the store.
pub fn replace_all(store: &Store) -> Result<String, Error> {
    let new = NewKeys::generate(store)?;
    Ok(store.write(move |tx| begin_anew(tx, &new))?)
}

/// A key for each algorithm that a file has keys of.
pub(in crate::service) struct NewKeys {
    access: NewKey,
    others: Vec<NewKey>,
}

impl NewKeys {
    /// Makes them.
    pub fn generate(store: &Store) -> Result<NewKeys, Broken> {
        let names: Vec<String> = store.read(|tx| {
            let all = "SELECT DISTINCT algorithm FROM signing_key";
            tx.rows(all, params![], |row| row.get(0))
        })?;
        let others = Algorithm::ALL
            .into_iter()
            .filter(|algorithm| *algorithm != ALGORITHM)
            .filter(|algorithm| names.iter().any(|name| name == algorithm.as_str()));
        Ok(NewKeys {
            access: NewKey::generate(ALGORITHM)?,
            others: others.map(NewKey::generate).collect::<Result<_, _>>()?,
        })
    }

    /// The one that signs access tokens.
    pub fn access(&self) -> &NewKey {
        &self.access
    }

    /// Those of the other algorithms.
    pub fn others(&self) -> &[NewKey] {
        &self.others
    }
}

/// Replaces all keys with `new`, from now on, and returns the name of the one that signs access tokens.
pub(in crate::service) fn begin_anew(tx: &Tx<'_>, new: &NewKeys) -> Result<String, Broken> {
    tx.run("DELETE FROM signing_key", params![])?;
    for key in &new.others {
        key.begin(tx, Duration::ZERO, Some(&By::Operator))?;
    }
    new.access.begin(tx, Duration::ZERO, Some(&By::Operator))
}

/// Makes a key that signs after the overlap.
fn make_next(store: &Store, algorithm: Algorithm) -> Result<SigningKeyInfo, Broken> {
    let new = NewKey::generate(algorithm)?;
    store.write(move |tx| replace_next(tx, &new, None))
}

/// Writes a key that signs after the overlap, in the place of one that was made and does not sign yet.
pub(in crate::service) fn replace_next(
    tx: &Tx<'_>,
    new: &NewKey,
    by: Option<&By>,
) -> Result<SigningKeyInfo, Broken> {
    let algorithm = new.key.algorithm();
    tx.run(
        "DELETE FROM signing_key WHERE algorithm = ?1 AND signs_from > ?2",
        params![algorithm.as_str(), tx.now],
    )?;
    Ok(SigningKeyInfo {
        kid: new.begin(tx, OVERLAP, by)?,
        algorithm: algorithm.as_str().to_owned(),
        state: "next",
        created_at: tx.now,
        signs_from: tx.now.plus(OVERLAP),
    })
}

fn delete_before_successor(
    tx: &Tx<'_>,
    algorithm: Algorithm,
    horizon: Timestamp,
) -> Result<usize, Broken> {
    tx.run(
        "DELETE FROM signing_key WHERE algorithm = ?1 AND signs_from < \
         (SELECT max(signs_from) FROM signing_key WHERE algorithm = ?1 AND signs_from < ?2)",
        params![algorithm.as_str(), horizon],
    )
}

/// The names of all keys, in the order of [`read_all`].
fn names(tx: &ReadTx<'_>) -> Result<Vec<String>, Broken> {
    tx.rows(
        "SELECT kid FROM signing_key ORDER BY signs_from, created_at, kid",
        params![],
        |row| row.get(0),
    )
}

/// The inner `Err` is what is wrong with the keys themselves.
fn read_all(tx: &ReadTx<'_>) -> Result<Result<Keys, String>, Broken> {
    let rows: Vec<(String, Vec<u8>, Timestamp, Timestamp)> = tx.rows(
        "SELECT algorithm, private_key, created_at, signs_from FROM signing_key \
         ORDER BY signs_from, created_at, kid",
        params![],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    if rows.is_empty() {
        return Ok(Err(
            "there is none in the database although there was one".into()
        ));
    }
    let keys = rows
        .into_iter()
        .map(|(algorithm, pkcs8, created_at, signs_from)| {
            let pkcs8 = Zeroizing::new(pkcs8);
            let algorithm = Algorithm::from_name(&algorithm)
                .ok_or_else(|| format!("its algorithm {algorithm} is not known to this version"))?;
            Ok(RingKey {
                signer: Signer::new(SigningKey::from_pkcs8(algorithm, &pkcs8)?),
                created_at,
                signs_from,
            })
        });
    Ok(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::{Options, Role};

    const START: Timestamp = Timestamp::from_unix(1_800_000_000);
    const TYPE: &str = "at+jwt";

    fn open(directory: &tempfile::TempDir, role: Role) -> Store {
        let options = Options {
            accept_network_filesystem: true,
            readers: 1,
            role,
            max_size: None,
        };
        let path = directory.path().join("authd.db");
        Store::open(&path, Clock::manual(START).0, Entropy::seeded(1), options).unwrap()
    }

    fn ring(store: &Store) -> KeyRing {
        let first = NewKey::generate(Algorithm::Es256).unwrap();
        let written = store.write(move |tx| first.insert(tx, tx.now));
        let _: () = written.map_err(|broken: Broken| broken).unwrap();
        KeyRing::load(store, &Entropy::seeded(1)).unwrap()
    }

    impl KeyRing {
        fn signed(&self, store: &Store) -> String {
            let claims = json!({ "sub": "ann" });
            let token = self.sign(store, START, Algorithm::Es256, TYPE, &claims);
            token.unwrap()
        }

        fn verifies(&self, store: &Store, token: &str) -> bool {
            let token = Unverified::parse(token, TYPE).unwrap();
            self.verify(store, &token).unwrap().is_some()
        }

        fn shown(&self, store: &Store) -> String {
            let published = self.published(store, START, Duration::ZERO, &Algorithm::ALL);
            let published = published.unwrap();
            json!(published.0).to_string()
        }
    }

    #[test] // `key rotate --now` beside the server
    fn replaced_keys_leave_no_checked_signature_behind() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory, Role::Server);
        let ring = ring(&store);
        let token = ring.signed(&store);
        for _ in 0..2 {
            assert!(ring.verifies(&store, &token));
            assert_eq!(ring.checked.len(), 1);
        }
        replace_all(&open(&directory, Role::Command)).unwrap();
        store.maintain();
        assert!(!ring.verifies(&store, &token));
        assert_eq!(ring.checked.len(), 0);
        assert!(ring.verifies(&store, &ring.signed(&store)));
    }

    #[test] // the next key is no reason to check everything again
    fn a_further_key_leaves_checked_signatures_alone() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory, Role::Server);
        let ring = ring(&store);
        let token = ring.signed(&store);
        assert!(ring.verifies(&store, &token));
        make_next(&open(&directory, Role::Command), Algorithm::Es256).unwrap();
        store.maintain();
        assert!(ring.verifies(&store, &token));
        assert_eq!(ring.checked.len(), 1);
    }

    #[test]
    fn a_replaced_key_is_published_before_the_server_noticed_the_change() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory, Role::Server);
        let ring = ring(&store);
        let token = ring.signed(&store);
        let made = replace_all(&open(&directory, Role::Command)).unwrap();
        // No housekeeping, and no write that would look.
        let shown = ring.shown(&store);
        assert!(shown.contains(&made), "{shown}");
        // From here on it signs and verifies as well.
        assert!(!ring.verifies(&store, &token));
        let next = ring.signed(&store);
        assert_eq!(Unverified::parse(&next, TYPE).unwrap().kid(), made);
    }

    #[test]
    fn an_unknown_algorithm_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory, Role::Server);
        ring(&store);
        let change = |tx: &Tx<'_>| tx.run("UPDATE signing_key SET algorithm = 'ES999'", params![]);
        store.write(change).unwrap();
        let Err(OpenError::KeysLost(why)) = KeyRing::load(&store, &Entropy::seeded(1)) else {
            panic!("it was loaded")
        };
        assert!(why.contains("ES999"), "{why}");
    }
}
