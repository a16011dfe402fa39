//! Who administers: the operator of the server, or an administrator. Events say which.

use serde_json::{Value, json};

use crate::service::{Actor, Device};

/// Who administers.
#[derive(Clone)]
pub(in crate::service) enum By {
    /// A person who can open the database file.
    Operator,
    /// The owner of an account.
    Administrator(Box<Administrator>),
}

/// An administrator, with the session and the device of the request.
#[derive(Clone)]
pub(in crate::service) struct Administrator {
    pub actor: Actor,
    pub device: Device,
    /// Whether the session is a browser's: then it has to be authenticated recently.
    pub is_browser: bool,
}

impl By {
    /// As `detail.by` of an event has it. The address of an administrator is looked up when the event is read.
    pub fn label(&self) -> Value {
        match self {
            By::Operator => json!("operator"),
            By::Administrator(administrator) => json!({ "account": administrator.actor.account }),
        }
    }

    /// The administrator's device; `None` for an operator.
    pub fn device(&self) -> Option<&Device> {
        match self {
            By::Operator => None,
            By::Administrator(administrator) => Some(&administrator.device),
        }
    }
}
