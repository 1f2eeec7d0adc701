//! Imports a merchant's file into the shop: products, categories and stock, in one transaction.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::create_product::receive;
use super::import_options::{ImportMode, ImportOptions, StockPolicy};
use super::import_report::ImportReport;
use super::running_import::{IMPORT_LOCK, show_progress};
use crate::catalog::import::{
    Faults, ImportedProduct, KeyLines, Layout, LineError, Outcome, ProductReader, RowRead, Rules, Upserted,
    WarningKind, upsert_products,
};
use crate::catalog::{self, ProductRefusal, UpdateProductError};
use crate::db::{Retryable, pg_try_advisory_xact_lock};
use crate::ids::{ProductId, VariantId};
use crate::inventory::{self, AdjustError, CountStock, MAIN_LOCATION};
use crate::money::Currency;
use crate::request::Origin;
use crate::schema::stock_levels;
use crate::search::{self, Refreshed};

/// The progress of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// Products that were processed.
    pub products: usize,
    /// Bytes of the file that were read.
    pub bytes: u64,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file has errors. Only the first of them are listed, and all are counted.
    #[error("{} error(s) in the file", .0.total)]
    WrongLines(Faults),
    /// Only one import can run at a time. Each holds its locks until its end, and another would time out.
    #[error("another import is running; start this one when it has ended")]
    AnotherRuns,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ImportError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Ends the transaction of an import without keeping anything.
enum Undo {
    DryRun(Box<ImportReport>),
    Failed(ImportError),
}

impl From<QueryError> for Undo {
    fn from(error: QueryError) -> Self {
        Self::Failed(error.into())
    }
}

/// Imports a CSV file. [`Layout`](crate::catalog::import::Layout) explains the columns. `currency` is the shop's. The file is read while it
/// is written to the shop, a batch of products at a time, and `progress` is called after each batch. Others
/// see the progress by [`running_import`](super::running_import()): until its transaction ends the connection
/// has another `application_name`.
pub async fn import_products(
    conn: &mut AsyncPgConnection,
    csv: impl Read + Send,
    options: ImportOptions,
    currency: Currency,
    origin: &Origin,
    progress: &mut (dyn FnMut(ImportProgress) + Send),
) -> Result<ImportReport, ImportError> {
    let mut reader = ProductReader::new(csv, options.layout, currency).map_err(ImportError::WrongLines)?;
    if let Some(rule) = options.repeated_sku {
        reader.set_repeated_sku(rule);
    }
    let rules = Rules {
        layout: reader.layout(),
        existing: options.existing,
        repeated_sku: reader.repeated_sku(),
        currency,
    };
    let done = conn
        .transaction::<_, Undo, _>(async |conn| {
            let alone: bool = diesel::select(pg_try_advisory_xact_lock(IMPORT_LOCK)).get_result(conn).await?;
            if !alone {
                return Err(Undo::Failed(ImportError::AnotherRuns));
            }
            // From now on it may lock products, slugs and SKUs in the order of the file.
            catalog::lock_keys(conn).await?;
            let mut import = Import {
                options,
                rules,
                origin,
                report: ImportReport::new(options, rules.layout),
                counts: vec![],
                written: vec![],
            };
            let mut products = 0;
            let mut more = true;
            plan_for_growth(conn).await?;
            // Once at the end, not after each statement.
            search::refresh_rows(conn, Refreshed::Later).await?;
            while more {
                let batch;
                (batch, more) = next_batch(&mut reader);
                products += batch.len();
                if !batch.is_empty() {
                    import.write(conn, &batch, &mut reader.keys).await?;
                    show_progress(conn, products).await?;
                }
                // If every row is wrong, nothing here waits, so other tasks get their turn on this thread.
                tokio::task::yield_now().await;
                progress(ImportProgress { products, bytes: reader.bytes_read() });
            }
            import.report.skipped += reader.skipped;
            import.report.faults.merge(std::mem::take(&mut reader.faults));
            import.report.warnings.merge(std::mem::take(&mut reader.warnings));
            import.report.ignored_columns = reader.ignored_columns();
            let report = import.finish(conn).await?;
            match options.mode {
                ImportMode::DryRun => Err(Undo::DryRun(Box::new(report))),
                ImportMode::Apply if report.is_refused() => {
                    Err(Undo::Failed(ImportError::WrongLines(report.faults)))
                }
                ImportMode::Apply => Ok(report),
            }
        })
        .await;
    match done {
        Ok(report) => Ok(report),
        Err(Undo::DryRun(report)) => Ok(*report),
        Err(Undo::Failed(error)) => Err(error),
    }
}

