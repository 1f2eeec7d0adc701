//! Staff pack a parcel: all that is left of an order, or some units of its lines.

use std::collections::BTreeMap;

use data_encoding::BASE32_NOPAD;
use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::capture_payment::CapturePaymentError;
use super::ship_parcel::{Packed, Sighting, consume, facts, follow, hand_over};
use crate::audit_log::{self, Author, Subject};
use crate::db::{Retryable, current_time};
use crate::ids::{OrderId, OrderLineId, ShipmentId};
use crate::inventory::{self, EndReservationError, ReservationStatus, ReserveError, ReservedFor, Shortage};
use crate::orders::{self, EventKind, LockedOrder, Order, OrderLine, OrderStatus};
use crate::request::Origin;
use crate::shipments::{self, LockedShipment, MoveError, NewShipment, Shipment, ShipmentStatus};
use crate::text::filled_line;

/// Units of a line that are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedLine {
    /// The line.
    pub order_line_id: OrderLineId,
    /// The units, at least 1.
    pub quantity: i64,
}

/// A request of staff to pack a parcel.
#[derive(Debug, Clone)]
pub struct CreateShipment {
    /// The order.
    pub order_id: OrderId,
    /// What is in it. `None` for everything that is in no parcel yet.
    pub lines: Option<Vec<PackedLine>>,
    /// The name of the carrier.
    pub carrier: Option<String>,
    /// The carrier's number. Without one the parcel gets a number of the shop's own.
    pub tracking_number: Option<String>,
    /// The parcel that was lost or came back, whose units are sent again. They are taken from the stock anew.
    pub replaces: Option<ShipmentId>,
    /// Whether the carrier has it already. Otherwise it is pending.
    pub shipped: bool,
    /// For the audit log, the timeline and the stock ledger.
    pub author: Author,
}

/// Why no parcel was packed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CreateShipmentError {
    /// There is no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// The order is not paid, or was cancelled. The value is its status.
    #[error("nothing can be sent of an order that is {0}")]
    OrderState(OrderStatus),
    /// The order has no such line.
    #[error("the order has no line {0}")]
    UnknownLine(OrderLineId),
    /// More units of a line were to be packed than are left.
    #[error("{quantity} units of line {order_line_id} cannot be packed: {left} are left")]
    TooManyUnits {
        /// The line.
        order_line_id: OrderLineId,
        /// The requested units.
        quantity: i64,
        /// The units that are in no parcel and were not cancelled.
        left: i64,
    },
    /// Everything is in parcels or was cancelled.
    #[error("nothing is left to pack")]
    NothingLeft,
    /// The order has no such parcel to replace.
    #[error("the order has no shipment {0}")]
    UnknownReplaced(ShipmentId),
    /// Only a parcel that was lost or came back can be replaced. The value is its status.
    #[error("a shipment that is {0} is not sent again")]
    NotUndeliverable(ShipmentStatus),
    /// The carrier has another parcel with this number.
    #[error("the carrier has another shipment with the tracking number {0}")]
    TrackingNumberTaken(String),
    /// Too few units are in stock to send them again. Every variant that is short is listed.
    #[error("not enough in stock")]
    OutOfStock(Vec<Shortage>),
    /// The authorized money could not be captured before the parcel leaves.
    #[error(transparent)]
    Capture(#[from] CapturePaymentError),
    /// The order's stock is not as its lines say.
    #[error(transparent)]
    Stock(EndReservationError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for CreateShipmentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<EndReservationError> for CreateShipmentError {
    fn from(error: EndReservationError) -> Self {
        match error {
            EndReservationError::Database(error) => Self::Database(error),
            other => Self::Stock(other),
        }
    }
}

impl From<MoveError> for CreateShipmentError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Transition(error) => Self::NotUndeliverable(error.from),
            MoveError::Database(error) => Self::Database(error),
        }
    }
}

