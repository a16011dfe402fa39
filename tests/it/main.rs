//! authd, told in the words of those who use it.

mod documentation;
mod examples;
mod harness;
mod http_engine;
mod refresh;
mod server;
mod wire;
