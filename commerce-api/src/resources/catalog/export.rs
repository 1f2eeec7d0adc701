//! `/admin/products/export`: the catalogue as a file that can be imported again, sent while it is read.

use commerce_core::catalog::ProductExport;
use commerce_core::catalog::import::Layout;
use commerce_core::inventory::MAIN_LOCATION;
use poem_openapi::param::Query;
use poem_openapi::{Enum, OpenApi};

use crate::http::auth::{Can, ProductsRead};
use crate::http::csv_file::{Chunks, CsvFile};
use crate::http::problem::Problem;
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct ProductsExport(pub State);

/// The columns of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ExportLayout", rename_all = "snake_case", remote = "Layout")]
pub enum ExportLayout {
    Native,
    Shopify,
}

#[OpenApi(tag = "Tag::Products")]
impl ProductsExport {
    /// Export products to CSV
    ///
    /// All products that have a variant, oldest first, whatever their status. The `native` layout carries all that an import can bring: imported
    /// again it changes nothing, and in an empty shop it makes the same products. Uploaded pictures are not in it, nor how categories hang
    /// together. The `shopify` layout carries what Shopify's columns can.
    /// Stock is what the main location has on hand.
    #[oai(path = "/admin/products/export", method = "get", operation_id = "export_products")]
    async fn export(
        &self,
        _staff: Can<ProductsRead>,
        /// `native` unless asked otherwise
        layout: Query<Option<ExportLayout>>,
    ) -> Result<CsvFile, Problem> {
        let layout = layout.0.map_or(Layout::Native, Into::into);
        // A database that is away is told by a status, not by a file that breaks off.
        let export = ProductExport::begin(&mut *self.0.conn().await?, layout, MAIN_LOCATION).await?;
        let state = self.0.clone();
        Ok(CsvFile::written_by("products.csv", |chunks| async move {
            write_products(&state, export, &chunks).await
        }))
    }
}

/// Without a connection while the client is slow.
async fn write_products(state: &State, mut export: ProductExport, chunks: &Chunks) -> anyhow::Result<()> {
    chunks.send(export.header()).await?;
    loop {
        let rows = export.next_rows(&mut *state.pool.get().await?).await?;
        match rows {
            Some(rows) => chunks.send(rows).await?,
            None => return Ok(()),
        }
    }
}
