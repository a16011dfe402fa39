//! Names of things: integer keys inside the database, UUIDs outside.
//!
//! Rows are joined by integer keys, which never leave the process. What the world sees are UUIDs: random ones
//! (version 4) where the moment of creation is nobody's business, and ordered ones (version 7) for
//! refresh-token families, whose name travels only inside the token itself. Each has a type of its own, so
//! that a session's key cannot be passed where an account's is meant.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use uuid::{Builder, Uuid};

use crate::clock::Timestamp;

/// A text that is no UUID in its hyphenated form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAName;

macro_rules! keys {
    ($($(#[$about:meta])* $name:ident;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(i64);

        impl $name {
            /// The key as the database numbers it.
            pub const fn from_row(key: i64) -> $name {
                $name(key)
            }

            /// The number that the database knows it by.
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
    /// The row of a one-time link.
    LinkKey;
    /// The row of a letter in the outbox.
    LetterKey;
    /// The row of a registration that waits.
    RegistrationKey;
    /// The row of a seal key.
    SealKeyKey;
    /// The row of a user agent: the first 63 bits of the text's digest, so that it is known without looking.
    AgentKey;
}

macro_rules! names {
    ($($(#[$about:meta])* $name:ident;)*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The name with these 16 bytes.
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
            type Err = NotAName;

            /// Reads the hyphenated form in either case (RFC 9562 §4), and no other form: no braces, no `urn:uuid:`.
            fn from_str(text: &str) -> Result<$name, NotAName> {
                match Uuid::try_parse(text) {
                    Ok(id) if id.hyphenated().to_string().eq_ignore_ascii_case(text) => {
                        Ok($name(id))
                    }
                    _ => Err(NotAName),
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

names! {
    /// The public name of an account: the `sub` of its tokens.
    AccountId;
    /// The name of an invitation.
    InvitationId;
    /// The public name of a session: the `sid` of its tokens.
    SessionId;
    /// The name of a refresh-token family, which stands only inside its tokens.
    FamilyId;
}

impl AccountId {
    /// A new random name (UUID version 4).
    pub fn random(bytes: [u8; 16]) -> AccountId {
        AccountId(Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl InvitationId {
    /// A new random name (UUID version 4).
    pub fn random(bytes: [u8; 16]) -> InvitationId {
        InvitationId(Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl SessionId {
    /// A new random name (UUID version 4).
    pub fn random(bytes: [u8; 16]) -> SessionId {
        SessionId(Builder::from_random_bytes(bytes).into_uuid())
    }
}

impl FamilyId {
    /// A new name ordered by time (UUID version 7), so that new families lie side by side in their index.
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
    fn a_name_is_read_in_its_hyphenated_form_only() {
        let id = SessionId::random([0xab; 16]);
        let text = id.to_string();
        assert_eq!(text.parse::<SessionId>().ok(), Some(id));
        // RFC 9562 §4: in either case on input. Some platforms write UUIDs in capitals.
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
    fn names_say_their_version() {
        assert_eq!(SessionId::random([9; 16]).0.get_version_num(), 4);
        assert_eq!(
            FamilyId::ordered(Timestamp::from_unix(1), [9; 10])
                .0
                .get_version_num(),
            7
        );
    }
}
