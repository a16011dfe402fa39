//! Secrets, each with a type of its own.
//!
//! Tokens are created, read and converted into their storable form here. The plain forms ([`RefreshToken`], [`SetupToken`],
//! [`ResetToken`], [`VerificationToken`], [`InvitationToken`]) can't be stored: the store takes a [`Digest`], a [`Seal`] or a
//! key, never a token. `Debug` prints only their type's name, and their bytes are wiped when they are dropped.
//!
//! **The refresh token** is `ar_` and base64url (no padding, canonical) of 68 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | family (UUIDv7) |
//! | 4 | generation, big-endian |
//! | 32 | secret, random |
//! | 16 | tag: keyed BLAKE3 over all before it |
//!
//! The tag is no proof of possession; the digest of the secret is. The tag distinguishes an *old genuine* token from an
//! invented one without a row for each token, and without reading the database.
//!
//! **A doctor's pass** ([`TagKey::pass`]) is a time and its tag, made with the same key in a context of its own. It permits
//! only the one request with which `authd doctor` asks what arrives at the server.
//!
//! **The seal** keeps the successor for a client that lost the answer: the new secret XOR a key stream derived from the
//! *old* secret, the family, the generation, a nonce and a seal key. The old secret is not stored, so the database alone
//! opens no seal. The seal key is deleted after its period, so then even the database and the old secret together do not
//! open the seal.
//!
//! **A fingerprint** stands for an access token in the memory of one process, so that the token need not be kept.
//!
//! Every use of BLAKE3 has a context of its own (derive-key mode), so that no output serves two purposes. Digests and tags
//! are compared in constant time, by the `constant_time_eq` crate.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::{constant_time_eq, constant_time_eq_32};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::clock::Timestamp;
use crate::ids::{AccountId, AgentKey, FamilyId};

const SECRET_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
const SIGNED_LENGTH: usize = 16 + 4 + SECRET_LENGTH;
const TOKEN_LENGTH: usize = SIGNED_LENGTH + TAG_LENGTH;
const NONCE_LENGTH: usize = 16;

/// A doctor's pass: its end in seconds, and the tag.
const PASS_LENGTH: usize = 8 + TAG_LENGTH;

/// A sign-in whose first step is done: the account, the end in seconds, and the tag.
const PENDING_LENGTH: usize = 16 + 8 + TAG_LENGTH;

const PASS_PREFIX: &str = "ad_";
const PENDING_PREFIX: &str = "an_";
const REFRESH_PREFIX: &str = "ar_";

const DIGEST_CONTEXT: &str = "authd 2026-11 digest of a secret token";
const TAG_CONTEXT: &str = "authd 2026-11 tag of a refresh token";
const SEAL_CONTEXT: &str = "authd 2026-11 seal over a successor";
const RETRY_CONTEXT: &str = "authd 2026-11 digest of an idempotency key";
const PASS_CONTEXT: &str = "authd 2026-11 tag of a doctor's pass";
const PENDING_CONTEXT: &str = "authd 2026-11 sign-in whose first step is done";
const FORM_CONTEXT: &str = "authd 2026-11 token of a form";
const SUBJECT_CONTEXT: &str = "authd 2026-11 subject of a throttle";
const AGENT_CONTEXT: &str = "authd 2026-11 name of a user agent";
const FINGERPRINT_CONTEXT: &str = "authd 2026-11 fingerprint of an access token";

/// The storable form of a secret: 32 bytes from which the secret can't be computed. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes, as read from the database.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// Its bytes, for the database.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest of an `Idempotency-Key` (any text up to the size of a header), bound to its family.
    pub fn of_idempotency_key(family: FamilyId, key: &str) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key(RETRY_CONTEXT);
        hasher.update(family.as_bytes()).update(key.as_bytes());
        Digest(*hasher.finalize().as_bytes())
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        // req 60
        constant_time_eq_32(&self.0, &other.0)
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

