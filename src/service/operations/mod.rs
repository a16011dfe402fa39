//! What an operator does: accounts, clean-up, restore, and a look at how the server is.

pub mod accounts;
pub mod doctor_pass;
pub mod events;
pub mod health;
pub mod restore;
pub mod sweep;
