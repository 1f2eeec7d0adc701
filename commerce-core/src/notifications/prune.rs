//! Forgetting mails that were sent long ago.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db;
use crate::ids::UserId;
use crate::jobs;
use crate::schema::emails;

/// How long a sent mail is remembered, and with it that its event was told.
pub const SENT_MAILS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Forgets a person with their account: whatever was sent to their address, or about them to another, has no recipient any more, and what is
/// still to be sent about the account is not. Mails about orders are sent. To be called before the codes are removed.
pub async fn forget_recipient(conn: &mut AsyncPgConnection, user: UserId, address: &str) -> QueryResult<()> {
    // First the jobs, as who sends a mail has them first.
    jobs::forget_errors_about(conn, address).await?;
    let of_account = "data ->> 'user_id' = $1::text
        OR data ->> 'code_id' IN (SELECT id::text FROM commerce.one_time_codes WHERE user_id = $1)";
    let unsent = format!("DELETE FROM commerce.emails WHERE sent_at IS NULL AND ({of_account})");
    diesel::sql_query(unsent).bind::<SqlUuid, _>(user.0).execute(conn).await?;
    let sent = format!(
        "UPDATE commerce.emails SET recipient = 'deleted'
         WHERE sent_at IS NOT NULL AND (recipient = $2 OR {of_account})"
    );
    diesel::sql_query(sent).bind::<SqlUuid, _>(user.0).bind::<Text, _>(address).execute(conn).await?;
    Ok(())
}

/// Removes mails that were sent longer ago than [`SENT_MAILS_KEPT`]; says how many.
pub async fn prune(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let old = emails::table
        .filter(emails::created_at.lt(db::time_before(SENT_MAILS_KEPT)))
        .filter(emails::sent_at.is_not_null());
    diesel::delete(old).execute(conn).await
}
