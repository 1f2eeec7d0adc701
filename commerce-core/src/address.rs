//! Postal addresses, as a shopper types them.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::{Deserialize, Serialize};

use crate::db::Json;

/// Where something goes to, or who pays for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Jsonb)]
pub struct Address {
    pub name: String,
    pub line1: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    pub city: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, such as `DE`.
    pub country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// A field of an address that cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct AddressError {
    /// The field's name, such as `postal_code`.
    pub field: &'static str,
    pub problem: String,
}

const FIELD_LENGTH_MAX: usize = 200;

impl Address {
    /// Every field that cannot be right; empty when the address may be used.
    pub fn problems(&self) -> Vec<AddressError> {
        let required = [
            ("name", &self.name),
            ("line1", &self.line1),
            ("city", &self.city),
            ("postal_code", &self.postal_code),
            ("country", &self.country),
        ];
        let optional = [("line2", &self.line2), ("region", &self.region), ("phone", &self.phone)];
        let mut problems = Vec::new();
        for (field, text) in required {
            if text.trim().is_empty() {
                problems.push(AddressError { field, problem: "must not be empty".to_owned() });
            }
        }
        let filled = optional.iter().filter_map(|(field, text)| text.as_ref().map(|text| (*field, text)));
        for (field, text) in required.into_iter().chain(filled) {
            if text.chars().count() > FIELD_LENGTH_MAX {
                let problem = format!("must not be longer than {FIELD_LENGTH_MAX} characters");
                problems.push(AddressError { field, problem });
            }
            if text.chars().any(char::is_control) {
                problems
                    .push(AddressError { field, problem: "must not contain control characters".to_owned() });
            }
        }
        if !self.country.trim().is_empty() && !is_country_code(&self.country) {
            let problem = "must be two capital letters of ISO 3166-1, such as DE".to_owned();
            problems.push(AddressError { field: "country", problem });
        }
        problems
    }
}

impl ToSql<Jsonb, Pg> for Address {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let json = serde_json::to_value(self)?;
        <serde_json::Value as ToSql<Jsonb, Pg>>::to_sql(&json, &mut out.reborrow())
    }
}

impl FromSql<Jsonb, Pg> for Address {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Json::from_sql(bytes)?.0)
    }
}

fn is_country_code(code: &str) -> bool {
    isocountry::CountryCode::for_alpha2(code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_that_cannot_be_right_is_named() {
        let good = Address {
            name: "Ada Lovelace".into(),
            line1: "12 St James's Square".into(),
            line2: None,
            city: "London".into(),
            region: None,
            postal_code: "SW1Y 4JH".into(),
            country: "GB".into(),
            phone: None,
        };
        assert_eq!(good.problems(), []);
        let bad = Address {
            name: " ".into(),
            line2: Some("x".repeat(201)),
            city: "Lon\ndon".into(),
            country: "XX".into(),
            ..good
        };
        let fields: Vec<_> = bad.problems().iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["name", "city", "line2", "country"]);
    }
}
