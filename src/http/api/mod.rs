//! The JSON API: handlers, problem details, and the document that describes them.
//!
//! A handler parses its input into a type, calls one method of [`Authd`](crate::service::Authd), and renders the answer.

pub mod accounts;
pub mod doctor;
pub mod email_verification;
pub mod events;
pub mod health;
pub mod keys;
pub mod openapi;
pub mod password_reset;
pub mod problem;
pub mod sessions;
