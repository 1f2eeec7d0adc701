//! An item that a shopper wants.

use crate::ids::VariantId;

/// An item that a shopper wants in the cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The variant wanted.
    pub variant_id: VariantId,
    /// Units: 1 to [`QUANTITY_MAX`](super::QUANTITY_MAX).
    pub quantity: i64,
}
