//! Staff record money that came in without a provider, in cash or by bank transfer.

use chrono::{DateTime, Utc};
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::settle_payment::{SettlePaymentError, settle_payment};
use super::watch_payment::end_at_provider;
use crate::audit_log::{self, Author, Subject};
use crate::db::{Retryable, current_time};
use crate::ids::{OrderId, PaymentId};
use crate::money::Money;
use crate::orders::{self, EventKind, OrderStatus};
use crate::payments::{self, Capture, CaptureMethod, NewPayment, Outcome, Payment, ProviderName};
use crate::settings::ShopSettings;
use crate::text::single_line;

/// Money that staff received for an order.
#[derive(Debug, Clone)]
pub struct ManualPayment {
    /// The order.
    pub order_id: OrderId,
    /// The amount. `None` means all that is due.
    pub amount: Option<Money>,
    /// How staff find the money again, such as the text of the bank transfer.
    pub reference: String,
    /// When it came in, if that was earlier.
    pub received_at: Option<DateTime<Utc>>,
    /// For the timeline and the audit log.
    pub author: Author,
}

/// Why no payment was recorded. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ManualPaymentError {
    /// There is no such order.
    #[error("there is no such order")]
    OrderNotFound,
    /// Nothing is due. The value is the order's status.
    #[error("nothing is due for the order, which is {0}")]
    NothingDue(OrderStatus),
    /// The amount is not positive, or more than what is due.
    #[error("{amount} cannot be recorded: {due} is due")]
    AmountOutOfRange {
        /// The amount.
        amount: Money,
        /// The amount due.
        due: Money,
    },
    /// The amount is not in the order's currency.
    #[error("{amount} is not in the currency of the order; {due} is due")]
    CurrencyMismatch {
        /// The amount.
        amount: Money,
        /// The amount due, in the order's currency.
        due: Money,
    },
    /// The reference has no visible text.
    #[error("the reference is empty")]
    NoReference,
    /// The money has not come in yet.
    #[error("the time of receipt is in the future")]
    InFuture,
    /// The payment could not be settled.
    #[error(transparent)]
    Settle(#[from] SettlePaymentError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ManualPaymentError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Settle(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Records a payment that has succeeded, and settles it like any other. If it covers the order, attempts that
/// are still open are ended at their providers. It locks the order and the payment, and also the stock if
/// stock must be reserved again.
pub async fn record_manual_payment(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    wish: ManualPayment,
) -> Result<Payment, ManualPaymentError> {
    let ManualPayment { order_id, amount, reference, received_at, author } = wish;
    let reference = single_line(&reference);
    if reference.is_empty() {
        return Err(ManualPaymentError::NoReference);
    }
    conn.transaction(async |conn| {
        let order = orders::lock(conn, order_id).await?.ok_or(ManualPaymentError::OrderNotFound)?;
        let now = current_time(conn).await?;
        if received_at.is_some_and(|received_at| received_at > now) {
            return Err(ManualPaymentError::InFuture);
        }
        let due = Money::new(order.due_minor(), order.currency);
        if due.amount_minor == 0 {
            return Err(ManualPaymentError::NothingDue(order.status));
        }
        let amount = amount.unwrap_or(due);
        if amount.currency != due.currency {
            return Err(ManualPaymentError::CurrencyMismatch { amount, due });
        }
        if !(1..=due.amount_minor).contains(&amount.amount_minor) {
            return Err(ManualPaymentError::AmountOutOfRange { amount, due });
        }
        let received_at = received_at.unwrap_or(now);
        let id = PaymentId::new();
        let new_payment = NewPayment {
            id,
            order_id,
            provider: ProviderName::MANUAL,
            request: json!({ "reference": reference, "received_at": received_at }),
            amount_minor: amount.amount_minor,
            currency: amount.currency,
            capture_method: CaptureMethod::Automatic,
            request_key: None,
        };
        let payment = payments::insert(conn, new_payment).await?;
        let data = json!({
            "payment_id": id, "provider": payment.provider, "amount_minor": payment.amount_minor,
            "reference": reference, "received_at": received_at,
        });
        orders::record(conn, order_id, EventKind::PaymentStarted, data.clone(), &author.origin).await?;
        audit_log::record_facts(
            conn,
            &author,
            "admin_record_payment",
            Subject::Order(order_id),
            None,
            Some(data),
        )
        .await?;
        if amount == due {
            for open in payments::list_open(conn, order_id).await?.iter().filter(|open| open.id != id) {
                end_at_provider(conn, open.id).await?;
            }
        }
        // A reference that staff write may be that of another payment, but the provider's own id may not.
        let capture = Capture::new(id.to_string(), amount);
        // Settling may lock the stock, which comes last in the lock order.
        Ok(settle_payment(conn, shop, id, Outcome::Succeeded(capture), &author.origin).await?)
    })
    .await
}
