//! What lets somebody see an order: to be its owner, or to have a link that was mailed to its address.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::link::order_of_link;
use super::{Order, find_owned, ids_owned};
use crate::cart::{Owner, TokenHash};
use crate::ids::OrderId;
use crate::request::Actor;
use crate::schema::orders;

/// What lets somebody see an order, cancel it, and give goods of it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// They own it.
    Owner(Owner),
    /// They have the token of a link to this one order. It is no access to carts, payments or other orders.
    Link(TokenHash),
}

impl From<Owner> for Access {
    fn from(owner: Owner) -> Self {
        Self::Owner(owner)
    }
}

impl Access {
    /// The actor of a change.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Owner(owner) => owner.actor(),
            Self::Link(_) => Actor::Guest,
        }
    }
}

/// An order by id, if this gives access to it.
pub async fn find_accessible(
    conn: &mut AsyncPgConnection,
    id: OrderId,
    access: Access,
) -> QueryResult<Option<Order>> {
    match access {
        Access::Owner(owner) => find_owned(conn, id, owner).await,
        Access::Link(hash) => {
            let order =
                orders::table.filter(orders::id.eq(id)).filter(orders::id.eq_any(order_of_link(hash)));
            order.select(Order::as_select()).first(conn).await.optional()
        }
    }
}

/// The ids of the orders to which this gives access, as a subquery.
pub(crate) fn ids_accessible(access: Access) -> orders::BoxedQuery<'static, Pg, SqlUuid> {
    match access {
        Access::Owner(owner) => ids_owned(owner),
        Access::Link(hash) => {
            let of_link = orders::table.filter(orders::id.eq_any(order_of_link(hash)));
            of_link.select(orders::id).into_boxed()
        }
    }
}
