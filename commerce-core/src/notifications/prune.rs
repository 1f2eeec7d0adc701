//! Forgetting mails of long ago.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::db;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::queue;

/// How long a mail is remembered, and with it that its event was told.
pub const MAILS_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Removes the addresses of an account from the errors of jobs, also those that it had before or was to have.
pub async fn forget_errors_about(
    conn: &mut AsyncPgConnection,
    user: UserId,
    address: &EmailAddress,
) -> QueryResult<()> {
    let addresses: Vec<AddressRow> = diesel::sql_query(
        "SELECT recipient FROM commerce.emails WHERE data ->> 'user_id' = $1 UNION SELECT $2 AS recipient",
    )
    .bind::<Text, _>(user.to_string())
    .bind::<Text, _>(address.as_str())
    .load(conn)
    .await?;
    let texts = addresses.iter().flat_map(|AddressRow { recipient }| {
        [recipient.as_str().to_owned(), recipient.to_ascii().into_owned()]
    });
    queue::forget_errors_about(conn, texts.collect()).await
}

/// Forgets a person with their account: whatever was sent to their address, or about them to another, has no recipient
/// any more, and what is
/// still to be sent about the account is not. Mails about orders are sent.
pub async fn forget_recipient(
    conn: &mut AsyncPgConnection,
    user: UserId,
    address: &EmailAddress,
) -> QueryResult<()> {
    conn.transaction(async |conn| {
        let locked =
            "SELECT FROM commerce.emails WHERE recipient = $2 OR data ->> 'user_id' = $1 ORDER BY id FOR UPDATE";
        diesel::sql_query(locked)
            .bind::<Text, _>(user.to_string())
            .bind::<Text, _>(address.as_str())
            .execute(conn)
            .await?;
        let unsent = "DELETE FROM commerce.emails WHERE sent_at IS NULL AND data ->> 'user_id' = $1";
        diesel::sql_query(unsent).bind::<Text, _>(user.to_string()).execute(conn).await?;
        let sent = "UPDATE commerce.emails SET recipient = 'deleted'
             WHERE sent_at IS NOT NULL AND (recipient = $2 OR data ->> 'user_id' = $1)";
        diesel::sql_query(sent)
            .bind::<Text, _>(user.to_string())
            .bind::<Text, _>(address.as_str())
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

#[derive(QueryableByName)]
struct AddressRow {
    #[diesel(sql_type = Text)]
    recipient: EmailAddress,
}

/// Deletes mails that are older than [`MAILS_KEPT`], `batch` at a time, also those that could not be sent.
/// Returns their number.
pub async fn prune(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.emails WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.emails WHERE created_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, MAILS_KEPT, delete).await
}
