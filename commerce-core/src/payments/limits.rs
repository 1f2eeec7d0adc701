//! The limits of payments.

use std::time::Duration;

/// The most attempts to pay one order. It bounds what a stranger can do with stolen cards on one order.
pub const ATTEMPTS_MAX: usize = 20;

/// So long an attempt without an answer counts as one whose provider is being asked right now.
pub(crate) const BEGIN_TIME: Duration = Duration::from_secs(30);
