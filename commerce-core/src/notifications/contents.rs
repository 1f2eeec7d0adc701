//! What a template is filled with, beside the shop itself. The same type is filled from the database and from sample
//! data, so a template that can be written from one can be written from the other.

use serde::Serialize;

use super::facts::{ContactFacts, LowFacts, OrderFacts, ParcelFacts, RefundFacts, UnitsFacts, UserFacts};
use super::return_facts::{ReturnFacts, WithdrawalFacts};
use crate::returns::ReturnStatus;

/// The facts of a mail. `more` counts alerts of the kind that came after the one that is told of.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Contents {
    /// To a user.
    User { user: UserFacts },
    /// With a code or a link.
    Code { user: UserFacts, code: CodeFacts },
    /// About an order.
    Order { order: OrderFacts, pay_link: Option<String> },
    /// About units of an order that were cancelled.
    PartCancelled { order: OrderFacts, units: Vec<UnitsFacts>, refund: Option<String>, by_customer: bool },
    /// About a parcel.
    Parcel { order: OrderFacts, parcel: ParcelFacts },
    /// With a link to an order.
    Link { order: OrderFacts, link: LinkFacts },
    /// About goods that come back.
    Return { order: OrderFacts, goods: ReturnFacts, status: ReturnStatus },
    /// About a declaration of withdrawal.
    Withdrawal { withdrawal: WithdrawalFacts, more: u64 },
    /// About a refund.
    Refund { order: OrderFacts, refund: RefundFacts, more: u64 },
    /// Money came for a cancelled order.
    LatePayment { order: OrderFacts, by_hand: bool, more: u64 },
    /// A provider refused a payment.
    FailedPayment { order: OrderFacts, provider: String, amount: String, code: String, more: u64 },
    /// A provider took another amount than it was asked to.
    Mismatch { order: OrderFacts, asked: String, captured: String, counted: bool, more: u64 },
    /// Authorized money is soon lost.
    Authorization { order: OrderFacts, lapses_at: String, more: u64 },
    /// A shopper's bank disputes a payment.
    Dispute { order: OrderFacts, amount: String, reason: String, state: String, more: u64 },
    /// Variants that are low.
    LowStock { variants: Vec<LowFacts>, further: usize },
    /// What a visitor wrote.
    Message { message: ContactFacts },
}

/// A code, a link, or both.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CodeFacts {
    pub digits: Option<String>,
    pub expires_at: String,
    pub link: Option<String>,
    pub link_expires_at: Option<String>,
}

/// A link to an order.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LinkFacts {
    pub url: Option<String>,
    pub token: String,
    pub expires_at: String,
}
