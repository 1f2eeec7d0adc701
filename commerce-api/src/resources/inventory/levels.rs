//! `/admin/inventory`: stock levels, and counts of one variant.

use commerce_core::audit_log::{self, Subject};
use commerce_core::db::Retryable;
use commerce_core::ids::{LocationId, VariantId};
use commerce_core::inventory::{
    self, AdjustError, AdjustStock, LevelFilter, LevelSort, ListLevelsError, MAIN_LOCATION,
};
use commerce_core::page::Limit;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, twenty};
use crate::http::auth::{Can, InventoryRead, InventoryWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Inventory(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl Inventory {
    /// List stock levels
    ///
    /// Lists the stock of each variant at each location. `GET /admin/inventory/low` lists what is low.
    #[oai(path = "/admin/inventory", method = "get", operation_id = "list_stock_levels")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        _staff: Can<InventoryRead>,
        /// Only levels with at most this many units available, of variants that are counted
        available_max: Query<Option<i64>>,
        /// Id of the location
        location_id: Query<Option<Uuid>>,
        /// Part of the SKU or of the product's title
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        /// By variant by default
        sort: Query<Option<LevelSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<StockLevel>>, Refused<ListLevelsError>> {
        let mut conn = self.0.conn().await?;
        let limit = Limit::new(limit.0).unwrap_or_default();
        let filter = LevelFilter {
            available_max: available_max.0,
            location_id: location_id.0.map(LocationId),
            text: q.0.filter(|text| !text.trim().is_empty()),
        };
        let sort = sort.0.map_or(LevelSort::Variant, Into::into);
        let page = inventory::list_levels(&mut conn, &filter, sort, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(StockLevel::from)))
    }

    /// Adjust stock
    ///
    /// Adds units to what is on hand, or takes units away, and records it in the ledger. Reserved units
    /// cannot be taken away. The stock of a variant that is not counted (`track_inventory`) can be adjusted
    /// too, and is used once the variant is counted.
    #[oai(path = "/admin/inventory/:variant_id/adjustments", method = "post", operation_id = "adjust_stock")]
    async fn adjust(
        &self,
        staff: Can<InventoryWrite>,
        variant_id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<AdjustStockRequest>,
    ) -> Result<Created<StockLevel>, Refused<AdjustStockError>> {
        let request = key.request(&staff, body.raw());
        let location_id = body.location_id.map_or(MAIN_LOCATION, LocationId);
        let adjustment = AdjustStock {
            variant_id: VariantId(variant_id.0),
            location_id,
            delta: body.delta,
            reason: body.value.reason,
        };
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::Stock(adjustment.variant_id);
            let before = audit_log::snapshot(conn, subject).await?;
            inventory::adjust(conn, std::slice::from_ref(&adjustment), &author.origin).await?;
            audit_log::record(conn, &author, "adjust_stock", subject, before).await?;
            let level = inventory::find_level(conn, adjustment.variant_id, location_id).await?;
            level.map(StockLevel::from).ok_or(AdjustStockError::UnknownVariant)
        };
        self.0.write("adjust_stock", request, effect).await
    }
}

/// The sort order of stock levels. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "StockLevelSort", remote = "LevelSort")]
pub enum LevelSorting {
    #[oai(rename = "variant_id")]
    Variant,
    #[oai(rename = "available")]
    FewestFirst,
    #[oai(rename = "-available")]
    MostFirst,
}

/// The stock of a variant at a location.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct StockLevel {
    pub variant_id: Uuid,
    pub location_id: Uuid,
    pub product_id: Uuid,
    pub product_title: String,
    pub variant_title: String,
    pub sku: Option<String>,
    /// Units that are physically there.
    pub on_hand: i64,
    /// Units on hand that are reserved for orders and carts.
    pub reserved: i64,
    /// `on_hand − reserved`
    pub available: i64,
    /// Whether units of the variant are counted. If not, it is sold whatever the level says.
    pub track_inventory: bool,
}

/// A change of the units on hand.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct AdjustStockRequest {
    /// Units to add. A negative number takes units away.
    #[oai(validator(minimum(value = "-1000000000"), maximum(value = "1000000000")))]
    pub delta: i64,
    /// The reason, which is kept in the ledger.
    #[oai(validator(max_length = 500))]
    pub reason: Option<String>,
    /// The main location by default.
    pub location_id: Option<Uuid>,
}

impl From<inventory::StockLevel> for StockLevel {
    fn from(level: inventory::StockLevel) -> Self {
        Self {
            available: level.available(),
            variant_id: level.variant_id.0,
            location_id: level.location_id.0,
            product_id: level.product_id.0,
            product_title: level.product_title,
            variant_title: level.variant_title,
            sku: level.sku,
            on_hand: level.on_hand,
            reserved: level.reserved,
            track_inventory: level.track_inventory,
        }
    }
}

/// Why stock was not adjusted.
#[derive(Debug, thiserror::Error)]
pub enum AdjustStockError {
    #[error("there is no such variant or location")]
    UnknownVariant,
    #[error(transparent)]
    Adjust(#[from] AdjustError),
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for AdjustStockError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::UnknownVariant => false,
            Self::Adjust(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
        }
    }
}

impl Refusal for AdjustStockError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::StockReserved, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownVariant | Self::Adjust(AdjustError::UnknownLevel(_)) => {
                Problem::not_found("variant or location")
            }
            Self::Adjust(error @ AdjustError::BelowReserved { .. }) => {
                Problem::new(Code::StockReserved, error.to_string())
            }
            Self::Adjust(error @ AdjustError::TooLarge(_)) => {
                Problem::invalid(vec![Fault::at("/delta", error.to_string())])
            }
            Self::Adjust(AdjustError::Nothing(_)) => {
                Problem::invalid(vec![Fault::at("/delta", "must not be 0, because that changes nothing")])
            }
            Self::Adjust(AdjustError::Database(error)) | Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ListLevelsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for StockLevel {
    fn example() -> Self {
        Self {
            variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0004),
            location_id: MAIN_LOCATION.0,
            product_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0001),
            product_title: "Merino Crew Socks".to_owned(),
            variant_title: "M".to_owned(),
            sku: Some("SOCK-CREW-M".to_owned()),
            on_hand: 15,
            reserved: 3,
            available: 12,
            track_inventory: true,
        }
    }
}

impl Example for AdjustStockRequest {
    fn example() -> Self {
        Self { delta: 24, reason: Some("delivery 4711".to_owned()), location_id: None }
    }
}
