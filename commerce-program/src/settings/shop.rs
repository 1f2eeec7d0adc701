use std::time::Duration;

use clap::{Args, value_parser};
use commerce_core::email_address::{EmailAddress, InvalidEmailAddress};
use commerce_core::money::Currency;
use commerce_core::settings::{CapturePolicy, Carriers, PaymentFailurePolicy, ReservationMode, ShopSettings};
use humantime::parse_duration;

/// The rules of the shop, which must be the same for API and worker.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Shop")]
pub struct ShopArguments {
    /// The one currency of prices, orders and payments
    #[arg(long, env = "COMMERCE_CURRENCY", default_value = "USD")]
    currency: Currency,

    /// How long an order waits for a payment
    #[arg(long, env = "COMMERCE_ORDER_TTL", default_value = "15m", value_parser = parse_duration)]
    order_ttl: Duration,

    /// How long an expired order waits for a payment provider that cannot be reached
    #[arg(long, env = "COMMERCE_PROVIDER_GRACE", default_value = "1h", value_parser = parse_duration)]
    provider_grace: Duration,

    /// When stock is reserved: at `checkout`, or from add-to-`cart` on
    #[arg(long, env = "COMMERCE_RESERVATION_MODE", default_value = "checkout")]
    reservation_mode: ReservationMode,

    /// How long a cart holds its stock in mode `cart`
    #[arg(long, env = "COMMERCE_CART_HOLD_TTL", default_value = "15m", value_parser = parse_duration)]
    cart_hold_ttl: Duration,

    /// How long the carts of a shopper hold stock within 24 hours in mode `cart`, however often they are changed
    #[arg(long, env = "COMMERCE_CART_HOLD_MAX", default_value = "1h", value_parser = parse_duration)]
    cart_hold_max: Duration,

    /// How many orders of one shopper may wait for their payment at a time
    #[arg(long, env = "COMMERCE_OPEN_ORDERS_MAX", default_value = "5", value_parser = value_parser!(u32).range(1..))]
    open_orders_max: u32,

    /// How many units one shopper may hold without having paid for them
    #[arg(long, env = "COMMERCE_HELD_UNITS_MAX", default_value = "300", value_parser = value_parser!(u32).range(1..))]
    held_units_max: u32,

    /// How long the mail about a new order waits; it is not sent if the order is paid or cancelled by then
    #[arg(long, env = "COMMERCE_ORDER_MAIL_DELAY", default_value = "1m", value_parser = parse_duration)]
    order_mail_delay: Duration,

    /// How long after their arrival goods can be returned
    #[arg(long, env = "COMMERCE_RETURN_WINDOW", default_value = "30d", value_parser = parse_duration)]
    return_window: Duration,

    /// What a failed payment does to its order: `keep` it for another attempt, or `cancel` it
    #[arg(long, env = "COMMERCE_PAYMENT_FAILURE", default_value = "keep")]
    payment_failure: PaymentFailurePolicy,

    /// When money is taken: at once (`automatic`), when the order is shipped (`on_shipping`), or when staff capture
    /// it (`manual`). Providers that cannot hold money take it at once
    #[arg(long, env = "COMMERCE_CAPTURE", default_value = "automatic")]
    capture: CapturePolicy,

    /// E-mail address for alerts that need a person
    #[arg(long, env = "COMMERCE_ALERT_EMAIL", default_value = "", hide_default_value = true, value_parser = alert_email)]
    alert_email: AlertEmail,

    /// Carriers with the pages that track their parcels, as `DHL=https://…{tracking_number}…;UPS=…`
    #[arg(long, env = "COMMERCE_CARRIERS", default_value = "", hide_default_value = true)]
    carriers: Carriers,
}

impl ShopArguments {
    /// The rules as commerce-core's type.
    pub fn settings(&self) -> ShopSettings {
        ShopSettings {
            currency: self.currency,
            order_ttl: self.order_ttl,
            provider_grace: self.provider_grace,
            reservation_mode: self.reservation_mode,
            cart_hold_ttl: self.cart_hold_ttl,
            cart_hold_max: self.cart_hold_max,
            open_orders_max: self.open_orders_max,
            held_units_max: self.held_units_max,
            order_mail_delay: self.order_mail_delay,
            return_window: self.return_window,
            payment_failure: self.payment_failure,
            capture: self.capture,
            alert_email: self.alert_email.clone(),
            carriers: self.carriers.clone(),
        }
    }
}

/// `None` if the setting is empty. The alias is needed because clap would take `Option` for a flag without a
/// default.
type AlertEmail = Option<EmailAddress>;

fn alert_email(text: &str) -> Result<AlertEmail, InvalidEmailAddress> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}
