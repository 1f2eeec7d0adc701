//! What Stripe's sessions and payment intents mean for an attempt.
//!
//! The reference of an attempt is the id of its session, `cs_…`, until the shopper has paid or agreed to pay. From then
//! on it is the id of the payment intent, `pi_…`, which all webhooks about the money name. So the reference is the same
//! whichever of them arrives first.

use chrono::DateTime;

use super::amount::{AmountError, from_stripe};
use super::objects::{Expandable, PaymentIntent, Session};
use crate::payments::{Authorization, Capture, Outcome, RequiredAction};

/// The state of a session whose payment intent is expanded, or of one in a webhook, where it is not.
pub(super) fn of_session(session: &Session) -> Result<Outcome, AmountError> {
    match session.status.as_deref() {
        Some("expired") => Ok(Outcome::Expired),
        Some("complete") => of_complete_session(session),
        _ => Ok(match &session.url {
            Some(url) => Outcome::RequiresAction {
                reference: session.id.clone(),
                action: RequiredAction::Redirect { url: url.clone() },
            },
            None => Outcome::Processing { reference: session.id.clone() },
        }),
    }
}

fn of_complete_session(session: &Session) -> Result<Outcome, AmountError> {
    if let Some(intent) = session.payment_intent.as_ref().and_then(Expandable::object) {
        return of_intent(intent, &session.id);
    }
    match (session.payment_status.as_str(), session.amount_total, &session.currency) {
        ("paid", Some(amount), Some(currency)) => {
            let reference = session.payment_intent_id().unwrap_or(&session.id);
            Ok(Outcome::Succeeded(Capture::new(reference, from_stripe(amount, currency)?)))
        }
        // The money is on its way, or it is only authorized, which another event says.
        _ => Ok(Outcome::Processing { reference: session.id.clone() }),
    }
}

/// The state of a payment intent whose shopper has finished the page. `open` is the reference while it is open.
pub(super) fn of_intent(intent: &PaymentIntent, open: &str) -> Result<Outcome, AmountError> {
    Ok(match intent.status.as_str() {
        "succeeded" => Outcome::Succeeded(capture(intent)?),
        "requires_capture" => Outcome::Authorized(authorization(intent)?),
        "canceled" => Outcome::Expired,
        // A payment that takes days has failed. A declined card does not finish the page.
        "requires_payment_method" => {
            Outcome::Failed { reference: Some(intent.id.clone()), code: failure_code(intent) }
        }
        _ => Outcome::Processing { reference: open.to_owned() },
    })
}

/// The code of a failure.
fn failure_code(intent: &PaymentIntent) -> String {
    let code = intent.last_payment_error.as_ref().and_then(|error| error.best_code());
    code.unwrap_or(ASYNC_FAILED).to_owned()
}

/// The code of a payment that failed after the shopper had finished the page, if Stripe gives no reason.
pub(super) const ASYNC_FAILED: &str = "async_payment_failed";

/// What was captured, with the fee if it is told.
pub(super) fn capture(intent: &PaymentIntent) -> Result<Capture, AmountError> {
    let captured = from_stripe(intent.amount_received, &intent.currency)?;
    let capture = Capture::new(&intent.id, captured);
    let charge = intent.latest_charge.as_ref().and_then(Expandable::object);
    let booking = charge.and_then(|charge| charge.balance_transaction.as_ref()?.object());
    let fee = booking.and_then(|booking| from_stripe(booking.fee, &booking.currency).ok());
    Ok(match fee {
        Some(fee) => capture.with_fee(fee),
        None => capture,
    })
}

/// What is authorized, with its end if it is told.
pub(super) fn authorization(intent: &PaymentIntent) -> Result<Authorization, AmountError> {
    let authorized = from_stripe(intent.amount_capturable, &intent.currency)?;
    let authorization = Authorization::new(&intent.id, authorized);
    let charge = intent.latest_charge.as_ref().and_then(Expandable::object);
    let card = charge.and_then(|charge| charge.payment_method_details.as_ref()?.card.as_ref());
    let lapses_at = card.and_then(|card| DateTime::from_timestamp(card.capture_before?, 0));
    Ok(match lapses_at {
        Some(lapses_at) => authorization.with_lapse(lapses_at),
        None => authorization,
    })
}
