//! Roles and permissions. A role is a set of permissions, and every operation of staff needs one permission.

use crate::text_enum::text_enum;

text_enum! {
    /// The right to one kind of action on everybody's data. Shoppers need none for their own cart, orders and
    /// account.
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
        /// To add notes to orders, to begin their processing, and to cancel them while no money has come in.
        OrdersWrite = "orders.write",
        /// To read payments and refunds.
        PaymentsRead = "payments.read",
        /// To refund money, also by cancelling a paid order, and to record money that came in without a provider.
        PaymentsRefund = "payments.refund",
        /// To ship orders and to mark them as delivered.
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
    /// What a user may do in the shop.
    pub enum Role {
        /// A customer, who has no permission on the data of others.
        Customer = "customer",
        /// Answers shoppers: reads everything about orders, adds notes, cancels unpaid orders, answers
        /// contact messages.
        Support = "support",
        /// Manages products, categories and stock.
        CatalogueManager = "catalogue_manager",
        /// Processes and ships paid orders. Cancelling a paid order needs the permission to refund.
        Fulfilment = "fulfilment",
        /// May do everything.
        Admin = "admin",
    }
}

impl Permission {
    /// Whether it is a right to change something.
    pub fn is_to_change(self) -> bool {
        match self {
            Self::ProductsRead
            | Self::InventoryRead
            | Self::OrdersRead
            | Self::PaymentsRead
            | Self::ContactRead
            | Self::UsersRead
            | Self::OperationsRead => false,
            Self::ProductsWrite
            | Self::CategoriesWrite
            | Self::InventoryWrite
            | Self::OrdersWrite
            | Self::PaymentsRefund
            | Self::ShipmentsWrite
            | Self::ReturnsWrite
            | Self::ContactWrite
            | Self::UsersWrite
            | Self::OperationsWrite => true,
        }
    }
}

impl Role {
    /// Whether the role includes the permission.
    pub fn may(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }

    /// Whether the role may change anything.
    pub fn may_change(self) -> bool {
        self.permissions().iter().any(|permission| permission.is_to_change())
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
            assert_eq!(role.may_change(), *role != Role::Customer, "{role}");
        }
        assert!(Permission::ALL.iter().all(|permission| !Role::Customer.may(*permission)));
        assert!(Permission::ALL.iter().all(|permission| Role::Admin.may(*permission)));
    }
}
