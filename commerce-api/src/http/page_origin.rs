//! The proof that a change with a session cookie comes from a page that may make it.

use poem::Request;

use crate::http::problem::Problem;

/// Whether the page that sent the request may change something with a session cookie.
/// [`crate::edge::same_origin`] decides it and attaches it to every request.
#[derive(Debug, Clone)]
pub struct PageOrigin(pub Result<(), Problem>);

impl PageOrigin {
    /// Refuses the request unless its page may change something. A request that was not checked is refused
    /// too.
    pub fn check(request: &Request) -> Result<(), Problem> {
        match request.data::<Self>() {
            Some(Self(found)) => found.clone(),
            None => Err(Problem::internal("the origin of the request was not checked")),
        }
    }
}
