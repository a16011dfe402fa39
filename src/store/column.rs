//! How values become columns, and columns values.
//!
//! The plain form of a secret has no implementation of [`ToColumn`]: there is no way for it into a column.

use std::borrow::Cow;
use std::net::IpAddr;

use rusqlite::types::{ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{
    AccountId, AccountKey, AgentKey, ClientKey, FamilyId, FamilyKey, GroupKey, InvitationId,
    InvitationKey, MessageKey, OneTimeTokenKey, RegistrationKey, SealKeyKey, SessionId, SessionKey,
};
use crate::secret::{Digest, Seal, SealKey, TagKey};

/// A column's value, in one of the types that STRICT tables know (floating point is not stored).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Text in UTF-8.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    pub(in crate::store) fn from_sqlite(value: ValueRef<'a>) -> Option<Value<'a>> {
        match value {
            ValueRef::Null => Some(Value::Null),
            ValueRef::Integer(number) => Some(Value::Integer(number)),
            ValueRef::Text(bytes) => std::str::from_utf8(bytes)
                .ok()
                .map(|s| Value::Text(s.into())),
            ValueRef::Blob(bytes) => Some(Value::Blob(bytes.into())),
            ValueRef::Real(_) => None,
        }
    }

    pub(in crate::store) fn into_sqlite(self) -> ToSqlOutput<'a> {
        match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(number)),
            Value::Text(Cow::Borrowed(text)) => text.into(),
            Value::Text(Cow::Owned(text)) => text.into(),
            Value::Blob(Cow::Borrowed(bytes)) => bytes.into(),
            Value::Blob(Cow::Owned(bytes)) => bytes.into(),
        }
    }
}

/// What may be bound to a statement. The plain form of a secret has no such implementation.
pub trait ToColumn {
    /// The value to store.
    fn to_column(&self) -> Value<'_>;
}

/// What may be read from a row.
pub trait FromColumn: Sized {
    /// The value, or `None` if the column holds no such thing.
    fn from_column(value: Value<'_>) -> Option<Self>;
}

/// Parameters of a statement, in the order of `?1`, `?2` and so on.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::store::ToColumn),*]
    };
}
pub(crate) use params;

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
    /// 4 or 16 bytes. An IPv4 address that came in IPv6's clothes is stored as the IPv4 address it is.
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

/// Types that are a number inside.
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

/// Types that are a fixed number of bytes inside.
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
