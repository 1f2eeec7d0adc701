//! Names of payment providers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

/// The name of a payment provider, such as `stripe`: a lower-case letter, then lower-case letters, digits and
/// underscores. A host may give its own provider any such name.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, AsExpression, FromSqlRow,
)]
#[serde(try_from = "String")]
#[diesel(sql_type = Text)]
pub struct ProviderName(Cow<'static, str>);

impl ProviderName {
    /// A mock provider for tests and demonstrations. It does what the request says.
    pub const MOCK: ProviderName = ProviderName(Cow::Borrowed("mock"));
    /// Money that a person received, in cash or by bank transfer.
    pub const MANUAL: ProviderName = ProviderName(Cow::Borrowed("manual"));
    /// Stripe.
    pub const STRIPE: ProviderName = ProviderName(Cow::Borrowed("stripe"));
    /// Razorpay.
    pub const RAZORPAY: ProviderName = ProviderName(Cow::Borrowed("razorpay"));

    /// The longest name, in characters.
    pub const CHARACTERS_MAX: usize = 40;

    /// The regular expression that every name matches.
    pub const PATTERN: &'static str = "^[a-z][a-z0-9_]*$";

    /// Checks a name.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, InvalidProviderName> {
        let name = name.into();
        let in_order = name.len() <= Self::CHARACTERS_MAX
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if in_order { Ok(Self(name)) } else { Err(InvalidProviderName(name.into_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a provider's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the name of a payment provider: a lower-case letter, then lower-case letters, digits and underscores, {max} at most",
    max = ProviderName::CHARACTERS_MAX
)]
pub struct InvalidProviderName(pub String);

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProviderName {
    type Err = InvalidProviderName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name.to_owned())
    }
}

impl TryFrom<String> for ProviderName {
    type Error = InvalidProviderName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl ToSql<Text, Pg> for ProviderName {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.as_str(), out)
    }
}

impl FromSql<Text, Pg> for ProviderName {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::new(<String as FromSql<Text, Pg>>::from_sql(bytes)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_lower_case_word() {
        for name in ["mock", "a", "bank_transfer", "pay2go", &"x".repeat(40)] {
            assert_eq!(name.parse::<ProviderName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in
            ["", "Stripe", "2pay", "_x", "bank transfer", "bank-transfer", "pay\n", "é", &"x".repeat(41)]
        {
            assert!(name.parse::<ProviderName>().is_err(), "{name:?}");
            assert!(serde_json::from_value::<ProviderName>(serde_json::json!(name)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_names_that_the_library_gives_are_in_order() {
        for name in [ProviderName::MOCK, ProviderName::MANUAL, ProviderName::STRIPE, ProviderName::RAZORPAY] {
            assert_eq!(ProviderName::new(name.as_str().to_owned()), Ok(name));
        }
    }
}
