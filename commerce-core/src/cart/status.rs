//! Where a cart stands.

use crate::text_enum::text_enum;

text_enum! {
    /// Where a cart stands. An owner has one open cart at most.
    pub enum CartStatus {
        /// Its owner fills it.
        Open = "open",
        /// It became an order.
        Ordered = "ordered",
        /// It became part of another cart.
        Merged = "merged",
    }
}
