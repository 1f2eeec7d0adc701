//! All alerts to the shop about money: at most one mail of a kind in an hour.
//!
//! Whoever tries stolen cards makes payments fail by the hundred, and a provider that is down refuses every
//! refund. The first alert of an hour is mailed at once. The next one becomes the mail of the following hour,
//! and those after it are only counted: that mail says how many there were. The timelines of the orders have
//! them all.
//!
//! The dedupe key, which is the kind and the hour, is the throttle, and the row of the waiting mail is the
//! counter. So there is no table of its own, no sweep and no count over all events. Alerts of one kind wait for
//! each other's commit at that row, which is why a flow calls this late, but before it locks stock.

use chrono::DateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel::sql_types::Jsonb;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::dedupe::once_for;
use super::enqueue::EmailRow;
use super::{SendEmail, Template};
use crate::db::current_time;
use crate::email_address::EmailAddress;
use crate::ids::EmailId;
use crate::queue::{self, NewJob};
use crate::schema::emails;

const HOUR: i64 = 3600;

/// The mail of the following hour is sent so many seconds after the hour has begun, when transactions of the
/// hour before have counted theirs.
const GRACE: i64 = 60;

/// Mails an alert to the shop, or counts it for the next mail of this kind. `data` is what the template needs.
pub async fn enqueue_alert(
    conn: &mut AsyncPgConnection,
    template: Template,
    to: &EmailAddress,
    data: serde_json::Value,
) -> QueryResult<()> {
    metrics::counter!("commerce_alerts_total", "kind" => template.as_str()).increment(1);
    let now = current_time(conn).await?;
    let hour = now.timestamp().div_euclid(HOUR);
    let of_hour = |hour: i64| EmailRow {
        id: EmailId::new(),
        dedupe_key: once_for(template, hour),
        template,
        recipient: to.clone(),
        data: data.clone(),
    };
    let first = of_hour(hour);
    let email_id = first.id;
    let inserted =
        diesel::insert_into(emails::table).values(first).on_conflict_do_nothing().execute(conn).await?;
    if inserted == 1 {
        queue::enqueue(conn, &SendEmail { email_id }).await?;
        return Ok(());
    }
    let next = of_hour(hour + 1);
    let email_id = next.id;
    let one_more =
        "jsonb_set(emails.data, '{more}', to_jsonb(coalesce((emails.data ->> 'more')::bigint, 0) + 1))";
    let waiting: EmailId = diesel::insert_into(emails::table)
        .values(next)
        .on_conflict(emails::dedupe_key)
        .do_update()
        .set(emails::data.eq(sql::<Jsonb>(one_more)))
        .returning(emails::id)
        .get_result(conn)
        .await?;
    if waiting == email_id {
        let job = NewJob::new(&SendEmail { email_id })
            .map_err(|error| QueryError::SerializationError(error.into()))?;
        let run_at = DateTime::from_timestamp((hour + 1) * HOUR + GRACE, 0).unwrap_or(now);
        queue::enqueue_all(conn, vec![job.at(run_at)]).await?;
    }
    Ok(())
}
