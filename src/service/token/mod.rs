//! Tokens: refresh tokens and their verdicts, access tokens, and the keys that sign.

pub mod access;
mod checked_signatures;
pub mod found;
pub mod grant;
mod judge;
pub mod jwt;
pub mod key_ring;
pub mod refresh;
pub mod signing_key;
