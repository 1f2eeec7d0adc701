//! Mode `cart`: the units in a cart are reserved for its shopper until the hold lapses.
//!
//! `inventory/hold.rs` explains when a hold lapses and who then gets its units.

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Item, LockedCart};
use crate::db;
use crate::ids::VariantId;
use crate::inventory::{self, Demand, ReserveError, ReservedFor, Shortage, availability};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Releases what the cart holds of the dropped variants, and makes the cart hold these quantities, each for
/// the whole time-to-live from now on. The cart's own former holds count as available. Units of all `items`
/// are counted.
pub(super) async fn hold(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    cart: &LockedCart,
    dropped: &[VariantId],
    items: &[Item],
    origin: &Origin,
) -> Result<(), ReserveError> {
    if items.is_empty() && dropped.is_empty() {
        return Ok(());
    }
    let variants = items.iter().map(|item| item.variant_id).chain(dropped.iter().copied());
    let mut stock = inventory::lock(conn, variants).await?;
    inventory::release_cart_holds(conn, &mut stock, cart.id(), origin).await?;
    if items.is_empty() {
        return Ok(());
    }
    // If an item is listed twice, its last quantity counts, as in the cart.
    let wanted: Vec<Demand> = items
        .iter()
        .enumerate()
        .filter(|(index, item)| items.iter().skip(index + 1).all(|later| later.variant_id != item.variant_id))
        .map(|(_, item)| Demand { variant_id: item.variant_id, quantity: item.quantity })
        .collect();
    let holder = holder(conn, shop, cart).await?;
    inventory::reserve(conn, &mut stock, &wanted, holder, origin).await
}

/// Makes the cart `into` hold these quantities, or as much as there is. What both carts held counts as
/// available. Checkout will report what is missing.
pub(super) async fn hold_merged(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    from: &LockedCart,
    into: &LockedCart,
    merged: &[Item],
    origin: &Origin,
) -> QueryResult<()> {
    let counted = availability::counted(conn, merged.iter().map(|item| item.variant_id)).await?;
    let mut wanted: Vec<Demand> = merged
        .iter()
        .filter(|item| counted.contains(&item.variant_id))
        .map(|&Item { variant_id, quantity }| Demand { variant_id, quantity })
        .collect();
    let mut stock = inventory::lock(conn, from.items().iter().map(|item| item.variant_id)).await?;
    inventory::release_cart_holds(conn, &mut stock, from.id(), origin).await?;
    inventory::release_cart_holds(conn, &mut stock, into.id(), origin).await?;
    let holder = holder(conn, shop, into).await?;
    loop {
        match inventory::reserve(conn, &mut stock, &wanted, holder, origin).await {
            Ok(()) => return Ok(()),
            Err(ReserveError::Database(error)) => return Err(error),
            // Nothing was reserved. The stock is locked, so what is available now can be reserved.
            Err(ReserveError::OutOfStock(shortages)) => {
                for Shortage { variant_id, available, .. } in shortages {
                    wanted.retain(|demand| demand.variant_id != variant_id);
                    if available > 0 {
                        wanted.push(Demand { variant_id, quantity: available });
                    }
                }
            }
        }
    }
}

/// The cart as a holder, for its whole time-to-live from now on.
async fn holder(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    cart: &LockedCart,
) -> QueryResult<ReservedFor> {
    let expires_at = diesel::select(db::time_after(shop.cart_hold_ttl)).get_result(conn).await?;
    Ok(ReservedFor::Cart { id: cart.id(), expires_at })
}
