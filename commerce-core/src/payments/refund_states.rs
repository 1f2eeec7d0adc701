//! How many refunds are open, for metrics and alerts.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::RefundStatus;
use crate::schema::refunds;

/// The states that someone waits for: refunds under way, and failed ones that staff must look at.
const WATCHED: [RefundStatus; 3] = [RefundStatus::Pending, RefundStatus::Processing, RefundStatus::Failed];

/// The number of refunds that are pending, processing and failed, each of these states once.
pub async fn refund_states(conn: &mut AsyncPgConnection) -> QueryResult<Vec<(RefundStatus, i64)>> {
    let found: Vec<(RefundStatus, i64)> = refunds::table
        .filter(refunds::status.eq_any(WATCHED))
        .group_by(refunds::status)
        .select((refunds::status, count_star()))
        .load(conn)
        .await?;
    let count = |status| found.iter().find(|(of, _)| *of == status).map_or(0, |(_, count)| *count);
    Ok(WATCHED.into_iter().map(|status| (status, count(status))).collect())
}
