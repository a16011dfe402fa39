//! How values become columns and columns become values.
//!
//! Only types that are listed here can be stored. The plain form of a secret is not among them; its digest is.

use std::borrow::Cow;
use std::net::IpAddr;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{
    AccountId, AccountKey, AgentKey, ClientKey, FamilyId, FamilyKey, GroupKey, InvitationId,
    InvitationKey, MessageKey, OneTimeTokenKey, RegistrationKey, SealKeyKey, SessionId, SessionKey,
};
use crate::secret::{Digest, Seal, SealKey, TagKey};

/// A column's value, in one of the types of a STRICT table (floating point is not used).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// Text in UTF-8.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

/// A type that can be bound to a statement.
pub trait ToColumn {
    /// The value to store.
    fn to_column(&self) -> Value<'_>;
}

/// A type that can be read from a row.
pub trait FromColumn: Sized {
    /// The value, or `None` if the column's value is not of this type.
    fn from_column(value: Value<'_>) -> Option<Self>;
}

impl<T: ToColumn + ?Sized> ToColumn for &T {
    fn to_column(&self) -> Value<'_> {
        (**self).to_column()
    }
}

impl<T: ToColumn> ToColumn for Option<T> {
    fn to_column(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, T::to_column)
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: Value<'_>) -> Option<Option<T>> {
        match value {
            Value::Null => Some(None),
            value => T::from_column(value).map(Some),
        }
    }
}

