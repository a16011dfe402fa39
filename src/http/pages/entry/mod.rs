//! Pages for a visitor who is not signed in yet: signing in, signing up, a forgotten password, links.

mod link;
pub mod recovery;
pub mod sign_in;
pub mod sign_up;
