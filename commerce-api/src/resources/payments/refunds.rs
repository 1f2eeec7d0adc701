//! `/admin/refunds`: refunds, and what staff do about those that failed.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Author, Subject};
use commerce_core::flows::{RetryRefundError, SettleRefundByHandError, retry_refund, settle_refund_by_hand};
use commerce_core::ids::RefundId;
use commerce_core::money::Currency;
use commerce_core::page::Limit;
use commerce_core::payments::{self, ListRefundsError, find_refund, list_refunds, refund_lines};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::answer::{List, Okay, twenty};
use crate::http::auth::{Can, PaymentsRead, PaymentsRefund};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::money::Money;
use crate::http::problem::{Code, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Refunds(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl Refunds {
    /// List refunds
    ///
    /// Newest first. A refund that is `failed` waits until staff retry it or pay it by hand. A refund of a manual
    /// payment is `pending` until staff pay it by hand.
    #[oai(path = "/admin/refunds", method = "get", operation_id = "admin_list_refunds")]
    async fn list(
        &self,
        _staff: Can<PaymentsRead>,
        status: Query<Option<RefundStatus>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Refund>>, Refused<ListRefundsError>> {
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = list_refunds(&mut conn, status.0.map(Into::into), limit, cursor.0.as_deref()).await?;
        let ids: Vec<RefundId> = page.data.iter().map(|(refund, _)| refund.id).collect();
        let lines = refund_lines(&mut conn, &ids).await?;
        Ok(Okay::page(page.map(|(refund, currency)| Refund::new(refund, currency, &lines))))
    }

    /// Retry a refund
    ///
    /// Tries a failed refund again, or resumes a refund whose job was lost. The provider is first asked for
    /// the state of the refund, so that the money does not go back twice.
    #[oai(path = "/admin/refunds/:id/retry", method = "post", operation_id = "admin_retry_refund")]
    async fn retry(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
    ) -> Result<Okay<Refund>, Refused<RetryRefundError>> {
        let request = key.request(&staff, b"");
        let (id, author) = (RefundId(id.0), staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let before = locked_facts(conn, id).await?.ok_or(RetryRefundError::NotFound)?;
            let refund = retry_refund(conn, id, &author.origin).await?;
            log(conn, &author, "admin_retry_refund", before, &refund).await?;
            Ok::<_, RetryRefundError>(with_currency(conn, refund).await?)
        };
        self.0.write("retry_refund", request, effect).await
    }

    /// Record a refund paid by hand
    ///
    /// For a failed refund that was then paid without the provider, in cash or by bank transfer, and for every
    /// refund of a manual payment. A mail tells the shopper about the refund.
    #[oai(
        path = "/admin/refunds/:id/paid-by-hand",
        method = "post",
        operation_id = "admin_settle_refund_by_hand"
    )]
    async fn paid_by_hand(
        &self,
        staff: Can<PaymentsRefund>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<PaidByHandRequest>,
    ) -> Result<Okay<Refund>, Refused<SettleRefundByHandError>> {
        let request = key.request(&staff, body.raw());
        let (id, author, note) = (RefundId(id.0), staff.author(), body.value.note);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let before = locked_facts(conn, id).await?.ok_or(SettleRefundByHandError::NotFound)?;
            let refund = settle_refund_by_hand(conn, id, &note, &author.origin).await?;
            log(conn, &author, "admin_settle_refund_by_hand", before, &refund).await?;
            Ok::<_, SettleRefundByHandError>(with_currency(conn, refund).await?)
        };
        self.0.write("settle_refund_by_hand", request, effect).await
    }
}

/// The facts about a refund for the audit log, read under the lock of its order.
async fn locked_facts(conn: &mut AsyncPgConnection, id: RefundId) -> QueryResult<Option<Value>> {
    let Some(refund) = find_refund(conn, id).await? else { return Ok(None) };
    audit_log::snapshot(conn, Subject::Order(refund.order_id)).await?;
    Ok(find_refund(conn, id).await?.as_ref().map(facts))
}

fn facts(refund: &payments::Refund) -> Value {
    json!({
        "refund_id": refund.id, "amount_minor": refund.amount_minor, "status": refund.status,
        "attempt": refund.attempt, "failure_code": refund.failure_code, "by_hand_note": refund.by_hand_note,
    })
}

async fn log(
    conn: &mut AsyncPgConnection,
    author: &Author,
    action: &'static str,
    before: Value,
    refund: &payments::Refund,
) -> QueryResult<()> {
    let subject = Subject::Order(refund.order_id);
    audit_log::record_facts(conn, author, action, subject, Some(before), Some(facts(refund))).await
}

async fn with_currency(conn: &mut AsyncPgConnection, refund: payments::Refund) -> QueryResult<Refund> {
    with_lines(conn, vec![refund]).await?.pop().ok_or(diesel::NotFound)
}