impl ToColumn for bool {
    fn to_column(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl FromColumn for bool {
    fn from_column(value: Value<'_>) -> Option<bool> {
        match value {
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl ToColumn for $type {
            fn to_column(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }

        impl FromColumn for $type {
            fn from_column(value: Value<'_>) -> Option<$type> {
                match value {
                    Value::Integer(number) => number.try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}
integers!(i64, i32, u32, u16, u8);

impl ToColumn for str {
    fn to_column(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }
}

impl ToColumn for String {
    fn to_column(&self) -> Value<'_> {
        self.as_str().to_column()
    }
}

impl FromColumn for String {
    fn from_column(value: Value<'_>) -> Option<String> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

impl ToColumn for [u8] {
    fn to_column(&self) -> Value<'_> {
        Value::Blob(Cow::Borrowed(self))
    }
}

impl ToColumn for Vec<u8> {
    fn to_column(&self) -> Value<'_> {
        self.as_slice().to_column()
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(value: Value<'_>) -> Option<Vec<u8>> {
        match value {
            Value::Blob(bytes) => Some(bytes.into_owned()),
            _ => None,
        }
    }
}

impl<const N: usize> ToColumn for [u8; N] {
    fn to_column(&self) -> Value<'_> {
        self.as_slice().to_column()
    }
}

impl<const N: usize> FromColumn for [u8; N] {
    fn from_column(value: Value<'_>) -> Option<[u8; N]> {
        match value {
            Value::Blob(bytes) => bytes.as_ref().try_into().ok(),
            _ => None,
        }
    }
}

impl ToColumn for IpAddr {
    /// 4 or 16 bytes. An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is stored as the IPv4 address.
    fn to_column(&self) -> Value<'_> {
        Value::Blob(Cow::Owned(match self.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }))
    }
}

impl FromColumn for IpAddr {
    fn from_column(value: Value<'_>) -> Option<IpAddr> {
        match value {
            Value::Blob(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(bytes.as_ref()).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(bytes.as_ref()).ok().map(IpAddr::from),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Types that wrap an integer.
macro_rules! numbers {
    ($($type:ident: $from:ident, $into:ident;)*) => {$(
        impl ToColumn for $type {
            fn to_column(&self) -> Value<'_> {
                Value::Integer(self.$into())
            }
        }

        impl FromColumn for $type {
            fn from_column(value: Value<'_>) -> Option<$type> {
                i64::from_column(value).map($type::$from)
            }
        }
    )*};
}
numbers! {
    Timestamp: from_unix, as_unix;
    AccountKey: from_row, as_row;
    AgentKey: from_row, as_row;
    ClientKey: from_row, as_row;
    FamilyKey: from_row, as_row;
    GroupKey: from_row, as_row;
    InvitationKey: from_row, as_row;
    MessageKey: from_row, as_row;
    OneTimeTokenKey: from_row, as_row;
    RegistrationKey: from_row, as_row;
    SealKeyKey: from_row, as_row;
    SessionKey: from_row, as_row;
}

/// Types that wrap a fixed number of bytes.
macro_rules! blobs {
    ($($type:ident: $length:literal;)*) => {$(
        impl ToColumn for $type {
            fn to_column(&self) -> Value<'_> {
                self.as_bytes().as_slice().to_column()
            }
        }

        impl FromColumn for $type {
            fn from_column(value: Value<'_>) -> Option<$type> {
                <[u8; $length]>::from_column(value).map($type::from_bytes)
            }
        }
    )*};
}
blobs! {
    AccountId: 16;
    Digest: 32;
    FamilyId: 16;
    InvitationId: 16;
    Seal: 48;
    SealKey: 32;
    SessionId: 16;
    TagKey: 32;
    Uuid: 16;
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestDatabase;
    use super::super::{Broken, params};
    use super::*;

    /// Writes a value to the database and reads it back.
    fn returned<T>(value: impl ToColumn + Send + 'static) -> Result<T, Broken>
    where
        T: FromColumn + Send + 'static,
    {
        let database = TestDatabase::new();
        let store = database.open();
        let answer = store.read(|tx| tx.row("SELECT ?1", params![value], |row| row.get(0)));
        answer.map(|row| row.expect("one row"))
    }

    #[test]
    fn values_are_read_as_they_were_written() {
        assert_eq!(returned(true), Ok(true));
        assert_eq!(returned(u32::MAX), Ok(u32::MAX));
        assert_eq!(returned(i64::MIN), Ok(i64::MIN));
        assert_eq!(returned("Grüße"), Ok("Grüße".to_owned()));
        assert_eq!(returned([7_u8; 16]), Ok([7_u8; 16]));
        assert_eq!(returned(None::<i64>), Ok(None::<i64>));
        assert_eq!(returned(Some(7_i64)), Ok(Some(7_i64)));
        assert_eq!(
            returned(Timestamp::from_unix(-1)),
            Ok(Timestamp::from_unix(-1))
        );
        assert_eq!(
            returned(SessionKey::from_row(9)),
            Ok(SessionKey::from_row(9))
        );
        let id = FamilyId::from_bytes([3; 16]);
        assert_eq!(returned(id), Ok(id));
        for address in ["192.0.2.7", "2001:db8::7"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(returned(address), Ok(address));
        }
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(returned::<Vec<u8>>(mapped), Ok(vec![192, 0, 2, 7]));
    }

    #[test]
    fn a_column_of_another_type_is_an_error() {
        for broken in [
            returned::<bool>(2_i64).err(),
            returned::<u32>(-1_i64).err(),
            returned::<i64>("7").err(),
            returned::<String>(7_i64).err(),
            returned::<[u8; 16]>([7_u8; 15]).err(),
            returned::<i64>(None::<i64>).err(),
            returned::<IpAddr>([7_u8; 5]).err(),
        ] {
            let Some(Broken::Database(text)) = broken else {
                panic!("{broken:?}")
            };
            assert!(text.contains("column 0 holds"), "{text}");
        }
    }

    #[test]
    fn parameters_are_counted() {
        let database = TestDatabase::new();
        let store = database.open();
        let broken = store.read(|tx| tx.row("SELECT ?1, ?2", params![1_i64], |_| Ok(())));
        assert!(matches!(broken, Err(Broken::Database(text)) if text.starts_with("1 parameters")));
    }

    #[test]
    fn rows_of_returning_are_checked_against_foreign_keys() {
        let database = TestDatabase::new();
        let store = database.open();
        let broken = store.write(|tx| {
            tx.row(
                "INSERT INTO event (at, kind, account_id) VALUES (0, '', 12345) RETURNING id",
                params![],
                |row| row.get::<i64>(0),
            )
        });
        assert!(matches!(broken, Err(Broken::Database(text)) if text.contains("FOREIGN KEY")));
    }
}
