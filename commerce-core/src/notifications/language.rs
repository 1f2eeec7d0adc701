//! How a language writes numbers and dates, and the words of the parts that mails share: the file `locale.toml`.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Utc};
use serde::Deserialize;

use crate::money::Money;

/// A language of mails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Language {
    /// What stands between whole units and the rest.
    decimal: String,
    /// What stands between groups of three digits.
    group: String,
    /// With `{day}`, `{month}` and `{year}`.
    date: String,
    /// With `{date}` and `{time}`, which is UTC.
    moment: String,
    months: [String; 12],
    /// Words of the shared parts, by name.
    pub words: BTreeMap<String, String>,
}

impl Language {
    /// Reads `locale.toml`.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }

    /// `1,234.50 USD`, `1.234,50 EUR`.
    pub fn money(&self, money: Money) -> String {
        self.amount(&money.to_string())
    }

    /// An amount that was written down with a decimal point, such as `1234.50 USD`. Any other text stays as it is.
    pub fn amount(&self, text: &str) -> String {
        match text.split_once(' ') {
            Some((number, currency)) => self.decimal(number).map(|number| format!("{number} {currency}")),
            None => None,
        }
        .unwrap_or_else(|| text.to_owned())
    }

    /// `1,234`
    pub fn number(&self, number: i64) -> String {
        let text = number.to_string();
        self.decimal(&text).unwrap_or(text)
    }

    fn decimal(&self, text: &str) -> Option<String> {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        let (whole, places) =
            digits.split_once('.').map_or((digits, None), |(whole, places)| (whole, Some(places)));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !places.is_none_or(is_number) {
            return None;
        }
        let mut written = sign.to_owned();
        for (place, digit) in whole.char_indices() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                written.push_str(&self.group);
            }
            written.push(digit);
        }
        if let Some(places) = places {
            written.push_str(&self.decimal);
            written.push_str(places);
        }
        Some(written)
    }

    /// `21 November 2026`
    pub fn date(&self, time: DateTime<Utc>) -> String {
        let month = self.months.get(time.month0() as usize).map(String::as_str).unwrap_or_default();
        let day_and_year = self.date.replace("{day}", &time.day().to_string());
        day_and_year.replace("{year}", &time.year().to_string()).replace("{month}", month)
    }

    /// `21 November 2026, 14:05 UTC`
    pub fn moment(&self, time: DateTime<Utc>) -> String {
        self.at(time, "%H:%M")
    }

    /// `21 November 2026, 14:05:09 UTC`
    pub fn second(&self, time: DateTime<Utc>) -> String {
        self.at(time, "%H:%M:%S")
    }

    fn at(&self, time: DateTime<Utc>, clock: &str) -> String {
        let written = self.moment.replace("{time}", &time.format(clock).to_string());
        written.replace("{date}", &self.date(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    const GERMAN: &str = include_str!("templates/de/locale.toml");
    const ENGLISH: &str = include_str!("templates/en/locale.toml");

    #[test]
    fn numbers_and_dates_are_written_as_the_language_does() {
        let time = DateTime::from_timestamp(1_772_461_829, 0).unwrap();
        for (text, amount, yen, number, date, moment) in [
            (ENGLISH, "-1,234,567.50 EUR", "999 JPY", "12,345", "2 March 2026", "2 March 2026, 14:30 UTC"),
            (
                GERMAN,
                "-1.234.567,50 EUR",
                "999 JPY",
                "12.345",
                "2. März 2026",
                "2. März 2026, 14:30 Uhr (UTC)",
            ),
        ] {
            let language = Language::parse(text).unwrap();
            assert_eq!(language.money(Money::new(-123_456_750, Currency::EUR)), amount);
            assert_eq!(language.money(Money::new(999, Currency::JPY)), yen);
            assert_eq!(language.number(12_345), number);
            assert_eq!(language.date(time), date);
            assert_eq!(language.moment(time), moment);
            assert!(language.second(time).contains("14:30:29"));
            for other in ["", "much", "one EUR", "12,50 EUR", ". EUR", "-"] {
                assert_eq!(language.amount(other), other);
            }
        }
    }

    #[test]
    fn every_language_that_ships_has_the_same_words() {
        let words = |text| Language::parse(text).unwrap().words.into_keys().collect::<Vec<_>>();
        assert_eq!(words(GERMAN), words(ENGLISH));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Language::parse(&ENGLISH.replace("group = \",\"\n", "")).unwrap_err();
        assert!(error.contains("missing field `group`"), "{error}");
        let error = Language::parse(&ENGLISH.replace("group =", "groups =")).unwrap_err();
        assert!(error.contains("unknown field `groups`"), "{error}");
    }
}
