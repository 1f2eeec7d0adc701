//! A guest logs in: what the guest's cart has moves into the user's.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::change::QUANTITY_MAX;
use super::{CartError, ITEMS_MAX, Item, Owner, TokenHash, close, lock_open, lock_or_open};
use crate::ids::UserId;
use crate::request::Origin;
use crate::schema::cart_items;
use crate::settings::{ReservationMode, ShopSettings};

/// Adds the guest's quantities to the user's, up to the limits of a cart, and closes the guest's cart. Does nothing when the
/// guest has none. Stock that the guest's cart held goes over to the user's as far as there is enough; a login never fails for
/// want of stock.
pub async fn merge(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    guest: TokenHash,
    user_id: UserId,
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        // Guests' carts before users': the order in which every merge locks its two carts.
        let Some(from) = lock_open(conn, Owner::Guest(guest)).await? else { return Ok(()) };
        let into = lock_or_open(conn, Owner::User(user_id)).await?;
        let mut merged: Vec<Item> = Vec::new();
        for item in &from.items {
            let present = into.items.iter().find(|present| present.variant_id == item.variant_id);
            if present.is_none() && into.items.len() + merged.len() >= ITEMS_MAX {
                continue;
            }
            let quantity = (item.quantity + present.map_or(0, |present| present.quantity)).min(QUANTITY_MAX);
            merged.push(Item { variant_id: item.variant_id, quantity });
        }
        for item in &merged {
            diesel::insert_into(cart_items::table)
                .values((
                    cart_items::cart_id.eq(into.id),
                    cart_items::variant_id.eq(item.variant_id),
                    cart_items::quantity.eq(item.quantity),
                ))
                .on_conflict((cart_items::cart_id, cart_items::variant_id))
                .do_update()
                .set(cart_items::quantity.eq(item.quantity))
                .execute(conn)
                .await?;
        }
        if shop.reservation_mode == ReservationMode::Cart {
            let variants: Vec<_> = from.items.iter().map(|item| item.variant_id).collect();
            super::hold::let_go(conn, &from, &variants, origin).await?;
            match super::hold::hold(conn, shop, &into, &merged, origin).await.map_err(CartError::from) {
                // The items stay in the cart; checkout will say what is missing.
                Ok(()) | Err(CartError::OutOfStock(_)) => {}
                Err(error) => return Err(error),
            }
        }
        close(conn, &from, "merged").await?;
        Ok(())
    })
    .await
}
