//! A cart becomes an order, with its stock reserved: all of it, or nothing.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::future::{BoxFuture, ready, try_join, try_join_all, try_join3, try_join4};
use futures_util::{FutureExt as _, TryFutureExt as _};
use serde_json::json;

use crate::cart::{self, CartItem, ItemProblem, LockedCart, Offer, Owner};
use crate::db::{self, Retryable};
use crate::email_address::EmailAddress;
use crate::ids::{OrderId, OrderLineId, VariantId};
use crate::inventory::{self, Demand, LockedStock, ReservationStatus, ReserveError, ReservedFor, Shortage};
use crate::money::{Currency, Money};
use crate::notifications::{NewEmail, Template, enqueue_email};
use crate::orders::{
    self, Address, EventKind, NewLine, NewOrder, NewOrderSource, Order, OrderLine, OrderStatus,
};
use crate::pricing::{Priced, PricedLine, PricingError, Totals};
use crate::request::Origin;
use crate::settings::{ReservationMode, ShopSettings};

/// The wish to order what is in the owner's cart.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// Whose open cart it is.
    pub owner: Owner,
    /// Where mails about the order go.
    pub email: EmailAddress,
    /// Where the parcel goes.
    pub shipping_address: Address,
    /// The shipping address unless given.
    pub billing_address: Option<Address>,
    /// What the shopper was shown; another total is refused.
    pub expected_total: Option<Money>,
    /// For the order's timeline and the stock ledger.
    pub origin: Origin,
}

/// The order that came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlacedOrder {
    /// The order as it was written.
    pub order: Order,
    /// By position.
    pub lines: Vec<OrderLine>,
}

/// Why no order was placed. Nothing was changed, and the cart is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// The owner has no open cart, or nothing is in it.
    #[error("the cart is empty")]
    CartEmpty,
    /// Every variant that falls short, with what is left of it.
    #[error("not enough in stock")]
    OutOfStock(Vec<Shortage>),
    /// They, or their products, are no longer active.
    #[error("some items are no longer for sale")]
    NotForSale(Vec<VariantId>),
    /// A price was changed while the goods were in the cart.
    #[error("the total is {actual}, not {expected}")]
    PriceChanged {
        /// The total that the shopper saw.
        expected: Money,
        /// The total at today's prices.
        actual: Money,
    },
    /// A variant's price is not in the shop's currency.
    #[error("variant {variant_id} is priced in {currency}, which is not the shop's currency")]
    CurrencyMismatch {
        /// The variant.
        variant_id: VariantId,
        /// The currency of its price.
        currency: Currency,
    },
    /// The order cannot be priced, such as when it is worth more than can be counted.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<ReserveError> for PlaceOrderError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::OutOfStock(shortages) => Self::OutOfStock(shortages),
            ReserveError::Database(error) => Self::Database(error),
        }
    }
}

impl Retryable for PlaceOrderError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Places an order over the owner's open cart, closes the cart, and puts the mail on the way.
///
/// Locks the cart, then the stock: last, so that others who want the same goods wait only for the reservation and the commit.
pub async fn place_order(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: PlaceOrder,
) -> Result<PlacedOrder, PlaceOrderError> {
    conn.transaction(async |conn| {
        let (placed, ()) = place_order_along_with(conn, shop, wish, |_, _| ready(Ok(())).boxed()).await?;
        Ok(placed)
    })
    .await
}

/// As [`place_order`], for a caller whose own transaction ends with the first error: after an `Err` it must roll back, since part
/// of the order may have been written. `along` is what the caller writes about the placed order; its statements travel together
/// with the reservation, so that others who want the same goods do not wait for a round trip of theirs.
///
/// Fails with [`QueryError::NotInTransaction`] where no transaction is open.
pub async fn place_order_along_with<A, F>(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: PlaceOrder,
    along: F,
) -> Result<(PlacedOrder, A), PlaceOrderError>
where
    F: for<'c> FnOnce(&'c AsyncPgConnection, &PlacedOrder) -> BoxFuture<'c, QueryResult<A>>,
{
    db::require_transaction(conn)?;
    let row = cart::lock_row(conn, wish.owner).await?.ok_or(PlaceOrderError::CartEmpty)?;
    let (cart, offers) = row.with_offers(conn).await?;
    if offers.is_empty() {
        return Err(PlaceOrderError::CartEmpty);
    }
    check_offers(&offers, shop.currency)?;
    let priced = cart::price_offers(&offers)?;
    check_total(Money::new(priced.totals.total_minor, shop.currency), wish.expected_total)?;

    let (new_order, new_lines) = (new_order(&wish, &cart, shop, priced.totals), new_lines(&offers, &priced));
    let (placed, mut stock) = write_and_lock_stock(conn, new_order, &cart, &new_lines, &wish.origin).await?;
    let along = along(conn, &placed).err_into();
    let reserve = reserve(conn, shop, &placed.order, &cart, &mut stock, &wish.origin);
    let ((), written) = try_join(reserve, along).await?;
    Ok((placed, written))
}

