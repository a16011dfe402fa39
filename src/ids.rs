//! Identifiers: integer keys inside the database, UUIDs outside.
//!
//! Rows are joined by integer keys. Clients see UUIDs; a key leaves the process only in the places where lists of the
//! administration go on. Most UUIDs are random (version 4), because version 7 would tell the time of creation.
//! Refresh-token families have ordered ones (version 7), because a family's id is only ever inside its tokens. Each has a
//! type of its own, so that a session's key can't be passed where an account's is expected.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use uuid::{Builder, Uuid};

use crate::clock::Timestamp;

/// The text is not a UUID in its hyphenated form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidId;

macro_rules! keys {
    ($($(#[$about:meta])* $name:ident;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(i64);

        impl $name {
            /// The key with this number.
            pub const fn from_row(key: i64) -> $name {
                $name(key)
            }

            /// Its number in the database.
            pub const fn as_row(self) -> i64 {
                self.0
            }
        }
    )*};
}

keys! {
    /// The row of an account.
    AccountKey;
    /// The row of a client.
    ClientKey;
    /// The row of a session.
    SessionKey;
    /// The row of a refresh-token family.
    FamilyKey;
    /// The row of a group.
    GroupKey;
    /// The row of an invitation.
    InvitationKey;
    /// The row of a one-time token.
    OneTimeTokenKey;
    /// The row of a message in the outbox.
    MessageKey;
    /// The row of a registration that waits for proof of its address.
    RegistrationKey;
    /// The row of a seal key.
    SealKeyKey;
    /// The row of a user agent: the first 63 bits of the text's digest, so that no look-up is needed.
    AgentKey;
}

macro_rules! ids {
    ($($(#[$about:meta])* $name:ident;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> $name {
                $name(Uuid::from_bytes(bytes))
            }

            /// Its 16 bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads the hyphenated form in any case (RFC 9562 §4: output is lower case, input case-insensitive).
            fn from_str(text: &str) -> Result<$name, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(id) if id.hyphenated().to_string().eq_ignore_ascii_case(text) => Ok($name(id)),
                    _ => Err(InvalidId),
                }
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": "uuid" })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

ids! {
    /// The public id of an account: the `sub` of its tokens.
    AccountId;
    /// The id of an invitation.
    InvitationId;
    /// The public id of a session: the `sid` of its tokens.
    SessionId;
    /// The id of a refresh-token family, which is only inside its tokens.
    FamilyId;
}

impl AccountId {
    /// A new random id (UUID version 4).
    pub fn random(bytes: [u8; 16]) -> AccountId {
        AccountId(Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl InvitationId {
    /// A new random id (UUID version 4).
    pub fn random(bytes: [u8; 16]) -> InvitationId {
        InvitationId(Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl SessionId {
    /// A new random id (UUID version 4).
    pub fn random(bytes: [u8; 16]) -> SessionId {
        SessionId(Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl FamilyId {
    /// A new id ordered by time (UUID version 7), so that new families are next to each other in their index.
    pub fn ordered(now: Timestamp, random: [u8; 10]) -> FamilyId {
        let milliseconds = u64::try_from(now.as_unix())
            .unwrap_or(0)
            .saturating_mul(1000);
        FamilyId(Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_hyphenated_and_in_any_case() {
        let id = SessionId::random([0xab; 16]);
        let text = id.to_string();
        assert_eq!(text.parse::<SessionId>().ok(), Some(id));
        // RFC 9562 §4
        assert_eq!(text.to_uppercase().parse::<SessionId>().ok(), Some(id));
        let plain = text.replace('-', "");
        let braced = format!("{{{text}}}");
        for other in [
            plain,
            braced,
            format!("urn:uuid:{text}"),
            format!(" {text}"),
        ] {
            assert!(other.parse::<SessionId>().is_err(), "{other}");
        }
    }

    #[test]
    fn ids_have_their_version() {
        assert_eq!(SessionId::random([9; 16]).0.get_version_num(), 4);
        assert_eq!(
            FamilyId::ordered(Timestamp::from_unix(1), [9; 10])
                .0
                .get_version_num(),
            7
        );
    }
}
