//! `/admin/products/export`: the catalogue as a file that can be imported again. The file is sent while the
//! catalogue is read.

use commerce_core::catalog::{ExportLayout as Layout, ProductExport};
use commerce_core::inventory::MAIN_LOCATION;
use commerce_core::spreadsheet::BYTE_ORDER_MARK;
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
    /// Exports every product that has a variant, oldest first, in any status. Stock is what the main location
    /// has on hand.
    ///
    /// The `native` layout has everything that an import can read. If the file is imported into the same
    /// shop, nothing changes; if it is imported into an empty shop, it creates the same products. It does not
    /// contain uploaded images or the tree of categories. The `shopify` layout has what Shopify's columns can
    /// hold.
    ///
    /// A cell that a spreadsheet would read as a formula begins with an apostrophe, which an import removes.
    #[oai(path = "/admin/products/export", method = "get", operation_id = "export_products")]
    async fn export(
        &self,
        _staff: Can<ProductsRead>,
        /// `native` by default
        layout: Query<Option<ExportLayout>>,
        /// Begin the file with a byte order mark, so that Excel reads it as UTF-8
        bom: Query<Option<bool>>,
    ) -> Result<CsvFile, Problem> {
        let layout = layout.0.map_or(Layout::Native, Into::into);
        // If the database cannot be reached, the answer is an error status, not a file that breaks off.
        let export = ProductExport::begin(&mut *self.0.conn().await?, layout, MAIN_LOCATION).await?;
        let state = self.0.clone();
        let bom = bom.0 == Some(true);
        Ok(CsvFile::written_by("products.csv", move |chunks| async move {
            if bom {
                chunks.send(BYTE_ORDER_MARK.to_owned()).await?;
            }
            write_products(&state, export, &chunks).await
        }))
    }
}

/// Holds no connection while the client is slow.
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
