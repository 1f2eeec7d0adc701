//! Keeping an index outside of Postgres in step with the tables.
//!
//! Changes are rows of `search_changes`, written by triggers in the transaction of the change. One indexer at a time
//! ([`Turn`]) takes a batch of them with the rows as they are now, sends these, and deletes the changes it has seen: an
//! edit made meanwhile has a later generation and stays. So nothing is lost, and nothing older is sent after something newer.

mod compare;
mod keep;
mod push;
mod rebuild;
mod send;
mod turn;

use super::index_error::IndexError;

pub use compare::compare_index;
pub use keep::{Kept, keep_index};
pub(super) use push::live_index;
pub use rebuild::{Progress, reindex};
pub(super) use send::send_changes;
