//! The stock of one variant over all locations, now or at an earlier time.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::{LocationId, ProductId, VariantId};
use crate::page::storable_time;
use crate::schema::{products, stock_thresholds, variants};

/// The stock of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantStock {
    /// The variant.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// The product's title.
    pub product_title: String,
    /// The variant's title.
    pub variant_title: String,
    /// The merchant's own number for the variant.
    pub sku: Option<String>,
    /// Whether units of the variant are counted.
    pub track_inventory: bool,
    /// At so many available units it is low.
    pub low_stock_threshold: Option<i64>,
    /// Its levels, as the locations supply orders.
    pub levels: Vec<LevelAt>,
}

/// The stock of a variant at a location.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct LevelAt {
    /// The location.
    #[diesel(sql_type = SqlUuid)]
    pub location_id: LocationId,
    /// The location's code.
    #[diesel(sql_type = Text)]
    pub location_code: String,
    /// Whether the location supplies orders now.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    pub location_active: bool,
    /// Units that were physically there.
    #[diesel(sql_type = BigInt)]
    pub on_hand: i64,
    /// Units that were reserved.
    #[diesel(sql_type = BigInt)]
    pub reserved: i64,
}

/// The stock of a variant now, or as the ledger had it at a time. An entry of the ledger has the time of its
/// statement, and counts from that time on.
pub async fn find_variant_stock(
    conn: &mut AsyncPgConnection,
    variant_id: VariantId,
    as_of: Option<DateTime<Utc>>,
) -> QueryResult<Option<VariantStock>> {
    let names = variants::table
        .inner_join(products::table)
        .left_join(stock_thresholds::table)
        .filter(variants::id.eq(variant_id))
        .select((
            products::id,
            products::title,
            variants::title,
            variants::sku,
            variants::track_inventory,
            stock_thresholds::threshold.nullable(),
        ));
    type Names = (ProductId, String, String, Option<String>, bool, Option<i64>);
    let names: Option<Names> = names.first(conn).await.optional()?;
    let Some((product_id, product_title, variant_title, sku, track_inventory, low_stock_threshold)) = names
    else {
        return Ok(None);
    };
    let levels = match as_of {
        None => {
            "SELECT level.location_id, place.code AS location_code, place.active AS location_active, level.on_hand, level.reserved
             FROM commerce.stock_levels AS level JOIN commerce.stock_locations AS place ON place.id = level.location_id
             WHERE level.variant_id = $1 AND place.deleted_at IS NULL AND $2 IS NULL
             ORDER BY place.priority, place.id"
        }
        Some(_) => {
            "SELECT place.id AS location_id, place.code AS location_code, place.active AS location_active,
                    sums.on_hand, sums.reserved
             FROM (SELECT location_id, sum(on_hand_delta)::bigint AS on_hand, sum(reserved_delta)::bigint AS reserved
                   FROM commerce.stock_movements WHERE variant_id = $1 AND created_at <= $2 GROUP BY 1) AS sums
             JOIN commerce.stock_locations AS place ON place.id = sums.location_id
             WHERE place.deleted_at IS NULL OR place.deleted_at > $2
             ORDER BY place.priority, place.id"
        }
    };
    let levels: Vec<LevelAt> = diesel::sql_query(levels)
        .bind::<SqlUuid, _>(variant_id)
        .bind::<Nullable<Timestamptz>, _>(as_of.map(storable_time))
        .load(conn)
        .await?;
    Ok(Some(VariantStock {
        variant_id,
        product_id,
        product_title,
        variant_title,
        sku,
        track_inventory,
        low_stock_threshold,
        levels,
    }))
}