/// Sets the planner for an import. An import makes tables grow by far more than Postgres knows until it is
/// committed. Plans that were made for small tables, or from old statistics, would read whole tables for each
/// batch. With sequential scans forbidden, the remaining scans look expensive to the planner, and compiling
/// them would cost more than running them. The settings last until the import or its transaction ends. Cached
/// plans of the connection are discarded before and after.
async fn plan_for_growth(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    conn.batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL jit = off; DISCARD PLANS").await
}

/// A batch ends with the product that reaches either limit, so that there are few round trips and no endless
/// statement.
const BATCH_PRODUCTS_MAX: usize = 200;
const BATCH_PARTS_MAX: usize = 1000;
/// A batch also ends after this many rows, even if they are wrong.
const BATCH_ROWS_MAX: usize = 2000;

/// The products to write together, possibly none, and whether there may be more.
fn next_batch<R: Read>(reader: &mut ProductReader<R>) -> (Vec<ImportedProduct>, bool) {
    let mut batch = Vec::new();
    let mut parts = 0;
    for _ in 0..BATCH_ROWS_MAX {
        match reader.read_row() {
            RowRead::Product(product) => {
                parts += product.variants.len() + product.images.len();
                batch.push(*product);
            }
            RowRead::Nothing => {}
            RowRead::End => return (batch, false),
        }
        if batch.len() >= BATCH_PRODUCTS_MAX || parts >= BATCH_PARTS_MAX {
            break;
        }
    }
    (batch, true)
}

/// A running import.
struct Import<'a> {
    options: ImportOptions,
    rules: Rules,
    origin: &'a Origin,
    report: ImportReport,
    /// The stock of variants that existed before. It is set at the end, so that its locks are taken in one
    /// order.
    counts: Vec<Count>,
    /// Products that are new or were changed. Their search rows are written at the end, because they are
    /// locked in one order, too.
    written: Vec<ProductId>,
}

impl Import<'_> {
    async fn write(
        &mut self,
        conn: &mut AsyncPgConnection,
        batch: &[ImportedProduct],
        keys: &mut KeyLines,
    ) -> QueryResult<()> {
        let outcomes = upsert_products(conn, batch, keys, &self.rules).await?;
        let mut received: Vec<(VariantId, i64)> = Vec::new();
        for (product, outcome) in batch.iter().zip(outcomes) {
            let Upserted { product_id, outcome, variants, .. } = match outcome {
                Ok(upserted) => {
                    self.note(product, &upserted);
                    upserted
                }
                Err(refusal) => {
                    self.report.skipped += 1;
                    self.report.faults.extend(line_errors(product, refusal));
                    continue;
                }
            };
            for (place, ((variant_id, is_new), row)) in variants.iter().zip(&product.variants).enumerate() {
                match (is_new, row.stock) {
                    (true, units) => received.push((*variant_id, units.unwrap_or(0))),
                    (false, Some(units)) if self.options.stock == StockPolicy::Set => {
                        let fault_at = product.places.error(&format!("/variants/{place}/stock"), "");
                        let product = product.places.product_line;
                        self.counts.push(Count {
                            product,
                            outcome,
                            fault_at,
                            variant_id: *variant_id,
                            units,
                        });
                    }
                    (false, _) => {}
                }
            }
            if outcome != Outcome::Unchanged {
                self.written.push(product_id);
            }
            match outcome {
                Outcome::Created => self.report.created += 1,
                Outcome::Updated => self.report.updated += 1,
                Outcome::Unchanged => self.report.unchanged += 1,
            }
        }
        receive(conn, received, "import", self.origin).await
    }

    /// Notes what is worth knowing of a product that is written.
    fn note(&mut self, product: &ImportedProduct, upserted: &Upserted) {
        let places = &product.places;
        if let Some(reason) = &product.hidden {
            let message = format!("{:?} is hidden: {} {}", product.title, reason.column, reason.message);
            self.report.hidden.push(LineError { message, ..reason.clone() });
        }
        for at in &upserted.foreign_skus {
            let sku =
                product.variants.get(*at).and_then(|row| row.variant.sku.as_deref()).unwrap_or_default();
            let message = format!("{sku:?} belongs to a variant of another product");
            self.report
                .warnings
                .push(WarningKind::ForeignSku, places.error(&format!("/variants/{at}/sku"), message));
        }
        // WooCommerce's file has no slugs at all.
        let made_slug = upserted.made_slug.as_ref().filter(|_| self.rules.layout != Layout::WooCommerce);
        if let Some(slug) = made_slug {
            let message = format!("{:?} has the slug {slug}", product.key);
            self.report.warnings.push(WarningKind::MadeSlug, places.error("/slug", message));
        }
    }

    async fn finish(mut self, conn: &mut AsyncPgConnection) -> QueryResult<ImportReport> {
        self.written.sort_unstable();
        for ids in self.written.chunks(BATCH_PRODUCTS_MAX) {
            search::refresh(conn, ids).await?;
        }
        search::refresh_rows(conn, Refreshed::AtOnce).await?;
        let recounted = set_stock(conn, self.counts, &mut self.report.faults, self.origin).await?;
        conn.batch_execute("SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL jit TO DEFAULT; DISCARD PLANS")
            .await?;
        self.report.unchanged -= recounted;
        self.report.updated += recounted;
        self.report.faults.sort();
        Ok(self.report)
    }
}

