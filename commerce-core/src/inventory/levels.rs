//! Reads levels without locks, for display only. Decisions need a lock.

use diesel::prelude::*;
use diesel::sql_types::{Record, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::{LocationId, ProductId, VariantId};
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{products, stock_levels, variants};

/// A stock level with the names of its product and variant.
#[derive(Debug, Clone, Queryable)]
pub struct StockLevel {
    /// The variant.
    pub variant_id: VariantId,
    /// The location.
    pub location_id: LocationId,
    /// Units that are physically there, including reserved ones.
    pub on_hand: i64,
    /// Units that are reserved for carts and orders.
    pub reserved: i64,
    /// The merchant's own number for the variant.
    pub sku: Option<String>,
    /// The variant's title.
    pub variant_title: String,
    /// The product that it is a variant of.
    pub product_id: ProductId,
    /// The product's title.
    pub product_title: String,
    /// Whether units of the variant are counted. If not, nothing is reserved of the level.
    pub track_inventory: bool,
}

impl StockLevel {
    /// Units that can still be reserved.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The level of a variant at a location.
pub async fn find_level(
    conn: &mut AsyncPgConnection,
    variant_id: VariantId,
    location_id: LocationId,
) -> QueryResult<Option<StockLevel>> {
    stock_levels::table
        .inner_join(variants::table.inner_join(products::table))
        .filter(stock_levels::variant_id.eq(variant_id).and(stock_levels::location_id.eq(location_id)))
        .select((
            stock_levels::variant_id,
            stock_levels::location_id,
            stock_levels::on_hand,
            stock_levels::reserved,
            variants::sku,
            variants::title,
            products::id,
            products::title,
            variants::track_inventory,
        ))
        .first(conn)
        .await
        .optional()
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListLevelsError {
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const BY_VARIANT: &str = "variant_id";

/// Levels sorted by variant. With `available_max`, only levels with at most this many units available, of
/// variants that are counted.
pub async fn list_levels(
    conn: &mut AsyncPgConnection,
    available_max: Option<i64>,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<StockLevel>, ListLevelsError> {
    let mut query = stock_levels::table
        .inner_join(variants::table.inner_join(products::table))
        .select((
            stock_levels::variant_id,
            stock_levels::location_id,
            stock_levels::on_hand,
            stock_levels::reserved,
            variants::sku,
            variants::title,
            products::id,
            products::title,
            variants::track_inventory,
        ))
        .order((stock_levels::variant_id, stock_levels::location_id))
        .limit(limit.rows_and_one())
        .into_boxed();
    if let Some(available_max) = available_max {
        query = query.filter((stock_levels::on_hand - stock_levels::reserved).le(available_max));
        query = query.filter(variants::track_inventory);
    }
    if let Some(last) = Cursor::<VariantId>::place::<LocationId>(cursor, BY_VARIANT)? {
        let place = (stock_levels::variant_id, stock_levels::location_id);
        query = query.filter(place.into_sql::<Record<(SqlUuid, SqlUuid)>>().gt(last));
    }
    let rows: Vec<StockLevel> = query.load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(BY_VARIANT, last.variant_id, last.location_id)))
}
