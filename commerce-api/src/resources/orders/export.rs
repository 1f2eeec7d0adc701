//! `/admin/orders/export`: orders as a CSV file, which is sent while the orders are read.

use chrono::{DateTime, SecondsFormat, Utc};
use commerce_core::ids::UserId;
use commerce_core::money::Money;
use commerce_core::orders::{self, ListOrdersError, Order, OrderFilter, OrderSort, format_order_number};
use commerce_core::page::Limit;
use commerce_core::spreadsheet::BYTE_ORDER_MARK;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use uuid::Uuid;

use crate::http::auth::{Can, OrdersRead};
use crate::http::csv_file::{Chunks, CsvFile, quoted};
use crate::http::problem::Problem;
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::orders::shapes::{CancelReason, FulfillmentStatus, OrderPaymentStatus, OrderStatus};

pub struct OrdersExport(pub State);

#[OpenApi(tag = "Tag::AdminOrders")]
impl OrdersExport {
    /// Export orders to CSV
    ///
    /// The file has one row for each order that the filters let through, oldest first. Amounts are decimals in the order's
    /// currency.
    #[oai(path = "/admin/orders/export", method = "get", operation_id = "admin_export_orders")]
    #[allow(clippy::too_many_arguments)]
    async fn export(
        &self,
        staff: Can<OrdersRead>,
        status: Query<Option<OrderStatus>>,
        payment_status: Query<Option<OrderPaymentStatus>>,
        fulfillment_status: Query<Option<FulfillmentStatus>>,
        cancel_reason: Query<Option<CancelReason>>,
        /// Whether a cancellation released stock
        stock_released: Query<Option<bool>>,
        /// Id of the customer
        user_id: Query<Option<Uuid>>,
        /// Only orders placed at this time or later
        placed_from: Query<Option<DateTime<Utc>>>,
        /// Only orders placed before this time
        placed_before: Query<Option<DateTime<Utc>>>,
        /// In minor units
        total_min: Query<Option<i64>>,
        /// In minor units
        total_max: Query<Option<i64>>,
        /// The number of the order, or the beginnings of words of its e-mail address, names, SKUs and tracking numbers.
        /// All words must match.
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        /// Begin the file with a byte order mark, so that Excel reads it as UTF-8
        bom: Query<Option<bool>>,
    ) -> Result<CsvFile, Problem> {
        let filter = OrderFilter {
            user_id: user_id.0.map(UserId),
            status: status.0.map(Into::into),
            payment_status: payment_status.0.map(Into::into),
            fulfillment_status: fulfillment_status.0.map(Into::into),
            cancel_reason: cancel_reason.0.map(Into::into),
            stock_released: stock_released.0,
            placed_from: placed_from.0,
            placed_before: placed_before.0,
            total_min_minor: total_min.0,
            total_max_minor: total_max.0,
            text: q.0.filter(|text| !text.trim().is_empty()),
        };
        // If the database cannot be reached, the answer is an error status, not a file that breaks off.
        staff.note_read(&mut *self.0.conn().await?).await?;
        let state = self.0.clone();
        let bom = bom.0 == Some(true);
        Ok(CsvFile::written_by("orders.csv", move |chunks| async move {
            if bom {
                chunks.send(BYTE_ORDER_MARK.to_owned()).await?;
            }
            write_pages(&state, &filter, &chunks).await
        }))
    }
}

const HEADINGS: &str = "number,id,status,payment_status,fulfillment_status,email,currency,total,paid,refunded,\
                        placed_at,paid_at,cancelled_at,cancel_reason,cancelled,source,name\r\n";

/// Writes page after page, as fast as the client takes them.
async fn write_pages(state: &State, filter: &OrderFilter, chunks: &Chunks) -> anyhow::Result<()> {
    chunks.send(HEADINGS.to_owned()).await?;
    let mut cursor = None;
    loop {
        let (chunk, next) = read_page(state, filter, cursor.as_deref()).await?;
        chunks.send(chunk).await?;
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

async fn read_page(
    state: &State,
    filter: &OrderFilter,
    cursor: Option<&str>,
) -> anyhow::Result<(String, Option<String>)> {
    let mut conn = state.pool.get().await?;
    let limit = Limit::new(Limit::MAX).unwrap_or_default();
    let page = orders::list(&mut conn, filter, OrderSort::OldestFirst, limit, cursor).await;
    let page = page.map_err(|error: ListOrdersError| anyhow::anyhow!(error))?;
    Ok((page.data.iter().map(row).collect(), page.next_cursor))
}

fn row(order: &Order) -> String {
    let amount = |minor| {
        let money = Money::new(minor, order.currency).to_string();
        money.split(' ').next().unwrap_or_default().to_owned()
    };
    let time = |at: Option<DateTime<Utc>>| {
        at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default()
    };
    let fields = [
        format_order_number(order.number),
        order.id.to_string(),
        order.status.to_string(),
        order.payment_status.to_string(),
        order.fulfillment_status.to_string(),
        quoted(order.email.as_str()),
        order.currency.to_string(),
        amount(order.total_minor),
        amount(order.paid_minor),
        amount(order.refunded_minor),
        time(Some(order.placed_at)),
        time(order.paid_at),
        time(order.cancelled_at),
        order.cancel_reason.map(|reason| reason.to_string()).unwrap_or_default(),
        amount(order.cancelled_minor),
        order.source.to_string(),
        quoted(&order.shipping_address.name),
    ];
    fields.join(",") + "\r\n"
}
