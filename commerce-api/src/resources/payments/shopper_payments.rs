//! `/orders/{id}/pay` and `/payments`: paying for orders.
//!
//! Paying takes two transactions, with the call to the provider between them. The attempt that the first
//! transaction writes is the recovery point. If anything breaks, the same request finds the attempt by its
//! key and continues from there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use commerce_core::accounts::Permission;
use commerce_core::audit_log::Author;
use commerce_core::db::{self, Retryable, TransactionError};
use commerce_core::flows::{
    BeginPayment, BeginPaymentError, SettlePaymentError, StaffPayment, SupersedeAttemptsError, begin_payment,
    begin_staff_payment, settle_payment, settle_staff_payment, supersede_attempts,
};
use commerce_core::idempotency::{self, Begun, IdempotencyError, IdempotentRequest};
use commerce_core::ids::{OrderId, PaymentId};
use commerce_core::orders::{self, OrderStatus};
use commerce_core::page::Limit;
use commerce_core::payments::{
    self, CaptureMethod, Invoice, ListPaymentsError, Outcome, PaymentFilter, ProviderError, in_time,
    list_payments,
};
use commerce_core::request::Origin;
use commerce_core::settings::CapturePolicy;
use diesel_async::AsyncPgConnection;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, Reply, twenty};
use crate::http::auth::{Credential, Shopper};
use crate::http::body::{Body, OptionalBody};
use crate::http::idempotency_key::{IdempotencyKey, RequiredIdempotencyKey};
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::payments::shapes::{AttemptStatus, ConfirmRequest, PayRequest, Payment};

