//! The chapters of the spec.

use poem_openapi::Tags;

/// The chapters of the spec.
#[derive(Tags)]
pub enum Tag {
    /// Registering, logging in, staying logged in.
    Auth,
    /// Your own account.
    Me,
    /// What the shop sells.
    Products,
    /// What products are filed under.
    Categories,
    /// For staff: how much there is of what.
    Inventory,
    /// What a shopper is about to buy.
    Cart,
    /// Checking out, and what comes after.
    Orders,
    /// Money in.
    Payments,
    /// For staff: orders.
    #[oai(rename = "Admin orders")]
    AdminOrders,
    /// For staff: the accounts of others.
    #[oai(rename = "Admin users")]
    AdminUsers,
    /// For staff: what happened in the shop.
    Operations,
}

/// In which order the chapters are shown: as somebody meets them who buys. Others follow.
pub const CHAPTERS: [&str; 11] = [
    "Auth",
    "Me",
    "Products",
    "Categories",
    "Cart",
    "Orders",
    "Payments",
    "Inventory",
    "Admin orders",
    "Admin users",
    "Operations",
];
