//! Payments as the API shows them, and what shoppers send to pay.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commerce_core::payments::{self, PaymentProvider, ProviderName, Providers, RequiredAction};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde_json::Value;
use uuid::Uuid;

use crate::http::money::Money;
use crate::http::problem::{Fault, Problem};

/// What the mock provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MockOutcome {
    Succeed,
    Fail,
    /// Redirects the shopper, and succeeds when the payment is confirmed.
    RequireAction,
    /// Gives the shopper's client something to do, and succeeds when the payment is confirmed.
    RequireClient,
    /// Stays in `processing`, and succeeds when the payment is confirmed.
    Process,
}

/// How to pay.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct PayRequest {
    /// The payment provider, such as `stripe`. A provider that is not enabled in this shop is refused, and
    /// the answer lists those that are.
    #[oai(validator(pattern = "^[a-z][a-z0-9_]*$", max_length = 40))]
    pub provider: String,
    /// The amount due by default.
    pub amount: Option<Money>,
    /// Only for the provider `mock`. `succeed` by default.
    pub outcome: Option<MockOutcome>,
    /// More data for the provider, in the provider's own format.
    pub details: Option<BTreeMap<String, Value>>,
}

impl PayRequest {
    /// The provider, and its part of the request, which it has checked.
    pub fn checked(&self, providers: &Providers) -> Result<(ProviderName, Value), Problem> {
        let provider = self.provider(providers)?;
        let request = self.for_provider();
        let invalid = |message| Problem::invalid(vec![Fault::at("/details", message)]);
        provider.check_request(&request).map_err(invalid)?;
        Ok((provider.name(), request))
    }

    /// The provider, if it is enabled.
    fn provider<'p>(&self, providers: &'p Providers) -> Result<&'p dyn PaymentProvider, Problem> {
        let named = self.provider.parse::<ProviderName>().ok();
        named.and_then(|name| providers.get(&name)).ok_or_else(|| {
            let switched_on: Vec<&str> = providers.names().map(ProviderName::as_str).collect();
            let there_is = if switched_on.is_empty() { "nothing".to_owned() } else { switched_on.join(", ") };
            let message = format!("{} is not enabled in this shop; enabled: {there_is}", self.provider);
            Problem::invalid(vec![Fault::at("/provider", message)])
        })
    }

    /// The part that the provider reads.
    fn for_provider(&self) -> Value {
        let mut request = self.details.clone().unwrap_or_default();
        let outcome = self.outcome.map(|outcome| match outcome {
            MockOutcome::Succeed => "succeed",
            MockOutcome::Fail => "fail",
            MockOutcome::RequireAction => "require_action",
            MockOutcome::RequireClient => "require_client",
            MockOutcome::Process => "process",
        });
        if let Some(outcome) = outcome {
            request.insert("outcome".to_owned(), outcome.into());
        }
        Value::Object(request.into_iter().collect())
    }
}

/// What the provider's own client has returned.
#[derive(Debug, Clone, Default, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct ConfirmRequest {
    /// The data, in the provider's own format.
    pub details: Option<BTreeMap<String, Value>>,
}

impl ConfirmRequest {
    /// The part that the provider reads: null if there is none.
    pub fn for_provider(self) -> Value {
        self.details.map_or(Value::Null, |details| Value::Object(details.into_iter().collect()))
    }
}

impl Example for ConfirmRequest {
    fn example() -> Self {
        let details = [
            ("razorpay_order_id", "order_DaaS6LOUAASb7Y"),
            ("razorpay_payment_id", "pay_DaaSJ3Vb9N2Jd6"),
            ("razorpay_signature", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ];
        let details = details.map(|(field, value)| (field.to_owned(), value.into()));
        Self { details: Some(details.into_iter().collect()) }
    }
}

impl Example for PayRequest {
    fn example() -> Self {
        Self {
            provider: ProviderName::MOCK.to_string(),
            amount: None,
            outcome: Some(MockOutcome::Succeed),
            details: None,
        }
    }
}

/// The status of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "PaymentStatus", rename_all = "snake_case", remote = "payments::AttemptStatus")]
pub enum AttemptStatus {
    Pending,
    RequiresAction,
    Processing,
    Authorized,
    Succeeded,
    Failed,
    Expired,
    Cancelled,
    PartiallyRefunded,
    Refunded,
}

/// The kind of action that a shopper must take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ActionType {
    /// Redirect the shopper to `url`. They come back afterwards.
    Redirect,
    /// Start the provider's own client with `data`.
    Client,
}