impl From<ReserveError> for CreateShipmentError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::OutOfStock(short) => Self::OutOfStock(short),
            ReserveError::Database(error) => Self::Database(error),
        }
    }
}

/// Packs a parcel. Its units stay reserved until it is shipped. The parcel of an order whose money is authorized can
/// be packed, but is not shipped before the order is paid.
pub async fn create_shipment(
    conn: &mut AsyncPgConnection,
    wish: CreateShipment,
) -> Result<Shipment, CreateShipmentError> {
    conn.transaction(async |conn| {
        let mut order = orders::lock(conn, wish.order_id).await?.ok_or(CreateShipmentError::OrderNotFound)?;
        let packed = plan(conn, &order, &wish).await?;
        if wish.shipped && order.paid_at.is_none() {
            return Err(CreateShipmentError::OrderState(order.status));
        }
        let origin = &wish.author.origin;
        let mut shipment = pack(conn, &order, &wish, &packed).await?;
        if wish.shipped {
            let now = current_time(conn).await?;
            hand_over(conn, &order, &mut shipment, &packed, &Sighting::default(), now, origin).await?;
        } else {
            orders::record(conn, order.id, EventKind::ShipmentCreated, facts(&shipment), origin).await?;
        }
        follow(conn, &mut order, origin).await?;
        let (subject, after) = (Subject::Order(order.id), Some(facts(&shipment)));
        audit_log::record_facts(conn, &wish.author, "create_shipment", subject, None, after).await?;
        // Stock comes last in the lock order.
        if wish.replaces.is_some() {
            reserve_again(conn, &order, &packed, origin).await?;
        }
        if wish.shipped {
            consume(conn, &order, &Packed::demands(&packed), origin).await?;
        }
        Ok(shipment.into_shipment())
    })
    .await
}

/// Whether the parcel could be packed now, if the order were paid. A shop that takes money when it ships asks this
/// first, so that it takes none for a parcel that cannot leave.
pub async fn check_shipment(
    conn: &mut AsyncPgConnection,
    wish: &CreateShipment,
) -> Result<(), CreateShipmentError> {
    conn.transaction(async |conn| {
        let order = orders::lock(conn, wish.order_id).await?.ok_or(CreateShipmentError::OrderNotFound)?;
        plan(conn, &order, wish).await?;
        let carrier = filled_line(wish.carrier.as_deref());
        if let Some(number) = filled_line(wish.tracking_number.as_deref())
            && shipments::is_taken(conn, carrier.as_deref(), &number).await?
        {
            return Err(CreateShipmentError::TrackingNumberTaken(number));
        }
        Ok(())
    })
    .await
}

/// Whether the order's status allows to pack something.
fn may_pack(order: &Order, again: bool) -> bool {
    match order.status {
        OrderStatus::PendingPayment => order.is_covered() && !again,
        OrderStatus::Paid | OrderStatus::Processing => true,
        OrderStatus::Shipped | OrderStatus::Delivered => again,
        OrderStatus::Cancelled => false,
    }
}

/// What goes into the parcel.
async fn plan(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    wish: &CreateShipment,
) -> Result<Vec<Packed>, CreateShipmentError> {
    if !may_pack(order, wish.replaces.is_some()) {
        return Err(CreateShipmentError::OrderState(order.status));
    }
    let lines = orders::lines(conn, &[order.id]).await?;
    let left = match wish.replaces {
        Some(id) => left_to_replace(conn, order, id).await?,
        None => left_to_pack(conn, order, &lines).await?,
    };
    let wanted: BTreeMap<OrderLineId, i64> = match &wish.lines {
        None => left.iter().filter(|(_, left)| **left > 0).map(|(id, left)| (*id, *left)).collect(),
        Some(lines) => orders::units_by_line(lines.iter().map(|line| (line.order_line_id, line.quantity))),
    };
    if wanted.is_empty() {
        return Err(CreateShipmentError::NothingLeft);
    }
    let mut packed = Vec::with_capacity(wanted.len());
    for (order_line_id, quantity) in wanted {
        let line = lines.iter().find(|line| line.id == order_line_id);
        let line = line.ok_or(CreateShipmentError::UnknownLine(order_line_id))?;
        let left = left.get(&order_line_id).copied().unwrap_or(0);
        if !(1..=left).contains(&quantity) {
            return Err(CreateShipmentError::TooManyUnits { order_line_id, quantity, left });
        }
        packed.push(Packed { line: line.clone(), quantity });
    }
    Ok(packed)
}

