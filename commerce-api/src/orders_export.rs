//! `/admin/orders/export`: orders as a table for a spreadsheet, sent while it is read.

use chrono::{DateTime, SecondsFormat, Utc};
use commerce_core::money::Money;
use commerce_core::orders::{self, ListOrdersError, Order, OrderFilter, OrderSort};
use commerce_core::page::Limit;
use poem::{Body, IntoResponse, Response};
use poem_openapi::param::Query;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::{ApiResponse, OpenApi};
use tokio::sync::mpsc;

use crate::auth::{Can, OrdersRead};
use crate::orders::{OrderPaymentStatus, OrderStatus};
use crate::problem::Problem;
use crate::routes::Tag;
use crate::state::State;

pub struct OrdersExport(pub State);

#[OpenApi(tag = "Tag::AdminOrders")]
impl OrdersExport {
    /// Export orders
    ///
    /// A CSV file with one row an order, oldest first. Amounts are decimals in the order's currency.
    #[oai(path = "/admin/orders/export", method = "get", operation_id = "admin_export_orders")]
    async fn export(
        &self,
        _staff: Can<OrdersRead>,
        status: Query<Option<OrderStatus>>,
        payment_status: Query<Option<OrderPaymentStatus>>,
        /// Placed at or after
        placed_from: Query<Option<DateTime<Utc>>>,
        /// Placed before
        placed_before: Query<Option<DateTime<Utc>>>,
    ) -> Result<CsvFile, Problem> {
        let filter = OrderFilter {
            status: status.0.map(Into::into),
            payment_status: payment_status.0.map(Into::into),
            placed_from: placed_from.0,
            placed_before: placed_before.0,
            ..Default::default()
        };
        // A database that is away is told by a status, not by a file that breaks off.
        drop(self.0.conn().await?);
        let (sender, receiver) = mpsc::channel(2);
        tokio::spawn(write_pages(self.0.clone(), filter, sender));
        let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        Ok(CsvFile(Body::from_bytes_stream(chunks)))
    }
}

const HEADINGS: &str = "number,id,status,payment_status,fulfillment_status,email,currency,total,paid,refunded,\
                        placed_at,paid_at,cancelled_at,cancel_reason\r\n";

/// Page after page, as fast as the client takes them. Ends when the client hangs up.
async fn write_pages(state: State, filter: OrderFilter, chunks: mpsc::Sender<std::io::Result<String>>) {
    if chunks.send(Ok(HEADINGS.to_owned())).await.is_err() {
        return;
    }
    let mut cursor = None;
    loop {
        let (chunk, next) = match read_page(&state, &filter, cursor.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "an export broke off");
                // The connection is cut, so that the client does not take a part for the whole.
                let _ = chunks.send(Err(std::io::Error::other("the export broke off"))).await;
                return;
            }
        };
        if chunks.send(Ok(chunk)).await.is_err() || next.is_none() {
            return;
        }
        cursor = next;
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
        order.number.to_string(),
        order.id.to_string(),
        order.status.to_string(),
        order.payment_status.to_string(),
        order.fulfillment_status.to_string(),
        quoted(&order.email),
        order.currency.to_string(),
        amount(order.total_minor),
        amount(order.paid_minor),
        amount(order.refunded_minor),
        time(Some(order.placed_at)),
        time(order.paid_at),
        time(order.cancelled_at),
        order.cancel_reason.map(|reason| reason.to_string()).unwrap_or_default(),
    ];
    fields.join(",") + "\r\n"
}

/// What a shopper typed, as RFC 4180 has it. A leading `=`, `+`, `-` or `@` would be a formula to a spreadsheet (OWASP, CSV
/// injection), so an apostrophe goes before it.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// A file that is sent while it is written.
pub struct CsvFile(Body);

impl Payload for CsvFile {
    const CONTENT_TYPE: &'static str = "text/csv";

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")))
    }
}

impl IntoResponse for CsvFile {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type("text/csv; charset=utf-8")
            .header("Content-Disposition", "attachment; filename=\"orders.csv\"")
            .body(self.0)
    }
}

impl ApiResponse for CsvFile {
    fn meta() -> MetaResponses {
        let csv = MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() };
        let response = MetaResponse {
            description: "The file.",
            status: Some(200),
            status_range: None,
            content: vec![csv],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_registry: &mut Registry) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shopper_typed_stays_one_field_and_no_formula() {
        assert_eq!(quoted("a\"b@example.com"), "\"a\"\"b@example.com\"");
        assert_eq!(quoted("=cmd|x@example.com"), "\"'=cmd|x@example.com\"");
    }
}