/// Refuses what the shop does not sell, or not in its currency.
fn check_offers(offers: &[Offer], currency: Currency) -> Result<(), PlaceOrderError> {
    let refused = |problem| offers.iter().filter(move |offer| offer.refusal(currency) == Some(problem));
    if let Some(&Offer { variant_id, unit_price, .. }) = refused(ItemProblem::CurrencyMismatch).next() {
        return Err(PlaceOrderError::CurrencyMismatch { variant_id, currency: unit_price.currency });
    }
    let not_for_sale: Vec<_> = refused(ItemProblem::NotForSale).map(|offer| offer.variant_id).collect();
    if not_for_sale.is_empty() { Ok(()) } else { Err(PlaceOrderError::NotForSale(not_for_sale)) }
}

fn new_lines(offers: &[Offer], priced: &Priced) -> Vec<NewLine> {
    let line = |(offer, priced): (&Offer, &PricedLine)| NewLine {
        id: OrderLineId::new(),
        variant_id: offer.variant_id,
        sku: offer.sku.clone(),
        title: offer.title.clone(),
        quantity: offer.quantity,
        unit_price_minor: offer.unit_price.amount_minor,
        line_total_minor: priced.total_minor,
    };
    offers.iter().zip(&priced.lines).map(line).collect()
}

fn check_total(actual: Money, expected: Option<Money>) -> Result<(), PlaceOrderError> {
    match expected {
        Some(expected) if expected != actual => Err(PlaceOrderError::PriceChanged { expected, actual }),
        _ => Ok(()),
    }
}

fn new_order(wish: &PlaceOrder, cart: &LockedCart, shop: &ShopSettings, totals: Totals) -> NewOrder {
    NewOrder {
        id: OrderId::new(),
        source: NewOrderSource::Cart { cart_id: cart.id(), owner: wish.owner },
        email: wish.email.clone(),
        currency: shop.currency,
        totals,
        shipping_address: wish.shipping_address.clone(),
        billing_address: wish.billing_address.clone(),
        ttl: shop.order_ttl,
    }
}

/// The order, its lines, timeline and mail, the cart's end, and last the lock on the stock: statements that travel together.
async fn write_and_lock_stock(
    conn: &AsyncPgConnection,
    new_order: NewOrder,
    cart: &LockedCart,
    new_lines: &[NewLine],
    origin: &Origin,
) -> QueryResult<(PlacedOrder, LockedStock)> {
    let id = new_order.id;
    let placed = json!({ "total_minor": new_order.totals.total_minor, "currency": new_order.currency });
    let mail = NewEmail::about_order(Template::OrderReceived, id, &new_order.email);
    let lines = (0..).zip(new_lines).map(|(position, line)| orders::insert_line(conn, id, position, line));
    let rest = try_join4(
        try_join_all(lines),
        orders::record(conn, id, EventKind::Placed, placed, origin),
        enqueue_email(conn, mail),
        cart::close(conn, cart, "ordered"),
    );
    let stock = inventory::lock(conn, cart.items().iter().map(|item| item.variant_id));
    let (order, (lines, (), (), ()), stock) = try_join3(orders::insert(conn, new_order), rest, stock).await?;
    Ok((PlacedOrder { order, lines }, stock))
}

async fn reserve(
    conn: &AsyncPgConnection,
    shop: &ShopSettings,
    order: &Order,
    cart: &LockedCart,
    stock: &mut LockedStock,
    origin: &Origin,
) -> Result<(), ReserveError> {
    let wanted: Vec<Demand> = cart
        .items()
        .iter()
        .map(|&CartItem { variant_id, quantity }| Demand { variant_id, quantity })
        .collect();
    if shop.reservation_mode == ReservationMode::Cart {
        // The shopper's own holds make room for the order's reservation, under the same lock.
        inventory::release_cart_holds(conn, stock, cart.id(), origin).await?;
    }
    let status = if order.status == OrderStatus::Paid {
        ReservationStatus::Committed
    } else {
        ReservationStatus::Held
    };
    inventory::reserve(conn, stock, &wanted, ReservedFor::Order { id: order.id, status }, origin).await
}
