//! Shipments: which units of an order left, and whether they arrived.

mod shipment;

pub use shipment::{Shipment, ShipmentStatus};
pub(crate) use shipment::{insert_whole, mark_delivered};
