//! `/admin/inventory/import`: many changes of stock by a CSV file.

use commerce_core::audit_log::{self, Subject};
use commerce_core::flows::{self, ImportMode, OnError as OnErrorRule, StockImportError, StockImportOptions};
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::Okay;
use crate::http::auth::{Can, InventoryWrite};
use crate::http::csv_body::Csv;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::catalog::import::{OnError, WrongLine, wrong_lines};

/// The largest file that is accepted, in MiB.
const CSV_MEBIBYTES_MAX: u64 = 16;

pub struct StockImport(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl StockImport {
    /// Adjust stock by CSV
    ///
    /// The file has the columns `sku` or `variant_id`, `delta` (units to add, or to take away if negative) or `on_hand`
    /// (counted units), and optionally `location` (a code; the main location by default) and `reason`. A line has
    /// either a delta or a count. Several deltas of the same stock add up. A file has at most 20,000 lines and 16 MiB.
    ///
    /// All changes are made at once: shoppers see the stock before the file or after it. Reserved units cannot be taken
    /// away. Send the file with `dry_run=true` first. A file with deltas that is sent twice counts twice, unless both
    /// requests have the same `Idempotency-Key`.
    #[oai(path = "/admin/inventory/import", method = "post", operation_id = "import_stock")]
    async fn import(
        &self,
        staff: Can<InventoryWrite>,
        /// What to do about a wrong line. `abort` changes nothing, and `skip` leaves out the line
        on_error: Query<Option<OnError>>,
        /// Check the file and report, but change nothing. Errors are in the report then, also with `abort`
        dry_run: Query<Option<bool>>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        csv: Csv<CSV_MEBIBYTES_MAX>,
    ) -> Result<Okay<StockImportReport>, Refused<StockImportError>> {
        let options = StockImportOptions {
            on_error: on_error.0.map_or(OnErrorRule::Abort, Into::into),
            mode: if dry_run.0 == Some(true) { ImportMode::DryRun } else { ImportMode::Apply },
        };
        // The same file with other options is another request.
        let request = key.request(&staff, &[format!("{options:?}").as_bytes(), &csv.0.digest].concat());
        let (author, csv) = (staff.author(), csv.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let file = csv.read().map_err(|error| QueryError::QueryBuilderError(error.into()))?;
            let report = flows::import_stock(conn, file, options, &author.origin).await?;
            let report = StockImportReport::from(report);
            if options.mode == ImportMode::Apply {
                let (subject, done) = (Subject::Inventory, Some(report.counts()));
                audit_log::record_facts(conn, &author, "import_stock", subject, None, done).await?;
            }
            Ok::<_, StockImportError>(report)
        };
        self.0.write("import_stock", request, effect).await
    }
}

/// The result of a file, or with `dry_run` what it would be. The counts are lines.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct StockImportReport {
    /// Lines that changed stock.
    pub changed: u64,
    /// Counts of stock that had these units already.
    pub unchanged: u64,
    /// Lines that were left out because of an error.
    pub skipped: u64,
    /// The number of errors.
    pub errors_total: u64,
    /// The first thousand errors, sorted by line.
    pub errors: Vec<WrongLine>,
}

impl StockImportReport {
    /// The counts for the audit log.
    fn counts(&self) -> serde_json::Value {
        let Self { changed, unchanged, skipped, .. } = self;
        serde_json::json!({ "changed": changed, "unchanged": unchanged, "skipped": skipped })
    }
}

impl From<flows::StockImportReport> for StockImportReport {
    fn from(report: flows::StockImportReport) -> Self {
        let count = |lines: usize| u64::try_from(lines).unwrap_or(u64::MAX);
        Self {
            changed: count(report.changed),
            unchanged: count(report.unchanged),
            skipped: count(report.skipped),
            errors_total: count(report.faults.total),
            errors: report.faults.listed.into_iter().map(WrongLine::from).collect(),
        }
    }
}

impl Refusal for StockImportError {
    const CODES: &'static [Code] = &[Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::WrongLines(faults) => wrong_lines(faults),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for StockImportReport {
    fn example() -> Self {
        let message = "there is no variant with the SKU \"SOCK-CREW-XS\"".to_owned();
        let wrong = WrongLine { line: 7, column: "sku".to_owned(), message };
        Self { changed: 41, unchanged: 2, skipped: 1, errors_total: 1, errors: vec![wrong] }
    }
}