/// The units on hand that the file gives for an existing variant.
struct Count {
    /// The line that the product begins on.
    product: u64,
    outcome: Outcome,
    /// The place in the file, without a message.
    fault_at: LineError,
    variant_id: VariantId,
    units: i64,
}

/// Sets the units on hand for all variants at once, so that locks are taken in the global order. Returns the
/// number of products that changed only by this. Impossible counts are reported in `faults`.
async fn set_stock(
    conn: &mut AsyncPgConnection,
    mut counts: Vec<Count>,
    faults: &mut Faults,
    origin: &Origin,
) -> QueryResult<usize> {
    let ids: Vec<VariantId> = counts.iter().map(|count| count.variant_id).collect();
    let levels = stock_levels::table
        .filter(stock_levels::location_id.eq(MAIN_LOCATION).and(stock_levels::variant_id.eq_any(ids)))
        .select((stock_levels::variant_id, stock_levels::on_hand));
    let on_hand: HashMap<VariantId, i64> = levels.load::<(VariantId, i64)>(conn).await?.into_iter().collect();
    counts.retain(|count| on_hand.get(&count.variant_id).copied().unwrap_or(0) != count.units);
    let targets: Vec<CountStock> = counts.iter().map(Count::target).collect();
    let refused = match inventory::set_on_hand_where_possible(conn, &targets, origin).await {
        Ok(refused) => refused,
        Err(AdjustError::Database(error)) => return Err(error),
        // The variants were found in this transaction, and variants are never deleted.
        Err(other) => return Err(QueryError::QueryBuilderError(other.into())),
    };
    let mut refused: HashMap<usize, AdjustError> = refused.into_iter().collect();
    let mut taken = Vec::with_capacity(counts.len());
    for (at, count) in counts.into_iter().enumerate() {
        let message = match refused.remove(&at) {
            None => {
                taken.push(count);
                continue;
            }
            Some(AdjustError::BelowReserved { reserved, .. }) => {
                format!("is below the {reserved} units that are reserved")
            }
            Some(AdjustError::TooLarge(_)) => "is too large".to_owned(),
            Some(other) => other.to_string(),
        };
        faults.push(LineError { message, ..count.fault_at });
    }
    let recounted: BTreeSet<u64> =
        taken.iter().filter(|count| count.outcome == Outcome::Unchanged).map(|count| count.product).collect();
    Ok(recounted.len())
}

impl Count {
    fn target(&self) -> CountStock {
        CountStock {
            variant_id: self.variant_id,
            location_id: MAIN_LOCATION,
            on_hand: self.units,
            reason: Some("import".to_owned()),
        }
    }
}

/// The errors, with their lines, for what the shop refused.
fn line_errors(product: &ImportedProduct, refusal: UpdateProductError) -> Vec<LineError> {
    let places = &product.places;
    match refusal {
        UpdateProductError::Refused(ProductRefusal::Invalid(errors)) => {
            errors.into_iter().map(|error| places.error(&error.pointer, error.message)).collect()
        }
        UpdateProductError::Refused(ProductRefusal::SkuTaken(sku)) => {
            let has_sku = |at: &usize| {
                product.variants.get(*at).is_some_and(|variant| variant.variant.sku.as_deref() == Some(&sku))
            };
            let at = (0..product.variants.len()).find(has_sku).unwrap_or(0);
            vec![places.error(
                &format!("/variants/{at}/sku"),
                format!("the SKU {sku:?} belongs to a variant of another product"),
            )]
        }
        other => vec![places.error("/slug", other.to_string())],
    }
}
