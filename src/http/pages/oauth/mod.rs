//! Pages on which the sign-in of an app begins and ends.

pub mod authorize;
pub mod device;
pub mod logout;
