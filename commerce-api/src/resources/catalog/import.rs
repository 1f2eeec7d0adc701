//! `/admin/products/import`: importing a merchant's CSV file.

use std::time::Duration;

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::catalog::import::{
    self, ExistingProducts, LineError, Noted, RepeatedSku as RepeatedSkuRule,
};
use commerce_core::flows::{
    self, ImportError, ImportMode, ImportOptions, OnError as OnErrorRule, StockPolicy as StockRule,
};
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};

use crate::http::answer::Okay;
use crate::http::auth::{Can, ProductsWrite};
use crate::http::csv_body::Csv;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, Fault, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

/// The largest file that is accepted, in MiB.
const CSV_MEBIBYTES_MAX: u64 = 256;

pub struct ProductImport(pub State);

#[OpenApi(tag = "Tag::Products")]
impl ProductImport {
    /// Import products from CSV
    ///
    /// Reads Shopify's or WooCommerce's product export, or a file with these columns: `slug`, `title`, `price`, and optionally
    /// `description`, `status`, `categories` (titles separated by `|`), `options` (`Size=S; Color=Blue`),
    /// `sku`, `compare_at_price`, `currency`, `stock`, `active`, `image_url`, `image_alt` and
    /// `attribute:NAME`. Cells are separated by commas, semicolons or tabs.
    ///
    /// The lines of a product stand together and share its slug. The first line describes the product. Each
    /// line may add a variant, an image or both. Only WooCommerce's variations may stand anywhere: they name
    /// their product.
    ///
    /// An existing product is found by the key under which it was imported, by its slug, by a former slug, or
    /// else by the SKUs of its variants. Keys and titles of categories are compared as they stand. A variant
    /// is found by its SKU, or else by its options. So importing the same file twice changes nothing, and a
    /// product or category that was renamed in the shop keeps its new slug. An import never removes anything.
    /// Images are kept as links. Only one import runs at a time.
    ///
    /// What is wrong with a lesser value, such as the address of an image, costs that value and is a warning.
    /// Other errors cost the product, or stop the import (`on_error`). A product that the file hides is a
    /// draft. Send the file with `dry_run=true` first: the report has what would be imported, hidden, changed
    /// and left out.
    #[oai(path = "/admin/products/import", method = "post", operation_id = "import_products")]
    #[allow(clippy::too_many_arguments)]
    async fn import(
        &self,
        staff: Can<ProductsWrite>,
        /// How to read the columns. Detected from the header by default
        layout: Query<Option<Layout>>,
        /// What to do about a wrong line. `abort` imports nothing. `skip` leaves out the line's product; if
        /// only a count is below what is reserved, it leaves out that count and imports the rest
        on_error: Query<Option<OnError>>,
        /// Which variants take their stock from the file: new variants only, or all
        stock: Query<Option<StockPolicy>>,
        /// What to do about a SKU that another variant has. `refuse` is an error, and `drop` imports the
        /// variant without it. By default `refuse` for the native layout, and `drop` for the others
        repeated_sku: Query<Option<RepeatedSku>>,
        /// Check the file and report, but change nothing. Errors are in the report then, also with `abort`
        dry_run: Query<Option<bool>>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        csv: Csv<CSV_MEBIBYTES_MAX>,
    ) -> Result<Okay<ImportReport>, Refused<ImportError>> {
        let options = ImportOptions {
            layout: match layout.0 {
                None | Some(Layout::Auto) => None,
                Some(Layout::Shopify) => Some(import::Layout::Shopify),
                Some(Layout::Native) => Some(import::Layout::Native),
                Some(Layout::Woocommerce) => Some(import::Layout::WooCommerce),
            },
            on_error: on_error.0.map_or(OnErrorRule::Abort, Into::into),
            stock: stock.0.map_or(StockRule::CreateOnly, Into::into),
            existing: ExistingProducts::Update,
            repeated_sku: repeated_sku.0.map(Into::into),
            mode: if dry_run.0 == Some(true) { ImportMode::DryRun } else { ImportMode::Apply },
        };
        // The same file with other options is another request.
        let request = key.request(&staff, &[format!("{options:?}").as_bytes(), &csv.0.digest].concat());
        let (currency, author, csv) = (self.0.shop.currency, staff.author(), csv.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let file = csv.read().map_err(|error| QueryError::QueryBuilderError(error.into()))?;
            let told = &mut |_| {};
            let report = flows::import_products(conn, file, options, currency, &author.origin, told).await?;
            let report = ImportReport::from(report);
            if options.mode == ImportMode::Apply {
                let subject = Subject::Catalogue;
                let done = Some(report.counts());
                audit_log::record_facts(conn, &author, "import_products", subject, None, done).await?;
            }
            Ok::<_, ImportError>(report)
        };
        self.0.write("import_products", request, effect).await
    }

