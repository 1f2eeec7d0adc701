//! A shopper asks to give goods back that have arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::db::Retryable;
use crate::error::{FieldError, FieldErrors};
use crate::ids::{OrderId, OrderLineId, ReturnId, WithdrawalId};
use crate::notifications::{NewEmail, enqueue_email};
use crate::orders::{self, Access, EventKind, LockedOrder, OrderLine};
use crate::payments;
use crate::request::Origin;
use crate::returns::{self, NewReturn, Return, ReturnStatus, WantedBack};
use crate::settings::ShopSettings;
use crate::shipments;
use crate::text::filled_text;

/// A request to give goods back.
#[derive(Debug, Clone)]
pub struct RequestReturn {
    /// The order that they came from.
    pub order_id: OrderId,
    /// What lets the shopper see the order.
    pub access: Access,
    /// The units.
    pub lines: Vec<WantedBack>,
    /// What else the shopper writes.
    pub note: Option<String>,
    /// For the timeline.
    pub origin: Origin,
}

/// Why goods cannot be given back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RequestReturnError {
    /// There is no such order, or it belongs to somebody else.
    #[error("there is no such order")]
    NotFound,
    /// The note is too long.
    #[error("the request has invalid values")]
    Invalid(Vec<FieldError>),
    /// The order has no such line.
    #[error("the order has no line {0}")]
    UnknownLine(OrderLineId),
    /// More units of a line were to be given back than have arrived and are not on their way back.
    #[error(
        "{quantity} units of line {order_line_id} cannot be returned: {left} have arrived and are not on their way back"
    )]
    TooManyUnits {
        /// The line.
        order_line_id: OrderLineId,
        /// The requested units.
        quantity: i64,
        /// The units that could be returned.
        left: i64,
    },
    /// The units arrived too long ago.
    #[error(
        "{quantity} units of line {order_line_id} cannot be returned any more: {left} have arrived recently enough"
    )]
    TooLate {
        /// The line.
        order_line_id: OrderLineId,
        /// The requested units.
        quantity: i64,
        /// The units that could be returned.
        left: i64,
    },
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for RequestReturnError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The longest note, in characters. The database checks the same number.
const NOTE_CHARS_MAX: usize = 2000;

/// Opens a return of units that have arrived within [`ShopSettings::return_window`]. Staff approve or reject it.
pub async fn request_return(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: RequestReturn,
) -> Result<Return, RequestReturnError> {
    let note = checked_note(wish.note.as_deref())?;
    conn.transaction(async |conn| {
        let found = orders::find_accessible(conn, wish.order_id, wish.access).await?;
        found.ok_or(RequestReturnError::NotFound)?;
        let order = orders::lock(conn, wish.order_id).await?.ok_or(RequestReturnError::NotFound)?;
        let wanted = merge(&wish.lines);
        check_units(conn, &order, &wanted, Some(shop.return_window)).await?;
        let opening = Opening { note, ..Opening::default() };
        let opened = open_return(conn, &order, &wanted, opening, &wish.origin).await?;
        acknowledge(conn, &order, &opened).await?;
        Ok(opened)
    })
    .await
}

/// The note in its normal form, unless it is blank.
pub(super) fn checked_note(note: Option<&str>) -> Result<Option<String>, RequestReturnError> {
    let note = filled_text(note);
    let mut errors = FieldErrors::default();
    errors.check_text("/note", note.as_deref().unwrap_or_default(), 0..=NOTE_CHARS_MAX);
    if errors.is_empty() { Ok(note) } else { Err(RequestReturnError::Invalid(errors.into_vec())) }
}

/// Whether the units have arrived, within the window if there is one, and are not on their way back. Needs the order's
/// lock.
pub(super) async fn check_units(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    wanted: &[WantedBack],
    window: Option<Duration>,
) -> Result<(), RequestReturnError> {
    let lines = orders::lines(conn, &[order.id]).await?;
    let left = arrived_units(conn, order, &lines).await?;
    let recent = match window {
        Some(window) => shipments::delivered_within(conn, order.id, window).await?,
        None => left.clone(),
    };
    for &WantedBack { order_line_id, quantity, .. } in wanted {
        if !lines.iter().any(|line| line.id == order_line_id) {
            return Err(RequestReturnError::UnknownLine(order_line_id));
        }
        let left = left.get(&order_line_id).copied().unwrap_or(0);
        if !(1..=left).contains(&quantity) {
            return Err(RequestReturnError::TooManyUnits { order_line_id, quantity, left });
        }
        // What came back before counts as what had arrived first.
        let left = recent.get(&order_line_id).copied().unwrap_or(0).min(left);
        if quantity > left {
            return Err(RequestReturnError::TooLate { order_line_id, quantity, left });
        }
    }
    Ok(())
}

