//! Mode `cart`: what is in a cart is set aside for its shopper, until the hold lapses.

use diesel_async::AsyncPgConnection;

use super::{Item, LockedCart};
use crate::db;
use crate::ids::VariantId;
use crate::inventory::{self, Demand, Holder, ReserveError};
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Makes the cart hold these quantities, each for the whole time-to-live from now on. The cart's own former holds make room.
pub(super) async fn hold(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    cart: &LockedCart,
    items: &[Item],
    origin: &Origin,
) -> Result<(), ReserveError> {
    let mut stock = inventory::lock(conn, items.iter().map(|item| item.variant_id)).await?;
    inventory::release_cart_holds(conn, &mut stock, cart.id, origin).await?;
    let expires_at =
        diesel_async::RunQueryDsl::get_result(diesel::select(db::time_after(shop.cart_hold_ttl)), conn)
            .await?;
    // An item named twice counts as its last quantity says, as in the cart.
    let wanted: Vec<Demand> = items
        .iter()
        .enumerate()
        .filter(|(index, item)| items.iter().skip(index + 1).all(|later| later.variant_id != item.variant_id))
        .map(|(_, item)| Demand { variant_id: item.variant_id, quantity: item.quantity })
        .collect();
    inventory::reserve(conn, &mut stock, &wanted, Holder::Cart { id: cart.id, expires_at }, origin).await
}

/// Gives back what the cart holds of these variants.
pub(super) async fn let_go(
    conn: &mut AsyncPgConnection,
    cart: &LockedCart,
    variants: &[VariantId],
    origin: &Origin,
) -> Result<(), diesel::result::Error> {
    let mut stock = inventory::lock(conn, variants.iter().copied()).await?;
    inventory::release_cart_holds(conn, &mut stock, cart.id, origin).await
}
