//! The rules that a shop sets for itself. The programs fill them from flags and the environment; a host
//! program may fill them in any way.

mod carriers;

use std::time::Duration;

use crate::email_address::EmailAddress;
use crate::money::Currency;
use crate::text_enum::text_enum;

pub use carriers::{Carriers, InvalidCarriers};

text_enum! {
    /// When stock is reserved for a shopper.
    pub enum ReservationMode {
        /// At checkout. A cart reserves nothing.
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
        /// The order is cancelled and its stock released at once.
        Cancel = "cancel",
    }
}

text_enum! {
    /// When money is taken that a shopper has agreed to pay.
    pub enum CapturePolicy {
        /// At once.
        Automatic = "automatic",
        /// When the order is shipped. Until then it is authorized.
        OnShipping = "on_shipping",
        /// When staff capture it. Until then it is authorized.
        Manual = "manual",
    }
}

/// The rules that a shop sets for itself.
#[derive(Debug, Clone)]
pub struct ShopSettings {
    /// The one currency of prices, orders and payments.
    pub currency: Currency,
    /// How long an order waits for a payment before it is cancelled and its stock released.
    pub order_ttl: Duration,
    /// How long an expired order with an open attempt waits for a provider that cannot be reached.
    pub provider_grace: Duration,
    /// When stock is reserved.
    pub reservation_mode: ReservationMode,
    /// How long a cart holds its stock in mode [`ReservationMode::Cart`].
    pub cart_hold_ttl: Duration,
    /// How long the carts of a shopper hold stock within 24 hours, in mode [`ReservationMode::Cart`].
    pub cart_hold_max: Duration,
    /// How many orders of one shopper may wait for their payment at a time.
    pub open_orders_max: u32,
    /// How many units one shopper may hold without having paid for them.
    pub held_units_max: u32,
    /// How long the mail about a new order waits. It is not sent if the order is paid or cancelled by then.
    pub order_mail_delay: Duration,
    /// How long after their arrival goods can be returned.
    pub return_window: Duration,
    /// What a failed payment does to its order.
    pub payment_failure: PaymentFailurePolicy,
    /// When money is taken. Providers that cannot authorize take it at once.
    pub capture: CapturePolicy,
    /// The address for alerts that need a person, such as a late payment that was refunded.
    pub alert_email: Option<EmailAddress>,
    /// The carriers whose parcels can be tracked on a page of theirs.
    pub carriers: Carriers,
}

impl Default for ShopSettings {
    fn default() -> Self {
        Self {
            currency: Currency::USD,
            order_ttl: Duration::from_secs(15 * 60),
            provider_grace: Duration::from_secs(60 * 60),
            reservation_mode: ReservationMode::Checkout,
            cart_hold_ttl: Duration::from_secs(15 * 60),
            cart_hold_max: Duration::from_secs(60 * 60),
            open_orders_max: 5,
            held_units_max: 300,
            order_mail_delay: Duration::from_secs(60),
            return_window: Duration::from_secs(30 * 24 * 60 * 60),
            payment_failure: PaymentFailurePolicy::Keep,
            capture: CapturePolicy::Automatic,
            alert_email: None,
            carriers: Carriers::default(),
        }
    }
}