/// The mail to the shopper that the request is there.
pub(super) async fn acknowledge(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    opened: &Return,
) -> QueryResult<()> {
    let mail = NewEmail::about_return(opened.id, ReturnStatus::Requested, opened.version, &order.email);
    enqueue_email(conn, mail).await
}

/// Adds up the units of the same line. The first reason counts.
pub(super) fn merge(lines: &[WantedBack]) -> Vec<WantedBack> {
    let mut merged: Vec<WantedBack> = Vec::new();
    for line in lines {
        match merged.iter_mut().find(|other| other.order_line_id == line.order_line_id) {
            Some(other) => other.quantity = other.quantity.saturating_add(line.quantity),
            None => merged.push(*line),
        }
    }
    merged
}

/// What there is to say about a return that is opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// What the shopper writes.
    pub note: Option<String>,
    /// The declaration that opens it.
    pub withdrawal_id: Option<WithdrawalId>,
    /// Why staff waive the time within which goods can be returned.
    pub waiver: Option<String>,
}

/// Writes a return, and records it in the order's timeline.
pub(super) async fn open_return(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &[WantedBack],
    opening: Opening,
    origin: &Origin,
) -> QueryResult<Return> {
    let Opening { note, withdrawal_id, waiver } = opening;
    let new = NewReturn { id: ReturnId::new(), order_id: order.id, withdrawal_id, note };
    let opened = returns::insert_return(conn, new, lines).await?;
    let of_line = |line: &WantedBack| json!({ "order_line_id": line.order_line_id, "quantity": line.quantity, "reason": line.reason });
    let lines: Vec<_> = lines.iter().map(of_line).collect();
    let mut data = json!({ "return_id": opened.id, "lines": lines, "withdrawal_id": withdrawal_id });
    if let (Some(waiver), Some(fields)) = (waiver, data.as_object_mut()) {
        fields.insert("window_waived".to_owned(), waiver.into());
    }
    orders::record(conn, order.id, EventKind::ReturnRequested, data, origin).await?;
    Ok(opened)
}

/// The units of each line that have arrived and are not back or expected back. Needs the order's lock.
async fn arrived_units(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &[OrderLine],
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let kept = kept_units(conn, order, lines).await?;
    without_awaited(conn, order, kept.into_iter().map(|(line, units)| (line, units.arrived)).collect()).await
}

/// The units of each line that the shopper has or gets, and that are not expected back. Needs the order's lock.
pub(super) async fn units_with_shopper(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &[OrderLine],
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    let kept = kept_units(conn, order, lines).await?;
    let all = |units: KeptUnits| units.arrived + units.under_way;
    without_awaited(conn, order, kept.into_iter().map(|(line, units)| (line, all(units))).collect()).await
}

async fn without_awaited(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    mut units: BTreeMap<OrderLineId, i64>,
) -> QueryResult<BTreeMap<OrderLineId, i64>> {
    for (line, awaited) in returns::awaited_units(conn, order.id).await? {
        if let Some(units) = units.get_mut(&line) {
            *units = (*units - awaited).max(0);
        }
    }
    Ok(units)
}

/// Units of a line that went to the shopper and did not come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeptUnits {
    pub arrived: i64,
    pub under_way: i64,
}

/// The units of each line that went to the shopper and did not come back, with a return or with a refund. Needs the order's
/// lock.
pub(super) async fn kept_units(
    conn: &mut AsyncPgConnection,
    order: &LockedOrder,
    lines: &[OrderLine],
) -> QueryResult<BTreeMap<OrderLineId, KeptUnits>> {
    let refunded = payments::refunded_units(conn, order.id).await?;
    let parcels = shipments::parcel_units(conn, order.id).await?;
    let of_line = |line: &OrderLine| {
        let restocked = refunded.get(&line.id).map_or(0, |units| units.restocked);
        let sent = parcels.get(&line.id).copied().unwrap_or_default();
        let arrived = sent.delivered - line.returned_quantity - restocked;
        // Staff may have taken units back before they arrived.
        let under_way = sent.under_way + arrived.min(0);
        (line.id, KeptUnits { arrived: arrived.max(0), under_way: under_way.max(0) })
    };
    Ok(lines.iter().map(of_line).collect())
}
