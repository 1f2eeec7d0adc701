//! What a shopper sends to check out, and why it may be refused.

use commerce_core::accounts;
use commerce_core::email_address::EmailAddress;
use commerce_core::flows::{PlaceOrder, PlaceOrderError};
use commerce_core::notifications::Recipient;
use poem_openapi::Object;
use poem_openapi::types::Example;

use crate::http::auth::{Credential as _, Shopper};
use crate::http::language::{AcceptLanguage, checked_locale};
use crate::http::money::{Address, Money};
use crate::http::problem::{Code, Fault, Problem, Refusal};
use crate::http::state::State;
use crate::resources::cart::{hold_limit, out_of_stock};

/// What checkout needs apart from the cart.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct CheckoutRequest {
    /// Where mails about the order go. A customer's own address by default.
    #[oai(validator(min_length = 3, max_length = 254))]
    pub email: Option<String>,
    /// The language of mails about the order, such as `de` or `en-GB`.
    #[oai(validator(max_length = 35))]
    pub locale: Option<String>,
    pub shipping_address: Address,
    pub billing_address: Option<Address>,
    /// The total that the shopper was shown. If the total has changed since, the answer is 409
    /// `price_changed`.
    pub expected_total: Option<Money>,
}

impl Example for CheckoutRequest {
    fn example() -> Self {
        Self {
            email: Some("ada@example.com".to_owned()),
            locale: Some("en-GB".to_owned()),
            shipping_address: Address::example(),
            billing_address: None,
            expected_total: Some(Money { amount: 12000, currency: "USD".to_owned() }),
        }
    }
}

impl CheckoutRequest {
    /// The wish of the body, checked as far as that is possible without locks.
    pub async fn wish(
        &self,
        state: &State,
        shopper: &Shopper,
        language: AcceptLanguage,
        networks: Vec<(String, u32)>,
    ) -> Result<PlaceOrder, Problem> {
        let user = match shopper.owner().user_id() {
            Some(user_id) => accounts::find_user(&mut *state.conn().await?, user_id).await?,
            None => None,
        };
        let billing_address = self.billing_address.as_ref();
        let shipping_address = self.shipping_address.checked("/shipping_address");
        let billing_address = billing_address.map(|address| address.checked("/billing_address")).transpose();
        let email = match (&self.email, &user) {
            (Some(text), _) => text.parse::<EmailAddress>().map_err(|error| error.to_string()),
            (None, Some(user)) => Ok(user.email.clone()),
            (None, None) => {
                Err("is required for guests, because mails about the order are sent there".to_owned())
            }
        };
        let expected_total =
            self.expected_total.as_ref().map(|money| money.checked("/expected_total")).transpose()?;
        let locale = checked_locale(&self.locale);
        match (shipping_address, billing_address, email, locale) {
            (Ok(shipping_address), Ok(billing_address), Ok(email), Ok(locale)) => Ok(PlaceOrder {
                owner: shopper.owner(),
                locale: locale.or(user.as_ref().and_then(|user| user.locale.clone())).or(language.0),
                recipient: match user {
                    Some(user) if user.has_proven(&email) => Recipient::Proven,
                    _ => Recipient::Unproven { networks },
                },
                email,
                shipping_address,
                billing_address,
                expected_total,
                origin: shopper.origin(),
            }),
            (shipping, billing, email, locale) => {
                let faults = [
                    shipping.err(),
                    billing.err(),
                    email.err().map(|fault| vec![Fault::at("/email", fault)]),
                    locale.err().map(|fault| vec![fault]),
                ];
                Err(Problem::invalid(faults.into_iter().flatten().flatten().collect()))
            }
        }
    }
}

impl Refusal for PlaceOrderError {
    const CODES: &'static [Code] = &[
        Code::CartEmpty,
        Code::OutOfStock,
        Code::NotForSale,
        Code::PriceChanged,
        Code::HoldLimit,
        Code::CurrencyMismatch,
        Code::ValidationFailed,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::CartEmpty => Problem::new(Code::CartEmpty, "There is nothing in the cart to order."),
            Self::OutOfStock(shortages) => out_of_stock(shortages),
            Self::NotForSale(variants) => {
                let detail = "Some items are no longer for sale: remove them from the cart.";
                Problem::new(Code::NotForSale, detail).with("variant_ids", variants)
            }
            Self::PriceChanged { expected, actual } => {
                let detail = format!("The total is now {actual}, not {expected}.");
                Problem::new(Code::PriceChanged, detail).with("total", price_fact(actual))
            }
            Self::CurrencyMismatch { .. } => Problem::new(Code::CurrencyMismatch, self.to_string()),
            Self::HoldLimit(limit) => hold_limit(limit),
            Self::Pricing(error) => Problem::invalid(vec![Fault::at("", error.to_string())]),
            Self::Database(error) => error.into(),
        }
    }
}

fn price_fact(money: commerce_core::money::Money) -> serde_json::Value {
    serde_json::json!({ "amount": money.amount_minor, "currency": money.currency })
}
