//! Moves the items of a guest's cart into the user's cart when the guest logs in.

use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::change::write_items;
use super::hold::hold_merged;
use super::limits::{ITEMS_MAX, QUANTITY_MAX};
use super::{CartError, CartItem, CartStatus, Item, Owner, TokenHash, close, lock_open, lock_or_open};
use crate::ids::UserId;
use crate::request::Origin;
use crate::settings::{ReservationMode, ShopSettings};

/// Adds the guest's quantities to the user's, up to the limits of a cart, and closes the guest's cart. Does
/// nothing if the guest has no cart. Stock that the guest's cart held moves to the user's cart, as far as
/// there is enough. A login never fails for lack of stock.
pub async fn merge(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    guest: TokenHash,
    user_id: UserId,
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        // Guests' carts are locked before users' carts. Every merge locks its two carts in this order.
        let Some(from) = lock_open(conn, Owner::Guest(guest)).await? else { return Ok(()) };
        let into = lock_or_open(conn, Owner::User(user_id)).await?;
        let merged = add_up(from.items(), into.items());
        write_items(conn, &into, &merged).await?;
        if shop.reservation_mode == ReservationMode::Cart {
            hold_merged(conn, shop, &from, &into, &merged, origin).await?;
        }
        close(conn, &from, CartStatus::Merged).await?;
        Ok(())
    })
    .await
}

/// The user's new quantities of the guest's items, up to the limits of a cart. A pure function.
fn add_up(from: &[CartItem], into: &[CartItem]) -> Vec<Item> {
    let mut room = ITEMS_MAX.saturating_sub(into.len());
    let mut merged = Vec::new();
    for item in from {
        let present = into.iter().find(|present| present.variant_id == item.variant_id);
        if present.is_none() {
            if room == 0 {
                continue;
            }
            room -= 1;
        }
        let quantity = (item.quantity + present.map_or(0, |present| present.quantity)).min(QUANTITY_MAX);
        merged.push(Item { variant_id: item.variant_id, quantity });
    }
    merged
}