/// The refunds as they are answered.
pub async fn with_lines(
    conn: &mut AsyncPgConnection,
    refunds: Vec<payments::Refund>,
) -> QueryResult<Vec<Refund>> {
    let ids: Vec<RefundId> = refunds.iter().map(|refund| refund.id).collect();
    let lines = refund_lines(conn, &ids).await?;
    let mut answered = Vec::with_capacity(refunds.len());
    for refund in refunds {
        let payment = payments::find(conn, refund.payment_id).await?.ok_or(diesel::NotFound)?;
        answered.push(Refund::new(refund, payment.currency, &lines));
    }
    Ok(answered)
}

/// Why money is refunded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "payments::RefundReason")]
pub enum RefundReason {
    OrderCancelled,
    /// Units of the order were cancelled.
    LinesCancelled,
    /// More money came in than the order's total.
    Excess,
    /// The payment came after the order was cancelled, and the order could not be restored.
    LatePayment,
    /// Staff decided it.
    Requested,
    /// Goods came back with a return.
    GoodsReturned,
}

/// The status of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "payments::RefundStatus")]
pub enum RefundStatus {
    /// The provider was not asked yet.
    Pending,
    /// The provider was asked, and has not decided yet.
    Processing,
    Succeeded,
    /// The provider refused. Staff must retry the refund or pay it by hand.
    Failed,
}

/// Units of a line that are refunded.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct RefundLine {
    pub order_line_id: Uuid,
    pub quantity: i64,
    /// What these units cost.
    pub amount: Money,
    /// Whether they came back into stock with the refund.
    pub restocked: bool,
}

impl RefundLine {
    fn new(line: &payments::RefundLine, currency: Currency) -> Self {
        Self {
            order_line_id: line.order_line_id.0,
            quantity: line.quantity,
            amount: Money::new(line.amount_minor, currency),
            restocked: line.restocked,
        }
    }
}

impl Example for RefundLine {
    fn example() -> Self {
        Self {
            order_line_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31),
            quantity: 1,
            amount: Money { amount: 1250, currency: "USD".to_owned() },
            restocked: true,
        }
    }
}

/// A refund of a payment.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Refund {
    pub id: Uuid,
    pub payment_id: Uuid,
    pub order_id: Uuid,
    pub amount: Money,
    pub status: RefundStatus,
    pub reason: RefundReason,
    /// The provider's own id of the refund.
    pub provider_reference: Option<String>,
    /// The provider's code for the failure.
    pub failure_code: Option<String>,
    /// What staff wrote when they requested it. The shopper reads it.
    pub note: Option<String>,
    /// The units that it is for, if staff requested it by lines.
    pub lines: Vec<RefundLine>,
    /// How the refund was paid without the provider.
    pub by_hand_note: Option<String>,
    /// 1 at first, and one more with each retry.
    pub attempt: i32,
    pub created_at: DateTime<Utc>,
}

impl Refund {
    fn new(refund: payments::Refund, currency: Currency, lines: &[payments::RefundLine]) -> Self {
        let lines = lines.iter().filter(|line| line.refund_id == refund.id);
        Self {
            lines: lines.map(|line| RefundLine::new(line, currency)).collect(),
            note: refund.note,
            id: refund.id.0,
            payment_id: refund.payment_id.0,
            order_id: refund.order_id.0,
            amount: Money::new(refund.amount_minor, currency),
            status: refund.status.into(),
            reason: refund.reason.into(),
            provider_reference: refund.provider_reference,
            failure_code: refund.failure_code,
            by_hand_note: refund.by_hand_note,
            attempt: refund.attempt,
            created_at: refund.created_at,
        }
    }
}

impl Example for Refund {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b61),
            payment_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b41),
            order_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b30),
            amount: Money { amount: 12000, currency: "USD".to_owned() },
            status: RefundStatus::Failed,
            reason: RefundReason::OrderCancelled,
            provider_reference: None,
            failure_code: Some("insufficient_funds".to_owned()),
            note: None,
            lines: Vec::new(),
            by_hand_note: None,
            attempt: 1,
            created_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        }
    }
}

/// How the refund was paid.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct PaidByHandRequest {
    /// How it was paid, for colleagues, such as the date of the transfer or who handed over the cash.
    #[oai(validator(min_length = 1, max_length = 1000))]
    pub note: String,
}

impl Example for PaidByHandRequest {
    fn example() -> Self {
        Self { note: "Bank transfer of 27 November, reference 4711".to_owned() }
    }
}

impl Refusal for ListRefundsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for RetryRefundError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::RefundState];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("refund"),
            Self::Succeeded | Self::UnderWay | Self::ByHand | Self::Replaced => {
                Problem::new(Code::RefundState, self.to_string())
            }
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for SettleRefundByHandError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::RefundState];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("refund"),
            Self::Succeeded | Self::UnderWay | Self::Replaced => {
                Problem::new(Code::RefundState, self.to_string())
            }
            Self::Database(error) => error.into(),
        }
    }
}
