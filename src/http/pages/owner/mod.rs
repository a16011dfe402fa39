//! Pages for an account owner: the account, its sessions, and what happened to it.

pub mod account;
pub mod activity;
pub mod apps;
mod device_name;
pub mod sessions;
