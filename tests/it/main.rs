//! authd, told in the words of those who use it.

mod examples;
mod http_engine;
mod server;
mod wire;
