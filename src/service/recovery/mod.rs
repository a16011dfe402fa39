//! Ways back in, and the proof of e-mail addresses.

pub mod email_verification;
pub mod password_reset;
