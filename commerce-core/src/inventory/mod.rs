//! Stock: how much there is of a variant where, what is spoken for, and the ledger of every change.
//!
//! `available = on_hand − reserved`. Whoever changes a level holds its row lock: [`lock`] is the only way to a [`LockedStock`],
//! and everything that changes stock asks for one.

mod adjust;
mod ledger;
mod levels;
mod lock;
mod reservation;
mod reserve;

pub use adjust::{AdjustError, StockAdjustment, adjust, set_on_hand, set_on_hand_where_possible};
pub use ledger::{ListMovementsError, Movement, MovementKind, list_movements};
pub use levels::{Availability, ListLevelsError, StockLevel, available_by_variant, find_level, list_levels};
pub use lock::{LockedStock, lock};
pub use reservation::{
    Reservation, ReservationStatus, commit_for_order, consume_for_order, list_for_order, release_cart_holds,
    release_for_order, release_lapsed_holds,
};
pub use reserve::{Demand, Holder, ReserveError, Shortage, reserve};

/// The location that is seeded, and that stock goes to unless another is named.
pub const MAIN_LOCATION: crate::ids::LocationId =
    crate::ids::LocationId(uuid::Uuid::from_u128(0x00000000_0000_7000_8000_000000000001));
