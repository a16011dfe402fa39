//! Tokens: refresh tokens, access tokens and the keys that sign them.

pub mod access;
pub mod refresh;
pub mod signing_key;
