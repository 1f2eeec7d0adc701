//! A merchant's file comes into the shop: its products, its categories and its stock, in one transaction.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::create_product::receive;
use crate::catalog::import::{
    self, ImportedProduct, Layout, LineError, Outcome, Parsed, Upserted, upsert_product,
};
use crate::catalog::{self, ProductKey, ProductRefusal, UpdateProductError};
use crate::db::Retryable;
use crate::ids::VariantId;
use crate::inventory::{self, AdjustError, MAIN_LOCATION, StockAdjustment};
use crate::money::Currency;
use crate::request::Origin;
use crate::schema::stock_levels;
use crate::text_enum::text_enum;

text_enum! {
    /// What a wrong line does to the import.
    pub enum OnError {
        /// Nothing is imported.
        Abort = "abort",
        /// Its product is left out, the others are imported.
        Skip = "skip",
    }
}

text_enum! {
    /// Which variants take their stock from the file.
    pub enum StockPolicy {
        /// New ones: what is in the shop is left as it was counted there.
        CreateOnly = "create_only",
        /// All: the main location has on hand what the file says.
        Set = "set",
    }
}

text_enum! {
    /// Whether the import is meant.
    pub enum ImportMode {
        Apply = "apply",
        /// Everything is tried, reported and undone.
        DryRun = "dry_run",
    }
}

text_enum! {
    /// What happens to products that the shop has already.
    pub enum ExistingProducts {
        /// They become as the file has them.
        Update = "update",
        /// They stay as they are.
        Leave = "leave",
    }
}

/// How to import.
#[derive(Debug, Clone, Copy)]
pub struct ImportOptions {
    /// `None`: told from the header.
    pub layout: Option<Layout>,
    pub on_error: OnError,
    pub stock: StockPolicy,
    pub mode: ImportMode,
    pub existing: ExistingProducts,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            layout: None,
            on_error: OnError::Abort,
            stock: StockPolicy::CreateOnly,
            mode: ImportMode::Apply,
            existing: ExistingProducts::Update,
        }
    }
}

/// Counts of products, and what was wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub created: usize,
    pub updated: usize,
    pub unchanged: usize,
    /// Products with a fault, and faulty lines that name no product.
    pub skipped: usize,
    /// By line.
    pub errors: Vec<LineError>,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{} fault(s) in the file", .0.len())]
    WrongLines(Vec<LineError>),
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
    DryRun(ImportReport),
    Failed(ImportError),
}

impl From<QueryError> for Undo {
    fn from(error: QueryError) -> Self {
        Self::Failed(error.into())
    }
}

/// Imports a CSV file; what its columns mean is told at [`Layout`]. `currency` is the shop's.
pub async fn import_products(
    conn: &mut AsyncPgConnection,
    csv: &[u8],
    options: ImportOptions,
    currency: Currency,
    origin: &Origin,
) -> Result<ImportReport, ImportError> {
    let Parsed { products, skipped, errors } = import::parse(csv, options.layout, currency);
    let nothing_readable = products.is_empty() && skipped == 0;
    if !errors.is_empty() && (options.on_error == OnError::Abort || nothing_readable) {
        return Err(ImportError::WrongLines(errors));
    }
    let report = ImportReport { skipped, errors, ..ImportReport::default() };
    let done = conn
        .transaction::<_, Undo, _>(async |conn| {
            let report = write(conn, &products, options, report, currency, origin).await?;
            if options.on_error == OnError::Abort && !report.errors.is_empty() {
                return Err(Undo::Failed(ImportError::WrongLines(report.errors)));
            }
            match options.mode {
                ImportMode::Apply => Ok(report),
                ImportMode::DryRun => Err(Undo::DryRun(report)),
            }
        })
        .await;
    match done {
        Ok(report) | Err(Undo::DryRun(report)) => Ok(report),
        Err(Undo::Failed(error)) => Err(error),
    }
}

/// So many new variants get their first stock together: fewer round trips, and no statement without end.
const RECEIVED_AT_ONCE: usize = 200;

