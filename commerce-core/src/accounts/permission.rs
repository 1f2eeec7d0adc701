//! Who may do what: a role is a set of permissions, and every operation asks for one permission.

use crate::text_enum::text_enum;

text_enum! {
    /// The right to one kind of action on everybody's data. A shopper's own cart, orders and account need none.
    #[non_exhaustive]
    pub enum Permission {
        /// To read products that shoppers do not see.
        ProductsRead = "products.read",
        /// To make, change and import products.
        ProductsWrite = "products.write",
        /// To make, change and delete categories.
        CategoriesWrite = "categories.write",
        /// To read stock levels and movements.
        InventoryRead = "inventory.read",
        /// To adjust stock.
        InventoryWrite = "inventory.write",
        /// To read everybody's orders.
        OrdersRead = "orders.read",
        /// To note something about an order, to begin its processing, and to cancel it while no money has come in for it.
        OrdersWrite = "orders.write",
        /// To read payments and refunds.
        PaymentsRead = "payments.read",
        /// To give money back, also by cancelling an order that was paid.
        PaymentsRefund = "payments.refund",
        /// To send orders off, and to say that they have arrived.
        ShipmentsWrite = "shipments.write",
        /// To handle goods that come back.
        ReturnsWrite = "returns.write",
        /// To read messages from shoppers.
        ContactRead = "contact.read",
        /// To answer messages from shoppers.
        ContactWrite = "contact.write",
        /// To read everybody's accounts.
        UsersRead = "users.read",
        /// To change accounts, roles included.
        UsersWrite = "users.write",
        /// To see jobs and mails.
        OperationsRead = "operations.read",
        /// To retry and cancel jobs.
        OperationsWrite = "operations.write",
    }
}

text_enum! {
    /// What a person is to the shop.
    pub enum Role {
        /// Shops; has no permission on anything but their own.
        Customer = "customer",
        /// Answers shoppers: reads everything about orders, notes something about them, cancels unpaid ones, answers contact messages.
        Support = "support",
        /// Keeps products, categories and stock.
        CatalogueManager = "catalogue_manager",
        /// Moves paid orders on to the shopper: processes and ships them. Cancelling a paid one is for who may give money back.
        Fulfilment = "fulfilment",
        /// May do everything.
        Admin = "admin",
    }
}

impl Role {
    /// Tells whether the role includes the permission.
    pub fn may(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }

    /// Everything that the role allows.
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission::*;
        match self {
            Role::Customer => &[],
            Role::Support => &[
                ProductsRead,
                InventoryRead,
                OrdersRead,
                OrdersWrite,
                PaymentsRead,
                ReturnsWrite,
                ContactRead,
                ContactWrite,
                UsersRead,
            ],
            Role::CatalogueManager => {
                &[ProductsRead, ProductsWrite, CategoriesWrite, InventoryRead, InventoryWrite]
            }
            Role::Fulfilment => &[
                ProductsRead,
                InventoryRead,
                InventoryWrite,
                OrdersRead,
                OrdersWrite,
                ShipmentsWrite,
                ReturnsWrite,
            ],
            Role::Admin => Permission::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_admin_may_change_users_and_a_customer_may_nothing() {
        for role in Role::ALL {
            assert_eq!(role.may(Permission::UsersWrite), *role == Role::Admin, "{role}");
        }
        assert!(Permission::ALL.iter().all(|permission| !Role::Customer.may(*permission)));
        assert!(Permission::ALL.iter().all(|permission| Role::Admin.may(*permission)));
    }
}
