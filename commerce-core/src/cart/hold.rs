//! Mode `cart`: the units in a cart are reserved for its shopper until the hold lapses.
//!
//! `inventory/hold.rs` explains when a hold lapses and who then gets its units.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::hold_limits::{HoldLimit, open_orders};
use super::limits::DAY;
use super::{Item, LockedCart};
use crate::db;
use crate::ids::VariantId;
use crate::inventory::{self, Demand, ReservationStatus, ReserveError, ReservedFor, Shortage, availability};
use crate::request::Origin;
use crate::schema::{carts, stock_reservations};
use crate::settings::ShopSettings;

/// Why a cart cannot hold its items.
#[derive(Debug)]
pub(super) enum HoldError {
    Limit(HoldLimit),
    Reserve(ReserveError),
}

impl From<HoldLimit> for HoldError {
    fn from(limit: HoldLimit) -> Self {
        Self::Limit(limit)
    }
}

impl From<ReserveError> for HoldError {
    fn from(error: ReserveError) -> Self {
        Self::Reserve(error)
    }
}

impl From<QueryError> for HoldError {
    fn from(error: QueryError) -> Self {
        Self::Reserve(error.into())
    }
}

/// Whether a cart holds its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what is not held must be available at least"]
pub(super) enum Held {
    Yes,
    /// The shopper's carts have held stock for as long as they may.
    NoLonger,
}

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
) -> Result<Held, HoldError> {
    if items.is_empty() && dropped.is_empty() {
        return Ok(Held::Yes);
    }
    let variants = items.iter().map(|item| item.variant_id).chain(dropped.iter().copied());
    let mut stock = inventory::lock(conn, variants).await?;
    inventory::release_cart_holds(conn, &mut stock, cart.id(), origin).await?;
    if items.is_empty() {
        return Ok(Held::Yes);
    }
    // If an item is listed twice, its last quantity counts, as in the cart.
    let wanted: Vec<Demand> = items
        .iter()
        .enumerate()
        .filter(|(index, item)| items.iter().skip(index + 1).all(|later| later.variant_id != item.variant_id))
        .map(|(_, item)| Demand { variant_id: item.variant_id, quantity: item.quantity })
        .collect();
    // What the cart still holds is of other items.
    let units = wanted.iter().map(|demand| demand.quantity).sum::<i64>() + held(conn, cart).await?;
    open_orders(conn, cart.owner()).await?.check_units(shop, units)?;
    let Some(holder) = holder(conn, shop, cart).await? else { return Ok(Held::NoLonger) };
    inventory::reserve(conn, &mut stock, &wanted, holder, origin).await?;
    Ok(Held::Yes)
}

/// Units that the cart holds.
async fn held(conn: &mut AsyncPgConnection, cart: &LockedCart) -> QueryResult<i64> {
    let holds = stock_reservations::table
        .filter(stock_reservations::cart_id.eq(cart.id()))
        .filter(stock_reservations::status.eq(ReservationStatus::Held));
    let quantities: Vec<i64> = holds.select(stock_reservations::quantity).load(conn).await?;
    Ok(quantities.iter().sum())
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
    let Some(holder) = holder(conn, shop, into).await? else { return Ok(()) };
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

/// The cart as a holder, for its whole time-to-live from now on, but not beyond the time for which a shopper's
/// carts hold stock in a day. `None` if that time is over.
async fn holder(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    cart: &LockedCart,
) -> QueryResult<Option<ReservedFor>> {
    let begins_anew = carts::held_since.is_null().or(carts::held_since.le(db::time_before(DAY).nullable()));
    let row = carts::table.find(cart.id());
    diesel::update(row.filter(begins_anew))
        .set(carts::held_since.eq(db::clock().nullable()))
        .execute(conn)
        .await?;
    let (now, held_since): (DateTime<Utc>, Option<DateTime<Utc>>) =
        row.select((db::clock(), carts::held_since)).first(conn).await?;
    let end = held_since.unwrap_or(now) + shop.cart_hold_max;
    let expires_at = end.min(now + shop.cart_hold_ttl);
    Ok((expires_at > now).then_some(ReservedFor::Cart { id: cart.id(), expires_at }))
}
