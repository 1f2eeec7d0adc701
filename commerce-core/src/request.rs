//! Who asks for a change, and under which request: written into timelines and ledgers.

use std::fmt;

use crate::ids::UserId;

/// Who causes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Someone who is logged in: a customer or staff.
    User(UserId),
    /// A shopper without an account.
    Guest,
    /// A job, a schedule or a payment provider.
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

/// The actor and the id of the request that led to a change.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who causes the change.
    pub actor: Actor,
    /// The request that asked for it; none for a job or a schedule.
    pub request_id: Option<String>,
}

impl Origin {
    /// A change that no person asked for.
    pub fn system() -> Self {
        Self { actor: Actor::System, request_id: None }
    }
}
