//! Forgetting mails that were sent long ago.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db;
use crate::schema::emails;

/// How long a sent mail is remembered, and with it that its event was told.
pub const SENT_MAILS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Takes an address out of what was sent to it; what is still to be sent is sent.
pub async fn forget_recipient(conn: &mut AsyncPgConnection, address: &str) -> QueryResult<()> {
    let sent = emails::table.filter(emails::recipient.eq(address)).filter(emails::sent_at.is_not_null());
    diesel::update(sent).set(emails::recipient.eq("deleted")).execute(conn).await?;
    Ok(())
}

/// Removes mails that were sent longer ago than [`SENT_MAILS_KEPT`]; says how many.
pub async fn prune(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let old = emails::table
        .filter(emails::created_at.lt(db::time_before(SENT_MAILS_KEPT)))
        .filter(emails::sent_at.is_not_null());
    diesel::delete(old).execute(conn).await
}
