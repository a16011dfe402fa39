//! authd, told in the words of those who use it.

mod accounts;
mod documentation;
mod examples;
mod harness;
mod http_engine;
mod passwords;
mod refresh;
mod server;
mod sessions;
mod sign_in;
mod wire;
