//! authd: a complete auth server in one binary and one SQLite file.
//!
//! Most operators run the binary: `authd serve` (see the README). To embed authd in a program of your own:
//!
//! 1. Open a [`store::Store`], and pass it to [`service::Authd::open`].
//! 2. Pass requests to [`http::App::handle`], from [`http::server::Server`] or from another HTTP server.
//! 3. Call [`service::Authd::housekeep`] every second and [`service::Authd::sweep`] every hour.
//!
//! `examples/embed_tiny_http.rs` is a complete program that does this.
//!
//! # Layers
//!
//! A module imports only modules of lower layers, and no two files import each other in a circle. A test reads the imports and fails on a breach.
//!
//! | layer | modules |
//! |---|---|
//! | the binary | `main` |
//! | the command line | [`cli`] |
//! | HTTP | [`http`] |
//! | settings | [`config`] |
//! | the logic | [`service`] |
//! | the database | [`store`] |
//! | leaves | [`clock`], [`entropy`], [`ids`], [`secret`], [`password`], [`mail`], [`network`], [`outgoing`], [`policy`], [`trust`] |
//!
//! `cli` uses `http`, `service`, `config` and, to open the file, `store`. `http` uses `service`, and never `store`.
//! `service` uses `store` and the leaves. Leaves use only leaves. Only [`store`] names SQLite, only `http::server`
//! names the HTTP engine, only [`clock`] reads a clock of the system, only [`entropy`] asks it for random bytes, and
//! only [`config`] reads the environment.
//!
//! # Invariants
//!
//! All successive refresh tokens of one session and one client are a *family*. Tests and comments name the invariants
//! by number.
//!
//! - **I1** A family has one live secret.
//! - **I2** All presentations of one token inside its window yield one successor, in whatever order they are processed.
//! - **I3** A revocation is final. No crash and no concurrent rotation undoes it.
//! - **I4** A verdict of reuse is on the disk before the client gets the answer.
//! - **I5** A token of another client, or an unknown token, changes nothing.
//! - **I6** A rotation that was answered survives any crash. A rotation that was not answered can be tried again.
//! - **I7** A successor never outlives the absolute end of its family.
//! - **I8** A clock that jumps back reopens nothing.
//! - **I9** The database file contains no usable token, not even together with a token whose window is over.
//! - **I10** A new password, or the disabling of an account, ends the sessions of the account in the same transaction.
//! - **I11** Nothing that was issued before a restore works after it, because it belongs to an older *epoch*.

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
