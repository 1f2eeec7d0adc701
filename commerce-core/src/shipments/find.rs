//! Finds shipments: by their address, and in lists.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Shipment;
use super::shipment::is_of_carrier;
use crate::cart::Owner;
use crate::ids::{OrderId, ShipmentId};
use crate::orders;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::shipments;
use crate::text::single_line;

/// What a shipment is called by: its tracking number or its id, and its carrier if two carriers use the number.
#[derive(Debug, Clone, Default)]
pub struct ShipmentAddress {
    /// The tracking number or the id.
    pub number: String,
    /// The carrier.
    pub carrier: Option<String>,
}

/// Why no shipment was found.
#[derive(Debug, thiserror::Error)]
pub enum FindShipmentError {
    /// There is no such shipment, or it belongs to somebody else.
    #[error("there is no such shipment")]
    NotFound,
    /// Several carriers use the number. Each is listed with its shipment.
    #[error("several carriers have a shipment with this number: name the carrier, or use the shipment's id")]
    Ambiguous(Vec<(ShipmentId, Option<String>)>),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Filters shipments. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct ShipmentFilter {
    /// Shipments of this owner's orders.
    pub owner: Option<Owner>,
    /// Shipments of this order.
    pub order_id: Option<OrderId>,
    /// Shipments with this number, of any carrier.
    pub tracking_number: Option<String>,
}

/// Why shipments could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListShipmentsError {
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// The shipment with this address, among the owner's or among all.
pub async fn find(
    conn: &mut AsyncPgConnection,
    address: &ShipmentAddress,
    owner: Option<Owner>,
) -> Result<Shipment, FindShipmentError> {
    let number = single_line(&address.number);
    let id = number.parse::<Uuid>().ok();
    let called = shipments::tracking_number.eq(number).or(shipments::id.nullable().eq(id));
    let mut query = shipments::table.filter(called).select(Shipment::as_select()).into_boxed();
    if let Some(carrier) = &address.carrier {
        query = query.filter(is_of_carrier(single_line(carrier)));
    }
    if let Some(owner) = owner {
        query = query.filter(shipments::order_id.eq_any(orders::ids_owned(owner)));
    }
    let mut found: Vec<Shipment> = query.order(shipments::id).limit(20).load(conn).await?;
    if found.len() > 1 {
        let each = found.into_iter().map(|shipment| (shipment.id, shipment.carrier)).collect();
        return Err(FindShipmentError::Ambiguous(each));
    }
    found.pop().ok_or(FindShipmentError::NotFound)
}

const SORT: &str = "-created_at";

/// One page of the shipments that match, newest first.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &ShipmentFilter,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Shipment>, ListShipmentsError> {
    let mut query = shipments::table.select(Shipment::as_select()).into_boxed();
    if let Some(owner) = filter.owner {
        query = query.filter(shipments::order_id.eq_any(orders::ids_owned(owner)));
    }
    if let Some(order_id) = filter.order_id {
        query = query.filter(shipments::order_id.eq(order_id));
    }
    if let Some(number) = &filter.tracking_number {
        query = query.filter(shipments::tracking_number.eq(single_line(number)));
    }
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<ShipmentId>(cursor, SORT)? {
        let place = (shipments::created_at, shipments::id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
        query = query.filter(place.lt(last));
    }
    let rows: Vec<Shipment> = query
        .order((shipments::created_at.desc(), shipments::id.desc()))
        .limit(limit.rows_and_one())
        .load(conn)
        .await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(SORT, last.created_at, last.id)))
}
