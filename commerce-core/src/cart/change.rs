//! Changes to a cart. Each change locks the cart and then, in mode `cart`, the stock that the cart holds.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::hold::{Held, HoldError, hold};
use super::hold_limits::HoldLimit;
use super::limits::{ITEMS_MAX, QUANTITY_MAX};
use super::{Item, LockedCart, Owner, ViewCartError, lock_open, lock_or_open};
use crate::db::{Retryable, clock};
use crate::ids::VariantId;
use crate::inventory::availability::availability;
use crate::inventory::{Available, ReserveError, Shortage, available_by_variant};
use crate::money::Currency;
use crate::pricing::PricingError;
use crate::request::Origin;
use crate::schema::{cart_items, carts, variants};
use crate::settings::{ReservationMode, ShopSettings};

/// Why a cart was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CartError {
    /// The variant does not exist, or it or its product is not active.
    #[error("variant {0} does not exist or is not for sale")]
    NotForSale(VariantId),
    /// The cart has no line for this variant.
    #[error("variant {0} is not in the cart")]
    NotInCart(VariantId),
    /// The quantity is less than one, or more than a cart may hold of a variant.
    #[error(
        "a cart holds 1 to {QUANTITY_MAX} units of a variant; {requested} of {variant_id} were requested"
    )]
    QuantityOutOfRange {
        /// The variant asked for.
        variant_id: VariantId,
        /// The requested units.
        requested: i64,
    },
    /// The cart would have more variants than [`ITEMS_MAX`].
    #[error("a cart holds at most {ITEMS_MAX} different variants")]
    TooManyItems,
    /// Too few units are available. Every variant that is short is listed.
    #[error("not enough in stock")]
    OutOfStock(Vec<Shortage>),
    /// The variant's price is not in the shop's currency.
    #[error("variant {variant_id} is priced in {currency}, which is not the shop's currency")]
    CurrencyMismatch {
        /// The variant.
        variant_id: VariantId,
        /// The currency of its price.
        currency: Currency,
    },
    /// The shopper keeps too much from others without having paid for it.
    #[error(transparent)]
    HoldLimit(#[from] HoldLimit),
    /// The cart cannot be priced, for example because its amount is too large.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<ViewCartError> for CartError {
    fn from(error: ViewCartError) -> Self {
        match error {
            ViewCartError::Pricing(error) => Self::Pricing(error),
            ViewCartError::Database(error) => Self::Database(error),
        }
    }
}

impl From<ReserveError> for CartError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::OutOfStock(shortages) => Self::OutOfStock(shortages),
            ReserveError::Database(error) => Self::Database(error),
        }
    }
}

impl From<HoldError> for CartError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Limit(limit) => Self::HoldLimit(limit),
            HoldError::Reserve(error) => error.into(),
        }
    }
}

impl Retryable for CartError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Adds units to what the cart already has of the variant. Opens a cart if there is none.
pub async fn add_item(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
    item: Item,
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        check_quantity(item)?;
        let cart = lock_or_open(conn, owner).await?;
        let present = cart.items().iter().find(|present| present.variant_id == item.variant_id);
        let quantity = present.map_or(0, |present| present.quantity) + item.quantity;
        let item = Item { quantity, ..item };
        let counted = put(conn, shop, &cart, &[item]).await?;
        hold_stock(conn, shop, &cart, &[], &counted, origin).await
    })
    .await
}

/// Sets the quantity of a variant that is in the cart.
pub async fn set_quantity(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
    item: Item,
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        let cart = lock_with(conn, owner, item.variant_id).await?;
        let counted = put(conn, shop, &cart, &[item]).await?;
        hold_stock(conn, shop, &cart, &[], &counted, origin).await
    })
    .await
}

/// Replaces the items of the cart.
pub async fn replace(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
    items: &[Item],
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        let mut cart = lock_or_open(conn, owner).await?;
        let wanted: Vec<VariantId> = items.iter().map(|item| item.variant_id).collect();
        let dropped: Vec<VariantId> =
            cart.items().iter().map(|item| item.variant_id).filter(|id| !wanted.contains(id)).collect();
        delete_items(conn, &mut cart, &dropped).await?;
        let counted = put(conn, shop, &cart, items).await?;
        // Both the dropped and the new stock are locked at once, because two locks would not follow the order
        // in which a checkout locks.
        hold_stock(conn, shop, &cart, &dropped, &counted, origin).await
    })
    .await
}

/// Takes a variant out of the cart.
pub async fn remove_item(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
    variant_id: VariantId,
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        let mut cart = lock_with(conn, owner, variant_id).await?;
        delete_items(conn, &mut cart, &[variant_id]).await?;
        hold_stock(conn, shop, &cart, &[variant_id], &[], origin).await
    })
    .await
}

/// Empties the cart. It may already be empty.
pub async fn clear(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    owner: Owner,
    origin: &Origin,
) -> Result<(), CartError> {
    conn.transaction(async |conn| {
        let Some(mut cart) = lock_open(conn, owner).await? else { return Ok(()) };
        let all: Vec<VariantId> = cart.items().iter().map(|item| item.variant_id).collect();
        delete_items(conn, &mut cart, &all).await?;
        hold_stock(conn, shop, &cart, &all, &[], origin).await
    })
    .await
}

