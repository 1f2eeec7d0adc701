//! What staff enter as an order for a customer.

use std::time::Duration;

use commerce_core::audit_log::Author;
use commerce_core::cart::Item;
use commerce_core::email_address::EmailAddress;
use commerce_core::flows::{StaffOrder, StaffOrderError};
use commerce_core::ids::{UserId, VariantId};
use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::http::language::checked_locale;
use crate::http::money::{Address, Money};
use crate::http::problem::{Code, Fault, Problem, Refusal};

/// Units of a variant.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct StaffOrderItem {
    pub variant_id: Uuid,
    #[oai(validator(minimum(value = "1"), maximum(value = "1000000")))]
    pub quantity: i64,
}

impl Example for StaffOrderItem {
    fn example() -> Self {
        Self { variant_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1f), quantity: 2 }
    }
}

/// An order for a customer.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct StaffOrderRequest {
    /// The account that it is for, if there is one. Its owner sees the order, and can pay it.
    pub customer_id: Option<Uuid>,
    /// Where mails about the order go. The account's address by default.
    #[oai(validator(min_length = 3, max_length = 254))]
    pub email: Option<String>,
    /// The language of mails about the order. The account's by default, or the shop's.
    #[oai(validator(max_length = 35))]
    pub locale: Option<String>,
    /// Units of the same variant are added up.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub items: Vec<StaffOrderItem>,
    pub shipping_address: Address,
    pub billing_address: Option<Address>,
    /// The total that the customer was told. If it is another by now, the answer is 409 `price_changed`.
    pub expected_total: Option<Money>,
    /// How long the order waits for its payment. Three days by default.
    #[oai(validator(minimum(value = "1"), maximum(value = "720")))]
    pub pay_within_hours: Option<u16>,
}

/// A customer who asks for the bank's details needs some days.
const HOURS: u16 = 72;

impl StaffOrderRequest {
    /// The wish of the body, checked as far as that is possible without locks.
    pub fn wish(self, author: Author) -> Result<StaffOrder, Problem> {
        let shipping = self.shipping_address.checked("/shipping_address");
        let billing = self.billing_address.as_ref().map(|address| address.checked("/billing_address"));
        let email = self.email.as_deref().map(str::parse::<EmailAddress>).transpose();
        let email = email.map_err(|error| vec![Fault::at("/email", error.to_string())]);
        let expected_total =
            self.expected_total.as_ref().map(|money| money.checked("/expected_total")).transpose()?;
        let item =
            |item: &StaffOrderItem| Item { variant_id: VariantId(item.variant_id), quantity: item.quantity };
        let locale = checked_locale(&self.locale).map_err(|fault| vec![fault]);
        match (shipping, billing.transpose(), email, locale) {
            (Ok(shipping_address), Ok(billing_address), Ok(email), Ok(locale)) => Ok(StaffOrder {
                customer_id: self.customer_id.map(UserId),
                email,
                locale,
                shipping_address,
                billing_address,
                items: self.items.iter().map(item).collect(),
                expected_total,
                waits: Duration::from_secs(u64::from(self.pay_within_hours.unwrap_or(HOURS)) * 3600),
                author,
            }),
            (shipping, billing, email, locale) => {
                let faults = [shipping.err(), billing.err(), email.err(), locale.err()];
                Err(Problem::invalid(faults.into_iter().flatten().flatten().collect()))
            }
        }
    }
}

impl Example for StaffOrderRequest {
    fn example() -> Self {
        Self {
            customer_id: None,
            email: Some("ada@example.com".to_owned()),
            locale: None,
            items: vec![StaffOrderItem::example()],
            shipping_address: Address::example(),
            billing_address: None,
            expected_total: None,
            pay_within_hours: Some(48),
        }
    }
}

impl Refusal for StaffOrderError {
    const CODES: &'static [Code] = &[
        Code::OutOfStock,
        Code::NotForSale,
        Code::PriceChanged,
        Code::CurrencyMismatch,
        Code::ValidationFailed,
    ];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::UnknownCustomer => Problem::invalid(vec![Fault::at("/customer_id", text)]),
            Self::NoEmail => Problem::invalid(vec![Fault::at("/email", text)]),
            Self::WaitsTooLong => Problem::invalid(vec![Fault::at("/pay_within_hours", text)]),
            Self::NoUnits(_) => Problem::invalid(vec![Fault::at("/items", text)]),
            Self::UnknownVariants(ids) => {
                Problem::invalid(vec![Fault::at("/items", text)]).with("variant_ids", ids)
            }
            Self::Place(error) => error.problem(),
            Self::Database(error) => error.into(),
        }
    }
}
