//! OAuth 2.1 and OpenID Connect: apps that sign people in here.
//!
//! An operator registers an app as a [`Client`](client::Client). A browser brings an authorization request
//! ([`request`]); the account owner signs in and agrees ([`authorization`]), and the browser takes a code to the app. The app
//! exchanges the code at the token endpoint ([`exchange`]) for an access token, an ID token and a refresh token.
//!
//! What an app was granted is a row of `oauth_grant` beside a family of refresh tokens, in the session of the browser in which
//! the account owner agreed. So ending that session ends every grant that was given in it, and the rotation of refresh tokens
//! is the one that first-party sessions have ([`refresh`](super::token::refresh)).
//!
//! Never here: an answer to an address that the client did not register; an access token of an app that is good at `/v1`.

pub mod access;
pub mod answer;
pub mod apps;
pub mod authorization;
pub mod claims;
pub mod client;
mod code;
pub mod device;
pub mod exchange;
pub mod grant;
pub mod introspection;
pub mod logout;
pub mod request;
pub mod scope;
