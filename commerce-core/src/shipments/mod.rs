//! Shipments: which units of an order are in which parcel, where the parcels are, and whether they have arrived.

mod checkpoint;
mod find;
mod shipment;
mod status;
mod units;

pub use checkpoint::{CHECKPOINTS_MAX, Checkpoint, checkpoints};
pub(crate) use checkpoint::{NewCheckpoint, count_checkpoints, insert_checkpoint};
pub use find::{FindShipmentError, ListShipmentsError, ShipmentAddress, ShipmentFilter, find, list};
pub use shipment::{LockedShipment, Shipment, ShipmentLine, lines, list_for_order};
pub(crate) use shipment::{MoveError, NewShipment, insert, is_taken, lock};
pub use status::{ShipmentStatus, ShipmentTransitionError};
pub use units::{ParcelUnits, parcel_units};
pub(crate) use units::{delivered_within, lost_units, replaced_units};
