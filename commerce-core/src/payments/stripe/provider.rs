//! The provider: what the shop asks for, in Stripe's requests.

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::amount::{AmountError, to_stripe};
use super::api::{Api, is_changed};
use super::objects::{PaymentIntent, Session};
use super::outcome::{capture, of_intent, of_session};
use super::refunds::{refund_form, state_of_refund, state_of_refunds};
use super::session_form::session_form;
use super::settings::StripeSettings;
use super::webhook;
use crate::money::Money;
use crate::payments::provider_http::{ProviderSetupError, is_kept};
use crate::payments::{
    AttemptStatus, Invoice, Outcome, Payment, PaymentProvider, ProviderError, ProviderName, Refund,
    RefundOutcome, WebhookDelivery, WebhookError, WebhookEvent,
};

/// Takes money with Stripe's hosted Checkout Sessions. An attempt is one session.
pub struct StripeProvider {
    api: Api,
    settings: StripeSettings,
}

/// What Stripe knows an attempt by.
enum Known {
    Session(Session),
    Intent(PaymentIntent),
}

impl Known {
    fn outcome(&self) -> Result<Outcome, ProviderError> {
        match self {
            Self::Session(session) => of_session(session),
            Self::Intent(intent) => of_intent(intent, &intent.id),
        }
        .map_err(unreadable)
    }

    fn intent_id(&self) -> Option<&str> {
        match self {
            Self::Session(session) => session.payment_intent_id(),
            Self::Intent(intent) => Some(&intent.id),
        }
    }
}

/// The ids of payment intents begin with it.
const INTENT: &str = "pi_";

/// Around the time of an attempt, its session is looked for if Stripe's answer about it was lost. The clocks may differ,
/// and the request for it may have been repeated later.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(5);
const REPEATED_FOR: TimeDelta = TimeDelta::hours(2);

/// So many pages of a hundred sessions are looked through.
const PAGES_MAX: usize = 10;

impl StripeProvider {
    /// The provider. Stripe is not contacted yet.
    pub fn new(settings: StripeSettings) -> Result<Self, ProviderSetupError> {
        Ok(Self { api: Api::new(&settings)?, settings })
    }

    /// What Stripe knows about the attempt. An attempt without a reference is looked for among the sessions of its time:
    /// Stripe's search is minutes behind, but its lists are not. `None` means that nobody has the URL of a session of
    /// this attempt, and that no session was found.
    async fn find(&self, payment: &Payment) -> Result<Option<Known>, ProviderError> {
        match payment.provider_reference.as_deref() {
            Some(id) if id.starts_with(INTENT) => Ok(self.api.payment_intent(id).await?.map(Known::Intent)),
            Some(id) => Ok(self.api.session(id).await?.map(Known::Session)),
            None => Ok(self.find_lost_session(payment).await?.map(Known::Session)),
        }
    }

