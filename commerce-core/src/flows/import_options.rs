//! How a file is imported.

use crate::catalog::import::{ExistingProducts, Layout, RepeatedSku};
use crate::text_enum::text_enum;

text_enum! {
    /// What to do about a wrong line.
    pub enum OnError {
        /// Nothing is imported.
        Abort = "abort",
        /// The line's product is left out, and the others are imported. If only the count is below what is
        /// reserved, just the count is left out.
        Skip = "skip",
    }
}

text_enum! {
    /// Which variants take their stock from the file.
    pub enum StockPolicy {
        /// New variants only. The stock of existing variants is not changed.
        CreateOnly = "create_only",
        /// All variants. The main location then has on hand what the file says.
        Set = "set",
    }
}

text_enum! {
    /// Whether the import is written.
    pub enum ImportMode {
        /// The file is written to the shop.
        Apply = "apply",
        /// Everything is tried and reported, and then undone.
        DryRun = "dry_run",
    }
}

/// The options of an import.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions {
    /// `None` means that the layout is detected from the header.
    pub layout: Option<Layout>,
    /// Whether one error stops the whole import.
    pub on_error: OnError,
    /// Which variants take their stock from the file.
    pub stock: StockPolicy,
    /// Whether the import is written or only tried.
    pub mode: ImportMode,
    /// What happens to products that the shop already has.
    pub existing: ExistingProducts,
    /// What happens to a SKU that another variant has. `None` means that the layout decides.
    pub repeated_sku: Option<RepeatedSku>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            layout: None,
            on_error: OnError::Abort,
            stock: StockPolicy::CreateOnly,
            mode: ImportMode::Apply,
            existing: ExistingProducts::Update,
            repeated_sku: None,
        }
    }
}
