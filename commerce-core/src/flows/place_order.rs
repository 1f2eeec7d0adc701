//! Turns a cart into an order and reserves stock for all of it, or does nothing.

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::TryFutureExt as _;
use futures_util::future::{try_join, try_join3};
use serde_json::json;

use crate::cart::{self, CartStatus, HoldLimit, ItemProblem, LockedCart, Offer, OpenOrders, Owner};
use crate::db::{self, Pipeline, Retryable};
use crate::email_address::EmailAddress;
use crate::idempotency::{self, IdempotentRequest, StoredAnswer};
use crate::ids::{OrderId, OrderLineId, VariantId};
use crate::inventory::{self, Demand, LockedStock, ReservationStatus, ReserveError, ReservedFor, Shortage};
use crate::locale::Locale;
use crate::money::{Currency, Money};
use crate::notifications::{NewEmail, Recipient, Template, enqueue_email, enqueue_email_after};
use crate::orders::{
    self, Address, EventKind, NewLine, NewOrder, NewOrderSource, Order, OrderLine, OrderStatus, Words,
};
use crate::pricing::{Priced, PricedLine, PricingError, Totals};
use crate::request::Origin;
use crate::settings::{ReservationMode, ShopSettings};

/// A request to order the items of the owner's cart.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// The owner of the open cart.
    pub owner: Owner,
    /// The address for mails about the order.
    pub email: EmailAddress,
    /// The language of mails about the order. `None` means the account's, or the shop's.
    pub locale: Option<Locale>,
    /// The address for the parcel.
    pub shipping_address: Address,
    /// The billing address. `None` means the shipping address.
    pub billing_address: Option<Address>,
    /// Whether the shopper has proven that address.
    pub recipient: Recipient,
    /// The total that the shopper was shown. Another total is refused.
    pub expected_total: Option<Money>,
    /// For the order's timeline and the stock ledger.
    pub origin: Origin,
}

/// The order that was placed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlacedOrder {
    /// The order as it was written.
    pub order: Order,
    /// Sorted by position.
    pub lines: Vec<OrderLine>,
}

