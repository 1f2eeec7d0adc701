//! Postal addresses, as shoppers enter them.

use std::ops::Deref;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::{Deserialize, Serialize};

use crate::db::Json;
use crate::error::FieldError;

/// A shipping or billing address. Only [`Address::new`] makes one, and it checks every field. An address that
/// is read from the database is not checked again, so that old orders stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, AsExpression, FromSqlRow)]
#[serde(transparent)]
#[diesel(sql_type = Jsonb)]
pub struct Address(AddressFields);

/// The fields of an address, as they are entered and stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AddressFields {
    /// The name of the recipient.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// An additional line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Town.
    pub city: String,
    /// State, province or county, if the country has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ZIP or postcode.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, such as `DE`.
    pub country: String,
    /// A phone number for the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// Why the fields are not an address. It names every invalid field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address is invalid: {}", self.summary())]
pub struct AddressError(Vec<AddressFault>);

/// An invalid field of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFault {
    /// The field's name, such as `postal_code`.
    pub field: &'static str,
    /// What is wrong with it, for people.
    pub problem: String,
}

impl AddressError {
    /// All invalid fields, at least one.
    pub fn faults(&self) -> &[AddressFault] {
        &self.0
    }

    /// The errors for the client. `pointer` is the place of the address in the request, such as
    /// `/shipping_address`.
    pub fn at(self, pointer: &str) -> Vec<FieldError> {
        let at = |AddressFault { field, problem }| FieldError {
            pointer: format!("{pointer}/{field}"),
            message: problem,
        };
        self.0.into_iter().map(at).collect()
    }

    fn summary(&self) -> String {
        let faults: Vec<_> =
            self.0.iter().map(|fault| format!("{} {}", fault.field, fault.problem)).collect();
        faults.join(", ")
    }
}

impl Address {
    /// The longest text of a field, in characters.
    pub const FIELD_CHARS_MAX: usize = 200;

    /// Checks every field. A blank optional field is left out.
    pub fn new(fields: AddressFields) -> Result<Self, AddressError> {
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let fields = AddressFields {
            line2: filled(fields.line2),
            region: filled(fields.region),
            phone: filled(fields.phone),
            ..fields
        };
        let faults = faults(&fields);
        if faults.is_empty() { Ok(Self(fields)) } else { Err(AddressError(faults)) }
    }

    /// The fields, to make another address from.
    pub fn into_fields(self) -> AddressFields {
        self.0
    }
}

impl Deref for Address {
    type Target = AddressFields;

    fn deref(&self) -> &AddressFields {
        &self.0
    }
}

fn faults(fields: &AddressFields) -> Vec<AddressFault> {
    let required = [
        ("name", &fields.name),
        ("line1", &fields.line1),
        ("city", &fields.city),
        ("postal_code", &fields.postal_code),
        ("country", &fields.country),
    ];
    let optional = [("line2", &fields.line2), ("region", &fields.region), ("phone", &fields.phone)];
    let mut faults = Vec::new();
    for (field, text) in required {
        if text.trim().is_empty() {
            faults.push(AddressFault { field, problem: "must not be empty".to_owned() });
        }
    }
    let filled = optional.iter().filter_map(|(field, text)| text.as_ref().map(|text| (*field, text)));
    for (field, text) in required.into_iter().chain(filled) {
        if text.chars().count() > Address::FIELD_CHARS_MAX {
            let problem = format!("must not be longer than {} characters", Address::FIELD_CHARS_MAX);
            faults.push(AddressFault { field, problem });
        }
        if text.chars().any(char::is_control) {
            let problem = "must not contain control characters".to_owned();
            faults.push(AddressFault { field, problem });
        }
    }
    if !fields.country.trim().is_empty() && !is_country_code(&fields.country) {
        let problem = "must be two capital letters of ISO 3166-1, such as DE".to_owned();
        faults.push(AddressFault { field: "country", problem });
    }
    faults
}

impl ToSql<Jsonb, Pg> for Address {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let json = serde_json::to_value(self)?;
        <serde_json::Value as ToSql<Jsonb, Pg>>::to_sql(&json, &mut out.reborrow())
    }
}

impl FromSql<Jsonb, Pg> for Address {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Json::from_sql(bytes)?.0))
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
        let good = AddressFields {
            name: "Ada Lovelace".into(),
            line1: "12 St James's Square".into(),
            line2: Some(" ".into()),
            city: "London".into(),
            region: None,
            postal_code: "SW1Y 4JH".into(),
            country: "GB".into(),
            phone: None,
        };
        let address = Address::new(good.clone()).unwrap();
        assert_eq!((address.name.as_str(), &address.line2), ("Ada Lovelace", &None));
        let bad = AddressFields {
            name: " ".into(),
            line2: Some("x".repeat(201)),
            city: "Lon\ndon".into(),
            country: "XX".into(),
            ..good
        };
        let refused = Address::new(bad).unwrap_err();
        let fields: Vec<_> = refused.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["name", "city", "line2", "country"]);
        assert!(refused.to_string().starts_with("the address is invalid: name must not be empty, city"));
        let pointers: Vec<_> = refused.at("/to").into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/to/name", "/to/city", "/to/line2", "/to/country"]);
    }

    #[test]
    fn only_a_stored_address_is_not_checked() {
        // An address that another version stored under other rules.
        let stored =
            serde_json::json!({ "name": "", "line1": "", "city": "", "postal_code": "", "country": "UK" });
        let fields: AddressFields = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(Address(fields.clone())).unwrap(), stored);
        assert!(Address::new(fields).is_err());
    }
}
