//! Keeps an index outside of Postgres up to date.
//!
//! Triggers write each change to `search_changes`, in the transaction of the change. One indexer at a time
//! ([`Turn`]) reads a batch of changes and then the present rows, sends the rows, and deletes the changes
//! that it has read. If a row was changed again in the meantime, its change has a later generation and stays.
//! So nothing is lost, and nothing older is sent after something newer.

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
