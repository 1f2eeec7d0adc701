//! The request for a Checkout Session.

use chrono::{DateTime, TimeDelta, Utc};

use super::amount::{AmountError, currency_name, to_stripe};
use super::form::Form;
use super::objects::{ORDER_ID, PAYMENT_ID};
use super::settings::StripeSettings;
use crate::money::Money;
use crate::orders::OrderLine;
use crate::payments::{CaptureMethod, Invoice, Payment};

/// Stripe wants at least 30 minutes from the moment of the request. The request may be repeated for as long again.
const SHORTEST_LIFE: TimeDelta = TimeDelta::hours(1);

/// Stripe wants at most 24 hours.
const LONGEST_LIFE: TimeDelta = TimeDelta::hours(23);

/// The most lines that Stripe takes.
const LINES_MAX: usize = 100;

/// The longest name of a product that Stripe takes, in characters.
const NAME_MAX: usize = 250;

/// The whole request. Stripe compares a repeated request with the first one, so it is made of what stays: of the
/// attempt, and of the order's lines and totals as they were at checkout. Units that are cancelled later change nothing
/// of it.
pub(super) fn session_form(
    settings: &StripeSettings,
    payment: &Payment,
    invoice: &Invoice,
) -> Result<Form, AmountError> {
    let order = &invoice.order;
    let mut form = Form::new();
    form.put("mode", "payment")
        .put("client_reference_id", payment.id)
        .put("customer_email", &order.email)
        .put("success_url", &settings.success_url)
        .put("cancel_url", &settings.cancel_url)
        .put("expires_at", expires_at(payment, order.expires_at).timestamp());
    for (key, value) in [(ORDER_ID, payment.order_id.to_string()), (PAYMENT_ID, payment.id.to_string())] {
        form.put(&format!("metadata[{key}]"), &value);
        // Webhooks about the payment intent and its charge have this one.
        form.put(&format!("payment_intent_data[metadata][{key}]"), &value);
    }
    form.put("payment_intent_data[description]", order_name(invoice));
    if payment.capture_method == CaptureMethod::Manual {
        form.put("payment_intent_data[capture_method]", "manual");
    }
    let total = Money::new(payment.amount_minor, payment.currency);
    let items = items(invoice, total).unwrap_or_else(|| vec![Item::whole(invoice, total)]);
    for (place, item) in items.iter().enumerate() {
        let key = |field: &str| format!("line_items[{place}]{field}");
        form.put(&key("[quantity]"), item.quantity)
            .put(&key("[price_data][currency]"), currency_name(total.currency))
            .put(&key("[price_data][unit_amount]"), to_stripe(Money::new(item.unit_minor, total.currency))?)
            .put(&key("[price_data][product_data][name]"), &item.name);
    }
    Ok(form)
}

/// The session lives as long as the order waits, within Stripe's limits. If the order ends sooner, the session is
/// ended by a request.
fn expires_at(payment: &Payment, order_waits_until: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let (earliest, latest) = (payment.created_at + SHORTEST_LIFE, payment.created_at + LONGEST_LIFE);
    order_waits_until.unwrap_or(earliest).clamp(earliest, latest)
}

/// What people call the order.
fn order_name(invoice: &Invoice) -> String {
    format!("Order {}", invoice.order.number)
}

/// A line of Stripe's page.
struct Item {
    name: String,
    quantity: i64,
    unit_minor: i64,
}

impl Item {
    /// The payment as one line.
    fn whole(invoice: &Invoice, total: Money) -> Self {
        Self { name: order_name(invoice), quantity: 1, unit_minor: total.amount_minor }
    }

    fn of(line: &OrderLine) -> Self {
        Self {
            name: line.title.chars().take(NAME_MAX).collect(),
            quantity: line.quantity,
            unit_minor: line.unit_price_minor,
        }
    }
}

/// The lines of the order with shipping and tax, if Stripe can show them and they add up to the payment. `None` for a
/// part payment, and for an order with a discount: Stripe knows no negative lines, and a coupon would have to be made
/// for it.
fn items(invoice: &Invoice, total: Money) -> Option<Vec<Item>> {
    let order = &invoice.order;
    if order.discount_minor != 0 {
        return None;
    }
    let mut items: Vec<Item> = invoice.lines.iter().map(Item::of).collect();
    let added_tax = order.tax_minor.checked_sub(order.tax_included_minor)?;
    for (name, amount_minor) in [("Shipping", order.shipping_minor), ("Tax", added_tax)] {
        if amount_minor != 0 {
            items.push(Item { name: name.to_owned(), quantity: 1, unit_minor: amount_minor });
        }
    }
    let sum = items
        .iter()
        .try_fold(0i64, |sum, item| sum.checked_add(item.unit_minor.checked_mul(item.quantity)?))?;
    let can_be_shown = items.len() <= LINES_MAX
        && items.iter().all(|item| {
            let unit = to_stripe(Money::new(item.unit_minor, total.currency));
            item.unit_minor >= 0 && item.quantity > 0 && !item.name.trim().is_empty() && unit.is_ok()
        });
    (sum == total.amount_minor && can_be_shown).then_some(items)
}
