//! Who makes a change, and in which request. Timelines and ledgers record it.

use std::fmt;

use crate::ids::UserId;

/// Who makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A logged-in user: a customer or staff.
    User(UserId),
    /// A shopper without an account.
    Guest,
    /// A job, a sweep or a payment provider.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::User(id) => write!(f, "user:{id}"),
            Actor::Guest => f.write_str("guest"),
            Actor::System => f.write_str("system"),
        }
    }
}

/// The actor of a change and the id of its request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who makes the change.
    pub actor: Actor,
    /// The request of the change. `None` for a job or a sweep.
    pub request_id: Option<String>,
}

impl Origin {
    /// The origin of a change that no person made.
    pub fn system() -> Self {
        Self { actor: Actor::System, request_id: None }
    }
}
