//! Pages: what people see in a browser.

pub mod front;
pub mod links;
