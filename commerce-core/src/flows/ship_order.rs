//! Moves a paid order on as a whole: processing, shipped, delivered.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::create_shipment::{left_to_pack, new_shipment};
use super::ship_parcel::{Packed, Sighting, consume, contents, follow, hand_over, take_step};
use crate::db::{Retryable, current_time};
use crate::ids::OrderId;
use crate::inventory::EndReservationError;
use crate::orders::{self, EventKind, LockedOrder, Order, OrderStatus, TransitionError};
use crate::request::Origin;
use crate::shipments::{self, MoveError, ShipmentStatus, ShipmentTransitionError};

/// How a parcel is sent.
#[derive(Debug, Clone, Default)]
pub struct Dispatch {
    /// The name of the carrier.
    pub carrier: Option<String>,
    /// The carrier's number, which it has for one parcel. Without one the parcel gets a number of the shop's own.
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
    /// A parcel's status does not allow the step.
    #[error(transparent)]
    Shipment(#[from] ShipmentTransitionError),
    /// The carrier has another parcel with this number.
    #[error("the carrier has another shipment with the tracking number {0}")]
    TrackingNumberTaken(String),
    /// Everything is in parcels that have their carriers and numbers already.
    #[error("everything is packed, in shipments that have their numbers")]
    AllPacked,
    /// The order's stock is not as its lines say.
    #[error(transparent)]
    Stock(EndReservationError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for AdvanceOrderError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<MoveError> for AdvanceOrderError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Transition(error) => Self::Shipment(error),
            MoveError::Database(error) => Self::Database(error),
        }
    }
}

impl From<EndReservationError> for AdvanceOrderError {
    fn from(error: EndReservationError) -> Self {
        match error {
            EndReservationError::Database(error) => Self::Database(error),
            other => Self::Stock(other),
        }
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

/// Ships all that is left: the parcels that are packed, and one more with what is in no parcel yet. Its units leave the
/// stock.
pub async fn ship_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    dispatch: &Dispatch,
    origin: &Origin,
) -> Result<Order, AdvanceOrderError> {
    conn.transaction(async |conn| {
        let mut order = lock_for(conn, order_id, OrderStatus::Shipped).await?;
        let lines = orders::lines(conn, &[order_id]).await?;
        let now = current_time(conn).await?;
        let mut parcels = Vec::new();
        for packed in shipments::list_for_order(conn, order_id).await? {
            if packed.status == ShipmentStatus::Pending {
                let shipment = shipments::lock(conn, packed.id).await?;
                let packed = contents(conn, &shipment, &lines).await?;
                parcels.push((shipment, packed));
            }
        }
        let left = left_to_pack(conn, &order, &lines).await?;
        let rest: Vec<Packed> = lines
            .iter()
            .map(|line| Packed { line: line.clone(), quantity: left.get(&line.id).copied().unwrap_or(0) })
            .filter(|units| units.quantity > 0)
            .collect();
        if rest.is_empty() && (dispatch.carrier.is_some() || dispatch.tracking_number.is_some()) {
            return Err(AdvanceOrderError::AllPacked);
        }
        if !rest.is_empty() {
            let (carrier, number) = (dispatch.carrier.as_deref(), dispatch.tracking_number.as_deref());
            let new = new_shipment(order_id, carrier, number, None);
            let number = new.tracking_number.clone();
            let shipment = shipments::insert(conn, new, &Packed::units(&rest)).await?;
            parcels.push((shipment.ok_or(AdvanceOrderError::TrackingNumberTaken(number))?, rest));
        }
        let mut units = Vec::new();
        for (shipment, packed) in &mut parcels {
            hand_over(conn, &order, shipment, packed, &Sighting::default(), now, origin).await?;
            units.extend(Packed::demands(packed));
        }
        follow(conn, &mut order, origin).await?;
        // Stock comes last in the lock order.
        consume(conn, &order, &units, origin).await?;
        Ok(order.into_order())
    })
    .await
}

/// All parcels that are under way have arrived. With them the order is delivered, even if another parcel was lost or
/// came back.
pub async fn deliver_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    origin: &Origin,
) -> Result<Order, AdvanceOrderError> {
    conn.transaction(async |conn| {
        let mut order = lock_for(conn, order_id, OrderStatus::Delivered).await?;
        let now = current_time(conn).await?;
        for parcel in shipments::list_for_order(conn, order_id).await? {
            if parcel.status.is_under_way() {
                let mut shipment = shipments::lock(conn, parcel.id).await?;
                let step = ShipmentStatus::Delivered;
                take_step(conn, &order, &mut shipment, step, &Sighting::default(), now, origin).await?;
            }
        }
        follow(conn, &mut order, origin).await?;
        if order.status != OrderStatus::Delivered {
            order.move_to(OrderStatus::Delivered)?;
            orders::update(conn, &mut order).await?;
        }
        Ok(order.into_order())
    })
    .await
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
