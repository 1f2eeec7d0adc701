//! Requests and answers of `/shipments`.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::Author;
use commerce_core::flows::{AddCheckpoint, CreateShipment, MoveShipment, PackedLine, Sighting};
use commerce_core::ids::{OrderId, OrderLineId, ShipmentId};
use commerce_core::settings::Carriers;
use commerce_core::shipments::{self, ShipmentAddress};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use uuid::Uuid;

use crate::http::problem::{Fault, Problem};

/// The status of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "shipments::ShipmentStatus")]
pub enum ShipmentStatus {
    Pending,
    Shipped,
    InTransit,
    OutForDelivery,
    Delivered,
    FailedAttempt,
    Returned,
    Lost,
    Cancelled,
}

/// The first status of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum FirstStatus {
    /// It is being packed.
    Pending,
    /// The carrier has it.
    Shipped,
}

/// The next status of a shipment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum NextStatus {
    Shipped,
    InTransit,
    OutForDelivery,
    Delivered,
    FailedAttempt,
    Returned,
    Lost,
    Cancelled,
}

impl From<NextStatus> for shipments::ShipmentStatus {
    fn from(status: NextStatus) -> Self {
        match status {
            NextStatus::Shipped => Self::Shipped,
            NextStatus::InTransit => Self::InTransit,
            NextStatus::OutForDelivery => Self::OutForDelivery,
            NextStatus::Delivered => Self::Delivered,
            NextStatus::FailedAttempt => Self::FailedAttempt,
            NextStatus::Returned => Self::Returned,
            NextStatus::Lost => Self::Lost,
            NextStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// What a carrier reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum CheckpointStatus {
    Shipped,
    InTransit,
    OutForDelivery,
    Delivered,
    FailedAttempt,
    Returned,
    Lost,
}

impl From<CheckpointStatus> for shipments::ShipmentStatus {
    fn from(status: CheckpointStatus) -> Self {
        match status {
            CheckpointStatus::Shipped => Self::Shipped,
            CheckpointStatus::InTransit => Self::InTransit,
            CheckpointStatus::OutForDelivery => Self::OutForDelivery,
            CheckpointStatus::Delivered => Self::Delivered,
            CheckpointStatus::FailedAttempt => Self::FailedAttempt,
            CheckpointStatus::Returned => Self::Returned,
            CheckpointStatus::Lost => Self::Lost,
        }
    }
}

/// Units of a line of the order in a parcel.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct ShipmentLine {
    pub order_line_id: Uuid,
    #[oai(validator(minimum(value = "1")))]
    pub quantity: i64,
}

impl Example for ShipmentLine {
    fn example() -> Self {
        Self { order_line_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31), quantity: 1 }
    }
}

/// A parcel to send.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct ShipmentRequest {
    pub order_id: Uuid,
    /// What is in it. Everything that is in no parcel yet by default.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub lines: Option<Vec<ShipmentLine>>,
    #[oai(validator(min_length = 1, max_length = 100))]
    pub carrier: Option<String>,
    /// The carrier's number. A number of the shop's own by default.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub tracking_number: Option<String>,
    /// `pending` by default.
    pub status: Option<FirstStatus>,
    /// The shipment that was lost or came back, whose units are sent again.
    pub replaces: Option<Uuid>,
}

impl ShipmentRequest {
    pub fn wish(self, author: Author) -> CreateShipment {
        let packed = |line: ShipmentLine| PackedLine {
            order_line_id: OrderLineId(line.order_line_id),
            quantity: line.quantity,
        };
        CreateShipment {
            order_id: OrderId(self.order_id),
            lines: self.lines.map(|lines| lines.into_iter().map(packed).collect()),
            carrier: self.carrier,
            tracking_number: self.tracking_number,
            replaces: self.replaces.map(ShipmentId),
            shipped: self.status == Some(FirstStatus::Shipped),
            author,
        }
    }
}

impl Example for ShipmentRequest {
    fn example() -> Self {
        Self {
            order_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b30),
            lines: None,
            carrier: Some("DHL".to_owned()),
            tracking_number: Some("00340434161094042557".to_owned()),
            status: Some(FirstStatus::Shipped),
            replaces: None,
        }
    }
}

/// The next status of a shipment, and what is known about the step.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct MoveShipmentRequest {
    pub status: NextStatus,
    #[oai(validator(min_length = 1, max_length = 200))]
    pub location: Option<String>,
    /// The shopper reads it.
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub message: Option<String>,
    /// Now by default.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whether the units can be sold again. Only with `returned`. True by default.
    pub restock: Option<bool>,
}

impl MoveShipmentRequest {
    pub fn wish(
        self,
        address: ShipmentAddress,
        expected_version: Option<i32>,
        author: Author,
    ) -> Result<MoveShipment, Problem> {
        if self.restock.is_some() && self.status != NextStatus::Returned {
            let message = "only units that came back can be restocked";
            return Err(Problem::invalid(vec![Fault::at("/restock", message)]));
        }
        let Self { location, message, occurred_at, .. } = self;
        Ok(MoveShipment {
            address,
            to: self.status.into(),
            sighting: Sighting { location, message, occurred_at, event_id: None },
            restock: self.restock.unwrap_or(true),
            expected_version,
            author,
        })
    }
}

