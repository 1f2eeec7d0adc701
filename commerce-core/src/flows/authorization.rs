//! Money that a provider holds for an order, and has not taken yet.

use chrono::{DateTime, Duration, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde_json::json;

use super::watch_payment::{check_before_lapse, end_at_provider};
use crate::db::current_time;
use crate::notifications::{NewEmail, Template, enqueue_email};
use crate::orders::{self, EventKind, LockedOrder, OrderStatus};
use crate::payments::{self, AttemptStatus, Authorization, LockedPayment, Payment};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// When the provider lets go of the money of an authorized payment. If it does not say so, as in a webhook of Stripe, the
/// money is trusted for five days: card schemes hold it for five to seven.
pub(super) fn lapse(authorized: &Payment) -> DateTime<Utc> {
    authorized.lapses_at.unwrap_or(authorized.updated_at + Duration::days(5))
}

/// Records that the provider holds money. If what is held and what came in cover the total, the order keeps its stock
/// until the authorization lapses.
pub(super) async fn authorized(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    payment: &mut LockedPayment,
    authorization: &Authorization,
    origin: &Origin,
) -> QueryResult<()> {
    if !payment.status.is_open() {
        // The shop no longer waits for it, so the shopper must not miss the money until it lapses.
        return if payment.succeeded_at.is_none() { end_at_provider(conn, payment.id).await } else { Ok(()) };
    }
    if payment.status == AttemptStatus::Authorized {
        return Ok(());
    }
    payment.authorize(conn, authorization).await?;
    let data = json!({ "payment_id": payment.id, "amount_minor": payment.authorized_minor });
    orders::record(conn, order.id, EventKind::PaymentAuthorized, data, origin).await?;
    let was_covered = order.is_covered();
    update_held(conn, order).await?;
    check_before_lapse(conn, payment.id, lapse(payment)).await?;
    if order.is_covered() && !was_covered && order.status == OrderStatus::PendingPayment {
        let mail = NewEmail::about_order(Template::OrderAuthorized, order.id, &order.email);
        enqueue_email(conn, mail).await?;
    }
    Ok(())
}

/// Counts again what providers hold for the order, after one of its authorizations began or ended. While the total is
/// covered, the order waits until the first of them lapses.
async fn update_held(conn: &mut AsyncPgConnection, order: &mut LockedOrder) -> QueryResult<()> {
    let now = current_time(conn).await?;
    let open = payments::list_open(conn, order.id).await?;
    let held: Vec<_> = open.iter().filter(|payment| payment.status == AttemptStatus::Authorized).collect();
    let held_minor = held.iter().map(|payment| payment.authorized_minor).sum();
    let first_lapse = held.iter().map(|payment| lapse(payment)).min();
    order.set_authorized(held_minor, first_lapse.unwrap_or(now));
    orders::update(conn, order).await
}

/// Counts again after the order has come to cost less. If it is paid now, its open attempts end, because nothing more
/// is due. If it is covered by what providers hold, it waits until that lapses, and the shopper is told.
pub(super) async fn cover_again(
    conn: &mut AsyncPgConnection,
    order: &mut LockedOrder,
    is_paid: bool,
) -> QueryResult<()> {
    if is_paid {
        for payment in payments::list_open(conn, order.id).await? {
            end_at_provider(conn, payment.id).await?;
        }
        payments::close_open(conn, order.id, AttemptStatus::Cancelled).await?;
    }
    update_held(conn, order).await?;
    if order.authorized_minor > 0 && order.is_covered() {
        let mail = NewEmail::about_order(Template::OrderAuthorized, order.id, &order.email);
        enqueue_email(conn, mail).await?;
    }
    Ok(())
}

/// Counts again after an attempt that was authorized has ended. An order that is no longer covered waits for another
/// payment, as if it had just been placed, unless its time has run out.
pub(super) async fn authorization_ended(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    order: &mut LockedOrder,
) -> QueryResult<()> {
    update_held(conn, order).await?;
    let now = current_time(conn).await?;
    let is_in_time = order.expires_at.is_some_and(|expires_at| expires_at > now);
    if is_in_time && order.status == OrderStatus::PendingPayment && !order.is_covered() {
        let ttl = Duration::from_std(shop.order_ttl).unwrap_or(Duration::MAX);
        order.wait_until(now.checked_add_signed(ttl).unwrap_or(now));
        orders::update(conn, order).await?;
    }
    Ok(())
}