macro_rules! keys_of_32_bytes {
    ($($(#[$about:meta])* $name:ident;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The key with these bytes: 32 random ones, or as read from the database.
            pub const fn from_bytes(bytes: [u8; 32]) -> $name {
                $name(bytes)
            }

            /// Its bytes, for the database.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

keys_of_32_bytes! {
    /// Makes the tags of refresh tokens, and hides the names that the throttle stores. One for each epoch.
    TagKey;
    /// Part of every seal of its period. It is deleted when the last window of those seals is over.
    SealKey;
}

impl TagKey {
    /// The digest by which the throttle stores a subject: keyed, so that the database does not list whose sign-ins failed.
    pub fn subject(&self, text: &str) -> [u8; 16] {
        let key = blake3::derive_key(SUBJECT_CONTEXT, &self.0);
        first(blake3::keyed_hash(&key, text.as_bytes()).as_bytes())
    }

    /// A pass for `authd doctor` that is valid before `end`. Nothing of it is stored.
    pub fn pass(&self, end: Timestamp) -> String {
        let mut bytes = end.as_unix().to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.tag(PASS_CONTEXT, &bytes));
        encode(PASS_PREFIX, bytes)
    }

    /// The end of this pass; `None` if it was not made with this key.
    pub fn end_of_pass(&self, text: &str) -> Option<Timestamp> {
        let bytes = decode::<PASS_LENGTH>(PASS_PREFIX, text)?;
        let (signed, tag) = bytes.split_at(PASS_LENGTH - TAG_LENGTH);
        let is_ours = constant_time_eq(tag, &self.tag(PASS_CONTEXT, signed));
        let end = i64::from_be_bytes(signed.try_into().ok()?);
        is_ours.then_some(Timestamp::from_unix(end))
    }

    /// The token of the forms that `holder` gets: the id of a browser session, or the value of a cookie. Nothing of it is
    /// stored.
    pub fn form_token(&self, holder: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.tag(FORM_CONTEXT, holder.as_bytes()))
    }

    /// Whether `text` is the token of the forms that `holder` gets.
    pub fn is_form_token(&self, text: &str, holder: &str) -> bool {
        let tag = self.tag(FORM_CONTEXT, holder.as_bytes());
        URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|given| constant_time_eq(&given, &tag))
    }

    /// The key of a user agent's text. It is computed, so that no look-up is needed, and no client can choose which text
    /// shares a slice with another.
    pub fn agent_key(&self, text: &str) -> AgentKey {
        let tag = self.tag(AGENT_CONTEXT, text.as_bytes());
        AgentKey::from_row(i64::from_be_bytes(first(&tag)) & i64::MAX)
    }

    fn tag(&self, context: &'static str, signed: &[u8]) -> [u8; TAG_LENGTH] {
        let key = blake3::derive_key(context, &self.0);
        first(blake3::keyed_hash(&key, signed).as_bytes())
    }
}

/// A sign-in whose first step is done: it names the account, and proves that its password was given. It is worth nothing
/// once the password changed, so it works once, and nothing of it is stored.
#[derive(Clone)]
pub struct PendingSignIn([u8; PENDING_LENGTH]);

impl PendingSignIn {
    /// The proof for `account`, valid before `end`, as long as its password has this `hash`.
    pub fn new(key: &TagKey, account: AccountId, end: Timestamp, hash: &str) -> PendingSignIn {
        let mut bytes = account.as_bytes().to_vec();
        bytes.extend_from_slice(&end.as_unix().to_be_bytes());
        let tag = key.tag(PENDING_CONTEXT, &[&bytes, hash.as_bytes()].concat());
        bytes.extend_from_slice(&tag);
        PendingSignIn(first(&bytes))
    }

    /// Reads a token; `None` if the text does not have its form.
    pub fn read(text: &str) -> Option<PendingSignIn> {
        decode::<PENDING_LENGTH>(PENDING_PREFIX, text).map(PendingSignIn)
    }

    /// The token as it is shown.
    pub fn reveal(&self) -> String {
        encode(PENDING_PREFIX, self.0.to_vec())
    }

    /// The account that it names.
    pub fn account(&self) -> AccountId {
        AccountId::from_bytes(first(&self.0))
    }

    /// The first moment at which it is no longer valid.
    pub fn end(&self) -> Timestamp {
        Timestamp::from_unix(i64::from_be_bytes(first(&self.0[16..])))
    }

    /// Whether it was made with this key, for an account whose password still has this `hash`.
    pub fn is_genuine(&self, key: &TagKey, hash: &str) -> bool {
        let (signed, tag) = self.0.split_at(PENDING_LENGTH - TAG_LENGTH);
        let expected = key.tag(PENDING_CONTEXT, &[signed, hash.as_bytes()].concat());
        constant_time_eq(tag, &expected)
    }
}

/// The plain secret inside a refresh token.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; SECRET_LENGTH]);

impl Secret {
    /// The secret with these 32 random bytes.
    pub const fn from_bytes(bytes: [u8; SECRET_LENGTH]) -> Secret {
        Secret(bytes)
    }

    /// Its storable form.
    pub fn digest(&self) -> Digest {
        digest_of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A refresh token in its plain form, as a client has it.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The family it belongs to.
    pub family: FamilyId,
    /// Its number in the family, from 1.
    pub generation: u32,
    /// The secret, whose digest proves possession.
    pub secret: Secret,
}

impl RefreshToken {
    /// Reads a token and checks its tag. `None` if it was not made with this key: an invented token, one of another server or
    /// from before a restore, or a genuine one with a changed bit.
    pub fn read(text: &str, key: &TagKey) -> Option<RefreshToken> {
        let bytes = decode::<TOKEN_LENGTH>(REFRESH_PREFIX, text)?;
        let (signed, tag) = bytes.split_at(SIGNED_LENGTH);
        if !constant_time_eq(tag, &key.tag(TAG_CONTEXT, signed)) {
            return None;
        }
        Some(RefreshToken {
            family: FamilyId::from_bytes(signed[..16].try_into().ok()?),
            generation: u32::from_be_bytes(signed[16..20].try_into().ok()?),
            secret: Secret(signed[20..].try_into().ok()?),
        })
    }

    /// The token as a client gets it.
    pub fn reveal(&self, key: &TagKey) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_LENGTH);
        bytes.extend_from_slice(self.family.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.secret.0);
        bytes.extend_from_slice(&key.tag(TAG_CONTEXT, &bytes));
        encode(REFRESH_PREFIX, bytes)
    }
}

