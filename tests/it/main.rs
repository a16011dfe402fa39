//! authd, told in the words of those who use it.

mod access_tokens;
mod accounts;
mod bad_input;
mod documentation;
mod email_verification;
mod events;
mod examples;
mod groups;
mod harness;
mod house;
mod housekeeping;
mod http_engine;
mod invitations;
mod keys;
mod openapi;
mod password_reset;
mod passwords;
mod properties;
mod refresh;
mod restore;
mod routes;
mod server;
mod sessions;
mod sign_in;
mod typed_input;
mod wire;
