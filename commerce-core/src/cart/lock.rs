//! The row lock on a cart. Whoever changes its items holds it.

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, max};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::hold_limits::is_unpaid;
use super::limits::DAY;
use super::offer::{Offer, offers};
use super::status::is_open;
use super::{CartStatus, Owner};
use crate::db::{Prepared, clock, time_before};
use crate::ids::{CartId, UserId, VariantId};
use crate::schema::{cart_items, carts, orders};

/// An open cart that this transaction has locked. Only [`lock_open`] and [`lock_or_open`] make one.
///
/// ```compile_fail
/// # fn make(id: commerce_core::ids::CartId, owner: commerce_core::cart::Owner) {
/// let locked = commerce_core::cart::LockedCart { id, owner, items: vec![] }; // the fields are private
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a lock is taken to read or change what it guards"]
pub struct LockedCart {
    id: CartId,
    owner: Owner,
    items: Vec<CartItem>,
}

impl LockedCart {
    /// Its id.
    pub fn id(&self) -> CartId {
        self.id
    }

    /// The owner of the cart.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The items, in the order in which they were added.
    pub fn items(&self) -> &[CartItem] {
        &self.items
    }

    /// Drops variants that were removed from the cart's rows.
    pub(super) fn forget(&mut self, variants: &[VariantId]) {
        self.items.retain(|item| !variants.contains(&item.variant_id));
    }
}

/// A variant in a cart, with its quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct CartItem {
    /// The variant in the cart.
    pub variant_id: VariantId,
    /// Units.
    pub quantity: i64,
}

/// Locks the owner's open cart, if there is one.
pub async fn lock_open(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<Option<LockedCart>> {
    let Some(row) = lock_row(conn, owner).await? else { return Ok(None) };
    Ok(Some(row.with_items(conn).await?))
}

/// The locked row of an open cart. Its items are read after the lock was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockedCartRow {
    id: CartId,
    owner: Owner,
    /// Whether orders of the owner wait for their payment. No other order of the owner is placed while the cart is locked.
    pub has_unpaid_orders: bool,
}

impl LockedCartRow {
    /// Reads the items.
    async fn with_items(self, conn: &AsyncPgConnection) -> QueryResult<LockedCart> {
        let Self { id, owner, .. } = self;
        Ok(LockedCart { id, owner, items: items(conn, id).await? })
    }

    /// Reads the items with their current offers.
    pub(crate) async fn with_offers(self, conn: &AsyncPgConnection) -> QueryResult<(LockedCart, Vec<Offer>)> {
        let Self { id, owner, .. } = self;
        let offers = offers(conn, id).await?;
        let item = |&Offer { variant_id, quantity, .. }: &Offer| CartItem { variant_id, quantity };
        Ok((LockedCart { id, owner, items: offers.iter().map(item).collect() }, offers))
    }
}

/// Locks the row of the owner's open cart.
pub(crate) async fn lock_row(
    conn: &mut AsyncPgConnection,
    owner: Owner,
) -> QueryResult<Option<LockedCartRow>> {
    let open = carts::table.filter(is_open());
    let row: Option<(CartId, bool)> = match owner {
        Owner::User(id) => {
            let unpaid = orders::table.filter(orders::user_id.eq(id)).filter(is_unpaid());
            let open = open.filter(carts::user_id.eq(id)).select((carts::id, exists(unpaid)));
            Prepared(open.for_update()).get_result(conn).await
        }
        Owner::Guest(hash) => {
            let hash = hash.as_bytes();
            let unpaid = orders::table.filter(orders::token_hash.eq(hash)).filter(is_unpaid());
            let open = open.filter(carts::token_hash.eq(hash)).select((carts::id, exists(unpaid)));
            Prepared(open.for_update()).get_result(conn).await
        }
    }
    .optional()?;
    Ok(row.map(|(id, has_unpaid_orders)| LockedCartRow { id, owner, has_unpaid_orders }))
}

async fn items(conn: &AsyncPgConnection, id: CartId) -> QueryResult<Vec<CartItem>> {
    cart_items::table
        .filter(cart_items::cart_id.eq(id))
        .order((cart_items::created_at, cart_items::variant_id))
        .select((cart_items::variant_id, cart_items::quantity))
        .load(&mut { conn })
        .await
}

/// Locks the owner's open cart, and opens one if there is none.
pub async fn lock_or_open(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<LockedCart> {
    loop {
        if let Some(cart) = lock_open(conn, owner).await? {
            return Ok(cart);
        }
        // Another request of the same owner may open a cart first. Then the next round finds that cart.
        let id = CartId::new();
        let held_before = match owner {
            Owner::User(user_id) => held_since(conn, user_id).await?,
            Owner::Guest(_) => None,
        };
        let opened = diesel::insert_into(carts::table)
            .values((
                carts::id.eq(id),
                carts::user_id.eq(owner.user_id()),
                carts::token_hash.eq(owner.token_hash()),
                carts::held_since.eq(held_before),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        if opened == 1 {
            return Ok(LockedCart { id, owner, items: Vec::new() });
        }
    }
}

/// Since when the user's former carts have held stock, if that was in the last day.
async fn held_since(conn: &mut AsyncPgConnection, user_id: UserId) -> QueryResult<Option<DateTime<Utc>>> {
    carts::table
        .filter(carts::user_id.eq(user_id))
        .filter(carts::held_since.gt(time_before(DAY).nullable()))
        .select(max(carts::held_since))
        .first(conn)
        .await
}

/// Closes a cart that became an order, or a part of another cart.
pub(crate) async fn close(
    conn: &AsyncPgConnection,
    cart: &LockedCart,
    status: CartStatus,
) -> QueryResult<()> {
    let update = diesel::update(carts::table.find(cart.id))
        .set((carts::status.eq(status), carts::updated_at.eq(clock())));
    Prepared(update).execute(&mut &*conn).await?;
    Ok(())
}