pub struct Payments(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl Payments {
    /// Pay an order
    ///
    /// Starts a payment with the provider. An order can have several payments, and a payment may cover a part
    /// of the total. If the shopper must do something, `action` says what. If the provider cannot be reached,
    /// send the same request again to resume the payment.
    ///
    /// No money is taken twice. Earlier payments that are still open, and that together with this one would be
    /// more than what is due, are ended at their provider first. If that is not possible, the answer is 409
    /// `payment_under_way`.
    #[oai(path = "/orders/:id/pay", method = "post", operation_id = "pay_order")]
    async fn pay(
        &self,
        shopper: Shopper,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        body: Body<PayRequest>,
    ) -> Result<Created<Payment>, Refused<BeginPaymentError>> {
        let request = key.request(&shopper, body.raw());
        let (provider, for_provider) = body.checked(&self.0.providers)?;
        let wish = BeginPayment {
            order_id: OrderId(id.0),
            owner: shopper.owner(),
            provider,
            amount: body.amount.as_ref().map(|amount| amount.checked("/amount")).transpose()?,
            capture_method: capture_method(self.0.shop.capture),
            request: for_provider,
            request_key: *request.scope(),
            origin: shopper.origin(),
        };
        pay_to_its_end(&self.0, request, Paying::Shopper(wish)).await
    }

    /// Confirm a payment
    ///
    /// Asks the provider for the state of the payment, after the shopper did what `action` required. Only the owner
    /// of the order can do it, because it can settle the order. If the order no longer waits for money, the payment
    /// is ended instead, and takes none.
    ///
    /// If the provider's own client returns something, such as Razorpay's `razorpay_payment_id` and
    /// `razorpay_signature`, send it as `details`. Wrong details are refused, and the payment stays as it is.
    #[oai(path = "/payments/:id/confirm", method = "post", operation_id = "confirm_payment")]
    async fn confirm(
        &self,
        shopper: Shopper,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: OptionalBody<ConfirmRequest>,
    ) -> Result<Okay<Payment>, Refused<ConfirmError>> {
        let request = key.request(&shopper, body.raw());
        let details = body.value.for_provider();
        let (order, payment) = self.find_own(&shopper, PaymentId(id.0)).await?;
        // The provider is not asked again for what was answered.
        let nothing = async |_: &mut AsyncPgConnection| Ok::<_, ConfirmError>(());
        if let Some(answered) = self.0.begin("confirm_payment", request.clone(), nothing).await? {
            return Ok(answered);
        }
        let Some(provider) = self.0.providers.get(&payment.provider) else {
            return Err(Problem::unavailable(format_args!("{} is switched off", payment.provider)).into());
        };
        // To confirm can mean to take the money, which nobody owes any more.
        let outcome = if payment.status.is_open() && order.status != OrderStatus::PendingPayment {
            ask(self.0.providers.end(&payment, PROVIDER_TIMEOUT).await)?
        } else {
            let answer = provider.confirm(&payment, &details);
            match in_time(&payment.provider, PROVIDER_TIMEOUT, answer).await {
                Err(ProviderError::InvalidDetails { cause, .. }) => {
                    return Err(Problem::invalid(vec![Fault::at("/details", cause.to_string())]).into());
                }
                answer => ask(answer)?,
            }
        };
        let (state, origin) = (self.0.clone(), shopper.origin());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let settled = settle_payment(conn, &state.shop, payment.id, outcome.clone(), &origin).await;
            settled.map(Payment::from).map_err(ConfirmError)
        };
        self.0.write("confirm_payment", request, effect).await
    }

    /// List payments
    ///
    /// Newest first. Of your own orders, or of all orders with the permission `payments.read`.
    #[oai(path = "/payments", method = "get", operation_id = "list_payments")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        shopper: Shopper,
        order_id: Query<Option<Uuid>>,
        /// The payment provider, such as `stripe`
        #[oai(validator(pattern = "^[a-z][a-z0-9_]*$", max_length = 40))]
        provider: Query<Option<String>>,
        status: Query<Option<AttemptStatus>>,
        /// Only payments begun at this time or later
        created_from: Query<Option<DateTime<Utc>>>,
        /// Only payments begun before this time
        created_before: Query<Option<DateTime<Utc>>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Payment>>, Refused<ListPaymentsError>> {
        let mut conn = self.0.conn().await?;
        let order_id = order_id.0.map(OrderId);
        let sees_all = sees_all(&shopper);
        if let Some(id) = order_id
            && !sees_all
        {
            let own = orders::find_owned(&mut conn, id, shopper.owner()).await?;
            own.ok_or_else(|| Problem::not_found("order"))?;
        }
        let filter = PaymentFilter {
            owner: (!sees_all).then(|| shopper.owner()),
            order_id,
            provider: provider.0.and_then(|name| name.parse().ok()),
            status: status.0.map(Into::into),
            created_from: created_from.0,
            created_before: created_before.0,
        };
        let limit = Limit::new(limit.0).unwrap_or_default();
        let page = list_payments(&mut conn, &filter, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(|payment| Payment::for_reader(payment, sees_all))))
    }

    /// Get a payment
    ///
    /// Of your own order, or of any order with the permission `payments.read`.
    #[oai(path = "/payments/:id", method = "get", operation_id = "get_payment")]
    async fn get(&self, shopper: Shopper, id: Path<Uuid>) -> Result<Okay<Payment>, Refused<Missing>> {
        let payment = self.find(&shopper, PaymentId(id.0)).await?;
        Ok(Okay::new(Payment::for_reader(payment, sees_all(&shopper))))
    }
}

impl Payments {
    /// The payment, if the caller may see it.
    async fn find(&self, shopper: &Shopper, id: PaymentId) -> Result<payments::Payment, Problem> {
        if sees_all(shopper) {
            let payment = payments::find(&mut *self.0.conn().await?, id).await?;
            return payment.ok_or_else(|| Problem::not_found("payment"));
        }
        self.find_own(shopper, id).await.map(|(_, payment)| payment)
    }

    /// The payment and its order, if the order is the caller's.
    async fn find_own(
        &self,
        shopper: &Shopper,
        id: PaymentId,
    ) -> Result<(orders::Order, payments::Payment), Problem> {
        let not_found = || Problem::not_found("payment");
        let mut conn = self.0.conn().await?;
        let payment = payments::find(&mut conn, id).await?.ok_or_else(not_found)?;
        let order = orders::find_owned(&mut conn, payment.order_id, shopper.owner()).await?;
        Ok((order.ok_or_else(not_found)?, payment))
    }
}

