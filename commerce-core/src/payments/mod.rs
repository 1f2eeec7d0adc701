//! Payments. Each attempt has one row, and an order may have several attempts. A provider is called outside
//! of any transaction, and its answer is settled in one (see [`crate::flows::settle_payment`]).

mod ask_again;
mod attempt;
mod inbound_webhook;
mod invoice;
pub mod limits;
mod list_payments;
mod list_refunds;
mod measured;
mod mock;
mod mock_webhook;
mod outcome;
mod provider;
mod provider_error;
mod provider_http;
mod provider_name;
mod providers;
mod razorpay;
mod refund;
mod refund_lines;
mod refund_states;
mod signature;
mod silence;
mod stripe;
mod webhook;

pub(crate) use ask_again::claim_to_ask;
pub use attempt::{
    AttemptStatus, CaptureMethod, LockedPayment, Payment, find, find_by_reference, find_by_request,
    list_for_order, order_of,
};
pub(crate) use attempt::{NewPayment, close_open, insert, list_open, lock};
pub use inbound_webhook::{
    InboundWebhook, ListWebhooksError, WEBHOOKS_KEPT, WebhookStatus, find_webhook, list_webhooks,
    prune_webhooks,
};
pub(crate) use inbound_webhook::{insert_webhook, set_webhook_status};
pub use invoice::Invoice;
pub use list_payments::{ListPaymentsError, PaymentFilter, list_payments};
pub use list_refunds::{ListRefundsError, list_refunds};
pub use mock::{MockOutcome, MockProvider, MockRefund, MockRequest};
pub use outcome::{Authorization, Capture, Outcome, RefundOutcome, RequiredAction};
pub use provider::PaymentProvider;
pub use provider_error::{Cause, ProviderError, in_time};
pub use provider_http::ProviderSetupError;
pub use provider_name::{InvalidProviderName, ProviderName};
pub use providers::Providers;
pub use razorpay::{RazorpayProvider, RazorpaySettings};
pub use refund::{
    LockedRefund, Refund, RefundReason, RefundStatus, find_refund, find_refund_by_reference,
    promised_by_payment,
};
pub(crate) use refund::{NewRefund, has_room, insert_refund, lock_refund, mark_asked};
pub(crate) use refund_lines::insert_refund_lines;
pub use refund_lines::{RefundLine, RefundedUnits, refund_lines, refunded_units};
pub use refund_states::refund_states;
pub use stripe::{StripeProvider, StripeSettings};
pub use webhook::{Dispute, PaymentKey, RefundKey, WebhookDelivery, WebhookError, WebhookEvent};
