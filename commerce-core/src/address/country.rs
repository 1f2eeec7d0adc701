//! What an address needs in each country. The rules are in `countries.tsv`, which names their source.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;

/// A code that ISO 3166-1 leaves to its users. The European Union, banks and carriers use it for Kosovo.
const KOSOVO: &str = "XK";

/// The address rules of a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Country {
    code: &'static str,
    /// Whether a town must be given.
    pub town: bool,
    /// Whether a region must be given.
    pub region: bool,
    /// Whether a town or a region must be given.
    pub town_or_region: bool,
    /// Whether a postal code must be given.
    pub postal_code: bool,
    postal_codes: PostalCodes,
    /// A postal code, if the country has them.
    pub example: Option<&'static str>,
    /// The lines of a label, if they are known.
    pub format: Option<&'static str>,
    /// The lines of a label in Latin letters, if they differ.
    pub latin_format: Option<&'static str>,
}

/// The shape of a country's postal codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PostalCodes {
    /// The country has none, or their shape is not known.
    Unknown,
    Known {
        /// Their lengths without blanks and hyphens, separated by commas.
        lengths: &'static str,
        with_letters: bool,
    },
}

static COUNTRIES: LazyLock<HashMap<&'static str, Country>> = LazyLock::new(|| {
    let rows = include_str!("countries.tsv").lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(Country::read).map(|country| (country.code, country)).collect()
});

impl Country {
    /// The rules for this code of ISO 3166-1 alpha-2, or `XK`. `None` if there is no such country.
    pub fn find(code: &str) -> Option<Self> {
        let iso = isocountry::CountryCode::for_alpha2(code).ok().map(|country| country.alpha2());
        let code = iso.or_else(|| (code == KOSOVO).then_some(KOSOVO))?;
        Some(COUNTRIES.get(code).copied().unwrap_or(Self::without_rules(code)))
    }

    /// A country that the data does not have.
    fn without_rules(code: &'static str) -> Self {
        Self {
            code,
            town: true,
            region: false,
            town_or_region: false,
            postal_code: false,
            postal_codes: PostalCodes::Unknown,
            example: None,
            format: None,
            latin_format: None,
        }
    }

    fn read(row: &'static str) -> Option<Self> {
        let mut cells = row.split('\t');
        let code = cells.next()?;
        let [required, shape, example, format, latin_format] = std::array::from_fn(|_| cells.next());
        let given = |cell: Option<&'static str>| cell.filter(|cell| *cell != "-");
        let needs = |field: char| required.is_some_and(|required| required.contains(field));
        let postal_codes = match given(shape) {
            None | Some("?") => PostalCodes::Unknown,
            Some(shape) => PostalCodes::Known {
                lengths: shape.trim_end_matches('A'),
                with_letters: shape.ends_with('A'),
            },
        };
        Some(Self {
            code,
            town: needs('C'),
            region: needs('S'),
            town_or_region: needs('P'),
            postal_code: needs('Z'),
            postal_codes,
            example: given(example),
            format: given(format),
            latin_format: given(latin_format),
        })
    }

    /// Whether a text can be a postal code of the country.
    ///
    /// It is checked loosely, because a right code that is refused costs an order. Only the number of letters
    /// and digits counts, and not blanks, hyphens, case, or the country's letters in front. Where there are
    /// no postal codes, everything is accepted.
    pub fn may_have(&self, postal_code: &str) -> bool {
        let PostalCodes::Known { lengths, with_letters } = self.postal_codes else { return true };
        // Digits and hyphens may have been typed in full width.
        let code: String = postal_code.nfkc().filter(|c| c.is_alphanumeric()).collect();
        let code = code.to_ascii_uppercase();
        let fits = |length: usize| lengths.split(',').any(|known| known.parse() == Ok(length));
        if with_letters {
            let is_bare = || self.example.is_some_and(|example| example.starts_with(self.code));
            let is_code = code.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && code.bytes().any(|byte| byte.is_ascii_digit());
            let without_country = code.bytes().all(|byte| byte.is_ascii_digit()) && is_bare();
            return is_code && (fits(code.len()) || (without_country && fits(code.len() + self.code.len())));
        }
        let digits = code.trim_start_matches(|c: char| c.is_ascii_uppercase());
        let prefix = code.len() - digits.len();
        prefix <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) && fits(digits.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Country {
        Country::find(code).unwrap_or_else(|| panic!("{code}"))
    }

    #[test]
    fn every_country_of_the_standard_has_rules_that_its_example_keeps() {
        for iso in isocountry::CountryCode::iter() {
            let country = country(iso.alpha2());
            let is_known = COUNTRIES.contains_key(iso.alpha2());
            assert!(is_known, "{}", iso.alpha2());
            assert!(country.example.is_none_or(|example| country.may_have(example)), "{country:?}");
            assert!(!country.postal_code || country.example.is_some(), "{country:?}");
        }
        assert_eq!(COUNTRIES.len(), isocountry::CountryCode::iter().count() + 1);
        assert!(!country("XK").region && country("XK").may_have("10000"));
        for unknown in ["XX", "UK", "de", "", "DEU", "AC"] {
            assert_eq!(Country::find(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_postal_code_is_checked_loosely() {
        let right = [
            ("DE", "26133"),
            ("DE", "D-26133"),
            ("GB", "sw1y4jh"),
            ("GB", "SW1Y 4JH"),
            ("US", "95014"),
            ("US", "22162-1010"),
            ("CH", "CH-8000"),
            ("NL", "1234ab"),
            ("JP", "〒１０４−００６１"),
            ("LV", "LV-1073"),
            ("LV", "1073"),
            ("IE", "D02 X285"),
            ("AR", "1070"),
            ("AE", "00000"),
            ("CZ", "100 00"),
        ];
        for (code, postal_code) in right {
            assert!(country(code).may_have(postal_code), "{code} {postal_code}");
        }
        for (code, postal_code) in [
            ("DE", "2613"),
            ("DE", "ABCDE"),
            ("US", "9501"),
            ("GB", "LONDON"),
            ("US", "SW1Y 4JH"),
            ("FR", "٧٥٠٠١"),
        ] {
            assert!(!country(code).may_have(postal_code), "{code} {postal_code}");
        }
    }
}