impl Example for MoveShipmentRequest {
    fn example() -> Self {
        Self {
            status: NextStatus::Shipped,
            location: Some("London".to_owned()),
            message: None,
            occurred_at: None,
            restock: None,
        }
    }
}

/// What a carrier reports about a parcel.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct CheckpointRequest {
    pub status: CheckpointStatus,
    #[oai(validator(min_length = 1, max_length = 200))]
    pub location: Option<String>,
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub message: Option<String>,
    /// Now by default.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The carrier's own id of the event.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub event_id: Option<String>,
}

impl CheckpointRequest {
    pub fn wish(self, address: ShipmentAddress, author: Author) -> AddCheckpoint {
        let Self { location, message, occurred_at, event_id, .. } = self;
        let sighting = Sighting { location, message, occurred_at, event_id };
        AddCheckpoint { address, status: self.status.into(), sighting, author }
    }
}

impl Example for CheckpointRequest {
    fn example() -> Self {
        Self {
            status: CheckpointStatus::InTransit,
            location: Some("Leipzig".to_owned()),
            message: Some("Arrived at the sorting centre".to_owned()),
            occurred_at: DateTime::from_timestamp(1_767_225_600, 0),
            event_id: Some("LEJ-20260101-0001".to_owned()),
        }
    }
}

/// What happened to a parcel on its way.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Checkpoint {
    pub status: ShipmentStatus,
    pub location: Option<String>,
    pub message: Option<String>,
    pub occurred_at: DateTime<Utc>,
}

impl From<shipments::Checkpoint> for Checkpoint {
    fn from(checkpoint: shipments::Checkpoint) -> Self {
        let shipments::Checkpoint { status, location, message, occurred_at, .. } = checkpoint;
        Self { status: status.into(), location, message, occurred_at }
    }
}

impl Example for Checkpoint {
    fn example() -> Self {
        Self {
            status: ShipmentStatus::InTransit,
            location: Some("Leipzig".to_owned()),
            message: Some("Arrived at the sorting centre".to_owned()),
            occurred_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        }
    }
}

/// A parcel.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Shipment {
    pub id: Uuid,
    pub order_id: Uuid,
    pub tracking_number: String,
    /// The carrier's page about the parcel, if the shop knows one.
    pub tracking_url: Option<String>,
    pub carrier: Option<String>,
    pub status: ShipmentStatus,
    pub lines: Vec<ShipmentLine>,
    /// By `occurred_at`, the oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// The shipment that was lost or came back, whose units this one brings again.
    pub replaces: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub shipped_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
}

impl Shipment {
    /// The shipments with their lines and checkpoints. It takes two queries, however many there are.
    pub async fn read(
        conn: &mut AsyncPgConnection,
        carriers: &Carriers,
        shipments: Vec<shipments::Shipment>,
    ) -> QueryResult<Vec<Self>> {
        let ids: Vec<ShipmentId> = shipments.iter().map(|shipment| shipment.id).collect();
        let mut lines = shipments::lines(conn, &ids).await?;
        let mut checkpoints = shipments::checkpoints(conn, &ids).await?;
        let one = |shipment: shipments::Shipment| {
            let id = shipment.id;
            let own_lines = lines.extract_if(.., |line| line.shipment_id == id).collect();
            let own_checkpoints =
                checkpoints.extract_if(.., |checkpoint| checkpoint.shipment_id == id).collect();
            Self::of(shipment, own_lines, own_checkpoints, carriers)
        };
        Ok(shipments.into_iter().map(one).collect())
    }

    fn of(
        shipment: shipments::Shipment,
        lines: Vec<shipments::ShipmentLine>,
        checkpoints: Vec<shipments::Checkpoint>,
        carriers: &Carriers,
    ) -> Self {
        let carrier = shipment.carrier.as_deref();
        let line = |line: shipments::ShipmentLine| ShipmentLine {
            order_line_id: line.order_line_id.0,
            quantity: line.quantity,
        };
        Self {
            id: shipment.id.0,
            order_id: shipment.order_id.0,
            tracking_url: carrier
                .and_then(|carrier| carriers.tracking_url(carrier, &shipment.tracking_number)),
            tracking_number: shipment.tracking_number,
            carrier: shipment.carrier,
            status: shipment.status.into(),
            lines: lines.into_iter().map(line).collect(),
            checkpoints: checkpoints.into_iter().map(Checkpoint::from).collect(),
            replaces: shipment.replaces.map(|id| id.0),
            created_at: shipment.created_at,
            shipped_at: shipment.shipped_at,
            delivered_at: shipment.delivered_at,
        }
    }
}

impl Example for Shipment {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_139_200, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b61),
            order_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b30),
            tracking_number: "00340434161094042557".to_owned(),
            tracking_url: Some("https://www.dhl.com/track?id=00340434161094042557".to_owned()),
            carrier: Some("DHL".to_owned()),
            status: ShipmentStatus::InTransit,
            lines: vec![ShipmentLine::example()],
            checkpoints: vec![Checkpoint::example()],
            replaces: None,
            created_at: at,
            shipped_at: Some(at),
            delivered_at: None,
        }
    }
}
