//! Stock: how many units of a variant are where, which are reserved, and the ledger of every change.
//!
//! `available = on_hand − reserved`, unless the variant is not counted (`variants.track_inventory`). Whoever changes a level holds its row lock. Only [`lock`] makes a
//! [`LockedStock`], and everything that changes stock takes one.

mod adjust;
mod allocate;
pub(crate) mod availability;
mod end_reservation;
mod hold;
mod ledger;
mod levels;
mod limits;
mod lock;
mod reservation;
mod reserve;
mod returns;

pub(crate) use adjust::set_on_hand_where_possible;
pub use adjust::{AdjustError, AdjustStock, CountStock, adjust, set_on_hand};
pub use allocate::{Demand, Shortage};
pub use availability::{Availability, Available, available_by_variant};
pub use end_reservation::{EndReservationError, NotReserved, consume, release, write_off};
pub(crate) use end_reservation::{release_for_order, write_off_for_order};
pub(crate) use hold::release_cart_holds;
pub use hold::release_lapsed_holds;
pub use ledger::{ListMovementsError, Movement, MovementKind, list_movements};
pub use levels::{ListLevelsError, StockLevel, find_level, list_levels};
pub use limits::ON_HAND_MAX;
pub use lock::{LockedStock, lock};
pub(crate) use reservation::commit_for_order;
pub use reservation::{Reservation, ReservationStatus, list_for_order};
pub use reserve::{ReserveError, ReservedFor, reserve};
pub use returns::{NotShipped, ReturnError, ReturnedUnits, return_units};
pub(crate) use returns::{return_each_to_stock, return_to_stock, with_shopper};

/// The location that every shop has. Stock goes here unless another location is named.
pub const MAIN_LOCATION: crate::ids::LocationId =
    crate::ids::LocationId(uuid::Uuid::from_u128(0x00000000_0000_7000_8000_000000000001));
