//! Which mails about an order are still worth sending when their turn comes.
//!
//! Anybody can order in the name of any address. So nobody is written to about an order that came and went
//! without a payment, unless they were told of it before. An address that nobody has proven gets few mails about
//! unpaid orders, and so do all addresses together that one network names. They are counted when they are sent, so
//! that checkouts do not wait for each other's counts.

use data_encoding::HEXLOWER;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest as _, Sha256};

use super::Template;
use super::dedupe::once_for;
use crate::email_address::EmailAddress;
use crate::ids::{EmailId, OrderId, PaymentId};
use crate::orders::{Order, OrderStatus};
use crate::payments;
use crate::rate_limit::{self, Policy};
use crate::schema::{emails, orders, payments as payment_rows, users};

/// Mails about unpaid orders to one address that nobody has proven, in a day.
const TO_ADDRESS: Policy = Policy::new("order-mail-recipient", 5, 24 * 60);
/// The same from one network, to any addresses, in an hour.
const FROM_NETWORK: Policy = Policy::new("order-mail-ip", 20, 60);

/// Whose address it is that an order names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The shopper has proven that the address is theirs. Mails to it are not limited.
    Proven,
    /// Anybody's. Five mails about unpaid orders are sent to it in a day, and twenty in an hour to all unproven
    /// addresses that one network names. The mail about the payment is sent in any case.
    Unproven {
        /// The networks around the client, each with the number of clients for which it counts. None are counted
        /// if it is empty.
        networks: Vec<(String, u32)>,
    },
}

/// Whose address it is that a placed order names. Mails about it count for the address alone.
pub(crate) async fn recipient_of(conn: &mut AsyncPgConnection, order: &Order) -> QueryResult<Recipient> {
    let proven = users::table
        .filter(users::id.nullable().eq(order.user_id))
        .filter(users::email.eq(order.email.as_str()))
        .filter(users::email_verified_at.is_not_null());
    let is_proven: bool = diesel::select(diesel::dsl::exists(proven)).get_result(conn).await?;
    Ok(if is_proven { Recipient::Proven } else { Recipient::Unproven { networks: Vec::new() } })
}

/// Counts a mail about an unpaid order to an address that nobody has proven, and tells whether it may be sent. A mail
/// that is tried again is not counted again.
pub(super) async fn is_within_limits(
    conn: &mut AsyncPgConnection,
    id: EmailId,
    to: &EmailAddress,
    networks: &[(String, u32)],
) -> QueryResult<bool> {
    let address = HEXLOWER.encode(&Sha256::digest(to.as_str()));
    if !rate_limit::take(conn, &TO_ADDRESS, &address).await?.allowed {
        return Ok(false);
    }
    for (network, clients) in networks {
        if !rate_limit::take(conn, &FROM_NETWORK.times(*clients), network).await?.allowed {
            return Ok(false);
        }
    }
    diesel::sql_query("UPDATE commerce.emails SET data = data - 'unproven_from' WHERE id = $1")
        .bind::<diesel::sql_types::Uuid, _>(id)
        .execute(conn)
        .await?;
    Ok(true)
}

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
        // Whoever tries again need not be told to.
        Template::PaymentFailed => {
            let (status, _): (OrderStatus, i64) = order.first(conn).await?;
            Ok(status != OrderStatus::PendingPayment || !payments::list_open(conn, id).await?.is_empty())
        }
        // The mail about the whole order tells all that this one would.
        Template::OrderPartCancelled => {
            let (status, _): (OrderStatus, i64) = order.first(conn).await?;
            let is_unpaid = status == OrderStatus::PendingPayment;
            Ok(status == OrderStatus::Cancelled || is_unpaid && !was_told(conn, id).await?)
        }
        Template::OrderCancelled => {
            let (status, paid_minor): (OrderStatus, i64) = order.first(conn).await?;
            let reinstated = status != OrderStatus::Cancelled;
            Ok(reinstated || paid_minor == 0 && !was_told(conn, id).await?)
        }
        _ => Ok(false),
    }
}

/// Whether a mail that tells of the new order was sent.
async fn was_told(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<bool> {
    let mut keys = keys_of_links(conn, id).await?;
    let first = [Template::OrderReceived, Template::OrderAuthorized, Template::OrderConfirmed];
    keys.extend(first.map(|template| once_for(template, id)));
    let told = emails::table.filter(emails::dedupe_key.eq_any(keys)).filter(emails::sent_at.is_not_null());
    diesel::select(diesel::dsl::exists(told)).get_result(conn).await
}

/// Whether there is a mail that tells of the new order and has a link to pay it.
pub(super) async fn has_link(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<bool> {
    let keys = keys_of_links(conn, id).await?;
    let with_link = emails::table.filter(emails::dedupe_key.eq_any(keys));
    diesel::select(diesel::dsl::exists(with_link)).get_result(conn).await
}

async fn keys_of_links(conn: &mut AsyncPgConnection, id: OrderId) -> QueryResult<Vec<String>> {
    let ids = payment_rows::table.filter(payment_rows::order_id.eq(id)).select(payment_rows::id);
    let ids: Vec<PaymentId> = ids.load(conn).await?;
    Ok(ids.into_iter().map(|id| once_for(Template::OrderReceived, id)).collect())
}
