//! Sign-up: how accounts come to be.
//!
//! The first administrator comes by the set-up link ([`set_up`]), others register ([`registration`]), perhaps with an
//! [`invitation`]. Operators make accounts in [`operations`](super::operations).

pub mod invitation;
pub mod registration;
pub mod set_up;
