//! Which mails about an order are still worth sending when their turn comes.
//!
//! Anybody can order in the name of any address. So nobody is written to about an order that came and went
//! without a payment, unless they were told of it before.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Template;
use super::dedupe::once_for;
use crate::ids::OrderId;
use crate::orders::OrderStatus;
use crate::schema::{emails, orders};

/// Whether the mail would tell what is no longer so, or what nobody needs to know.
pub(super) async fn is_pointless(
    conn: &mut AsyncPgConnection,
    template: Template,
    id: OrderId,
) -> QueryResult<bool> {
    let order = orders::table.find(id).select((orders::status, orders::paid_minor));
    match template {
        // The mails about the payment and the cancellation tell all that this one would.
        Template::OrderReceived => {
            let (status, _): (OrderStatus, i64) = order.first(conn).await?;
            Ok(status != OrderStatus::PendingPayment)
        }
        Template::OrderCancelled => {
            let (status, paid_minor): (OrderStatus, i64) = order.first(conn).await?;
            let reinstated = status != OrderStatus::Cancelled;
            Ok(reinstated || paid_minor == 0 && !was_told(conn, id).await?)
        }
        _ => Ok(false),
    }
}

/// Whether the mail that tells of the new order was sent.
async fn was_told(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<bool> {
    let told = emails::table
        .filter(emails::dedupe_key.eq(once_for(Template::OrderReceived, id)))
        .filter(emails::sent_at.is_not_null());
    diesel::select(diesel::dsl::exists(told)).get_result(conn).await
}
