//! Mends stock that drifted, where it is certain what it must be. What is certain is written in
//! `inventory/mend.rs`. Every other breach needs a person, and [`verify`](super::verify()) names it.

use diesel::QueryResult;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::audit_log::{self, Author, Subject};
use crate::ids::VariantId;
use crate::inventory::{self, Drift};

/// Mends the levels of a variant under their locks, and records it in the audit log. Returns the levels that drifted, as
/// they were. Those that [cannot be mended](Drift::can_be_mended) are as before.
pub async fn repair_stock(
    conn: &mut AsyncPgConnection,
    variant_id: VariantId,
    author: &Author,
) -> QueryResult<Vec<Drift>> {
    conn.transaction(async |conn| {
        let subject = Subject::Stock(variant_id);
        let before = audit_log::snapshot(conn, subject).await?;
        let drifted = inventory::mend(conn, variant_id, &author.origin).await?;
        let mended: Vec<&Drift> = drifted.iter().filter(|drift| drift.can_be_mended()).collect();
        if !mended.is_empty() {
            let after = audit_log::snapshot(conn, subject).await?;
            let before = json!({ "levels": before, "drift": mended });
            let after = json!({ "levels": after });
            audit_log::record_facts(conn, author, "audit_repair", subject, Some(before), Some(after)).await?;
        }
        Ok(drifted)
    })
    .await
}
