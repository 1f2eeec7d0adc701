//! The status of a cart.

use crate::text_enum::text_enum;

text_enum! {
    /// The status of a cart. An owner has at most one open cart.
    pub enum CartStatus {
        /// The owner can change it.
        Open = "open",
        /// It became an order.
        Ordered = "ordered",
        /// It became part of another cart.
        Merged = "merged",
    }
}