/// The units of each line that are in no parcel yet and were not cancelled.
pub(super) async fn left_to_pack(
    conn: &mut AsyncPgConnection,
    order: &Order,
    lines: &[OrderLine],
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let parcels = shipments::parcel_units(conn, order.id).await?;
    let packed = |line: &OrderLine| parcels.get(&line.id).map_or(0, |units| units.packed);
    Ok(lines.iter().map(|line| (line.id, line.unshipped() - packed(line))).collect())
}

/// The units of each line that were in a parcel which did not arrive, and that no other parcel brings.
async fn left_to_replace(
    conn: &mut AsyncPgConnection,
    order: &Order,
    id: ShipmentId,
) -> Result<BTreeMap<OrderLineId, i64>, CreateShipmentError> {
    let parcels = shipments::list_for_order(conn, order.id).await?;
    let former = parcels.iter().find(|shipment| shipment.id == id);
    let former = former.ok_or(CreateShipmentError::UnknownReplaced(id))?;
    if !former.status.is_undeliverable() {
        return Err(CreateShipmentError::NotUndeliverable(former.status));
    }
    let replaced = shipments::replaced_units(conn, id).await?;
    let units = shipments::lines(conn, &[id]).await?;
    let left = units.iter().map(|units| {
        let again = replaced.get(&units.order_line_id).copied().unwrap_or(0);
        (units.order_line_id, units.quantity - again)
    });
    Ok(left.collect())
}

async fn pack(
    conn: &mut AsyncPgConnection,
    order: &Order,
    wish: &CreateShipment,
    packed: &[Packed],
) -> Result<LockedShipment, CreateShipmentError> {
    let (carrier, number) = (wish.carrier.as_deref(), wish.tracking_number.as_deref());
    let new = new_shipment(order.id, carrier, number, wish.replaces);
    let number = new.tracking_number.clone();
    let shipment = shipments::insert(conn, new, &Packed::units(packed)).await?;
    shipment.ok_or(CreateShipmentError::TrackingNumberTaken(number))
}

/// A parcel with its carrier and number in their normal form, or with a number of the shop's own.
pub(super) fn new_shipment(
    order_id: OrderId,
    carrier: Option<&str>,
    tracking_number: Option<&str>,
    replaces: Option<ShipmentId>,
) -> NewShipment {
    NewShipment {
        id: ShipmentId::new(),
        order_id,
        status: ShipmentStatus::Pending,
        carrier: filled_line(carrier),
        tracking_number: filled_line(tracking_number).unwrap_or_else(own_number),
        replaces,
    }
}

/// A number of the shop's own, that nobody can guess.
fn own_number() -> String {
    format!("S{}", BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()))
}

/// Takes units from the stock that are sent again, if they are counted.
async fn reserve_again(
    conn: &mut AsyncPgConnection,
    order: &Order,
    packed: &[Packed],
    origin: &Origin,
) -> Result<(), CreateShipmentError> {
    let counted: Vec<Packed> = packed.iter().filter(|units| units.line.track_inventory).cloned().collect();
    let demands = Packed::demands(&counted);
    let mut stock = inventory::lock(conn, demands.iter().map(|demand| demand.variant_id)).await?;
    let reserved_for = ReservedFor::Order { id: order.id, status: ReservationStatus::Committed };
    Ok(inventory::reserve(conn, &mut stock, &demands, reserved_for, origin).await?)
}
