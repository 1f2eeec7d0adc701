//! Which member of staff changed what, and who read the data of customers. Each change has one entry, with the
//! subject before and after. It is written in the transaction of the change.
//!
//! ```text
//! let before = audit_log::snapshot(conn, subject).await?;   // locks the subject until the change
//! let product = catalog::update_product(conn, …).await?;
//! audit_log::record(conn, &author, "update_product", subject, before).await?;
//! ```

mod list;
mod record;
mod snapshot;

pub use list::{AuditEntry, AuditFilter, ListAuditError, list};
pub use record::{Author, forget_user, record, record_facts};
pub use snapshot::{Subject, SubjectKind, snapshot};
