//! Reads levels without locks, for display only. Decisions need a lock.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Record, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::escape_like;
use crate::ids::{LocationId, ProductId, VariantId};
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{products, stock_levels, stock_locations, variants};
use crate::text_enum::text_enum;

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

/// Filters levels. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct LevelFilter {
    /// Only levels with at most this many units available, of variants that are counted.
    pub available_max: Option<i64>,
    /// Only levels at this location.
    pub location_id: Option<LocationId>,
    /// Part of the SKU or of the product's title.
    pub text: Option<String>,
}

text_enum! {
    /// The sort order of levels.
    pub enum LevelSort {
        /// By variant.
        Variant = "variant_id",
        /// By available units, the fewest first.
        FewestFirst = "available",
        /// By available units, the most first.
        MostFirst = "-available",
    }
}

/// The place of a level in a list. The location decides between equal keys.
type Place = (i64, VariantId);

/// The levels that match. Levels at deleted locations are not listed.
pub async fn list_levels(
    conn: &mut AsyncPgConnection,
    filter: &LevelFilter,
    sort: LevelSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<StockLevel>, ListLevelsError> {
    use stock_levels::{location_id, on_hand, reserved, variant_id};
    let mut query = stock_levels::table
        .inner_join(variants::table.inner_join(products::table))
        .inner_join(stock_locations::table)
        .filter(stock_locations::deleted_at.is_null())
        .select((
            variant_id,
            location_id,
            on_hand,
            reserved,
            variants::sku,
            variants::title,
            products::id,
            products::title,
            variants::track_inventory,
        ))
        .limit(limit.rows_and_one())
        .into_boxed();
    if let Some(available_max) = filter.available_max {
        query = query.filter((on_hand - reserved).le(available_max)).filter(variants::track_inventory);
    }
    if let Some(location) = filter.location_id {
        query = query.filter(location_id.eq(location));
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", escape_like(text));
        let by_sku = variants::sku.assume_not_null().ilike(pattern.clone());
        query = query.filter(products::title.ilike(pattern).or(by_sku));
    }
    let word = sort.as_str();
    let available = || (on_hand - reserved, variant_id, location_id);
    query = match sort {
        LevelSort::Variant => {
            if let Some(last) = Cursor::<VariantId>::place::<LocationId>(cursor, word)? {
                let place = (variant_id, location_id).into_sql::<Record<(SqlUuid, SqlUuid)>>();
                query = query.filter(place.gt(last));
            }
            query.order((variant_id, location_id))
        }
        LevelSort::FewestFirst => {
            if let Some(((units, variant), location)) = Cursor::<Place>::place::<LocationId>(cursor, word)? {
                let place = available().into_sql::<Record<(BigInt, SqlUuid, SqlUuid)>>();
                query = query.filter(place.gt((units, variant, location)));
            }
            query.order(available())
        }
        LevelSort::MostFirst => {
            if let Some(((units, variant), location)) = Cursor::<Place>::place::<LocationId>(cursor, word)? {
                let place = available().into_sql::<Record<(BigInt, SqlUuid, SqlUuid)>>();
                query = query.filter(place.lt((units, variant, location)));
            }
            query.order(((on_hand - reserved).desc(), variant_id.desc(), location_id.desc()))
        }
    };
    let rows: Vec<StockLevel> = query.load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last| match sort {
        LevelSort::Variant => Cursor::at(word, last.variant_id, last.location_id),
        LevelSort::FewestFirst | LevelSort::MostFirst => {
            Cursor::at(word, (last.available(), last.variant_id), last.location_id)
        }
    }))
}