    /// Get the running import
    ///
    /// Returns the progress of the import that is running, whether it was started by a request or by
    /// `commerce-api import`. The `POST` that started it is answered when it ends.
    #[oai(path = "/admin/products/import", method = "get", operation_id = "get_running_import")]
    async fn running(
        &self,
        _staff: Can<ProductsWrite>,
    ) -> Result<Okay<RunningImport>, Refused<OnlyDatabase>> {
        let running = flows::running_import(&mut *self.0.conn().await?).await?;
        Ok(Okay::new(RunningImport {
            running: running.is_some(),
            started_at: running.as_ref().and_then(|import| import.started_at),
            products: running.map(|import| import.products),
        }))
    }
}

/// The progress of an import.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RunningImport {
    /// Whether an import is running. If not, the other fields are absent.
    pub running: bool,
    pub started_at: Option<DateTime<Utc>>,
    /// Products of the file that were processed so far. They appear in the shop when the import ends.
    pub products: Option<i64>,
}

impl Example for RunningImport {
    fn example() -> Self {
        Self { running: true, started_at: DateTime::from_timestamp(1_774_000_000, 0), products: Some(12_400) }
    }
}

/// How to read the columns of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ImportLayout", rename_all = "snake_case")]
pub enum Layout {
    Auto,
    Shopify,
    Native,
    Woocommerce,
}

/// What to do about a wrong line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ImportOnError", rename_all = "snake_case", remote = "OnErrorRule")]
pub enum OnError {
    Abort,
    Skip,
}

/// Which variants take their stock from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ImportStock", rename_all = "snake_case", remote = "StockRule")]
pub enum StockPolicy {
    CreateOnly,
    Set,
}

/// What to do about a SKU that another variant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ImportRepeatedSku", rename_all = "snake_case", remote = "RepeatedSkuRule")]
pub enum RepeatedSku {
    Refuse,
    Drop,
}

/// The result of an import. The counts are products.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct ImportReport {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Products that were left out because of an error, and wrong lines that name no product.
    pub skipped: u64,
    /// The number of errors.
    pub errors_total: u64,
    /// The first thousand errors, sorted by line.
    pub errors: Vec<WrongLine>,
    /// How the columns were read: `shopify`, `woocommerce` or `native`.
    pub layout: String,
    /// Products that shoppers do not see, because the file says so.
    pub hidden: u64,
    /// The first of the hidden products, each with the reason.
    pub hidden_examples: Vec<WrongLine>,
    /// What was left out, or imported in another way than it is in the file.
    pub warnings: Vec<ImportWarning>,
    /// Columns with a content that nothing reads.
    pub ignored_columns: Vec<IgnoredColumn>,
}

/// The warnings of a kind.
#[derive(Debug, Clone, Object)]
pub struct ImportWarning {
    /// A word for programs, such as `negative_stock`.
    pub kind: String,
    /// What happened, for people.
    pub title: String,
    /// The number of warnings.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<WrongLine>,
}

/// A column that nothing reads.
#[derive(Debug, Clone, Object)]
pub struct IgnoredColumn {
    /// Its name in the header.
    pub column: String,
    /// The number of cells with a content.
    pub cells: u64,
    /// The beginning of the first such cell.
    pub example: String,
}

