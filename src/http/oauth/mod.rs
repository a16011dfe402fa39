//! The endpoints of OAuth 2.1 and OpenID Connect that programs call. Those that a browser opens are pages.
//!
//! They are not in the OpenAPI document: their form is the standards', and the discovery document says where they are.
//!
//! | file | what |
//! |---|---|
//! | `parameters` | forms and queries as RFC 6749 has them |
//! | `client` | how a client says who it is |
//! | `error` | errors as RFC 6749 §5.2 and RFC 6750 §3.1 have them |
//! | `token`, `userinfo`, `discovery` | the endpoints |

mod client;
pub mod discovery;
pub mod error;
pub mod parameters;
mod table;
mod token;
mod userinfo;

pub(super) use table::ROUTES;
