//! The proof that a change with a session's cookie comes from a page that may make it.

use poem::Request;

use crate::http::problem::Problem;

/// Whether the page that a request comes from may change something with a session's cookie. It goes with every request:
/// [`crate::edge::same_origin`] finds out.
#[derive(Debug, Clone)]
pub struct PageOrigin(pub Result<(), Problem>);

impl PageOrigin {
    /// Refuses the request unless its page may change something. What nobody looked at is refused too.
    pub fn check(request: &Request) -> Result<(), Problem> {
        match request.data::<Self>() {
            Some(Self(found)) => found.clone(),
            None => Err(Problem::internal("nobody looked from which page the request comes")),
        }
    }
}
