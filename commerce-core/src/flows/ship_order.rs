//! Moves a paid order on: processing, shipped as a whole, delivered.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::db::Retryable;
use crate::ids::OrderId;
use crate::inventory;
use crate::notifications::{NewEmail, Template, enqueue_email};
use crate::orders::{self, EventKind, FulfillmentStatus, LockedOrder, Order, OrderStatus, TransitionError};
use crate::request::Origin;
use crate::shipments;
use crate::text::single_line;

/// How a parcel is sent.
#[derive(Debug, Clone, Default)]
pub struct Dispatch {
    /// The name of the carrier.
    pub carrier: Option<String>,
    /// The carrier's number. Shipments in one parcel share it, and carriers use numbers again.
    pub tracking_number: Option<String>,
}

/// Why an order was not moved on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceOrderError {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// The order's status does not allow the step.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for AdvanceOrderError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The shop begins to process the order. From now on its customer cannot cancel it.
pub async fn process_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    origin: &Origin,
) -> Result<Order, AdvanceOrderError> {
    conn.transaction(async |conn| {
        let mut order = lock_for(conn, order_id, OrderStatus::Processing).await?;
        order.move_to(OrderStatus::Processing)?;
        orders::update(conn, &mut order).await?;
        orders::record(conn, order_id, EventKind::Processing, json!({}), origin).await?;
        Ok(order.into_order())
    })
    .await
}

/// Ships the whole order in one parcel. Its units leave the stock.
pub async fn ship_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    dispatch: &Dispatch,
    origin: &Origin,
) -> Result<Order, AdvanceOrderError> {
    conn.transaction(async |conn| {
        let mut order = lock_for(conn, order_id, OrderStatus::Shipped).await?;
        let lines = orders::lines(conn, &[order_id]).await?;
        let (carrier, tracking_number) = (line(&dispatch.carrier), line(&dispatch.tracking_number));
        let shipment =
            shipments::insert_whole(conn, order_id, &lines, carrier.as_deref(), tracking_number.as_deref())
                .await?;
        orders::mark_shipped(conn, &order).await?;
        order.move_to(OrderStatus::Shipped)?;
        order.set_fulfillment(FulfillmentStatus::Fulfilled);
        orders::update(conn, &mut order).await?;
        let data =
            json!({ "shipment_id": shipment.id, "carrier": carrier, "tracking_number": tracking_number });
        orders::record(conn, order_id, EventKind::Shipped, data, origin).await?;
        enqueue_email(conn, NewEmail::about_order(Template::OrderShipped, order_id, &order.email)).await?;
        inventory::consume_for_order(conn, order_id, origin).await?;
        Ok(order.into_order())
    })
    .await
}

/// The whole order has arrived.
pub async fn deliver_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    origin: &Origin,
) -> Result<Order, AdvanceOrderError> {
    conn.transaction(async |conn| {
        let mut order = lock_for(conn, order_id, OrderStatus::Delivered).await?;
        shipments::mark_delivered(conn, order_id).await?;
        order.move_to(OrderStatus::Delivered)?;
        order.set_fulfillment(FulfillmentStatus::Delivered);
        orders::update(conn, &mut order).await?;
        orders::record(conn, order_id, EventKind::Delivered, json!({}), origin).await?;
        Ok(order.into_order())
    })
    .await
}

/// The text in its normal form, unless it is blank.
fn line(text: &Option<String>) -> Option<String> {
    text.as_deref().map(single_line).filter(|line| !line.is_empty())
}

async fn lock_for(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    next: OrderStatus,
) -> Result<LockedOrder, AdvanceOrderError> {
    let order = orders::lock(conn, order_id).await?.ok_or(AdvanceOrderError::NotFound)?;
    order.status.check(next)?;
    Ok(order)
}
