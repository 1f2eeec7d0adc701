//! `/admin/inventory/transfers`: units that go from one location to another.

use commerce_core::audit_log::{self, Subject};
use commerce_core::ids::{LocationId, VariantId};
use commerce_core::inventory::{self, Demand, MAIN_LOCATION, Shortage, TransferError, TransferStock};
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::json;
use uuid::Uuid;

use crate::http::answer::Created;
use crate::http::auth::{Can, InventoryWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Transfers(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl Transfers {
    /// Transfer stock
    ///
    /// Moves all of the units from one location to another, or none. Reserved units stay where they are. The ledger has
    /// two entries for each variant.
    #[oai(path = "/admin/inventory/transfers", method = "post", operation_id = "transfer_stock")]
    async fn transfer(
        &self,
        staff: Can<InventoryWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<TransferRequest>,
    ) -> Result<Created<Transferred>, Refused<TransferError>> {
        let request = key.request(&staff, body.raw());
        let author = staff.author();
        let TransferRequest { from_location_id, to_location_id, lines, reason } = body.value;
        let demands = lines
            .iter()
            .map(|line| Demand { variant_id: VariantId(line.variant_id), quantity: line.quantity })
            .collect();
        let wish = TransferStock {
            from: LocationId(from_location_id),
            to: LocationId(to_location_id),
            lines: demands,
            reason,
        };
        let effect = async move |conn: &mut AsyncPgConnection| {
            inventory::transfer(conn, &wish, &author.origin).await?;
            let moved = wish
                .lines
                .iter()
                .map(|line| json!({ "variant_id": line.variant_id, "quantity": line.quantity }));
            let facts = json!({ "from": wish.from, "to": wish.to, "lines": moved.collect::<Vec<_>>() });
            let subject = Subject::Inventory;
            audit_log::record_facts(conn, &author, "transfer_stock", subject, None, Some(facts)).await?;
            Ok::<_, TransferError>(Transferred { from_location_id, to_location_id, lines })
        };
        self.0.write("transfer_stock", request, effect).await
    }
}

/// Units to move.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct TransferRequest {
    pub from_location_id: Uuid,
    /// It may be inactive.
    pub to_location_id: Uuid,
    #[oai(validator(min_items = 1, max_items = 200))]
    pub lines: Vec<TransferLine>,
    /// The reason, which is kept in the ledger.
    #[oai(validator(max_length = 500))]
    pub reason: Option<String>,
}

/// Units of a variant.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct TransferLine {
    pub variant_id: Uuid,
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000000")))]
    pub quantity: i64,
}

/// Units that were moved.
#[derive(Debug, Clone, Object)]
#[oai(example, rename = "StockTransfer")]
pub struct Transferred {
    pub from_location_id: Uuid,
    pub to_location_id: Uuid,
    pub lines: Vec<TransferLine>,
}

impl Refusal for TransferError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::TooFewUnits, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::SameLocation => Problem::invalid(vec![Fault::at("/to_location_id", self.to_string())]),
            Self::Nothing => Problem::invalid(vec![Fault::at("/lines", self.to_string())]),
            Self::TooLarge(_) => Problem::invalid(vec![Fault::at("/lines", self.to_string())]),
            Self::UnknownLocation(_) => Problem::not_found("location"),
            Self::UnknownVariant(_) => Problem::not_found("variant"),
            Self::TooFew(short) => {
                let lines: Vec<_> = short.iter().map(line_of).collect();
                Problem::new(Code::TooFewUnits, Code::TooFewUnits.meaning()).with("lines", lines)
            }
            Self::Database(error) => error.into(),
        }
    }
}

fn line_of(short: &Shortage) -> serde_json::Value {
    json!({ "variant_id": short.variant_id, "requested": short.requested, "available": short.available })
}

impl Example for TransferLine {
    fn example() -> Self {
        Self { variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0004), quantity: 6 }
    }
}

impl Example for TransferRequest {
    fn example() -> Self {
        Self {
            from_location_id: MAIN_LOCATION.0,
            to_location_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0006),
            lines: vec![TransferLine::example()],
            reason: Some("for the market".to_owned()),
        }
    }
}

impl Example for Transferred {
    fn example() -> Self {
        let TransferRequest { from_location_id, to_location_id, lines, .. } = TransferRequest::example();
        Self { from_location_id, to_location_id, lines }
    }
}
