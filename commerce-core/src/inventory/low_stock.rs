//! What is low: variants for sale of which no more units are available than their threshold.
//!
//! The shop is told of a variant once, and again after it was refilled and became low once more.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::limits::ON_HAND_MAX;
use crate::db::{Retryable, escape_like};
use crate::ids::{ProductId, VariantId};
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{stock_thresholds, variants};
use crate::text_enum::text_enum;

/// A variant that is low.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LowStock {
    /// The variant.
    #[diesel(sql_type = SqlUuid)]
    pub variant_id: VariantId,
    /// Its product.
    #[diesel(sql_type = SqlUuid)]
    pub product_id: ProductId,
    /// The product's title.
    #[diesel(sql_type = Text)]
    pub product_title: String,
    /// The variant's title.
    #[diesel(sql_type = Text)]
    pub variant_title: String,
    /// The merchant's own number for the variant.
    #[diesel(sql_type = Nullable<Text>)]
    pub sku: Option<String>,
    /// Units that could be sold now.
    #[diesel(sql_type = BigInt)]
    pub available: i64,
    /// At so many available units it is low.
    #[diesel(sql_type = BigInt)]
    pub threshold: i64,
}

text_enum! {
    /// The sort order of variants that are low.
    pub enum LowStockSort {
        /// The fewest available units first.
        FewestFirst = "available",
        /// The most available units first.
        MostFirst = "-available",
        /// The greatest distance below the threshold first.
        MissingMost = "-missing",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListLowStockError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Every variant with a threshold that is counted, for sale and low.
const LOW: &str = "FROM commerce.stock_thresholds AS t
     JOIN commerce.variants AS v ON v.id = t.variant_id
     JOIN commerce.products AS p ON p.id = v.product_id
     JOIN LATERAL (SELECT offer.available FROM commerce.availability AS offer
                   WHERE offer.variant_id = t.variant_id AND offer.for_sale AND offer.track_inventory) AS offer ON true
     WHERE offer.available <= t.threshold";

const COLUMNS: &str =
    "t.variant_id, p.id AS product_id, p.title AS product_title, v.title AS variant_title, v.sku,
     greatest(offer.available, 0) AS available, t.threshold";

/// The variants that are low, or those of them whose SKU or product's title has this text.
pub async fn list_low_stock(
    conn: &mut AsyncPgConnection,
    text: Option<&str>,
    sort: LowStockSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<LowStock>, ListLowStockError> {
    let last = Cursor::<i64>::place::<VariantId>(cursor, sort.as_str())?;
    let (key, after, direction) = match sort {
        LowStockSort::FewestFirst => ("greatest(offer.available, 0)", ">", "ASC"),
        LowStockSort::MostFirst => ("greatest(offer.available, 0)", "<", "DESC"),
        LowStockSort::MissingMost => ("(t.threshold - greatest(offer.available, 0))", "<", "DESC"),
    };
    let query = format!(
        "SELECT {COLUMNS} {LOW}
             AND ($1 IS NULL OR p.title ILIKE $1 OR v.sku ILIKE $1)
             AND ($2 IS NULL OR ({key}, t.variant_id) {after} ($2, $3))
         ORDER BY {key} {direction}, t.variant_id {direction} LIMIT $4"
    );
    let text = text.map(|text| format!("%{}%", escape_like(text)));
    let rows: Vec<LowStock> = diesel::sql_query(query)
        .bind::<Nullable<Text>, _>(text)
        .bind::<Nullable<BigInt>, _>(last.map(|(key, _)| key))
        .bind::<Nullable<SqlUuid>, _>(last.map(|(_, id)| id))
        .bind::<BigInt, _>(limit.rows_and_one())
        .load(conn)
        .await?;
    let key_of = |low: &LowStock| match sort {
        LowStockSort::FewestFirst | LowStockSort::MostFirst => low.available,
        LowStockSort::MissingMost => low.threshold - low.available,
    };
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(sort.as_str(), key_of(last), last.variant_id)))
}

/// Why a threshold was not set. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SetThresholdError {
    /// There is no such variant.
    #[error("variant {0} does not exist")]
    UnknownVariant(VariantId),
    /// It is below 0, or above [`ON_HAND_MAX`](super::ON_HAND_MAX).
    #[error("a threshold is a number from 0 to {ON_HAND_MAX}")]
    OutOfRange,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

impl Retryable for SetThresholdError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Sets the threshold of a variant, or removes it. Returns the threshold that it had. With a new threshold the shop is
/// told anew.
pub async fn set_low_stock_threshold(
    conn: &mut AsyncPgConnection,
    variant_id: VariantId,
    threshold: Option<i64>,
) -> Result<Option<i64>, SetThresholdError> {
    if threshold.is_some_and(|threshold| !(0..=ON_HAND_MAX).contains(&threshold)) {
        return Err(SetThresholdError::OutOfRange);
    }
    conn.transaction(async |conn| {
        let exists = diesel::select(diesel::dsl::exists(variants::table.find(variant_id)));
        if !exists.get_result::<bool>(conn).await? {
            return Err(SetThresholdError::UnknownVariant(variant_id));
        }
        let before: Option<i64> = stock_thresholds::table
            .find(variant_id)
            .select(stock_thresholds::threshold)
            .for_update()
            .first(conn)
            .await
            .optional()?;
        match threshold {
            _ if threshold == before => {}
            None => {
                diesel::delete(stock_thresholds::table.find(variant_id)).execute(conn).await?;
            }
            Some(threshold) => {
                diesel::sql_query(
                    "INSERT INTO commerce.stock_thresholds (variant_id, threshold) VALUES ($1, $2)
                     ON CONFLICT (variant_id) DO UPDATE SET threshold = excluded.threshold, told_at = NULL",
                )
                .bind::<SqlUuid, _>(variant_id)
                .bind::<BigInt, _>(threshold)
                .execute(conn)
                .await?;
            }
        }
        Ok(before)
    })
    .await
}

#[derive(QueryableByName)]
struct Variant {
    #[diesel(sql_type = SqlUuid)]
    variant_id: VariantId,
}

/// The variants that are low and of which the shop was not told, the fewest units first. Variants that were refilled
/// are forgotten, so that the shop is told of them again. Their rows are locked in the order of ids until the
/// transaction ends.
pub(crate) async fn lock_newly_low(conn: &mut AsyncPgConnection) -> QueryResult<Vec<VariantId>> {
    let refilled = format!(
        "UPDATE commerce.stock_thresholds SET told_at = NULL WHERE variant_id = ANY (ARRAY(
             SELECT variant_id FROM commerce.stock_thresholds
             WHERE told_at IS NOT NULL AND variant_id NOT IN (SELECT t.variant_id {LOW})
             ORDER BY variant_id FOR UPDATE))"
    );
    diesel::sql_query(refilled).execute(conn).await?;
    let low = format!(
        "SELECT variant_id FROM commerce.stock_thresholds
         WHERE told_at IS NULL AND variant_id IN (SELECT t.variant_id {LOW}) ORDER BY variant_id FOR UPDATE"
    );
    let low: Vec<Variant> = diesel::sql_query(low).load(conn).await?;
    let low: Vec<VariantId> = low.into_iter().map(|low| low.variant_id).collect();
    Ok(low_among(conn, &low).await?.into_iter().map(|low| low.variant_id).collect())
}

/// Notes that the shop was told of these variants.
pub(crate) async fn mark_told(conn: &mut AsyncPgConnection, variants: &[VariantId]) -> QueryResult<()> {
    diesel::update(stock_thresholds::table.filter(stock_thresholds::variant_id.eq_any(variants)))
        .set(stock_thresholds::told_at.eq(crate::db::clock().nullable()))
        .execute(conn)
        .await?;
    Ok(())
}

/// These variants with their numbers of now, those that are still low, the fewest units first.
pub(crate) async fn low_among(
    conn: &mut AsyncPgConnection,
    variants: &[VariantId],
) -> QueryResult<Vec<LowStock>> {
    let query = format!(
        "SELECT {COLUMNS} {LOW} AND t.variant_id = ANY ($1) ORDER BY greatest(offer.available, 0), t.variant_id"
    );
    let ids: Vec<_> = variants.iter().map(|id| id.0).collect();
    diesel::sql_query(query).bind::<Array<SqlUuid>, _>(ids).load(conn).await
}