/// A successor that only the holder of its predecessor can open: 16 bytes of nonce, 32 bytes of cipher text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seal([u8; NONCE_LENGTH + SECRET_LENGTH]);

impl Seal {
    /// The value before the first rotation. It has the size of a real seal, so that rows do not grow.
    pub const NONE: Seal = Seal([0; NONCE_LENGTH + SECRET_LENGTH]);

    /// Seals `successor` for the holder of `presented`.
    pub fn close(
        successor: &Secret,
        presented: &RefreshToken,
        nonce: [u8; NONCE_LENGTH],
        key: &SealKey,
    ) -> Seal {
        let mut seal = [0; NONCE_LENGTH + SECRET_LENGTH];
        seal[..NONCE_LENGTH].copy_from_slice(&nonce);
        seal[NONCE_LENGTH..].copy_from_slice(&successor.0);
        apply_stream(&mut seal, presented, key);
        Seal(seal)
    }

    /// Opens the seal with `presented` and `key`. The caller must compare the digest of the result with the stored one.
    pub fn open(&self, presented: &RefreshToken, key: &SealKey) -> Secret {
        let mut opened = self.0;
        apply_stream(&mut opened, presented, key);
        let mut secret = [0; SECRET_LENGTH];
        secret.copy_from_slice(&opened[NONCE_LENGTH..]);
        opened.zeroize();
        Secret(secret)
    }

    /// The seal with these bytes, as read from the database.
    pub const fn from_bytes(bytes: [u8; NONCE_LENGTH + SECRET_LENGTH]) -> Seal {
        Seal(bytes)
    }

