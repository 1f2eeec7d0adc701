//! The mails about an order that could not be delivered.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::email_address::EmailAddress;
use crate::ids::{EmailId, JobId, OrderId};

/// A mail that is not tried again, unless staff retry its job.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct UndeliveredMail {
    /// The mail.
    #[diesel(sql_type = SqlUuid)]
    pub id: EmailId,
    /// The dead job that was to send it.
    #[diesel(sql_type = SqlUuid)]
    pub job_id: JobId,
    /// What it was to tell.
    #[diesel(sql_type = Text)]
    pub template: String,
    /// The address.
    #[diesel(sql_type = Text)]
    pub recipient: EmailAddress,
    /// Why it was not delivered: what the mail server answered.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
    /// When its event happened.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it was given up.
    #[diesel(sql_type = Timestamptz)]
    pub failed_at: DateTime<Utc>,
}

/// The mails about the order, its refunds and its returns that were given up, oldest first. Their jobs are the dead
/// ones, so the books of mails need no state of their own that could differ.
pub async fn undelivered_mails(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> QueryResult<Vec<UndeliveredMail>> {
    let query = "SELECT e.id, j.id AS job_id, e.template, e.recipient, j.last_error AS error, e.created_at,
                        j.updated_at AS failed_at
         FROM commerce.jobs j JOIN commerce.emails e ON e.id = (j.payload ->> 'email_id')::uuid
         WHERE j.kind = 'send_email' AND j.state = 'dead' AND e.sent_at IS NULL
           AND (e.data ->> 'order_id' = $1::text
                OR e.data ->> 'refund_id' IN (SELECT id::text FROM commerce.refunds WHERE order_id = $1)
                OR e.data ->> 'return_id' IN (SELECT id::text FROM commerce.returns WHERE order_id = $1))
         ORDER BY e.created_at, e.id";
    diesel::sql_query(query).bind::<SqlUuid, _>(order_id).load(conn).await
}
