//! Who a request is to be attributed to, for the log: an operator must be able to tell who guessed passwords, or who
//! tried what they may not do. Never a secret, and never an address of a person.

use std::fmt;
use std::sync::{Arc, OnceLock};

use commerce_core::ids::UserId;
use poem::Request;

/// The account behind a request, as soon as it is known.
#[derive(Debug, Clone, Default)]
pub struct Attribution(Arc<OnceLock<UserId>>);

impl Attribution {
    /// The request is from this user, or about this account.
    pub fn note(request: &Request, user_id: UserId) {
        if let Some(attribution) = request.data::<Self>() {
            // The first to be noted stays: who a request is from is known before what it is about.
            let _ = attribution.0.set(user_id);
        }
    }

    /// The account, if it is known.
    pub fn account(&self) -> Option<impl fmt::Display> {
        self.0.get().copied()
    }
}