    async fn find_lost_session(&self, payment: &Payment) -> Result<Option<Session>, ProviderError> {
        let (from, until) = (payment.created_at - CLOCKS_DIFFER, payment.created_at + REPEATED_FOR);
        let ours = payment.id.to_string();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.api.sessions_created(from, until, after.as_deref()).await?;
            let last = page.data.last().map(|session| session.id.clone());
            let mut sessions = page.data.into_iter();
            let found =
                sessions.find(|session| session.client_reference_id.as_deref() == Some(ours.as_str()));
            if found.is_some() || !page.has_more || last.is_none() {
                return Ok(found);
            }
            after = last;
        }
        // It may be on the next page, so it must not count as unknown.
        Err(ProviderError::unreachable(ProviderName::STRIPE, "too many sessions to look through"))
    }

    async fn status(&self, payment: &Payment) -> Result<Option<Outcome>, ProviderError> {
        self.find(payment).await?.as_ref().map(Known::outcome).transpose()
    }

    /// The payment intent of an attempt whose shopper has paid or agreed to pay.
    async fn intent_id(&self, payment: &Payment) -> Result<String, ProviderError> {
        if let Some(id) = payment.provider_reference.as_deref().filter(|id| id.starts_with(INTENT)) {
            return Ok(id.to_owned());
        }
        let known = self.find(payment).await?;
        let id = known.as_ref().and_then(Known::intent_id).map(str::to_owned);
        id.ok_or_else(|| ProviderError::refused(ProviderName::STRIPE, "there is no payment intent"))
    }

    /// Ends the session, or finds out how it has ended.
    async fn end_session(&self, id: &str) -> Result<Outcome, ProviderError> {
        let refused = match self.api.expire_session(id).await {
            Ok(_) => return Ok(Outcome::Expired),
            Err(error @ ProviderError::Refused { .. }) => error,
            Err(error) => return Err(error),
        };
        // It is not open, so the shopper has finished it, or it has expired.
        match self.api.session(id).await?.map(Known::Session) {
            None => Ok(Outcome::Expired),
            Some(known) => match self.let_go(&known).await? {
                Outcome::RequiresAction { .. } => Err(refused),
                outcome => Ok(outcome),
            },
        }
    }

    /// Lets go of authorized money. Stripe cancels the payment intent of a session in no other state.
    async fn let_go(&self, known: &Known) -> Result<Outcome, ProviderError> {
        let (outcome, id) = (known.outcome()?, known.intent_id());
        let (Outcome::Authorized(_), Some(id)) = (&outcome, id) else { return Ok(outcome) };
        match self.api.cancel(id).await {
            Ok(intent) => of_intent(&intent, id).map_err(unreadable),
            // It was captured or cancelled just now.
            Err(error @ ProviderError::Refused { .. }) => match self.api.payment_intent(id).await? {
                Some(intent) if intent.status != "requires_capture" => {
                    of_intent(&intent, id).map_err(unreadable)
                }
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

/// The key after one for which Stripe keeps an error of its own, which it does for a day. It is used only when that
/// error was seen to be kept, so that the first request has ended, and when Stripe then knew nothing of its effect. So no
/// two requests are under way, and whoever repeats them goes the same way and meets the same keys. A session that shows
/// up later nevertheless cannot be paid: its URL was in the answer that nobody got.
fn second(key: &str) -> String {
    format!("{key}-second")
}

/// An amount that cannot be read says nothing about what was done.
fn unreadable(error: AmountError) -> ProviderError {
    ProviderError::unreachable(ProviderName::STRIPE, error)
}

/// An amount that Stripe does not take.
fn not_taken(error: AmountError) -> ProviderError {
    ProviderError::refused(ProviderName::STRIPE, error)
}

impl PaymentProvider for StripeProvider {
    fn name(&self) -> ProviderName {
        ProviderName::STRIPE
    }

    fn check_request(&self, request: &Value) -> Result<(), String> {
        let asks_nothing = request.is_null() || request.as_object().is_some_and(serde_json::Map::is_empty);
        if asks_nothing { Ok(()) } else { Err("a payment with Stripe has no details".to_owned()) }
    }

    /// Creates the session. Its key is the attempt's id, so a repeated request finds the same session. The order may
    /// have changed since the first request, such as the time until which it waits. Stripe then refuses the key, and
    /// the session of the first request is the attempt's: another key would make a second one.
    fn start<'a>(
        &'a self,
        payment: &'a Payment,
        invoice: &'a Invoice,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            let form = session_form(&self.settings, payment, invoice).map_err(not_taken)?;
            let key = payment.id.to_string();
            let session = match self.api.create_session(form.clone(), &key).await {
                Err(error) if is_kept(&error) => match self.find_lost_session(payment).await? {
                    Some(session) => session,
                    None => self.api.create_session(form, &second(&key)).await?,
                },
                Err(error) if is_changed(&error) => {
                    let session = self.find_lost_session(payment).await?;
                    session.ok_or_else(|| ProviderError::unreachable(ProviderName::STRIPE, error))?
                }
                created => created?,
            };
            // A repeated request gets the first answer, in which the session is open.
            of_session(&session).map_err(unreadable)
        }
        .boxed()
    }

    /// Stripe knows how the session stands. What the shopper's browser says does not matter.
    fn confirm<'a>(
        &'a self,
        payment: &'a Payment,
        _: &'a Value,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            self.status(payment).await?.ok_or_else(|| ProviderError::unknown_attempt(ProviderName::STRIPE))
        }
        .boxed()
    }

    fn capture<'a>(
        &'a self,
        payment: &'a Payment,
        amount: Money,
    ) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async move {
            let id = self.intent_id(payment).await?;
            let in_units = to_stripe(amount).map_err(not_taken)?;
            let key = format!("capture-{}-{}", payment.id, amount.amount_minor);
            let intent = match self.api.capture(&id, in_units, &key).await {
                Err(error) if is_kept(&error) => match self.api.payment_intent(&id).await? {
                    Some(intent) if intent.status != "requires_capture" => intent,
                    _ => self.api.capture(&id, in_units, &second(&key)).await?,
                },
                captured => captured?,
            };
            match intent.status.as_str() {
                "succeeded" => capture(&intent).map(Outcome::Succeeded),
                _ => of_intent(&intent, &id),
            }
            .map_err(unreadable)
        }
        .boxed()
    }

    fn expire<'a>(&'a self, payment: &'a Payment) -> BoxFuture<'a, Result<Outcome, ProviderError>> {
        async {
            match payment.provider_reference.as_deref() {
                Some(id) if payment.status != AttemptStatus::Authorized && !id.starts_with(INTENT) => {
                    self.end_session(id).await
                }
                _ => match self.find(payment).await? {
                    // Nobody has the URL of a session.
                    None => Ok(Outcome::Expired),
                    Some(Known::Session(session)) if session.status.as_deref() == Some("open") => {
                        self.end_session(&session.id).await
                    }
                    Some(known) => self.let_go(&known).await,
                },
            }
        }
        .boxed()
    }

    fn attempt_status<'a>(
        &'a self,
        payment: &'a Payment,
    ) -> BoxFuture<'a, Result<Option<Outcome>, ProviderError>> {
        self.status(payment).boxed()
    }

    fn refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<RefundOutcome, ProviderError>> {
        async {
            let intent = self.intent_id(payment).await?;
            let form = refund_form(&intent, payment, refund).map_err(not_taken)?;
            let refunded = self.api.create_refund(form, &refund.provider_key()).await?;
            Ok(state_of_refund(&refunded))
        }
        .boxed()
    }

    /// All attempts of a refund are in Stripe's list, with the refund's id in their metadata.
    fn refund_status<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
    ) -> BoxFuture<'a, Result<Option<RefundOutcome>, ProviderError>> {
        async {
            let intent = self.intent_id(payment).await?;
            let mut refunds = Vec::new();
            for _ in 0..PAGES_MAX {
                let after = refunds.last().map(|refund: &super::objects::StripeRefund| refund.id.clone());
                let page = self.api.refunds(&intent, after.as_deref()).await?;
                let (is_empty, has_more) = (page.data.is_empty(), page.has_more);
                refunds.extend(page.data);
                if is_empty || !has_more {
                    return Ok(state_of_refunds(refund, &refunds));
                }
            }
            Err(ProviderError::unreachable(ProviderName::STRIPE, "too many refunds to look through"))
        }
        .boxed()
    }

    fn webhook(&self, delivery: &WebhookDelivery<'_>) -> Result<Vec<WebhookEvent>, WebhookError> {
        if self.settings.webhook_secrets.is_empty() {
            return Err(WebhookError::NotExpected);
        }
        webhook::read(&self.settings.webhook_secrets, delivery).map(|event| vec![event])
    }
}