    /// Its bytes, for the database.
    pub const fn as_bytes(&self) -> &[u8; NONCE_LENGTH + SECRET_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Sealing and opening are the same XOR. The nonce at the beginning is not changed.
fn apply_stream(
    sealed: &mut [u8; NONCE_LENGTH + SECRET_LENGTH],
    presented: &RefreshToken,
    key: &SealKey,
) {
    let (nonce, text) = sealed.split_at_mut(NONCE_LENGTH);
    let sealing = blake3::derive_key(SEAL_CONTEXT, &key.0);
    let stream = blake3::Hasher::new_keyed(&sealing)
        .update(&presented.secret.0)
        .update(presented.family.as_bytes())
        .update(&presented.generation.to_be_bytes())
        .update(nonce)
        .finalize();
    for (byte, mask) in text.iter_mut().zip(stream.as_bytes()) {
        *byte ^= mask;
    }
}

macro_rules! random_tokens {
    ($($(#[$about:meta])* $name:ident, $prefix:literal;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; SECRET_LENGTH]);

        impl $name {
            /// The token with these 32 random bytes.
            pub const fn from_bytes(bytes: [u8; SECRET_LENGTH]) -> $name {
                $name(bytes)
            }

            /// Reads a token; `None` if the text does not have its form.
            pub fn read(text: &str) -> Option<$name> {
                decode::<SECRET_LENGTH>($prefix, text).map($name)
            }

            /// The token as it is shown.
            pub fn reveal(&self) -> String {
                encode($prefix, self.0.to_vec())
            }

            /// Its storable form.
            pub fn digest(&self) -> Digest {
                digest_of(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}

random_tokens! {
    /// The one-time token of the set-up link, which creates the first administrator.
    SetupToken, "as_";
    /// The one-time token of a reset link, with which the account owner chooses a new password.
    ResetToken, "ap_";
    /// The one-time token of a link that proves an e-mail address.
    VerificationToken, "av_";
    /// The token of an invitation, with which the invited person creates an account.
    InvitationToken, "ai_";
    /// The cookie of a browser session.
    SessionCookie, "ab_";
    /// An authorization code (RFC 6749 §4.1.2).
    AuthorizationCode, "ac_";
    /// The code with which a device asks whether it was allowed (RFC 8628 §3.2).
    DeviceCode, "adc_";
    /// The secret of a confidential client. Letters, digits, `-` and `_` alone: some apps do not encode it (RFC 6749 §2.3.1).
    ClientSecret, "acs_";
}

/// Stands for a token in memory: 32 bytes that do not give it away, and that cannot be computed without the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// Makes fingerprints. Drawn at each start and never stored.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// The key that follows from these 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> FingerprintKey {
        FingerprintKey(blake3::derive_key(FINGERPRINT_CONTEXT, &bytes))
    }

    /// The fingerprint of the whole of `token`.
    pub fn of(&self, token: &str) -> Fingerprint {
        Fingerprint(*blake3::keyed_hash(&self.0, token.as_bytes()).as_bytes())
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey")
    }
}

fn digest_of(secret: &[u8; 32]) -> Digest {
    Digest(blake3::derive_key(DIGEST_CONTEXT, secret))
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn encode(prefix: &str, mut bytes: Vec<u8>) -> String {
    let mut text = String::from(prefix);
    URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
    bytes.zeroize();
    text
}

/// The `N` bytes after `prefix`, in their canonical encoding. A text that is padded, too short, too long, or has stray bits
/// at its end is refused.
fn decode<const N: usize>(prefix: &str, text: &str) -> Option<[u8; N]> {
    let encoded = text.strip_prefix(prefix)?;
    if encoded.len() != (N * 8).div_ceil(6) {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let array = bytes.as_slice().try_into().ok();
    bytes.zeroize();
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(generation: u32) -> RefreshToken {
        RefreshToken {
            family: FamilyId::ordered(Timestamp::from_unix(1_800_000_000), [1; 10]),
            generation,
            secret: Secret([2; 32]),
        }
    }

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let key = TagKey([3; 32]);
        let text = token(7).reveal(&key);
        assert!(text.starts_with("ar_") && text.len() == 94, "{text}");
        let read = RefreshToken::read(&text, &key).expect("its own token");
        assert_eq!((read.family, read.generation), (token(7).family, 7));
        assert_eq!(read.secret.digest(), token(7).secret.digest());
    }

    #[test] // CVE-2026-27840: every prefix, suffix and change of case is another token, and refused
    fn only_the_whole_token_is_accepted() {
        let key = TagKey([3; 32]);
        let text = token(7).reveal(&key);
        for end in 0..text.len() {
            assert!(
                RefreshToken::read(&text[..end], &key).is_none(),
                "prefix of {end}"
            );
        }
        for tail in ["A", "=", " ", "\n", "\0"] {
            assert!(RefreshToken::read(&format!("{text}{tail}"), &key).is_none());
        }
        for at in 0..text.len() {
            for other in [b'A', b'_', b'-', b'9'] {
                let mut changed = text.clone().into_bytes();
                changed[at] = if changed[at] == other { b'B' } else { other };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(RefreshToken::read(&changed, &key).is_none(), "byte {at}");
            }
            let mut bytes = text.clone().into_bytes();
            if bytes[at].is_ascii_alphabetic() {
                bytes[at] ^= 0x20;
                let cased = String::from_utf8(bytes).expect("ASCII");
                assert!(
                    RefreshToken::read(&cased, &key).is_none(),
                    "case of byte {at}"
                );
            }
        }
        assert!(RefreshToken::read(&text, &TagKey([4; 32])).is_none());
    }

    #[test]
    fn a_doctors_pass_is_valid_for_its_key_only() {
        let (key, end) = (TagKey([3; 32]), Timestamp::from_unix(1_800_000_060));
        let pass = key.pass(end);
        assert!(pass.starts_with("ad_") && pass.len() == 35, "{pass}");
        assert_eq!(key.end_of_pass(&pass), Some(end));
        assert_eq!(TagKey([4; 32]).end_of_pass(&pass), None);
        for at in 0..pass.len() {
            let mut changed = pass.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(key.end_of_pass(&changed), None, "byte {at}");
            assert_eq!(key.end_of_pass(&pass[..at]), None, "prefix of {at}");
        }
        assert_eq!(key.end_of_pass(&format!("{pass}=")), None);
        assert_eq!(key.end_of_pass(&token(7).reveal(&key)), None);
    }

    #[test] // I9
    fn a_seal_opens_for_its_predecessor_and_its_key_only() {
        let (key, nonce) = (SealKey([5; 32]), [6; 16]);
        let successor = Secret([7; 32]);
        let seal = Seal::close(&successor, &token(1), nonce, &key);
        let opens = |presented: &RefreshToken, key: &SealKey| {
            seal.open(presented, key).digest() == successor.digest()
        };
        assert!(opens(&token(1), &key));
        assert!(!opens(&token(2), &key));
        assert!(!opens(&token(1), &SealKey([8; 32])));
        let other = RefreshToken {
            secret: Secret([9; 32]),
            ..token(1)
        };
        assert!(!opens(&other, &key));
        assert!(!seal.as_bytes().windows(32).any(|window| window == [7; 32]));
    }

    #[test] // a token of one kind is not accepted as another
    fn a_one_time_token_is_read_as_its_own_kind_only() {
        let reset = ResetToken([1; 32]).reveal();
        assert!(reset.starts_with("ap_") && reset.len() == 46, "{reset}");
        assert!(ResetToken::read(&reset).is_some_and(|token| token.0 == [1; 32]));
        assert!(SetupToken::read(&reset).is_none());
        assert!(VerificationToken::read(&reset).is_none());
        assert!(ResetToken::read(&SetupToken([1; 32]).reveal()).is_none());
        assert!(InvitationToken::read(&reset).is_none());
        assert!(ResetToken::read(&reset[..45]).is_none());
    }

    #[test]
    fn debug_prints_only_the_names_of_secrets() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            token(1),
            TagKey([1; 32]),
            SetupToken([1; 32]),
            ResetToken([1; 32])
        );
        assert!(
            shown.contains("secret: Secret") && shown.ends_with("TagKey SetupToken ResetToken"),
            "{shown}"
        );
    }
}
