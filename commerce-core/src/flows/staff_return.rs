//! Staff open a return for a customer who has called, for example.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::request_return::{
    Opening, RequestReturnError, acknowledge, check_units, checked_note, merge, open_return,
};
use crate::audit_log::{self, Author, Subject};
use crate::db::Retryable;
use crate::ids::OrderId;
use crate::orders;
use crate::returns::{Return, WantedBack};
use crate::settings::ShopSettings;
use crate::text::filled_text;

/// A request of staff to open a return.
#[derive(Debug, Clone)]
pub struct StaffReturn {
    /// The order that the goods came from.
    pub order_id: OrderId,
    /// The units.
    pub lines: Vec<WantedBack>,
    /// What the shopper says. It appears in the return.
    pub note: Option<String>,
    /// Whether units are taken that arrived before [`ShopSettings::return_window`].
    pub waive_window: bool,
    /// Why the window is waived, for colleagues. It appears in the timeline.
    pub reason: Option<String>,
    /// For the timeline and the audit log.
    pub author: Author,
}

/// Why no return was opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StaffReturnError {
    /// The goods cannot be given back.
    #[error(transparent)]
    Request(#[from] RequestReturnError),
    /// The window is waived without a reason.
    #[error("say why the window is waived")]
    NoReason,
    /// There is a reason, and the window is not waived.
    #[error("only a window that is waived has a reason")]
    NotWaived,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for StaffReturnError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Request(error) => error.is_retryable(),
            Self::NoReason | Self::NotWaived => false,
            Self::Database(error) => error.is_retryable(),
        }
    }
}

/// Opens a return as its shopper would, who gets the same mail. It is then approved and received like any other.
pub async fn open_staff_return(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: StaffReturn,
) -> Result<Return, StaffReturnError> {
    let note = checked_note(wish.note.as_deref())?;
    let waiver = filled_text(wish.reason.as_deref());
    match (wish.waive_window, &waiver) {
        (true, None) => return Err(StaffReturnError::NoReason),
        (false, Some(_)) => return Err(StaffReturnError::NotWaived),
        _ => {}
    }
    conn.transaction(async |conn| {
        let order = orders::lock(conn, wish.order_id).await?.ok_or(RequestReturnError::NotFound)?;
        let wanted = merge(&wish.lines);
        let window = (!wish.waive_window).then_some(shop.return_window);
        check_units(conn, &order, &wanted, window).await?;
        let opening = Opening { note, waiver, ..Opening::default() };
        let opened = open_return(conn, &order, &wanted, opening, &wish.author.origin).await?;
        // Note and reason may tell of a person. They stay in the order.
        let of_line = |line: &WantedBack| {
            let WantedBack { order_line_id, quantity, reason } = line;
            json!({ "order_line_id": order_line_id, "quantity": quantity, "reason": reason })
        };
        let lines: Vec<_> = wanted.iter().map(of_line).collect();
        let after = json!({
            "return_id": opened.id, "status": opened.status, "lines": lines, "window_waived": wish.waive_window,
        });
        let subject = Subject::Order(order.id);
        audit_log::record_facts(conn, &wish.author, "admin_open_return", subject, None, Some(after)).await?;
        acknowledge(conn, &order, &opened).await?;
        Ok(opened)
    })
    .await
}
