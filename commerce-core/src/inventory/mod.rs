//! Stock: how many units of a variant are where, which are reserved, and the ledger of every change.
//!
//! `available = on_hand − reserved` at active locations, unless the variant is not counted
//! (`variants.track_inventory`). Whoever changes a level holds its row lock. Only [`lock`] makes a
//! [`LockedStock`], and everything that changes stock takes one.

mod adjust;
mod allocate;
pub(crate) mod availability;
mod end_reservation;
mod hold;
mod ledger;
mod levels;
mod limits;
mod list_movements;
mod location;
mod lock;
mod low_stock;
mod mend;
mod reservation;
mod reserve;
mod returns;
mod transfer;
mod variant_stock;

pub use adjust::{AdjustError, AdjustStock, CountStock, adjust, set_on_hand};
pub(crate) use adjust::{Apply, Changed, StockChange, Units, change_stock, set_on_hand_where_possible};
pub use allocate::{Demand, Shortage};
pub use availability::{Availability, Available, available_by_variant};
pub use end_reservation::{EndReservationError, NotReserved, consume, release, write_off};
pub(crate) use end_reservation::{release_for_order, write_off_for_order};
pub(crate) use hold::release_cart_holds;
pub use hold::release_lapsed_holds;
pub use ledger::{Movement, MovementKind};
pub use levels::{LevelFilter, LevelSort, ListLevelsError, StockLevel, find_level, list_levels};
pub use limits::ON_HAND_MAX;
pub use list_movements::{LedgerEntry, LedgerExport, ListMovementsError, MovementFilter, list_movements};
pub use location::{
    LOCATION_CODE_CHARS_MAX, LOCATION_NAME_CHARS_MAX, LOCATIONS_MAX, ListLocationsError, Location,
    LocationPatch, LocationSort, NewLocation, WriteLocationError, create_location, delete_location,
    find_location, list_locations, update_location,
};
pub use lock::{LockedStock, lock};
pub use low_stock::{
    ListLowStockError, LowStock, LowStockSort, SetThresholdError, list_low_stock, set_low_stock_threshold,
};
pub(crate) use low_stock::{lock_newly_low, low_among, mark_told};
pub(crate) use mend::mend;
pub use mend::{Drift, find_drift};
pub(crate) use reservation::commit_for_order;
pub use reservation::{Reservation, ReservationStatus, list_for_order};
pub use reserve::{ReserveError, ReservedFor, reserve};
pub use returns::{NotShipped, ReturnError, ReturnedUnits, return_units};
pub(crate) use returns::{return_each_to_stock, return_to_stock, with_shopper};
pub use transfer::{TransferError, TransferStock, transfer};
pub use variant_stock::{LevelAt, VariantStock, find_variant_stock};

/// The location that every shop has. Stock goes here unless another location is named.
pub const MAIN_LOCATION: crate::ids::LocationId =
    crate::ids::LocationId(uuid::Uuid::from_u128(0x00000000_0000_7000_8000_000000000001));
