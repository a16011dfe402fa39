//! What a person does in a browser, without a screen.

mod account;
pub mod browser;
mod cross_site;
mod sign_in;
