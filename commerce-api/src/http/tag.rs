//! The tags that group the operations in the spec.

use poem_openapi::Tags;

/// The tags that group the operations in the spec.
#[derive(Tags)]
pub enum Tag {
    /// Registration, login and sessions.
    Auth,
    /// Your own account.
    Me,
    /// The products of the shop.
    Products,
    /// The tree of categories.
    Categories,
    /// For staff: stock levels, movements and locations.
    Inventory,
    /// The shopper's cart.
    Cart,
    /// Checkout and orders.
    Orders,
    /// Payments for orders, and refunds for staff.
    Payments,
    /// Messages from visitors to the shop.
    Contact,
    /// Parcels on their way.
    Shipments,
    /// Goods that come back, and withdrawals from contracts.
    Returns,
    /// For staff: all orders.
    #[oai(rename = "Admin orders")]
    AdminOrders,
    /// For staff: all accounts.
    #[oai(rename = "Admin users")]
    AdminUsers,
    /// For staff: the audit log and jobs.
    Operations,
}

/// The order of the tags: first those of a purchase, in the order a shopper meets them, then those for staff.
pub const CHAPTERS: [&str; 14] = [
    "Auth",
    "Me",
    "Products",
    "Categories",
    "Cart",
    "Orders",
    "Payments",
    "Shipments",
    "Returns",
    "Contact",
    "Inventory",
    "Admin orders",
    "Admin users",
    "Operations",
];
