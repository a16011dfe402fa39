//! The handlers of the JSON API, the form of its errors, and its description as an OpenAPI document.

pub(super) mod accounts;
pub(super) mod admin;
pub(super) mod apps;
pub(super) mod doctor;
pub(super) mod email_verification;
pub(super) mod events;
pub(super) mod health;
pub(super) mod keys;
mod limit;
pub(super) mod openapi;
pub(super) mod password_reset;
pub(super) mod problem;
pub(super) mod sessions;
