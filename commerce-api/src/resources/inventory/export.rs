//! `/admin/inventory/movements/export`: the ledger as a CSV file, which is sent while the ledger is read.

use chrono::{DateTime, SecondsFormat, Utc};
use commerce_core::ids::{LocationId, VariantId};
use commerce_core::inventory::{LedgerEntry, LedgerExport, MovementFilter};
use commerce_core::spreadsheet::BYTE_ORDER_MARK;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use uuid::Uuid;

use crate::http::auth::{Can, InventoryRead};
use crate::http::csv_file::{Chunks, CsvFile, quoted};
use crate::http::problem::Problem;
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::inventory::movements::MovementKind;

pub struct LedgerFile(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl LedgerFile {
    /// Export the stock ledger to CSV
    ///
    /// The file has one row for each movement, in the order in which they were made. A cell that a spreadsheet would
    /// read as a formula begins with an apostrophe.
    #[oai(
        path = "/admin/inventory/movements/export",
        method = "get",
        operation_id = "export_stock_movements"
    )]
    #[allow(clippy::too_many_arguments)]
    async fn export(
        &self,
        _staff: Can<InventoryRead>,
        /// Id of the variant
        variant_id: Query<Option<Uuid>>,
        /// Id of the location
        location_id: Query<Option<Uuid>>,
        kind: Query<Option<MovementKind>>,
        /// Only entries at this time or later
        from: Query<Option<DateTime<Utc>>>,
        /// Only entries before this time
        before: Query<Option<DateTime<Utc>>>,
        /// Begin the file with a byte order mark, so that Excel reads it as UTF-8
        bom: Query<Option<bool>>,
    ) -> Result<CsvFile, Problem> {
        let filter = MovementFilter {
            location_id: location_id.0.map(LocationId),
            kind: kind.0.map(Into::into),
            from: from.0,
            before: before.0,
        };
        let mut export = LedgerExport::new(variant_id.0.map(VariantId), filter);
        // If the database cannot be reached, the answer is an error status, not a file that breaks off.
        let first = export.next_entries(&mut *self.0.conn().await?).await?;
        let state = self.0.clone();
        let bom = bom.0 == Some(true);
        Ok(CsvFile::written_by("stock-movements.csv", move |chunks| async move {
            if bom {
                chunks.send(BYTE_ORDER_MARK.to_owned()).await?;
            }
            write_entries(&state, export, first, &chunks).await
        }))
    }
}

const HEADINGS: &str =
    "created_at,id,variant_id,sku,location,kind,on_hand_delta,reserved_delta,reason,order_id,actor\r\n";

/// Holds no connection while the client is slow.
async fn write_entries(
    state: &State,
    mut export: LedgerExport,
    first: Option<Vec<LedgerEntry>>,
    chunks: &Chunks,
) -> anyhow::Result<()> {
    chunks.send(HEADINGS.to_owned()).await?;
    let mut part = first;
    while let Some(entries) = part {
        chunks.send(entries.iter().map(row).collect()).await?;
        part = export.next_entries(&mut *state.pool.get().await?).await?;
    }
    Ok(())
}

fn row(LedgerEntry { movement, sku, location }: &LedgerEntry) -> String {
    let fields = [
        movement.created_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        movement.id.to_string(),
        movement.variant_id.to_string(),
        quoted(sku.as_deref().unwrap_or_default()),
        location.clone(),
        movement.kind.to_string(),
        movement.on_hand_delta.to_string(),
        movement.reserved_delta.to_string(),
        quoted(movement.reason.as_deref().unwrap_or_default()),
        movement.order_id.map(|id| id.to_string()).unwrap_or_default(),
        movement.actor.clone(),
    ];
    fields.join(",") + "\r\n"
}
