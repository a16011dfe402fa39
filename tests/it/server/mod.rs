//! The server as a process: what only shows when the real binary runs on a real file and is talked to over sockets,
//! killed, starved and lied to.
//!
//! Passwords are hashed with their real cost here, so accounts are few.

mod admin_cli;
mod backups;
mod command_line;
mod crashes;
mod doctor;
mod faults;
mod hostile;
mod mail;
mod mail_servers;
mod main_job;
mod memory;
mod proxy;
mod retries;
mod root;
mod secrets;
mod supervised;
mod terminal;
mod untrusted_files;
