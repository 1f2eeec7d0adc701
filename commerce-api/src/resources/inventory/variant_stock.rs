//! `/admin/inventory/{variant_id}`: the stock of one variant over all locations, and when it counts as low.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::ids::VariantId;
use commerce_core::inventory::{self, LevelAt, MAIN_LOCATION, SetThresholdError};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Object, OpenApi};
use serde_json::json;
use uuid::Uuid;

use crate::http::answer::{Okay, Reply};
use crate::http::auth::{Can, InventoryRead, InventoryWrite};
use crate::http::body::Body;
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct VariantStocks(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl VariantStocks {
    /// Get the stock of a variant
    ///
    /// Returns the stock at each location. With `as_of` it is the stock that the ledger had at that time. An entry of
    /// the ledger counts from the moment that it was written.
    #[oai(path = "/admin/inventory/:variant_id", method = "get", operation_id = "get_variant_stock")]
    async fn get(
        &self,
        _staff: Can<InventoryRead>,
        variant_id: Path<Uuid>,
        /// The time that is asked about. Now by default
        as_of: Query<Option<DateTime<Utc>>>,
    ) -> Result<Okay<VariantStock>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let stock = inventory::find_variant_stock(&mut conn, VariantId(variant_id.0), as_of.0).await?;
        let stock = stock.ok_or(Missing("variant"))?;
        Ok(Okay::new(VariantStock::from(stock)))
    }

    /// Update stock settings of a variant
    ///
    /// A variant for sale is low when no more units are available than its threshold. What has become low is mailed to
    /// the shop (`COMMERCE_ALERT_EMAIL`), at most once a day.
    #[oai(path = "/admin/inventory/:variant_id", method = "patch", operation_id = "update_variant_stock")]
    async fn update(
        &self,
        staff: Can<InventoryWrite>,
        variant_id: Path<Uuid>,
        body: Body<UpdateVariantStockRequest>,
    ) -> Result<Okay<VariantStock>, Refused<SetThresholdError>> {
        let (variant_id, author) = (VariantId(variant_id.0), staff.author());
        let threshold: Option<Option<i64>> = body.value.low_stock_threshold.into();
        let update = async move |conn: &mut AsyncPgConnection| {
            if let Some(threshold) = threshold {
                let before = inventory::set_low_stock_threshold(conn, variant_id, threshold).await?;
                let facts = |threshold: Option<i64>| Some(json!({ "low_stock_threshold": threshold }));
                let (subject, before) = (Subject::Stock(variant_id), facts(before));
                let action = "update_variant_stock";
                audit_log::record_facts(conn, &author, action, subject, before, facts(threshold)).await?;
            }
            let stock = inventory::find_variant_stock(conn, variant_id, None).await?;
            stock.map(VariantStock::from).ok_or(SetThresholdError::UnknownVariant(variant_id))
        };
        let stock = self.0.transaction("update_variant_stock", update).await?;
        Ok(Okay::new(Reply::new(stock)))
    }
}

/// The settings to change. Settings that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateVariantStockRequest {
    /// At so many available units the variant is low. Null removes the threshold.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000000")))]
    pub low_stock_threshold: MaybeUndefined<i64>,
}

/// The stock of a variant over all locations.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct VariantStock {
    pub variant_id: Uuid,
    pub product_id: Uuid,
    pub product_title: String,
    pub variant_title: String,
    pub sku: Option<String>,
    /// Whether units of the variant are counted. If not, it is sold whatever the levels say.
    pub track_inventory: bool,
    /// At so many available units the variant is low.
    pub low_stock_threshold: Option<i64>,
    /// Units on hand at all locations.
    pub on_hand: i64,
    /// Reserved units among them.
    pub reserved: i64,
    /// `on_hand − reserved` at the locations that are active now.
    pub available: i64,
    /// As the locations supply orders.
    pub levels: Vec<LocationStock>,
}

/// The stock of a variant at one location.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct LocationStock {
    pub location_id: Uuid,
    pub location_code: String,
    /// Whether the location supplies orders now.
    pub location_active: bool,
    pub on_hand: i64,
    pub reserved: i64,
    /// `on_hand − reserved`
    pub available: i64,
}

impl From<LevelAt> for LocationStock {
    fn from(level: LevelAt) -> Self {
        Self {
            location_id: level.location_id.0,
            location_code: level.location_code,
            location_active: level.location_active,
            on_hand: level.on_hand,
            reserved: level.reserved,
            available: level.on_hand - level.reserved,
        }
    }
}

impl From<inventory::VariantStock> for VariantStock {
    fn from(stock: inventory::VariantStock) -> Self {
        let levels: Vec<LocationStock> = stock.levels.into_iter().map(LocationStock::from).collect();
        let active = levels.iter().filter(|level| level.location_active);
        Self {
            variant_id: stock.variant_id.0,
            product_id: stock.product_id.0,
            product_title: stock.product_title,
            variant_title: stock.variant_title,
            sku: stock.sku,
            track_inventory: stock.track_inventory,
            low_stock_threshold: stock.low_stock_threshold,
            on_hand: levels.iter().map(|level| level.on_hand).sum(),
            reserved: levels.iter().map(|level| level.reserved).sum(),
            available: active.map(|level| level.available).sum(),
            levels,
        }
    }
}

impl Refusal for SetThresholdError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownVariant(_) => Problem::not_found("variant"),
            Self::OutOfRange => Problem::invalid(vec![Fault::at("/low_stock_threshold", self.to_string())]),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for UpdateVariantStockRequest {
    fn example() -> Self {
        Self { low_stock_threshold: MaybeUndefined::Value(5) }
    }
}

impl Example for LocationStock {
    fn example() -> Self {
        Self {
            location_id: MAIN_LOCATION.0,
            location_code: "main".to_owned(),
            location_active: true,
            on_hand: 15,
            reserved: 3,
            available: 12,
        }
    }
}

impl Example for VariantStock {
    fn example() -> Self {
        Self {
            variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0004),
            product_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0001),
            product_title: "Merino Crew Socks".to_owned(),
            variant_title: "M".to_owned(),
            sku: Some("SOCK-CREW-M".to_owned()),
            track_inventory: true,
            low_stock_threshold: Some(5),
            on_hand: 15,
            reserved: 3,
            available: 12,
            levels: vec![LocationStock::example()],
        }
    }
}
