//! How accounts come to be: registrations that wait, and invitations.

pub mod invitation;
pub mod inviting;
pub mod registration;
