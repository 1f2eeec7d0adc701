//! Money and addresses, in the form that clients use.

use commerce_core::address::{self, AddressFields};
use commerce_core::money::{self, Currency};
use poem_openapi::Object;
use poem_openapi::types::Example;

use crate::http::problem::{Fault, Problem};

/// An amount in minor units (cents, yen) of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields, example)]
pub struct Money {
    /// Minor units: 1250 is 12.50 USD, or 1250 JPY.
    pub amount: i64,
    /// ISO 4217, such as `USD`.
    #[oai(validator(pattern = "^[A-Z]{3}$"))]
    pub currency: String,
}

impl Money {
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount: amount_minor, currency: currency.to_string() }
    }

    /// The amount as commerce-core's type. `pointer` is its place in the body.
    pub fn checked(&self, pointer: &str) -> Result<money::Money, Problem> {
        match self.currency.parse() {
            Ok(currency) => Ok(money::Money::new(self.amount, currency)),
            Err(error) => {
                Err(Problem::invalid(vec![Fault::at(format!("{pointer}/currency"), error.to_string())]))
            }
        }
    }
}

impl From<money::Money> for Money {
    fn from(money: money::Money) -> Self {
        Self::new(money.amount_minor, money.currency)
    }
}

impl Example for Money {
    fn example() -> Self {
        Self::new(1250, Currency::USD)
    }
}

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
pub struct Address {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub name: String,
    #[oai(validator(min_length = 1, max_length = 200))]
    pub line1: String,
    #[oai(validator(max_length = 200))]
    pub line2: Option<String>,
    /// The town. Required in most countries.
    #[oai(validator(max_length = 200))]
    pub city: Option<String>,
    /// The state, province or county. Required in some countries, such as the United States.
    #[oai(validator(max_length = 200))]
    pub region: Option<String>,
    /// The postal code. Required in most countries that have them.
    #[oai(validator(max_length = 200))]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, such as `GB`, or `XK` for Kosovo.
    #[oai(validator(pattern = "^[A-Z]{2}$"))]
    pub country: String,
    #[oai(validator(max_length = 200))]
    pub phone: Option<String>,
}

impl Address {
    /// The address as commerce-core's type. `pointer` is its place in the body.
    pub fn checked(&self, pointer: &str) -> Result<address::Address, Vec<Fault>> {
        let Self { name, line1, line2, city, region, postal_code, country, phone } = self.clone();
        let fields = AddressFields { name, line1, line2, city, region, postal_code, country, phone };
        let address = address::Address::new(fields);
        address.map_err(|error| error.at(pointer).into_iter().map(Fault::from).collect())
    }
}

impl From<address::Address> for Address {
    fn from(address: address::Address) -> Self {
        let AddressFields { name, line1, line2, city, region, postal_code, country, phone } =
            address.into_fields();
        Self { name, line1, line2, city, region, postal_code, country, phone }
    }
}

impl Example for Address {
    fn example() -> Self {
        Self {
            name: "Ada Lovelace".to_owned(),
            line1: "12 St James's Square".to_owned(),
            line2: None,
            city: Some("London".to_owned()),
            region: None,
            postal_code: Some("SW1Y 4JH".to_owned()),
            country: "GB".to_owned(),
            phone: None,
        }
    }
}
