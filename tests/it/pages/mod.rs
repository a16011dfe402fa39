//! What a person does in a browser, without a screen.

mod account;
mod browser;
mod cross_site;
mod sign_in;