/// Why no order was placed. Nothing was changed, and the cart is as before.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// The owner has no open cart, or the cart is empty.
    #[error("the cart is empty")]
    CartEmpty,
    /// Every variant that is short of stock, with what is left of it.
    #[error("not enough in stock")]
    OutOfStock(Vec<Shortage>),
    /// The variants or their products are no longer active.
    #[error("some items are no longer for sale")]
    NotForSale(Vec<VariantId>),
    /// The total differs from what the shopper was shown.
    #[error("the total is {actual}, not {expected}")]
    PriceChanged {
        /// The total that the shopper saw.
        expected: Money,
        /// The total at current prices.
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
    /// The shopper keeps too much from others without having paid for it.
    #[error(transparent)]
    HoldLimit(#[from] HoldLimit),
    /// The order cannot be priced, for example because its amount is too large.
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

/// Places an order of the owner's open cart, closes the cart, and enqueues the mail.
///
/// It locks the cart and then the stock. The stock comes last, so that others who want the same goods wait
/// only for the reservation and the commit.
pub async fn place_order(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: PlaceOrder,
) -> Result<PlacedOrder, PlaceOrderError> {
    conn.transaction(async |conn| {
        let (placed, mut unreserved) = write_order(conn, shop, &wish).await?;
        unreserved.reserve(conn, shop, &wish.origin).await?;
        Ok(placed)
    })
    .await
}

/// Like [`place_order`], and stores the answer to the request. The answer is sent together with the
/// reservation, so that others who want the same goods do not wait for another round trip.
///
/// It opens no savepoint, which would cost two more round trips. After an `Err` the caller must roll back,
/// because a part of the order may have been written. It fails with [`QueryError::NotInTransaction`] if no
/// transaction is open.
pub async fn place_order_and_answer<A: AsRef<StoredAnswer>>(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: PlaceOrder,
    request: &IdempotentRequest,
    answer: impl FnOnce(&PlacedOrder) -> A,
) -> Result<A, PlaceOrderError> {
    db::require_transaction(conn)?;
    let (placed, mut unreserved) = write_order(conn, shop, &wish).await?;
    let answer = answer(&placed);
    let store = idempotency::store_answer(conn, request, answer.as_ref()).err_into();
    try_join(unreserved.reserve(conn, shop, &wish.origin), store).await?;
    Ok(answer)
}

/// Does everything but the reservation, and locks the stock for it.
async fn write_order(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: &PlaceOrder,
) -> Result<(PlacedOrder, Unreserved), PlaceOrderError> {
    let row = cart::lock_row(conn, wish.owner).await?.ok_or(PlaceOrderError::CartEmpty)?;
    let (cart, offers) = row.with_offers(conn).await?;
    // Few shoppers have an unpaid order already.
    let open = match row.has_unpaid_orders {
        true => cart::open_orders(conn, wish.owner).await?,
        false => OpenOrders::default(),
    };
    if offers.is_empty() {
        return Err(PlaceOrderError::CartEmpty);
    }
    check_offers(&offers, shop.currency)?;
    let priced = cart::price_offers(&offers)?;
    check_total(Money::new(priced.totals.total_minor, shop.currency), wish.expected_total)?;
    let wanted = counted_demands(&offers);
    if priced.totals.total_minor > 0 {
        open.check_order(shop, wanted.iter().map(|demand| demand.quantity).sum())?;
    }

    let draft = Draft {
        order: new_order(wish, &cart, shop, priced.totals),
        lines: new_lines(&offers, &priced),
        wanted: &wanted,
        facts: json!({ "total_minor": priced.totals.total_minor, "currency": shop.currency }),
        recipient: &wish.recipient,
        cart: Some(&cart),
        origin: &wish.origin,
    };
    let (placed, stock) = draft.write(conn, shop).await?;
    let (order_id, paid) = (placed.order.id, placed.order.status == OrderStatus::Paid);
    Ok((placed, Unreserved { order_id, paid, cart, wanted, stock }))
}

/// An order that is about to be written.
pub(super) struct Draft<'a> {
    pub(super) order: NewOrder,
    pub(super) lines: Vec<NewLine>,
    /// What is reserved for it afterwards.
    pub(super) wanted: &'a [Demand],
    /// What the timeline tells of its placing.
    pub(super) facts: serde_json::Value,
    /// Whether the customer has proven the address.
    pub(super) recipient: &'a Recipient,
    /// The cart that becomes the order.
    pub(super) cart: Option<&'a LockedCart>,
    pub(super) origin: &'a Origin,
}

impl Draft<'_> {
    /// Writes the order and all that belongs to it, and locks the stock for it. All of this is one round trip: first the
    /// order, and last the lock that others may be waiting for.
    pub(super) async fn write(
        self,
        conn: &AsyncPgConnection,
        shop: &ShopSettings,
    ) -> QueryResult<(PlacedOrder, LockedStock)> {
        let Self { order, lines, wanted, facts, recipient, cart, origin } = self;
        let (id, email, total_minor) = (order.id, order.email.clone(), order.totals.total_minor);
        let words = Words::of(&order, &lines);

        let order = orders::insert(conn, order);
        let mut rest = Pipeline::new();
        for (position, line) in (0..).zip(&lines) {
            rest.add(orders::insert_line(conn, id, position, line));
        }
        rest.add(words.insert(conn));
        rest.add(orders::record(conn, id, EventKind::Placed, facts, origin));
        if total_minor == 0 {
            // There is nothing to pay, so the order is confirmed at once.
            rest.add(orders::record(conn, id, EventKind::Paid, json!({ "paid_minor": 0 }), origin));
            rest.add(enqueue_email(conn, NewEmail::about_order(Template::OrderConfirmed, id, &email)));
        } else {
            let mail = NewEmail::about_new_order(id, &email, recipient);
            rest.add(enqueue_email_after(conn, shop.order_mail_delay, mail));
        }
        if let Some(cart) = cart {
            rest.add(cart::close(conn, cart, CartStatus::Ordered));
        }
        let stock = inventory::lock(conn, wanted.iter().map(|demand| demand.variant_id));
        let (order, (), stock) = try_join3(order, rest.run(), stock).await?;
        let lines = lines.into_iter().map(|line| line.written(id)).collect();
        Ok((PlacedOrder { order, lines }, stock))
    }
}

