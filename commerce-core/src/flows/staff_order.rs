//! Staff enter an order for a customer, for example by phone. No cart stands behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::place_order::{
    Draft, PlaceOrderError, PlacedOrder, check_offers, check_total, counted_demands, new_lines, reserved_for,
};
use crate::accounts;
use crate::audit_log::{self, Author, Subject};
use crate::cart::{self, Item, Owner};
use crate::db::Retryable;
use crate::email_address::EmailAddress;
use crate::ids::{OrderId, UserId, VariantId};
use crate::inventory::{self, ReserveError};
use crate::locale::Locale;
use crate::money::Money;
use crate::notifications::Recipient;
use crate::orders::{Address, NewOrder, NewOrderSource, OrderStatus};
use crate::pricing::PricingError;
use crate::settings::ShopSettings;

/// The longest time for which an order of staff waits for its payment. Its stock is reserved as long.
pub const STAFF_ORDER_WAITS_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An order that staff enter.
#[derive(Debug, Clone)]
pub struct StaffOrder {
    /// The account that it is for, which sees it and can pay it. Without one, it is an order of nobody who could log in.
    pub customer_id: Option<UserId>,
    /// The address for mails about the order. The account's by default.
    pub email: Option<EmailAddress>,
    /// The language of mails about the order. The account's by default, or the shop's.
    pub locale: Option<Locale>,
    /// The address for the parcel.
    pub shipping_address: Address,
    /// The billing address. `None` means the shipping address.
    pub billing_address: Option<Address>,
    /// What is ordered, at the prices as they are. Units of the same variant are added up.
    pub items: Vec<Item>,
    /// The total that the customer was told. Another total is refused.
    pub expected_total: Option<Money>,
    /// How long the order waits for its payment, up to [`STAFF_ORDER_WAITS_MAX`].
    pub waits: Duration,
    /// For the timeline, the stock ledger and the audit log.
    pub author: Author,
}

/// Why no order was placed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StaffOrderError {
    /// There is no such account, or it is disabled.
    #[error("there is no such customer")]
    UnknownCustomer,
    /// There is neither an account nor an address.
    #[error("an e-mail address is required, unless the order is for a customer with an account")]
    NoEmail,
    /// An item has no units.
    #[error("a quantity must be at least 1")]
    NoUnits(VariantId),
    /// There are no such variants.
    #[error("some variants do not exist")]
    UnknownVariants(Vec<VariantId>),
    /// The order would wait for too long.
    #[error("an order can wait for its payment for at most {} hours", STAFF_ORDER_WAITS_MAX.as_secs() / 3600)]
    WaitsTooLong,
    /// It is refused for the same reasons as an order of a shopper. No limit of shoppers is among them.
    #[error(transparent)]
    Place(#[from] PlaceOrderError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<ReserveError> for StaffOrderError {
    fn from(error: ReserveError) -> Self {
        Self::Place(error.into())
    }
}

impl From<PricingError> for StaffOrderError {
    fn from(error: PricingError) -> Self {
        Self::Place(error.into())
    }
}

impl Retryable for StaffOrderError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Place(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Places the order, and enqueues the same mail as for an order of a shopper. It is paid by the account's owner, by a
/// link ([`begin_staff_payment`](super::begin_staff_payment())), or by hand
/// ([`record_manual_payment`](super::record_manual_payment())).
///
/// It locks the account, writes the order, and locks the stock last.
pub async fn place_staff_order(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: StaffOrder,
) -> Result<PlacedOrder, StaffOrderError> {
    if wish.waits > STAFF_ORDER_WAITS_MAX {
        return Err(StaffOrderError::WaitsTooLong);
    }
    conn.transaction(async |conn| {
        let Customer { owner, email, locale } = customer(conn, &wish).await?;
        if let Some(item) = wish.items.iter().find(|item| item.quantity < 1) {
            return Err(StaffOrderError::NoUnits(item.variant_id));
        }
        let items = merge(&wish.items);
        if items.is_empty() {
            return Err(PlaceOrderError::CartEmpty.into());
        }
        let offers = cart::offers_of(conn, &items).await?;
        let found: BTreeSet<VariantId> = offers.iter().map(|offer| offer.variant_id).collect();
        let ids = items.iter().map(|item| item.variant_id);
        let unknown: Vec<VariantId> = ids.filter(|id| !found.contains(id)).collect();
        if !unknown.is_empty() {
            return Err(StaffOrderError::UnknownVariants(unknown));
        }
        check_offers(&offers, shop.currency)?;
        let priced = cart::price_offers(&offers)?;
        let total = Money::new(priced.totals.total_minor, shop.currency);
        check_total(total, wish.expected_total)?;
        let wanted = counted_demands(&offers);

        let id = OrderId::new();
        let facts =
            json!({ "total_minor": total.amount_minor, "currency": shop.currency, "source": "staff" });
        let after = json!({
            "source": "staff", "customer_id": wish.customer_id, "total_minor": total.amount_minor,
            "currency": shop.currency, "waits_hours": wish.waits.as_secs() / 3600,
        });
        let subject = Subject::Order(id);
        audit_log::record_facts(conn, &wish.author, "admin_place_order", subject, None, Some(after)).await?;
        let origin = &wish.author.origin;
        let draft = Draft {
            order: NewOrder {
                id,
                source: NewOrderSource::Staff { owner },
                email,
                locale,
                currency: shop.currency,
                totals: priced.totals,
                shipping_address: wish.shipping_address.clone(),
                billing_address: wish.billing_address.clone(),
                ttl: wish.waits,
            },
            lines: new_lines(&offers, &priced),
            wanted: &wanted,
            facts,
            // Staff vouch for the address.
            recipient: &Recipient::Proven,
            cart: None,
            origin,
        };
        let (placed, mut stock) = draft.write(conn, shop).await?;
        let reserved_for = reserved_for(id, placed.order.status == OrderStatus::Paid);
        inventory::reserve(conn, &mut stock, &wanted, reserved_for, origin).await?;
        Ok(placed)
    })
    .await
}

/// Who owns the order, where its mails go, and in which language.
struct Customer {
    owner: Option<Owner>,
    email: EmailAddress,
    locale: Option<Locale>,
}

/// Looks the customer up. The account stays locked, so that it is not deleted meanwhile.
async fn customer(conn: &mut AsyncPgConnection, wish: &StaffOrder) -> Result<Customer, StaffOrderError> {
    let user = match wish.customer_id {
        Some(id) => {
            let user = accounts::lock_active_user(conn, id).await?;
            Some(user.ok_or(StaffOrderError::UnknownCustomer)?)
        }
        None => None,
    };
    let email = wish.email.as_ref().or(user.as_ref().map(|user| &user.email));
    let email = email.ok_or(StaffOrderError::NoEmail)?.clone();
    let locale = wish.locale.clone().or(user.as_ref().and_then(|user| user.locale.clone()));
    Ok(Customer { owner: user.map(|user| Owner::User(user.id)), email, locale })
}

/// Adds up the units of the same variant. The first mention decides the place.
fn merge(items: &[Item]) -> Vec<Item> {
    let mut merged: Vec<Item> = Vec::new();
    for item in items {
        match merged.iter_mut().find(|known| known.variant_id == item.variant_id) {
            Some(known) => known.quantity = known.quantity.saturating_add(item.quantity),
            None => merged.push(*item),
        }
    }
    merged
}
