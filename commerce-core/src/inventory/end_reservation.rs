//! How reservations end: their units are shipped, released, or lapse. They end by quantity: if a part of a
//! reservation ends, that part becomes a row of its own and the rest stays live.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::allocate::{Demand, merge};
use super::ledger::{LevelChange, MovementKind};
use super::lock::{LockedStock, lock};
use super::reservation::{LIVE, Reservation, ReservationStatus, list_for_order, uncounted_in_order};
use crate::db::{Retryable, clock};
use crate::ids::{OrderId, ReservationId, VariantId};
use crate::request::Origin;
use crate::schema::stock_reservations;

/// A variant of which the order has fewer units reserved than requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotReserved {
    /// The variant.
    pub variant_id: VariantId,
    /// The requested units.
    pub requested: i64,
    /// The units that the order has reserved.
    pub reserved: i64,
}

/// Why no reservation was ended. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EndReservationError {
    /// Every variant that is short.
    #[error("the order has fewer units reserved")]
    NotReserved(Vec<NotReserved>),
    /// A quantity is below 1.
    #[error("{quantity} units of variant {variant_id} cannot be taken", variant_id = .0.variant_id, quantity = .0.quantity)]
    NoUnits(Demand),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for EndReservationError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Ships these units of an order: all of them, or none. Call it under the order's lock, which guards the
/// order's reservations. The caller counts the units as shipped. Variants that the order has without
/// reservations, because they were not counted, are skipped.
pub async fn consume(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    order_id: OrderId,
    units: &[Demand],
    origin: &Origin,
) -> Result<(), EndReservationError> {
    let parts = find_parts(conn, stock, order_id, units).await?;
    Ok(end(conn, stock, parts, ReservationStatus::Consumed, None, origin).await?)
}

/// Releases these units of an order: all of them, or none. Call it under the order's lock, which guards the
/// order's reservations. The caller reduces what the order is to get. Variants that the order has without
/// reservations, because they were not counted, are skipped.
pub async fn release(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    order_id: OrderId,
    units: &[Demand],
    reason: &str,
    origin: &Origin,
) -> Result<(), EndReservationError> {
    let parts = find_parts(conn, stock, order_id, units).await?;
    Ok(end(conn, stock, parts, ReservationStatus::Released, Some(reason), origin).await?)
}

/// Like [`release`], for units that cannot be sold to others: they are written off.
pub async fn write_off(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    order_id: OrderId,
    units: &[Demand],
    reason: &str,
    origin: &Origin,
) -> Result<(), EndReservationError> {
    let parts = find_parts(conn, stock, order_id, units).await?;
    Ok(write_off_parts(conn, stock, parts, order_id, reason, origin).await?)
}

/// Writes off everything that an order still has reserved. Needs the order's lock, and locks the stock.
pub(crate) async fn write_off_for_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    reason: &str,
    origin: &Origin,
) -> QueryResult<()> {
    let (mut stock, parts) = all_parts(conn, order_id).await?;
    write_off_parts(conn, &mut stock, parts, order_id, reason, origin).await
}

async fn write_off_parts(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    parts: Vec<Part>,
    order_id: OrderId,
    reason: &str,
    origin: &Origin,
) -> QueryResult<()> {
    let losses: Vec<LevelChange> = parts
        .iter()
        .map(|part| LevelChange {
            variant_id: part.reservation.variant_id,
            location_id: part.reservation.location_id,
            kind: MovementKind::Adjust,
            on_hand_delta: -part.quantity,
            reserved_delta: 0,
            reason: Some(reason.to_owned()),
            reservation_id: None,
            order_id: Some(order_id),
        })
        .collect();
    end(conn, stock, parts, ReservationStatus::Released, Some(reason), origin).await?;
    stock.write(conn, &losses, origin).await
}

/// Releases everything that an order still has reserved. Needs the order's lock, and locks the stock.
pub(crate) async fn release_for_order(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    reason: &str,
    origin: &Origin,
) -> QueryResult<()> {
    let (mut stock, parts) = all_parts(conn, order_id).await?;
    end(conn, &mut stock, parts, ReservationStatus::Released, Some(reason), origin).await
}

/// The part of a reservation that is to end.
#[derive(Debug, Clone)]
pub(super) struct Part {
    reservation: Reservation,
    quantity: i64,
}

impl From<Reservation> for Part {
    /// The whole reservation.
    fn from(reservation: Reservation) -> Self {
        Self { quantity: reservation.quantity, reservation }
    }
}

