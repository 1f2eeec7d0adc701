//! Prices in a file.

use crate::money::{Currency, Money};

/// How a file writes prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices {
    /// The shop's currency.
    pub currency: Currency,
    /// Whether `12,50` may stand for 12.50.
    pub decimal_commas: bool,
}

impl Prices {
    /// A price as a plain decimal of the currency.
    pub fn parse(self, text: &str) -> Result<Money, String> {
        if text.is_empty() {
            return Err("is empty: every variant has a price".to_owned());
        }
        let decimal = match text.split_once(',') {
            // `1,299` may be a thousand, so it is refused.
            Some((whole, places)) if self.decimal_commas && places.len() != 3 => {
                format!("{}.{places}", without_points(whole))
            }
            _ => text.to_owned(),
        };
        let named = |error: crate::money::ParseAmountError| match error {
            crate::money::ParseAmountError::NotADecimal(_) => {
                crate::money::ParseAmountError::NotADecimal(text.to_owned())
            }
            other => other,
        };
        Money::parse_decimal(&decimal, self.currency).map_err(|error| named(error).to_string())
    }
}

/// `1.299` before a comma is 1299.
fn without_points(whole: &str) -> String {
    let is_grouped = whole.split('.').skip(1).all(|group| group.len() == 3);
    if is_grouped { whole.replace('.', "") } else { whole.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_separates_decimals_only_where_the_file_says_so() {
        let parse = |text: &str, decimal_commas: bool| {
            let prices = Prices { currency: Currency::USD, decimal_commas };
            prices.parse(text).ok().map(|price| price.amount_minor)
        };
        assert_eq!(
            (parse("12,50", true), parse("12,5", true), parse("12.50", true)),
            (Some(1250), Some(1250), Some(1250))
        );
        assert_eq!(parse("1.299,00", true), Some(129_900));
        assert_eq!((parse("12,50", false), parse("1,299", true), parse("1.29,00", true)), (None, None, None));
    }
}
