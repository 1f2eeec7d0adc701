//! What a shop decides about itself. The binaries fill it from their flags and environment; a host program from wherever it
//! likes.

use std::time::Duration;

use crate::email_address::EmailAddress;
use crate::money::Currency;
use crate::text_enum::text_enum;

text_enum! {
    /// When stock is set aside for a shopper.
    pub enum ReservationMode {
        /// At checkout: a full cart promises nothing until then.
        Checkout = "checkout",
        /// From add-to-cart on, for [`ShopSettings::cart_hold_ttl`].
        Cart = "cart",
    }
}

text_enum! {
    /// What a failed payment does to its order.
    pub enum PaymentFailurePolicy {
        /// The order waits for another attempt until it expires.
        Keep = "keep",
        /// The order is cancelled and its stock given back at once.
        Cancel = "cancel",
    }
}

/// The rules a shop sets for itself.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// The one currency that prices, orders and payments are in.
    pub currency: Currency,
    /// How long an order waits to be paid before it is cancelled and its stock given back.
    pub order_ttl: Duration,
    /// How long an expired order with an open attempt waits for a provider that cannot be reached.
    pub provider_grace: Duration,
    /// When stock is set aside.
    pub reservation_mode: ReservationMode,
    /// How long a cart holds its stock in mode [`ReservationMode::Cart`].
    pub cart_hold_ttl: Duration,
    /// What a failed payment does to its order.
    pub payment_failure: PaymentFailurePolicy,
    /// Who is told of what needs a person, such as a late payment that was given back.
    pub alert_email: Option<EmailAddress>,
}

impl Default for ShopSettings {
    fn default() -> Self {
        Self {
            currency: Currency::USD,
            order_ttl: Duration::from_secs(15 * 60),
            provider_grace: Duration::from_secs(60 * 60),
            reservation_mode: ReservationMode::Checkout,
            cart_hold_ttl: Duration::from_secs(15 * 60),
            payment_failure: PaymentFailurePolicy::Keep,
            alert_email: None,
        }
    }
}
