//! Delivery: messages with and without a link, from the moment that they become due until they have left.
//!
//! [`one_time_token`] keeps what a link can do, [`outbox`] the messages that wait, [`link_request`] what clients asked for by
//! e-mail address, and [`sender`] takes one message after the other to the mail server. [`message`] writes the text.

pub mod link_request;
pub mod message;
pub mod one_time_token;
pub mod outbox;
pub mod sender;