async fn all_parts(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<(LockedStock, Vec<Part>)> {
    let reservations = list_for_order(conn, order_id).await?;
    let stock = lock(conn, reservations.iter().map(|reservation| reservation.variant_id)).await?;
    Ok((stock, reservations.into_iter().map(Part::from).collect()))
}

/// The parts of an order's live reservations that make up these units.
async fn find_parts(
    conn: &AsyncPgConnection,
    stock: &LockedStock,
    order_id: OrderId,
    units: &[Demand],
) -> Result<Vec<Part>, EndReservationError> {
    if let Some(none) = units.iter().find(|units| units.quantity < 1) {
        return Err(EndReservationError::NoUnits(*none));
    }
    let uncounted = uncounted_in_order(conn, order_id, units.iter().map(|units| units.variant_id)).await?;
    let mut wanted = merge(units);
    wanted.retain(|variant_id, _| !uncounted.contains(variant_id));
    let mut reservations: Vec<Reservation> = stock_reservations::table
        .filter(stock_reservations::order_id.eq(order_id))
        .filter(stock_reservations::variant_id.eq_any(wanted.keys().copied()))
        .filter(stock_reservations::status.eq_any(LIVE))
        .select(Reservation::as_select())
        .order(stock_reservations::id)
        .load(&mut { conn })
        .await?;
    // A level that is not among the locked ones must not be written.
    reservations.retain(|reservation| stock.place(reservation.variant_id, reservation.location_id).is_some());
    reservations.sort_by_key(|reservation| stock.place(reservation.variant_id, reservation.location_id));
    take(reservations, &wanted).map_err(EndReservationError::NotReserved)
}

/// Takes units from reservations, in their order. The error lists every variant that is short.
fn take(
    reservations: Vec<Reservation>,
    units: &BTreeMap<VariantId, i64>,
) -> Result<Vec<Part>, Vec<NotReserved>> {
    let mut missing = units.clone();
    let mut parts = Vec::new();
    for reservation in reservations {
        let Some(missing) = missing.get_mut(&reservation.variant_id) else { continue };
        let quantity = reservation.quantity.min(*missing);
        if quantity > 0 {
            *missing -= quantity;
            parts.push(Part { reservation, quantity });
        }
    }
    let short = |(&variant_id, &requested): (&VariantId, &i64)| {
        let missing = missing.get(&variant_id).copied().unwrap_or(0);
        let reserved = requested - missing;
        (missing > 0).then_some(NotReserved { variant_id, requested, reserved })
    };
    let short: Vec<NotReserved> = units.iter().filter_map(short).collect();
    if short.is_empty() { Ok(parts) } else { Err(short) }
}

/// Ends parts of reservations whose levels are locked, and changes status, level and ledger together.
pub(super) async fn end(
    conn: &AsyncPgConnection,
    stock: &mut LockedStock,
    parts: Vec<Part>,
    status: ReservationStatus,
    reason: Option<&str>,
    origin: &Origin,
) -> QueryResult<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let (kind, takes_on_hand) = match status {
        ReservationStatus::Consumed => (MovementKind::Consume, 1),
        _ => (MovementKind::Release, 0),
    };
    let ended = split(conn, parts).await?;
    let changes: Vec<LevelChange> = ended
        .iter()
        .map(|reservation| LevelChange {
            variant_id: reservation.variant_id,
            location_id: reservation.location_id,
            kind,
            on_hand_delta: -reservation.quantity * takes_on_hand,
            reserved_delta: -reservation.quantity,
            reason: reason.map(str::to_owned),
            reservation_id: Some(reservation.id),
            order_id: reservation.order_id,
        })
        .collect();
    let ids = ended.iter().map(|reservation| reservation.id);
    diesel::update(stock_reservations::table.filter(stock_reservations::id.eq_any(ids)))
        .set((stock_reservations::status.eq(status), stock_reservations::updated_at.eq(clock())))
        .execute(&mut { conn })
        .await?;
    stock.write(conn, &changes, origin).await
}

/// Makes each part a reservation of its own. The rest of the original reservation stays as it is.
async fn split(conn: &AsyncPgConnection, parts: Vec<Part>) -> QueryResult<Vec<Reservation>> {
    let mut ended = Vec::with_capacity(parts.len());
    for Part { reservation, quantity } in parts {
        if quantity == reservation.quantity {
            ended.push(reservation);
            continue;
        }
        diesel::update(stock_reservations::table.find(reservation.id))
            .set((
                stock_reservations::quantity.eq(stock_reservations::quantity - quantity),
                stock_reservations::updated_at.eq(clock()),
            ))
            .execute(&mut { conn })
            .await?;
        let part = Reservation { id: ReservationId::new(), quantity, ..reservation };
        diesel::insert_into(stock_reservations::table).values(&part).execute(&mut { conn }).await?;
        ended.push(part);
    }
    Ok(ended)
}
