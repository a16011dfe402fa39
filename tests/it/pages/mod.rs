//! What a person does in a browser, without a screen.

mod account;
mod admin;
pub mod browser;
mod cross_site;
mod sign_in;
