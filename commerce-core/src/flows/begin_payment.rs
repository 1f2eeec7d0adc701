//! Records that a provider is about to be asked for money. An interrupted payment is resumed from this
//! record.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use crate::cart::Owner;
use crate::db::{Retryable, current_time};
use crate::ids::{OrderId, PaymentId};
use crate::money::Money;
use crate::orders::{self, EventKind, OrderStatus};
use crate::payments::limits::ATTEMPTS_MAX;
use crate::payments::{self, CaptureMethod, NewPayment, Payment, ProviderName};
use crate::request::Origin;

/// A request to pay an order or a part of it.
#[derive(Debug, Clone)]
pub struct BeginPayment {
    /// The order to pay.
    pub order_id: OrderId,
    /// The owner that the order must have.
    pub owner: Owner,
    /// The provider that is to take the money.
    pub provider: ProviderName,
    /// The amount. `None` means all that is due and that no open attempt may still bring.
    pub amount: Option<Money>,
    /// When the provider takes the money.
    pub capture_method: CaptureMethod,
    /// The shopper's part of the request. The provider has checked it.
    pub request: serde_json::Value,
    /// Identifies the request. The same request resumes its attempt.
    pub request_key: [u8; 32],
    /// Who pays, for the order's timeline.
    pub origin: Origin,
}

/// An attempt at an order, whoever begins it.
pub(super) struct NewAttempt {
    pub(super) order_id: OrderId,
    pub(super) provider: ProviderName,
    pub(super) amount: Option<Money>,
    pub(super) capture_method: CaptureMethod,
    pub(super) request: serde_json::Value,
    pub(super) request_key: [u8; 32],
    pub(super) origin: Origin,
}

/// What became of it.
pub(super) enum Begun {
    /// It was written.
    Now(Payment),
    /// The same request had written it before.
    Before(Payment),
}

impl NewAttempt {
    /// Whether the attempt is the one that this request asks for.
    fn asks_for(&self, payment: &Payment) -> bool {
        let amount = Money::new(payment.amount_minor, payment.currency);
        payment.order_id == self.order_id
            && payment.provider == self.provider
            && payment.request == self.request
            && self.amount.is_none_or(|asked| asked == amount)
    }
}

/// Why no attempt was begun. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BeginPaymentError {
    /// This owner has no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// The order cannot be paid in its present status.
    #[error("an order that is {0} cannot be paid")]
    NotPayable(OrderStatus),
    /// The time to pay the order has run out. It is about to be cancelled.
    #[error("the time to pay this order has run out")]
    Expired,
    /// The amount is not positive, or more than what is due.
    #[error("{amount} cannot be paid: {due} is due")]
    AmountOutOfRange {
        /// The requested amount.
        amount: Money,
        /// The amount due.
        due: Money,
    },
    /// The amount is not in the order's currency.
    #[error("{amount} is not in the currency of the order; {due} is due")]
    CurrencyMismatch {
        /// The requested amount.
        amount: Money,
        /// The amount due, in the order's currency.
        due: Money,
    },
    /// Open attempts may still bring what is due. End them first, with
    /// [`supersede_attempts`](super::supersede_attempts()), or let the shopper complete them.
    #[error("another payment for this order is under way")]
    UnderWay,
    /// The order has had as many attempts as an order may have.
    #[error("an order can have at most {ATTEMPTS_MAX} payments")]
    TooManyAttempts,
    /// The same key was used before with another order, provider, amount or shopper's part.
    #[error("the first request with this key began a payment with other terms")]
    RequestReused,
    /// The same request is still being processed. Try again in a moment.
    #[error("the same request is still being processed")]
    RequestInUse,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for BeginPaymentError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Writes an attempt under the order's lock, or finds the attempt that this request began before. Commit
/// before asking the provider.
pub async fn begin_payment(
    conn: &mut AsyncPgConnection,
    wish: BeginPayment,
) -> Result<Payment, BeginPaymentError> {
    conn.transaction(async |conn| {
        if orders::find_owned(conn, wish.order_id, wish.owner).await?.is_none() {
            return Err(BeginPaymentError::OrderNotFound);
        }
        let BeginPayment {
            order_id,
            owner: _,
            provider,
            amount,
            capture_method,
            request,
            request_key,
            origin,
        } = wish;
        let attempt = NewAttempt { order_id, provider, amount, capture_method, request, request_key, origin };
        match begin_attempt(conn, attempt).await? {
            Begun::Now(payment) | Begun::Before(payment) => Ok(payment),
        }
    })
    .await
}

/// Begins the attempt under the order's lock, whoever the order belongs to.
pub(super) async fn begin_attempt(
    conn: &mut AsyncPgConnection,
    wish: NewAttempt,
) -> Result<Begun, BeginPaymentError> {
    let order = orders::lock(conn, wish.order_id).await?.ok_or(BeginPaymentError::OrderNotFound)?;
    if let Some(begun) = payments::find_by_request(conn, &wish.request_key).await? {
        let same = wish.asks_for(&begun);
        return if same { Ok(Begun::Before(begun)) } else { Err(BeginPaymentError::RequestReused) };
    }
    if order.status != OrderStatus::PendingPayment {
        return Err(BeginPaymentError::NotPayable(order.status));
    }
    let now = current_time(conn).await?;
    if order.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(BeginPaymentError::Expired);
    }
    let due = Money::new(order.due_minor(), order.currency);
    let attempts = payments::list_for_order(conn, order.id).await?;
    if attempts.len() >= ATTEMPTS_MAX {
        return Err(BeginPaymentError::TooManyAttempts);
    }
    // What is being paid counts as well as what was paid, or two attempts could take the money twice.
    let open = attempts.iter().filter(|attempt| attempt.status.is_open());
    let not_under_way = due.amount_minor - open.map(|attempt| attempt.amount_minor).sum::<i64>();
    let amount = wish.amount.unwrap_or(match not_under_way {
        1.. => Money { amount_minor: not_under_way, ..due },
        _ => due,
    });
    if amount.currency != due.currency {
        return Err(BeginPaymentError::CurrencyMismatch { amount, due });
    }
    if !(1..=due.amount_minor).contains(&amount.amount_minor) {
        return Err(BeginPaymentError::AmountOutOfRange { amount, due });
    }
    if amount.amount_minor > not_under_way {
        return Err(BeginPaymentError::UnderWay);
    }
    let new_payment = NewPayment {
        id: PaymentId::new(),
        order_id: order.id,
        provider: wish.provider,
        request: wish.request,
        amount_minor: amount.amount_minor,
        currency: amount.currency,
        capture_method: wish.capture_method,
        request_key: Some(wish.request_key.to_vec()),
    };
    let payment = payments::insert(conn, new_payment).await?;
    let data = json!({ "payment_id": payment.id, "provider": payment.provider, "amount_minor": payment.amount_minor });
    orders::record(conn, order.id, EventKind::PaymentStarted, data, &wish.origin).await?;
    Ok(Begun::Now(payment))
}
