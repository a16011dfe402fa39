//! Tokens: refresh tokens and their verdicts, access tokens, and the keys that sign.

pub mod access;
pub mod grant;
mod judge;
pub mod refresh;
pub mod signing_key;
