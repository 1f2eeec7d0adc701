//! The mail that tells the shop which variants are low: at most one a day, and only if one has become low.

use diesel::QueryResult;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::db;
use crate::email_address::EmailAddress;
use crate::inventory;
use crate::notifications::{self, NewEmail};

/// The most variants in a mail. The others are counted.
const LISTED_MAX: usize = 50;

/// Mails the shop the variants that became low since it was last told, unless there was a mail today, in UTC. Variants
/// that become low after that are in the mail of the next day, if they are still low. Returns the number of mails.
pub async fn tell_low_stock(conn: &mut AsyncPgConnection, to: &EmailAddress) -> QueryResult<usize> {
    conn.transaction(async |conn| {
        let low = inventory::lock_newly_low(conn).await?;
        if low.is_empty() {
            return Ok(0);
        }
        let day = db::current_time(conn).await?.date_naive();
        let listed = low.get(..LISTED_MAX).unwrap_or(&low);
        let mail = NewEmail::low_stock(day, listed, low.len() - listed.len(), to);
        // Of several workers, the one whose mail it is marks what it tells.
        if !notifications::enqueue_if_new(conn, mail).await? {
            return Ok(0);
        }
        inventory::mark_told(conn, &low).await?;
        Ok(1)
    })
    .await
}