/// Refuses items that the shop does not sell, or not in its currency.
pub(super) fn check_offers(offers: &[Offer], currency: Currency) -> Result<(), PlaceOrderError> {
    let refused = |problem| offers.iter().filter(move |offer| offer.refusal(currency) == Some(problem));
    if let Some(&Offer { variant_id, unit_price, .. }) = refused(ItemProblem::CurrencyMismatch).next() {
        return Err(PlaceOrderError::CurrencyMismatch { variant_id, currency: unit_price.currency });
    }
    let not_for_sale: Vec<_> = refused(ItemProblem::NotForSale).map(|offer| offer.variant_id).collect();
    if not_for_sale.is_empty() { Ok(()) } else { Err(PlaceOrderError::NotForSale(not_for_sale)) }
}

pub(super) fn new_lines(offers: &[Offer], priced: &Priced) -> Vec<NewLine> {
    let line = |(offer, priced): (&Offer, &PricedLine)| NewLine {
        id: OrderLineId::new(),
        variant_id: offer.variant_id,
        sku: offer.sku.clone(),
        title: offer.title.clone(),
        quantity: offer.quantity,
        unit_price_minor: offer.unit_price.amount_minor,
        line_total_minor: priced.total_minor,
        track_inventory: offer.track_inventory,
    };
    offers.iter().zip(&priced.lines).map(line).collect()
}

/// What must be reserved. Units of the other variants are not counted.
pub(super) fn counted_demands(offers: &[Offer]) -> Vec<Demand> {
    let demand = |&Offer { variant_id, quantity, .. }: &Offer| Demand { variant_id, quantity };
    offers.iter().filter(|offer| offer.track_inventory).map(demand).collect()
}

pub(super) fn check_total(actual: Money, expected: Option<Money>) -> Result<(), PlaceOrderError> {
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
        locale: wish.locale.clone(),
        currency: shop.currency,
        totals,
        shipping_address: wish.shipping_address.clone(),
        billing_address: wish.billing_address.clone(),
        ttl: shop.order_ttl,
    }
}

/// What the stock of a new order is reserved for.
pub(super) fn reserved_for(id: OrderId, paid: bool) -> ReservedFor {
    let status = if paid { ReservationStatus::Committed } else { ReservationStatus::Held };
    ReservedFor::Order { id, status }
}

/// An order that is written. Its stock is locked but not yet reserved.
struct Unreserved {
    order_id: OrderId,
    /// The order costs nothing.
    paid: bool,
    cart: LockedCart,
    wanted: Vec<Demand>,
    stock: LockedStock,
}

impl Unreserved {
    /// Reserves stock for the whole order, or nothing, as far as its units are counted.
    async fn reserve(
        &mut self,
        conn: &AsyncPgConnection,
        shop: &ShopSettings,
        origin: &Origin,
    ) -> Result<(), ReserveError> {
        if shop.reservation_mode == ReservationMode::Cart {
            // The shopper's own holds are released first, under the same lock, to make room for the order's
            // reservation.
            inventory::release_cart_holds(conn, &mut self.stock, self.cart.id(), origin).await?;
        }
        let reserved_for = reserved_for(self.order_id, self.paid);
        inventory::reserve(conn, &mut self.stock, &self.wanted, reserved_for, origin).await
    }
}
