//! `/admin/inventory/{variant_id}/movements`: the ledger of a variant.

use chrono::{DateTime, Utc};
use commerce_core::ids::{LocationId, VariantId};
use commerce_core::inventory::{
    self, ListMovementsError, MAIN_LOCATION, MovementFilter, MovementKind as Kind,
};
use commerce_core::page::Limit;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{List, Okay, twenty};
use crate::http::auth::{Can, InventoryRead};
use crate::http::problem::{Code, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Movements(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl Movements {
    /// List stock movements of a variant
    ///
    /// Returns the ledger of the variant, newest first. It has every unit that was received, reserved,
    /// released, shipped or returned.
    #[oai(
        path = "/admin/inventory/:variant_id/movements",
        method = "get",
        operation_id = "list_stock_movements"
    )]
    #[allow(clippy::too_many_arguments)]
    async fn movements(
        &self,
        _staff: Can<InventoryRead>,
        variant_id: Path<Uuid>,
        /// Id of the location
        location_id: Query<Option<Uuid>>,
        kind: Query<Option<MovementKind>>,
        /// Only entries at this time or later
        from: Query<Option<DateTime<Utc>>>,
        /// Only entries before this time
        before: Query<Option<DateTime<Utc>>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Movement>>, Refused<ListMovementsError>> {
        let mut conn = self.0.conn().await?;
        let limit = Limit::new(limit.0).unwrap_or_default();
        let variant_id = VariantId(variant_id.0);
        let filter = MovementFilter {
            location_id: location_id.0.map(LocationId),
            kind: kind.0.map(Into::into),
            from: from.0,
            before: before.0,
        };
        let cursor = cursor.0.as_deref();
        let page = inventory::list_movements(&mut conn, variant_id, &filter, limit, cursor).await?;
        Ok(Okay::page(page.map(Movement::from)))
    }
}

/// What a movement does to the stock level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "Kind")]
pub enum MovementKind {
    /// Units were counted, received or written off.
    Adjust,
    /// Units went from one location to another. Each location has an entry.
    Transfer,
    /// Units were reserved for a cart or an order.
    Reserve,
    /// Reserved units were released.
    Release,
    /// Units left with a shipment.
    Consume,
    /// Units came back with a return.
    Return,
    /// The ledger differed from the reservations, and was mended.
    Repair,
}

/// An entry of the ledger.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "StockMovement")]
pub struct Movement {
    pub id: Uuid,
    pub variant_id: Uuid,
    pub location_id: Uuid,
    pub kind: MovementKind,
    pub on_hand_delta: i64,
    pub reserved_delta: i64,
    pub reason: Option<String>,
    pub order_id: Option<Uuid>,
    /// Who made the change: `user:<id>`, `guest` or `system`.
    pub actor: String,
    pub created_at: DateTime<Utc>,
}

impl From<inventory::Movement> for Movement {
    fn from(movement: inventory::Movement) -> Self {
        Self {
            id: movement.id.0,
            variant_id: movement.variant_id.0,
            location_id: movement.location_id.0,
            kind: movement.kind.into(),
            on_hand_delta: movement.on_hand_delta,
            reserved_delta: movement.reserved_delta,
            reason: movement.reason,
            order_id: movement.order_id.map(|id| id.0),
            actor: movement.actor,
            created_at: movement.created_at,
        }
    }
}

impl Refusal for ListMovementsError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownVariant(_) => Problem::not_found("variant"),
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for Movement {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0005),
            variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0004),
            location_id: MAIN_LOCATION.0,
            kind: MovementKind::Adjust,
            on_hand_delta: 24,
            reserved_delta: 0,
            reason: Some("delivery 4711".to_owned()),
            order_id: None,
            actor: "system".to_owned(),
            created_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        }
    }
}
