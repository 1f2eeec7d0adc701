//! Staff begin a payment for a customer, who completes it by a link to the provider's page.

use diesel_async::{AsyncConnection, AsyncPgConnection};
use serde_json::json;

use super::begin_payment::{BeginPaymentError, Begun, NewAttempt, begin_attempt};
use super::settle_payment::{SettlePaymentError, settle_payment};
use crate::audit_log::{self, Author, Subject};
use crate::ids::{OrderId, PaymentId};
use crate::money::Money;
use crate::notifications::{NewEmail, enqueue_email};
use crate::orders;
use crate::payments::{CaptureMethod, Outcome, Payment, ProviderName};
use crate::settings::ShopSettings;

/// A request for a link by which a customer pays an order or a part of it.
#[derive(Debug, Clone)]
pub struct StaffPayment {
    /// The order to pay.
    pub order_id: OrderId,
    /// The provider whose page the link leads to.
    pub provider: ProviderName,
    /// The amount. `None` means all that is due and that no open attempt may still bring.
    pub amount: Option<Money>,
    /// When the provider takes the money.
    pub capture_method: CaptureMethod,
    /// The provider's part of the request. The provider has checked it.
    pub request: serde_json::Value,
    /// Identifies the request. The same request resumes its attempt.
    pub request_key: [u8; 32],
    /// For the timeline and the audit log.
    pub author: Author,
}

/// Like [`begin_payment`](super::begin_payment()), for an order of anybody. Commit before asking the provider, and
/// settle its answer with [`settle_staff_payment`].
pub async fn begin_staff_payment(
    conn: &mut AsyncPgConnection,
    wish: StaffPayment,
) -> Result<Payment, BeginPaymentError> {
    conn.transaction(async |conn| {
        let StaffPayment { order_id, provider, amount, capture_method, request, request_key, author } = wish;
        let origin = author.origin.clone();
        let attempt = NewAttempt { order_id, provider, amount, capture_method, request, request_key, origin };
        let payment = match begin_attempt(conn, attempt).await? {
            Begun::Before(payment) => return Ok(payment),
            Begun::Now(payment) => payment,
        };
        let begun = Some(json!({
            "payment_id": payment.id, "provider": payment.provider, "amount_minor": payment.amount_minor,
        }));
        let subject = Subject::Order(order_id);
        audit_log::record_facts(conn, &author, "admin_create_payment_link", subject, None, begun).await?;
        Ok(payment)
    })
    .await
}

/// Settles the provider's answer like any other. If the customer must act on a page, the mail about the order goes out
/// with the link to it, in the place of the mail without one.
pub async fn settle_staff_payment(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    payment_id: PaymentId,
    outcome: Outcome,
    author: &Author,
) -> Result<Payment, SettlePaymentError> {
    conn.transaction(async |conn| {
        let payment = settle_payment(conn, shop, payment_id, outcome, &author.origin).await?;
        if payment.link().is_some()
            && let Some(order) = orders::find(conn, payment.order_id).await?
        {
            let mail = NewEmail::with_payment_link(order.id, payment.id, &order.email);
            enqueue_email(conn, mail).await?;
        }
        Ok(payment)
    })
    .await
}
