//! `/admin/inventory/low`: what is low.

use commerce_core::inventory::{self, ListLowStockError, LowStockSort};
use commerce_core::page::Limit;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{List, Okay, twenty};
use crate::http::auth::{Can, InventoryRead};
use crate::http::problem::{Code, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct LowStocks(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl LowStocks {
    /// List what is low
    ///
    /// Lists the variants that are for sale and counted, and of which no more units are available than their
    /// threshold.
    #[oai(path = "/admin/inventory/low", method = "get", operation_id = "list_low_stock")]
    async fn list(
        &self,
        _staff: Can<InventoryRead>,
        /// Part of the SKU or of the product's title
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        /// The fewest available units first by default
        sort: Query<Option<LowStockSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<LowStock>>, Refused<ListLowStockError>> {
        let text = q.0.filter(|text| !text.trim().is_empty());
        let sort = sort.0.map_or(LowStockSort::FewestFirst, Into::into);
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let cursor = cursor.0.as_deref();
        let page = inventory::list_low_stock(&mut conn, text.as_deref(), sort, limit, cursor).await?;
        Ok(Okay::page(page.map(LowStock::from)))
    }
}

/// The sort order of what is low. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "LowStockSort", remote = "LowStockSort")]
pub enum LowStockSorting {
    #[oai(rename = "available")]
    FewestFirst,
    #[oai(rename = "-available")]
    MostFirst,
    /// The greatest distance below the threshold first
    #[oai(rename = "-missing")]
    MissingMost,
}

/// A variant that is low.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct LowStock {
    pub variant_id: Uuid,
    pub product_id: Uuid,
    pub product_title: String,
    pub variant_title: String,
    pub sku: Option<String>,
    /// Units that can be sold now, over all active locations.
    pub available: i64,
    /// At so many available units the variant is low.
    pub low_stock_threshold: i64,
}

impl From<inventory::LowStock> for LowStock {
    fn from(low: inventory::LowStock) -> Self {
        Self {
            variant_id: low.variant_id.0,
            product_id: low.product_id.0,
            product_title: low.product_title,
            variant_title: low.variant_title,
            sku: low.sku,
            available: low.available,
            low_stock_threshold: low.threshold,
        }
    }
}

impl Refusal for ListLowStockError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for LowStock {
    fn example() -> Self {
        Self {
            variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0004),
            product_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0001),
            product_title: "Merino Crew Socks".to_owned(),
            variant_title: "M".to_owned(),
            sku: Some("SOCK-CREW-M".to_owned()),
            available: 2,
            low_stock_threshold: 5,
        }
    }
}