fn sees_all(shopper: &Shopper) -> bool {
    matches!(shopper, Shopper::Customer(customer) if customer.may(Permission::PaymentsRead))
}

/// When a payment that is begun now is captured.
pub fn capture_method(policy: CapturePolicy) -> CaptureMethod {
    match policy {
        CapturePolicy::Automatic => CaptureMethod::Automatic,
        CapturePolicy::OnShipping | CapturePolicy::Manual => CaptureMethod::Manual,
    }
}

/// Who begins the payment.
#[derive(Clone)]
pub enum Paying {
    Shopper(BeginPayment),
    Staff(StaffPayment),
}

/// Pays. A client that hangs up in the middle does not stop the payment.
pub async fn pay_to_its_end(
    state: &State,
    request: IdempotentRequest,
    wish: Paying,
) -> Result<Created<Payment>, Refused<BeginPaymentError>> {
    let state = state.clone();
    match tokio::spawn(async move { pay(state, request, wish).await }).await {
        Ok(answer) => answer,
        Err(panic) => Err(Problem::internal(panic).into()),
    }
}

/// Begins the attempt, calls the provider and settles the attempt.
async fn pay(
    state: State,
    request: IdempotentRequest,
    wish: Paying,
) -> Result<Created<Payment>, Refused<BeginPaymentError>> {
    let (order_id, origin, staff) = match &wish {
        Paying::Shopper(wish) => (wish.order_id, wish.origin.clone(), None),
        Paying::Staff(wish) => (wish.order_id, wish.author.origin.clone(), Some(wish.author.clone())),
    };
    let begun = match begin(&state, &request, wish.clone()).await {
        Err(TransactionError::RolledBack(BeginPaymentError::UnderWay)) => {
            supersede_attempts(&state.pool, &state.shop, &state.providers, order_id, &origin)
                .await
                .map_err(not_superseded)?;
            begin(&state, &request, wish).await
        }
        begun => begun,
    };
    let payment = match begun? {
        Attempt::Begun(payment) => *payment,
        Attempt::Answered(stored) => return Ok(Created::replay(stored)),
    };
    let outcome = match state.providers.get(&payment.provider) {
        // If the attempt was settled before a crash, only the answer is made again.
        Some(provider) if payment.status.is_open() => {
            // The connection goes back before the provider is asked.
            let invoice = Invoice::of(&mut *state.conn().await?, payment.order_id).await?;
            let invoice = invoice.ok_or_else(|| Problem::not_found("order"))?;
            ask(in_time(&payment.provider, PROVIDER_TIMEOUT, provider.start(&payment, &invoice)).await)?
        }
        _ => Outcome::Expired,
    };
    settle(state, request, payment.id, outcome, (origin, staff)).await.map_err(|refused| refused.0.into())
}

enum Attempt {
    Begun(Box<payments::Payment>),
    Answered(idempotency::StoredAnswer),
}

async fn begin(
    state: &State,
    request: &IdempotentRequest,
    wish: Paying,
) -> Result<Attempt, TransactionError<BeginPaymentError>> {
    db::in_transaction(&state.pool, "begin_payment", async |conn: &mut AsyncPgConnection| {
        match idempotency::begin(conn, request).await {
            Ok(Begun::Replay(stored)) => return Ok(Attempt::Answered(stored)),
            Ok(Begun::Fresh) => {}
            Err(IdempotencyError::Reused) => return Err(BeginPaymentError::RequestReused),
            Err(IdempotencyError::InUse) => return Err(BeginPaymentError::RequestInUse),
            Err(IdempotencyError::Database(error)) => return Err(error.into()),
        }
        let begun = match wish.clone() {
            Paying::Shopper(wish) => begin_payment(conn, wish).await,
            Paying::Staff(wish) => begin_staff_payment(conn, wish).await,
        };
        begun.map(|payment| Attempt::Begun(Box::new(payment)))
    })
    .await
}

/// The longest time that a shopper waits for a provider.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(20);

fn not_superseded(error: SupersedeAttemptsError) -> Problem {
    match error {
        SupersedeAttemptsError::UnderWay => BeginPaymentError::UnderWay.problem(),
        SupersedeAttemptsError::Unreachable(error) => did_not_answer(&error),
        SupersedeAttemptsError::NoConnection(error) => error.into(),
        SupersedeAttemptsError::Settle(error) => error.problem(),
        SupersedeAttemptsError::Database(error) => error.into(),
    }
}