/// Writes the products one by one, each in a savepoint, then counts the stock of those that were there before.
async fn write(
    conn: &mut AsyncPgConnection,
    products: &[ImportedProduct],
    options: ImportOptions,
    mut report: ImportReport,
    currency: Currency,
    origin: &Origin,
) -> Result<ImportReport, QueryError> {
    let mut counts: Vec<Count<'_>> = Vec::new();
    let mut unchanged = Vec::new();
    let mut received: Vec<(VariantId, i64)> = Vec::new();
    for (at, product) in products.iter().enumerate() {
        if options.existing == ExistingProducts::Leave {
            let key = ProductKey::Slug(product.slug.clone());
            if catalog::find_product_id(conn, &key).await?.is_some() {
                unchanged.push(at);
                continue;
            }
        }
        let Upserted { outcome, variants } = match upsert_product(conn, product, currency).await {
            Ok(upserted) => upserted,
            Err(UpdateProductError::Database(error)) => return Err(error),
            Err(refusal) => {
                report.skipped += 1;
                report.errors.extend(line_errors(product, refusal));
                continue;
            }
        };
        let units = product.variants.iter().map(|variant| variant.stock);
        let stocked: Vec<(VariantId, bool, Option<i64>)> =
            variants.into_iter().zip(units).map(|((id, is_new), units)| (id, is_new, units)).collect();
        let new = stocked.iter().filter(|(_, is_new, _)| *is_new);
        received.extend(new.map(|(id, _, units)| (*id, units.unwrap_or(0))));
        if received.len() >= RECEIVED_AT_ONCE {
            receive(conn, received.drain(..), "import", origin).await?;
        }
        if options.stock == StockPolicy::Set {
            let known = stocked.iter().enumerate().filter(|(_, (_, is_new, _))| !is_new);
            counts.extend(known.filter_map(|(place, (variant_id, _, units))| {
                Some(Count { product, product_at: at, place, variant_id: *variant_id, units: (*units)? })
            }));
        }
        match outcome {
            Outcome::Created => report.created += 1,
            Outcome::Updated => report.updated += 1,
            Outcome::Unchanged => unchanged.push(at),
        }
    }
    receive(conn, received, "import", origin).await?;
    let recounted = set_stock(conn, counts, &mut report.errors, origin).await?;
    let (updated, unchanged): (Vec<usize>, Vec<usize>) =
        unchanged.into_iter().partition(|at| recounted.contains(at));
    report.updated += updated.len();
    report.unchanged += unchanged.len();
    report.errors.sort_by_key(|error| error.line);
    Ok(report)
}

/// Units on hand that the file gives to a variant that was in the shop before.
struct Count<'a> {
    product: &'a ImportedProduct,
    /// The product's place in the file.
    product_at: usize,
    /// The variant's place in the product.
    place: usize,
    variant_id: VariantId,
    units: i64,
}

/// Sets what is on hand, all variants in one go so that their locks are taken in the global order. Returns the places of
/// the products whose stock changed; counts that cannot be are told in `errors`.
async fn set_stock(
    conn: &mut AsyncPgConnection,
    mut counts: Vec<Count<'_>>,
    errors: &mut Vec<LineError>,
    origin: &Origin,
) -> Result<Vec<usize>, QueryError> {
    let ids: Vec<VariantId> = counts.iter().map(|count| count.variant_id).collect();
    let levels = stock_levels::table
        .filter(stock_levels::location_id.eq(MAIN_LOCATION).and(stock_levels::variant_id.eq_any(ids)))
        .select((stock_levels::variant_id, stock_levels::on_hand));
    let on_hand: HashMap<VariantId, i64> = levels.load::<(VariantId, i64)>(conn).await?.into_iter().collect();
    counts.retain(|count| on_hand.get(&count.variant_id).copied().unwrap_or(0) != count.units);
    while !counts.is_empty() {
        let targets: Vec<StockAdjustment> = counts.iter().map(Count::target).collect();
        let (variant_id, message) = match inventory::set_on_hand(conn, &targets, origin).await {
            Ok(()) => break,
            Err(AdjustError::Database(error)) => return Err(error),
            Err(AdjustError::BelowReserved { variant_id, reserved, .. }) => {
                (variant_id, format!("is below the {reserved} units that are reserved"))
            }
            Err(AdjustError::UnknownLevel(variant_id)) => (variant_id, "has no level".to_owned()),
            Err(AdjustError::TooLarge(variant_id)) => (variant_id, "is too large".to_owned()),
        };
        let at = counts.iter().position(|count| count.variant_id == variant_id);
        let refused = at.map(|at| counts.remove(at)).ok_or(QueryError::NotFound)?;
        let pointer = format!("/variants/{}/stock", refused.place);
        errors.push(refused.product.places.error(&pointer, message));
    }
    Ok(counts.iter().map(|count| count.product_at).collect())
}

impl Count<'_> {
    fn target(&self) -> StockAdjustment {
        StockAdjustment {
            variant_id: self.variant_id,
            location_id: MAIN_LOCATION,
            delta: self.units,
            reason: Some("import".to_owned()),
        }
    }
}

/// The lines behind what the shop refused.
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