/// An error in a file.
#[derive(Debug, Clone, Object)]
pub struct WrongLine {
    /// The line on which the row begins. The header is line 1.
    pub line: u64,
    /// The column's name in the header. Empty if the error is about the whole line.
    pub column: String,
    pub message: String,
}

impl ImportReport {
    /// The counts for the audit log.
    fn counts(&self) -> serde_json::Value {
        let Self { created, updated, unchanged, skipped, .. } = self;
        serde_json::json!({ "created": created, "updated": updated, "unchanged": unchanged, "skipped": skipped })
    }
}

impl From<flows::ImportReport> for ImportReport {
    fn from(report: flows::ImportReport) -> Self {
        let count = |products: usize| u64::try_from(products).unwrap_or(u64::MAX);
        Self {
            created: count(report.created),
            updated: count(report.updated),
            unchanged: count(report.unchanged),
            skipped: count(report.skipped),
            errors_total: count(report.faults.total),
            errors: report.faults.listed.into_iter().map(WrongLine::from).collect(),
            layout: report.layout.to_string(),
            hidden: count(report.hidden.total),
            hidden_examples: examples(report.hidden),
            warnings: report
                .warnings
                .0
                .into_iter()
                .map(|(kind, noted)| ImportWarning {
                    kind: kind.to_string(),
                    title: kind.title().to_owned(),
                    count: count(noted.total),
                    examples: examples(noted),
                })
                .collect(),
            ignored_columns: report
                .ignored_columns
                .into_iter()
                .map(|ignored| IgnoredColumn {
                    column: ignored.column,
                    cells: count(ignored.cells),
                    example: ignored.example,
                })
                .collect(),
        }
    }
}

fn examples(noted: Noted) -> Vec<WrongLine> {
    noted.examples.into_iter().map(WrongLine::from).collect()
}

impl From<LineError> for WrongLine {
    fn from(LineError { line, column, message }: LineError) -> Self {
        Self { line, column, message }
    }
}

impl Example for ImportReport {
    fn example() -> Self {
        let message = "\"12,50\" is not a decimal amount such as 12.50".to_owned();
        let wrong = WrongLine { line: 7, column: "Variant Price".to_owned(), message };
        let line = |line, column: &str, message: &str| WrongLine {
            line,
            column: column.to_owned(),
            message: message.to_owned(),
        };
        let negative = import::WarningKind::NegativeStock;
        Self {
            created: 19,
            updated: 0,
            unchanged: 0,
            skipped: 1,
            errors_total: 1,
            errors: vec![wrong],
            layout: "shopify".to_owned(),
            hidden: 1,
            hidden_examples: vec![line(4, "Published", "\"Warranty\" is hidden: Published is FALSE")],
            warnings: vec![ImportWarning {
                kind: negative.to_string(),
                title: negative.title().to_owned(),
                count: 1,
                examples: vec![line(9, "Variant Inventory Qty", "-3 is taken as 0")],
            }],
            ignored_columns: vec![IgnoredColumn {
                column: "Google Shopping / MPN".to_owned(),
                cells: 12,
                example: "A-1".to_owned(),
            }],
        }
    }
}

/// The refusal of a file with errors.
pub fn wrong_lines(faults: import::Faults) -> Problem {
    let detail = format!("{} error(s) in the file: nothing was imported.", faults.total);
    let faults = faults.listed.into_iter().map(|error| {
        let LineError { line, column, message } = error;
        Fault::in_file(line, Some(column).filter(|column| !column.is_empty()), message)
    });
    Problem { detail, ..Problem::invalid(faults.collect()) }
}

impl Refusal for ImportError {
    const CODES: &'static [Code] = &[Code::ValidationFailed, Code::ImportRunning];

    fn problem(self) -> Problem {
        match self {
            Self::WrongLines(faults) => wrong_lines(faults),
            Self::AnotherRuns => {
                let detail = "Another import is running: nothing was imported. GET /v1/admin/products/import shows its progress; \
                     send the file again when it has ended.";
                let retry_after = Some(Duration::from_secs(30));
                Problem { retry_after, ..Problem::new(Code::ImportRunning, detail) }
            }
            Self::Database(error) => error.into(),
        }
    }
}
