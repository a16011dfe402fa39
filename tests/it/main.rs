//! authd, told in the words of those who use it.

mod documentation;
mod examples;
mod http_engine;
mod server;
mod wire;
