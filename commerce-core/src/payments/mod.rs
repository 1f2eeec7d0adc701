//! Payments: one row an attempt, several an order. A provider is asked outside of any transaction; what it said is settled in
//! one (see [`crate::flows::settle_payment`]).

mod attempt;
mod mock;
mod provider;
mod refund;

pub use attempt::{
    LockedPayment, NewPayment, Payment, PaymentStatus, close_open, find, find_by_request, insert,
    list_for_order, list_open, lock, order_of, update,
};
pub use mock::{MockProvider, MockRequest};
pub use provider::{
    Outcome, PaymentProvider, ProviderError, ProviderName, Providers, RefundOutcome, RequiredAction,
};
pub use refund::{
    Refund, RefundReason, RefundStatus, find_refund, insert_refund, lock_refund, promised_by_payment,
    update_refund,
};
