//! Shipments: which units of an order were shipped, and whether they have arrived.

mod shipment;

pub use shipment::{Shipment, ShipmentStatus};
pub(crate) use shipment::{insert_whole, mark_delivered};
