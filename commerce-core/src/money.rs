//! Money: whole minor units (cents, yen) of an ISO 4217 currency. It is never a float, and its arithmetic is
//! checked.

use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency with a minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// US dollar: 100 cents.
    pub const USD: Currency = Currency(iso_currency::Currency::USD);
    /// Euro: 100 cents.
    pub const EUR: Currency = Currency(iso_currency::Currency::EUR);
    /// Yen, which has no smaller unit.
    pub const JPY: Currency = Currency(iso_currency::Currency::JPY);

    /// The three letters, such as `USD`.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of decimal digits of the minor unit: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

/// The text is not a currency with a minor unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ISO 4217 currency code such as USD")]
pub struct UnknownCurrency(pub String);

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        iso_currency::Currency::from_code(code)
            // Gold, bond units and the "no currency" codes have no minor unit.
            .filter(|currency| currency.exponent().is_some())
            .map(Currency)
            .ok_or_else(|| UnknownCurrency(code.to_owned()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl ToSql<Text, Pg> for Currency {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.code(), out)
    }
}

impl FromSql<Text, Pg> for Currency {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(<String as FromSql<Text, Pg>>::from_sql(bytes)?.parse()?)
    }
}

/// An amount in minor units of a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The amount in minor units, such as cents.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// A sum or product does not fit into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct AmountOverflow;

/// The text is not an amount of this currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// The text is not a decimal number.
    #[error("{0:?} is not a decimal amount such as 12.50")]
    NotADecimal(String),
    /// The text has more decimal places than the currency.
    #[error("{text:?} has more than the {exponent} decimal places of {currency}")]
    TooManyPlaces {
        /// The text.
        text: String,
        /// How many places the currency has.
        exponent: u32,
        /// The currency.
        currency: Currency,
    },
    /// The amount is too large.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

impl Money {
    /// Makes an amount from minor units: `Money::new(12_50, Currency::USD)` is 12.50 dollars.
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }

    /// Reads a plain decimal: "12.5" is 1250 minor units of USD. Signs, grouping and currency symbols are not
    /// allowed.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, ParseAmountError> {
        let not_a_decimal = || ParseAmountError::NotADecimal(text.to_owned());
        let too_large = || ParseAmountError::TooLarge(text.to_owned());
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits_only(whole) || !digits_only(places) || text.ends_with('.') {
            return Err(not_a_decimal());
        }
        let exponent = currency.exponent();
        let significant = places.trim_end_matches('0');
        if significant.len() > exponent as usize {
            return Err(ParseAmountError::TooManyPlaces { text: text.to_owned(), exponent, currency });
        }
        let padded = format!("{whole}{significant:0<width$}", width = exponent as usize);
        let amount_minor = padded.parse().map_err(|_| too_large())?;
        Ok(Self { amount_minor, currency })
    }
}

impl fmt::Display for Money {
    /// `12.50 USD`, `1200 JPY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent() as usize;
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.amount_minor.unsigned_abs(), width = exponent + 1);
        let (whole, places) = digits.split_at(digits.len() - exponent);
        let point = if exponent == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{places} {}", self.currency)
    }
}

/// `unit_price_minor × quantity`.
pub fn line_total(unit_price_minor: i64, quantity: i64) -> Result<i64, AmountOverflow> {
    unit_price_minor.checked_mul(quantity).ok_or(AmountOverflow)
}

/// The sum of minor units.
pub fn total(amounts_minor: impl IntoIterator<Item = i64>) -> Result<i64, AmountOverflow> {
    amounts_minor.into_iter().try_fold(0i64, i64::checked_add).ok_or(AmountOverflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_in_the_currencys_own_minor_units() {
        let parse = |text, currency| Money::parse_decimal(text, currency).map(|money| money.amount_minor);
        assert_eq!(parse("12.5", Currency::USD), Ok(1250));
        assert_eq!(parse("50", Currency::USD), Ok(5000));
        assert_eq!(parse("0.01", Currency::USD), Ok(1));
        assert_eq!(parse("1.500", Currency::USD), Ok(150));
        assert_eq!(parse("1200", Currency::JPY), Ok(1200));
        assert_eq!(parse("1200.00", Currency::JPY), Ok(1200));
        assert!(matches!(parse("12.505", Currency::USD), Err(ParseAmountError::TooManyPlaces { .. })));
        assert!(matches!(parse("1.5", Currency::JPY), Err(ParseAmountError::TooManyPlaces { .. })));
        for wrong in ["", ".", ".5", "5.", "-1", "+1", "1,000", "$5", "1e3", "٣", " 1"] {
            assert!(
                matches!(parse(wrong, Currency::USD), Err(ParseAmountError::NotADecimal(_))),
                "{wrong:?}"
            );
        }
        assert!(matches!(parse("99999999999999999999", Currency::USD), Err(ParseAmountError::TooLarge(_))));
    }

    #[test]
    fn money_shows_as_people_write_it() {
        assert_eq!(Money::new(1250, Currency::USD).to_string(), "12.50 USD");
        assert_eq!(Money::new(5, Currency::USD).to_string(), "0.05 USD");
        assert_eq!(Money::new(-5, Currency::USD).to_string(), "-0.05 USD");
        assert_eq!(Money::new(1200, Currency::JPY).to_string(), "1200 JPY");
        assert_eq!(Money::new(i64::MIN, Currency::USD).to_string(), "-92233720368547758.08 USD");
    }

    #[test]
    fn sums_are_checked() {
        assert_eq!(line_total(i64::MAX, 2), Err(AmountOverflow));
        assert_eq!(total([i64::MAX, 1]), Err(AmountOverflow));
        assert_eq!(total([1, 2, 3]), Ok(6));
    }

    #[test]
    fn only_countable_currencies_are_known() {
        assert_eq!("USD".parse(), Ok(Currency::USD));
        assert!("usd".parse::<Currency>().is_err());
        assert!("XAU".parse::<Currency>().is_err());
    }
}