pub fn did_not_answer(error: &ProviderError) -> Problem {
    tracing::warn!(%error, "a payment provider did not answer");
    let detail =
        "The payment provider did not answer. Send the same request with the same Idempotency-Key again.";
    Problem { retry_after: Some(SOON), ..Problem::new(Code::ProviderUnavailable, detail) }
}

/// When to try again what may well succeed.
const SOON: Duration = Duration::from_secs(2);

/// A provider that refuses has answered. A provider that cannot be reached has not, so the attempt stays
/// open.
fn ask(answer: Result<Outcome, ProviderError>) -> Result<Outcome, Problem> {
    match answer {
        Ok(outcome) => Ok(outcome),
        Err(error @ ProviderError::Refused { .. }) => {
            tracing::warn!(%error, "a payment provider refused a request");
            Ok(Outcome::Failed { reference: None, code: "provider_refused".to_owned() })
        }
        Err(error) => Err(did_not_answer(&error)),
    }
}

async fn settle(
    state: State,
    request: IdempotentRequest,
    payment_id: PaymentId,
    outcome: Outcome,
    (origin, staff): (Origin, Option<Author>),
) -> Result<Created<Payment>, Refused<SettlePaymentError>> {
    let shop = state.shop.clone();
    let effect = async move |conn: &mut AsyncPgConnection| {
        let outcome = outcome.clone();
        let payment = match &staff {
            Some(author) => settle_staff_payment(conn, &shop, payment_id, outcome, author).await?,
            None => settle_payment(conn, &shop, payment_id, outcome, &origin).await?,
        };
        let location = format!("/v1/payments/{}", payment.id);
        Ok::<_, SettlePaymentError>(Reply::new(Payment::from(payment)).location(location))
    };
    state.write("settle_payment", Some(request), effect).await
}

impl Refusal for BeginPaymentError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::OrderState,
        Code::OrderExpired,
        Code::PaymentUnderWay,
        Code::TooManyPayments,
        Code::ValidationFailed,
        Code::CurrencyMismatch,
        Code::IdempotencyKeyReused,
        Code::IdempotencyKeyInUse,
        Code::ProviderUnavailable,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::OrderNotFound => Problem::not_found("order"),
            Self::NotPayable(status) => {
                Problem::new(Code::OrderState, self.to_string()).with("status", status)
            }
            Self::Expired => Problem::new(Code::OrderExpired, Code::OrderExpired.meaning()),
            Self::AmountOutOfRange { .. } => {
                Problem::invalid(vec![Fault::at("/amount/amount", self.to_string())])
            }
            Self::CurrencyMismatch { .. } => Problem::new(Code::CurrencyMismatch, self.to_string()),
            Self::UnderWay => {
                let problem = Problem::new(Code::PaymentUnderWay, Code::PaymentUnderWay.meaning());
                Problem { retry_after: Some(SOON), ..problem }
            }
            Self::TooManyAttempts => Problem::new(Code::TooManyPayments, Code::TooManyPayments.meaning()),
            Self::RequestReused => IdempotencyError::Reused.into(),
            Self::RequestInUse => IdempotencyError::InUse.into(),
            Self::Database(error) => error.into(),
        }
    }
}

/// Why a payment was not confirmed.
#[derive(Debug)]
pub struct ConfirmError(SettlePaymentError);

impl From<diesel::result::Error> for ConfirmError {
    fn from(error: diesel::result::Error) -> Self {
        Self(error.into())
    }
}

impl Retryable for ConfirmError {
    fn is_retryable(&self) -> bool {
        self.0.is_retryable()
    }
}

impl Refusal for ConfirmError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::ValidationFailed, Code::ProviderUnavailable];

    fn problem(self) -> Problem {
        self.0.problem()
    }
}

impl Refusal for SettlePaymentError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::ProviderUnavailable];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound(_) => Problem::not_found("payment"),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ListPaymentsError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}
