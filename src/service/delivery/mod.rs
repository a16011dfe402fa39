//! Messages with and without a link, from the moment that they become due until they have left.

pub mod mailed_link;
pub mod message;
pub mod one_time_link;
pub mod outbox;
mod wishes;
