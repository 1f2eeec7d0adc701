//! Who of the staff changed what: an entry a change, written in the transaction of the change, with what the subject was
//! before and after.
//!
//! ```text
//! let before = audit_log::snapshot(conn, subject).await?;          // locks the subject, so that nobody changes it in between
//! let product = catalog::update_product(conn, …).await?;
//! audit_log::record(conn, &author, "update_product", subject, before).await?;
//! ```

mod list;
mod record;
mod snapshot;

pub use list::{AuditEntry, AuditFilter, ListAuditError, list};
pub use record::{Author, forget_user, record, record_facts};
pub use snapshot::{Subject, SubjectKind, snapshot};
