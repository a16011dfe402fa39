//! Apps sign people in: an app's backend, a browser, and this server.

mod app;
mod authorization;
mod device;
mod sign_out;
mod tokens;