/// The owner's open cart, locked, if it has this variant.
async fn lock_with(
    conn: &mut AsyncPgConnection,
    owner: Owner,
    variant_id: VariantId,
) -> Result<LockedCart, CartError> {
    let cart = lock_open(conn, owner).await?;
    cart.filter(|cart| cart.items().iter().any(|present| present.variant_id == variant_id))
        .ok_or(CartError::NotInCart(variant_id))
}

fn check_quantity(item: Item) -> Result<(), CartError> {
    let Item { variant_id, quantity } = item;
    if (1..=QUANTITY_MAX).contains(&quantity) {
        Ok(())
    } else {
        Err(CartError::QuantityOutOfRange { variant_id, requested: quantity })
    }
}

/// Checks quantities and writes them into a locked cart. If an item is listed twice, its last quantity
/// counts. Returns the items whose units are counted.
async fn put(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    cart: &LockedCart,
    items: &[Item],
) -> Result<Vec<Item>, CartError> {
    items.iter().try_for_each(|item| check_quantity(*item))?;
    let mut variants: Vec<VariantId> = cart.items().iter().map(|item| item.variant_id).collect();
    variants.extend(items.iter().map(|item| item.variant_id));
    variants.sort_unstable();
    variants.dedup();
    if variants.len() > ITEMS_MAX {
        return Err(CartError::TooManyItems);
    }
    let counted = check_for_sale(conn, shop, items).await?;
    if shop.reservation_mode == ReservationMode::Checkout {
        check_available(conn, &counted).await?;
    }
    write_items(conn, cart, items).await?;
    Ok(counted)
}

/// In mode `cart`, makes the stock holds follow what was written. `items` are those whose units are counted. This
/// comes after all rows of the cart, and locks the stock once.
async fn hold_stock(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    cart: &LockedCart,
    dropped: &[VariantId],
    items: &[Item],
    origin: &Origin,
) -> Result<(), CartError> {
    if shop.reservation_mode == ReservationMode::Checkout {
        return Ok(());
    }
    match hold(conn, shop, cart, dropped, items, origin).await? {
        Held::Yes => Ok(()),
        Held::NoLonger => check_available(conn, items).await,
    }
}

/// Writes quantities into a locked cart. If an item is listed twice, its last quantity counts.
pub(super) async fn write_items(
    conn: &mut AsyncPgConnection,
    cart: &LockedCart,
    items: &[Item],
) -> QueryResult<()> {
    for item in items {
        diesel::insert_into(cart_items::table)
            .values((
                cart_items::cart_id.eq(cart.id()),
                cart_items::variant_id.eq(item.variant_id),
                cart_items::quantity.eq(item.quantity),
            ))
            .on_conflict((cart_items::cart_id, cart_items::variant_id))
            .do_update()
            .set(cart_items::quantity.eq(item.quantity))
            .execute(conn)
            .await?;
    }
    touch(conn, cart).await
}

async fn delete_items(
    conn: &mut AsyncPgConnection,
    cart: &mut LockedCart,
    variants: &[VariantId],
) -> QueryResult<()> {
    if variants.is_empty() {
        return Ok(());
    }
    let rows = cart_items::table
        .filter(cart_items::cart_id.eq(cart.id()))
        .filter(cart_items::variant_id.eq_any(variants));
    diesel::delete(rows).execute(conn).await?;
    cart.forget(variants);
    touch(conn, cart).await
}

async fn touch(conn: &mut AsyncPgConnection, cart: &LockedCart) -> QueryResult<()> {
    diesel::update(carts::table.find(cart.id())).set(carts::updated_at.eq(clock())).execute(conn).await?;
    Ok(())
}

/// Checks that every item is an active variant of an active product, priced in the shop's currency. Returns
/// the items whose units are counted.
async fn check_for_sale(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    items: &[Item],
) -> Result<Vec<Item>, CartError> {
    let for_sale: Vec<(VariantId, Currency, bool)> = variants::table
        .inner_join(availability::table.on(availability::variant_id.eq(variants::id)))
        .filter(variants::id.eq_any(items.iter().map(|item| item.variant_id)))
        .filter(availability::for_sale)
        .select((variants::id, variants::currency, variants::track_inventory))
        .load(conn)
        .await?;
    let mut counted = Vec::with_capacity(items.len());
    for item in items {
        let variant_id = item.variant_id;
        match for_sale.iter().find(|(id, ..)| *id == variant_id) {
            None => return Err(CartError::NotForSale(variant_id)),
            Some((_, currency, _)) if *currency != shop.currency => {
                return Err(CartError::CurrencyMismatch { variant_id, currency: *currency });
            }
            Some((.., true)) => counted.push(*item),
            Some((.., false)) => {}
        }
    }
    Ok(counted)
}

/// Tells a shopper early that there is not enough stock. It is no promise: checkout decides, under the lock.
async fn check_available(conn: &mut AsyncPgConnection, items: &[Item]) -> Result<(), CartError> {
    let variants: Vec<VariantId> = items.iter().map(|item| item.variant_id).collect();
    let available = available_by_variant(conn, &variants).await?;
    let shortage = |&Item { variant_id, quantity: requested }: &Item| {
        let available = available.get(&variant_id).copied().unwrap_or(Available::Units(0)).units()?;
        (requested > available).then_some(Shortage { variant_id, requested, available })
    };
    let shortages: Vec<Shortage> = items.iter().filter_map(shortage).collect();
    if shortages.is_empty() { Ok(()) } else { Err(CartError::OutOfStock(shortages)) }
}
