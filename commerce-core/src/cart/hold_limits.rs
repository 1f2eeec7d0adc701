//! How much a shopper may keep from other shoppers without having paid for it.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Owner;
use crate::db::{Prepared, time_before};
use crate::inventory::ReservationStatus;
use crate::schema::{orders, stock_reservations};
use crate::settings::ShopSettings;

/// What a shopper's unpaid orders keep from other shoppers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Queryable)]
pub(crate) struct OpenOrders {
    pub orders: i64,
    pub units: i64,
}

/// A shopper may not hold more. What is held is free again when it is paid, cancelled or given up, or when its
/// time has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldLimit {
    /// So many orders may wait for a payment at a time.
    #[error("{0} orders wait for their payment; pay or cancel one of them first")]
    Orders(u32),
    /// So many units may be held at a time, in unpaid orders and, in mode `cart`, in the cart.
    #[error("at most {0} units can be held without a payment; order less, or pay what was ordered before")]
    Units(u32),
}

/// An order that waits for its payment is younger.
const AGE_MAX: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);

/// SQL for whether the order of the row waits for its payment. Carts know nothing else of orders. The status is written
/// out, so that a plan that Postgres keeps can use the index of unpaid orders.
pub(super) fn is_unpaid() -> SqlLiteral<Bool> {
    sql("orders.status = 'pending_payment'")
}

/// What `OrderSource::Cart` is in the table. Orders that staff entered for a customer are the shop's own decision.
const BY_SHOPPER: &str = "cart";

const ORDERS: &str = "count(DISTINCT orders.id)";
const UNITS: &str = "coalesce(sum(stock_reservations.quantity), 0)::bigint";

/// The orders that this owner has placed and that wait for their payment.
pub(crate) async fn open_orders(conn: &AsyncPgConnection, owner: Owner) -> QueryResult<OpenOrders> {
    let held = stock_reservations::table.on(stock_reservations::order_id
        .eq(orders::id.nullable())
        .and(stock_reservations::status.eq(ReservationStatus::Held)));
    let open = orders::table
        .left_join(held)
        .filter(is_unpaid())
        .filter(orders::source.eq(BY_SHOPPER))
        .filter(orders::placed_at.gt(time_before(AGE_MAX)))
        .select((sql::<BigInt>(ORDERS), sql::<BigInt>(UNITS)));
    match owner {
        Owner::User(id) => Prepared(open.filter(orders::user_id.eq(id))).get_result(&mut { conn }).await,
        Owner::Guest(hash) => {
            Prepared(open.filter(orders::token_hash.eq(hash.as_bytes()))).get_result(&mut { conn }).await
        }
    }
}

impl OpenOrders {
    /// Whether so many units may be held as well, without another order.
    pub(crate) fn check_units(self, shop: &ShopSettings, more: i64) -> Result<(), HoldLimit> {
        if self.units + more > i64::from(shop.held_units_max) {
            return Err(HoldLimit::Units(shop.held_units_max));
        }
        Ok(())
    }

    /// Whether there may be another order, of so many units.
    pub(crate) fn check_order(self, shop: &ShopSettings, units: i64) -> Result<(), HoldLimit> {
        if self.orders >= i64::from(shop.open_orders_max) {
            return Err(HoldLimit::Orders(shop.open_orders_max));
        }
        self.check_units(shop, units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_units_count_up_to_their_limits() {
        let shop = ShopSettings { open_orders_max: 2, held_units_max: 10, ..ShopSettings::default() };
        let open = |orders, units| OpenOrders { orders, units };
        assert_eq!(open(0, 0).check_order(&shop, 10), Ok(()));
        assert_eq!(open(0, 0).check_order(&shop, 11), Err(HoldLimit::Units(10)));
        assert_eq!(open(1, 7).check_order(&shop, 3), Ok(()));
        assert_eq!(open(1, 7).check_order(&shop, 4), Err(HoldLimit::Units(10)));
        assert_eq!(open(2, 2).check_order(&shop, 1), Err(HoldLimit::Orders(2)));
        assert_eq!(open(2, 2).check_units(&shop, 8), Ok(()));
    }
}
