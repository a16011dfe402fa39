//! Recovery and proof: what the reader of a mailbox can do with a link.
//!
//! A reset link sets a new password; a verification link proves an address, completes a registration or confirms a change of
//! address. An operator prints the same links without mail.

pub mod email_change;
pub mod email_verification;
pub mod link;
pub mod password_reset;