/// What the shopper must do.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct PaymentAction {
    pub r#type: ActionType,
    /// Where to redirect the shopper, for `redirect`.
    pub url: Option<String>,
    /// The data for the provider's client, for `client`.
    pub data: Option<Value>,
}

impl PaymentAction {
    /// `None` for an action that this server does not know.
    fn of(action: RequiredAction) -> Option<Self> {
        match action {
            RequiredAction::Redirect { url } => {
                Some(Self { r#type: ActionType::Redirect, url: Some(url), data: None })
            }
            RequiredAction::Client { data } => {
                Some(Self { r#type: ActionType::Client, url: None, data: Some(data) })
            }
            _ => None,
        }
    }
}

impl Example for PaymentAction {
    fn example() -> Self {
        let url = Some("https://pay.example.com/session".to_owned());
        Self { r#type: ActionType::Redirect, url, data: None }
    }
}

/// One attempt to pay an order or a part of it.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Payment {
    pub id: Uuid,
    pub order_id: Uuid,
    /// The payment provider, such as `stripe`.
    #[oai(validator(pattern = "^[a-z][a-z0-9_]*$", max_length = 40))]
    pub provider: String,
    /// The provider's own id of the payment. Of a manual payment, the reference that staff recorded.
    pub provider_reference: Option<String>,
    /// The requested amount.
    pub amount: Money,
    /// What the provider holds, or held until it was captured. Zero if the money is taken at once.
    pub amount_authorized: Money,
    /// When the provider lets go of the authorized amount, if the provider reports it.
    pub authorization_lapses_at: Option<DateTime<Utc>>,
    /// The amount that came in. It may differ from the requested amount.
    pub amount_captured: Money,
    pub amount_refunded: Money,
    /// The provider's fee, if the provider reports it. Only for staff.
    pub fee: Option<Money>,
    pub status: AttemptStatus,
    /// The provider's code for the failure, such as `card_declined`.
    pub failure_code: Option<String>,
    pub action: Option<PaymentAction>,
    pub created_at: DateTime<Utc>,
}

impl From<payments::Payment> for Payment {
    fn from(payment: payments::Payment) -> Self {
        let action = payment.action.and_then(|action| serde_json::from_value(action).ok());
        let recorded = payment.request.get("reference").filter(|_| payment.provider == ProviderName::MANUAL);
        let reference = recorded.and_then(Value::as_str).map(str::to_owned);
        Self {
            id: payment.id.0,
            order_id: payment.order_id.0,
            provider: payment.provider.to_string(),
            provider_reference: reference.or(payment.provider_reference),
            amount: Money::new(payment.amount_minor, payment.currency),
            amount_authorized: Money::new(payment.authorized_minor, payment.currency),
            authorization_lapses_at: payment.lapses_at,
            amount_captured: Money::new(payment.captured_minor, payment.currency),
            amount_refunded: Money::new(payment.refunded_minor, payment.currency),
            fee: None,
            status: payment.status.into(),
            failure_code: payment.failure_code,
            action: action.and_then(PaymentAction::of),
            created_at: payment.created_at,
        }
    }
}

impl Payment {
    /// With what only staff see.
    pub fn for_staff(payment: payments::Payment) -> Self {
        let fee = payment.fee_minor.zip(payment.fee_currency);
        Self { fee: fee.map(|(minor, currency)| Money::new(minor, currency)), ..Self::from(payment) }
    }

    pub fn for_reader(payment: payments::Payment, sees_all: bool) -> Self {
        if sees_all { Self::for_staff(payment) } else { Self::from(payment) }
    }
}

impl Example for Payment {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b41),
            order_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b30),
            provider: ProviderName::MOCK.to_string(),
            provider_reference: Some("mock_01939f5c7e2b7c4a9a550d8a6a4f4b41".to_owned()),
            amount: Money { amount: 12000, currency: "USD".to_owned() },
            amount_authorized: Money { amount: 0, currency: "USD".to_owned() },
            authorization_lapses_at: None,
            amount_captured: Money { amount: 12000, currency: "USD".to_owned() },
            amount_refunded: Money { amount: 0, currency: "USD".to_owned() },
            fee: Some(Money { amount: 378, currency: "USD".to_owned() }),
            status: AttemptStatus::Succeeded,
            failure_code: None,
            action: None,
            created_at: DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default(),
        }
    }
}
