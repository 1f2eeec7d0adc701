//! Taking the row lock on a cart: whoever changes its items holds it.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Owner;
use crate::db::{Prepared, clock};
use crate::ids::{CartId, VariantId};
use crate::schema::{cart_items, carts};

/// An open cart that this transaction has locked, with its items.
#[derive(Debug)]
pub struct LockedCart {
    pub id: CartId,
    pub owner: Owner,
    /// In the order they were added.
    pub items: Vec<CartItem>,
}

/// So many of a variant in a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct CartItem {
    pub variant_id: VariantId,
    /// Units.
    pub quantity: i64,
}

/// Locks the owner's open cart, if there is one.
pub async fn lock_open(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<Option<LockedCart>> {
    let Some(id) = lock_row(conn, owner).await? else { return Ok(None) };
    Ok(Some(LockedCart { id, owner, items: items(conn, id).await? }))
}

/// Locks the row of the owner's open cart alone. What its items are is to be read after that.
pub(crate) async fn lock_row(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<Option<CartId>> {
    let open = carts::table.filter(carts::status.eq("open")).select(carts::id);
    match owner {
        Owner::User(id) => open.filter(carts::user_id.eq(id)).for_update().first(conn).await,
        Owner::Guest(hash) => {
            open.filter(carts::token_hash.eq(hash.as_bytes())).for_update().first(conn).await
        }
    }
    .optional()
}

/// The items of a cart whose row is locked, in the order they were added.
pub(crate) async fn items(conn: &AsyncPgConnection, id: CartId) -> QueryResult<Vec<CartItem>> {
    cart_items::table
        .filter(cart_items::cart_id.eq(id))
        .order((cart_items::created_at, cart_items::variant_id))
        .select((cart_items::variant_id, cart_items::quantity))
        .load(&mut { conn })
        .await
}

/// Locks the owner's open cart, opening one if there is none.
pub async fn lock_or_open(conn: &mut AsyncPgConnection, owner: Owner) -> QueryResult<LockedCart> {
    loop {
        if let Some(cart) = lock_open(conn, owner).await? {
            return Ok(cart);
        }
        // Another request of the same owner may open one first; then theirs is found the next time round.
        let id = CartId::new();
        let opened = diesel::insert_into(carts::table)
            .values((
                carts::id.eq(id),
                carts::user_id.eq(owner.user_id()),
                carts::token_hash.eq(owner.token_hash()),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        if opened == 1 {
            return Ok(LockedCart { id, owner, items: Vec::new() });
        }
    }
}

/// The cart became an order, or part of another cart: it is no longer open.
pub async fn close(conn: &AsyncPgConnection, cart: &LockedCart, status: &'static str) -> QueryResult<()> {
    let update = diesel::update(carts::table.find(cart.id))
        .set((carts::status.eq(status), carts::updated_at.eq(clock())));
    Prepared(update).execute(&mut &*conn).await?;
    Ok(())
}
