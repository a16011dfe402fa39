//! authd: a complete auth server in one binary and one SQLite file.
//!
//! Most people run the binary: `authd serve` (see the README). To have it inside a program, open a
//! [`store::Store`], take it up with [`service::Authd::open`], and give requests to [`http::App::handle`], from
//! [`http::server::Server`] or a server of your own; `examples/embed_tiny_http.rs` is a whole program that does. Somebody
//! has to call [`service::Authd::housekeep`] every second and [`service::Authd::sweep`] every hour.
//!
//! # The house
//!
//! Imports go downward only; a test reads them and fails on a breach.
//!
//! | floor | rooms |
//! |---|---|
//! | the binary | `main` |
//! | the command line | [`cli`] |
//! | the front end | [`http`] |
//! | settings | [`config`] |
//! | the logic | [`service`] |
//! | the database | [`store`] |
//! | leaves | [`clock`], [`entropy`], [`ids`], [`secret`], [`password`], [`mail`], [`network`], [`outgoing`], [`trust`] |
//!
//! `cli` stands on `http`, `service`, `config` and (to open it) `store`; `http` on `service` and never on `store`; `service` on
//! `store` and the leaves; leaves on leaves. Only [`store`] names SQLite, only `http::server` names the HTTP engine,
//! only [`clock`] and [`entropy`] ask the system for the time and for chance, only [`config`] reads the environment.
//!
//! # What always holds
//!
//! Refresh tokens of one session and client are a *family*. Tests and comments name these by number.
//!
//! - **I1** A family has one live secret.
//! - **I2** However presentations of one token interleave inside its window, they yield one successor.
//! - **I3** Revoked is for good, across crashes and rotations that are under way.
//! - **I4** A verdict of reuse is durable before it is answered.
//! - **I5** A wrong client or an unknown token changes nothing.
//! - **I6** A rotation that was answered survives any crash; one that was not can be tried again.
//! - **I7** A successor never outlives its family's absolute end.
//! - **I8** A clock that jumps back reopens nothing.
//! - **I9** The database file, even together with any token past its window, contains no usable token.
//! - **I10** A new password and the disabling of an account revoke in the same transaction.
//! - **I11** Nothing that was issued before a restore works after it: it belongs to an older *epoch*.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod entropy;
pub mod http;
pub mod ids;
pub mod mail;
pub mod network;
pub mod outgoing;
pub mod password;
pub mod policy;
pub mod secret;
pub mod service;
pub mod store;
pub mod trust;
