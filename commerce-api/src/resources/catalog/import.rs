//! `/admin/products/import`: a merchant's file comes in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::catalog::import::{self, ExistingProducts, LineError};
use commerce_core::flows::{
    self, ImportError, ImportMode, ImportOptions, OnError as OnErrorRule, StockPolicy as StockRule,
};
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem::{Request, RequestBody, Result};
use poem_openapi::param::Query;
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::{Example, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, Enum, ExtractParamOptions, Object, OpenApi};

use crate::http::answer::Okay;
use crate::http::auth::{Can, ProductsWrite};
use crate::http::body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, Fault, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::spool::Spooled;
use crate::http::state::State;
use crate::http::tag::Tag;

/// A file has at most this many bytes.
const CSV_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub struct ProductImport(pub State);

#[OpenApi(tag = "Tag::Products")]
impl ProductImport {
    /// Import products from CSV
    ///
    /// Takes Shopify's product export, or plain columns: `slug`, `title`, `price`, and as needed `description`, `status`, `categories`
    /// (titles separated by `|`), `options` (`Size=S; Color=Blue`), `sku`, `compare_at_price`, `currency`, `stock`, `active`,
    /// `image_url`, `image_alt` and `attribute:NAME`. The lines of one product stand together and share its slug; the first tells of the product, each may
    /// bring a variant, an image or both. A product is found again by its slug, by one that it had before, or else by the SKUs of its variants;
    /// a variant by its SKU or else its options. So a file imported twice changes nothing, and a product or category that was renamed in the
    /// shop keeps its new slug. Nothing is ever removed. Images are kept as links. One import runs at a time.
    #[oai(path = "/admin/products/import", method = "post", operation_id = "import_products")]
    #[allow(clippy::too_many_arguments)]
    async fn import(
        &self,
        staff: Can<ProductsWrite>,
        /// How to read the columns; told from the header unless given
        layout: Query<Option<Layout>>,
        /// What a wrong line does: `abort` imports nothing, `skip` leaves its product out; where only a count of stock cannot be, `skip`
        /// leaves out that count and imports the rest of the product
        on_error: Query<Option<OnError>>,
        /// Whose stock is taken from the file: that of new variants only, or of all
        stock: Query<Option<StockPolicy>>,
        /// Try and report, but change nothing
        dry_run: Query<Option<bool>>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        csv: Csv,
    ) -> Result<Okay<ImportReport>, Refused<ImportError>> {
        let options = ImportOptions {
            layout: match layout.0 {
                None | Some(Layout::Auto) => None,
                Some(Layout::Shopify) => Some(import::Layout::Shopify),
                Some(Layout::Native) => Some(import::Layout::Native),
            },
            on_error: on_error.0.map_or(OnErrorRule::Abort, Into::into),
            stock: stock.0.map_or(StockRule::CreateOnly, Into::into),
            existing: ExistingProducts::Update,
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

    /// See how far an import is
    ///
    /// The one that runs now, if one does, be it a request or `commerce-api import`. Its `POST` answers when it has ended.
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

/// How far an import is.
#[derive(Debug, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub struct RunningImport {
    /// Whether one runs. If not, the rest is absent.
    pub running: bool,
    pub started_at: Option<DateTime<Utc>>,
    /// Products of its file that it has been through. They are in the shop when it has ended.
    pub products: Option<i64>,
}

impl Example for RunningImport {
    fn example() -> Self {
        Self { running: true, started_at: DateTime::from_timestamp(1_774_000_000, 0), products: Some(12_400) }
    }
}

/// How the columns of a file are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "ImportLayout", rename_all = "snake_case")]
pub enum Layout {
    Auto,
    Shopify,
    Native,
}

/// What a wrong line does to an import.
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

/// What an import did, in products.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct ImportReport {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Products with a fault, and faulty lines that name no product.
    pub skipped: u64,
    /// How many faults there are.
    pub errors_total: u64,
    /// The first thousand of them, by line.
    pub errors: Vec<WrongLine>,
}

/// A fault in a file.
#[derive(Debug, Clone, Object)]
pub struct WrongLine {
    /// Line of the file that the row begins on; the header is line 1.
    pub line: u64,
    /// The name in the header; empty when the whole line is meant.
    pub column: String,
    pub message: String,
}

impl ImportReport {
    /// For the audit log.
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
        }
    }
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
        Self { created: 19, updated: 0, unchanged: 0, skipped: 1, errors_total: 1, errors: vec![wrong] }
    }
}

impl Refusal for ImportError {
    const CODES: &'static [Code] = &[Code::ValidationFailed, Code::ImportRunning];

    fn problem(self) -> Problem {
        match self {
            Self::WrongLines(faults) => {
                let detail = format!("{} fault(s) in the file: nothing was imported.", faults.total);
                let faults = faults.listed.into_iter().map(|error| {
                    let LineError { line, column, message } = error;
                    Fault::in_file(line, Some(column).filter(|column| !column.is_empty()), message)
                });
                Problem { detail, ..Problem::invalid(faults.collect()) }
            }
            Self::AnotherRuns => {
                let detail = "Another import is running: nothing was imported. GET /v1/admin/products/import tells how far it is; \
                     send the file again when it has ended.";
                let retry_after = Some(Duration::from_secs(30));
                Problem { retry_after, ..Problem::new(Code::ImportRunning, detail) }
            }
            Self::Database(error) => error.into(),
        }
    }
}

/// A body of `text/csv`.
pub struct Csv(Spooled);

impl<'a> ApiExtractor<'a> for Csv {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_registry: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: "text/csv", schema: String::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let is_csv = |given: &str| given.split(';').next().is_some_and(|kind| kind.trim() == "text/csv");
        body::check_content_type(request, "text/csv", is_csv)?;
        Ok(Self(Spooled::take(body, CSV_BYTES_MAX).await?))
    }
}
