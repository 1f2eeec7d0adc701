//! Postal addresses, as shoppers enter them, by the rules of their country.

mod country;
mod fields;
mod label;

use std::ops::Deref;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Jsonb;
use serde::Serialize;

use self::country::Country;
pub use self::fields::AddressFields;
use crate::db::Json;
use crate::error::FieldError;
use crate::text::{filled_line, single_line};

/// A shipping or billing address. Only [`Address::new`] makes one, and it checks every field. An address that
/// is read from the database is not checked again, so that old orders stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, AsExpression, FromSqlRow)]
#[serde(transparent)]
#[diesel(sql_type = Jsonb)]
pub struct Address(AddressFields);

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

    /// Brings every field to its normal form, and checks it by the rules of the country.
    ///
    /// A blank optional field is left out, and so is a postal code without letters and digits, such as `-`.
    pub fn new(fields: AddressFields) -> Result<Self, AddressError> {
        let filled = |text: Option<String>| filled_line(text.as_deref());
        let postal_code = filled(fields.postal_code).filter(|code| code.contains(char::is_alphanumeric));
        let fields = AddressFields {
            name: single_line(&fields.name),
            line1: single_line(&fields.line1),
            line2: filled(fields.line2),
            city: filled(fields.city),
            region: filled(fields.region),
            postal_code,
            country: fields.country,
            phone: filled(fields.phone),
        };
        let faults = faults(&fields);
        if faults.is_empty() { Ok(Self(fields)) } else { Err(AddressError(faults)) }
    }

    /// The lines of the address for a parcel or a mail, in the order of its country.
    pub fn lines(&self) -> Vec<String> {
        label::lines(&self.0)
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
    let texts = [
        ("name", Some(&fields.name)),
        ("line1", Some(&fields.line1)),
        ("line2", fields.line2.as_ref()),
        ("city", fields.city.as_ref()),
        ("region", fields.region.as_ref()),
        ("postal_code", fields.postal_code.as_ref()),
        ("phone", fields.phone.as_ref()),
    ];
    let mut faults = Vec::new();
    let mut fault = |field, problem: String| faults.push(AddressFault { field, problem });
    for (field, text) in texts {
        if text.is_some_and(|text| text.chars().count() > Address::FIELD_CHARS_MAX) {
            fault(field, format!("must not be longer than {} characters", Address::FIELD_CHARS_MAX));
        }
    }
    for (field, text) in [("name", &fields.name), ("line1", &fields.line1)] {
        if text.is_empty() {
            fault(field, "must not be empty".to_owned());
        }
    }
    let Some(country) = Country::find(&fields.country) else {
        fault("country", "must be two capital letters of ISO 3166-1, such as DE, or XK".to_owned());
        return faults;
    };
    let code = &fields.country;
    let (has_city, has_region) = (fields.city.is_some(), fields.region.is_some());
    if !has_city && country.town {
        fault("city", format!("is required in {code}"));
    }
    if !has_city && !has_region && country.town_or_region {
        fault("city", format!("is required in {code}, or a region"));
    }
    if !has_region && country.region {
        fault("region", format!("is required in {code}: the state, province or county"));
    }
    let example = country.example.map_or(String::new(), |example| format!(", such as {example}"));
    match &fields.postal_code {
        None if country.postal_code => fault("postal_code", format!("is required in {code}{example}")),
        Some(postal_code) if !country.may_have(postal_code) => {
            fault("postal_code", format!("must be a postal code of {code}{example}"));
        }
        _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    fn in_london() -> AddressFields {
        AddressFields {
            name: "Ada Lovelace".into(),
            line1: "12 St James's Square".into(),
            line2: Some(" ".into()),
            city: Some("London".into()),
            region: None,
            postal_code: Some("SW1Y 4JH".into()),
            country: "GB".into(),
            phone: None,
        }
    }

    #[test]
    fn each_field_that_cannot_be_right_is_named() {
        let address = Address::new(in_london()).unwrap();
        assert_eq!((address.name.as_str(), &address.line2), ("Ada Lovelace", &None));
        let bad = AddressFields {
            name: " \u{202e}".into(),
            line2: Some("x".repeat(201)),
            country: "XX".into(),
            ..in_london()
        };
        let refused = Address::new(bad).unwrap_err();
        let fields: Vec<_> = refused.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["line2", "name", "country"]);
        assert!(refused.to_string().starts_with("the address is invalid: line2 must not be longer"));
        let pointers: Vec<_> = refused.at("/to").into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, ["/to/line2", "/to/name", "/to/country"]);
    }

    #[test]
    fn fields_are_brought_to_one_form() {
        let typed = AddressFields {
            name: "\u{202e}Ju\u{308}rgen\t Groß ".into(),
            city: Some("Lon\ndon".into()),
            phone: Some(" +44\u{200e} 20\u{9b} 7946 0018".into()),
            ..in_london()
        };
        let address = Address::new(typed).unwrap();
        assert_eq!((address.name.as_str(), address.city.as_deref()), ("Jürgen Groß", Some("Lon don")));
        assert_eq!(address.phone.as_deref(), Some("+44 20 7946 0018"));
    }

    #[test]
    fn what_is_required_depends_on_the_country() {
        let to = |country: &str, city: &str, region: &str, postal_code: &str| {
            let filled = |text: &str| Some(text.to_owned());
            let fields = AddressFields {
                city: filled(city),
                region: filled(region),
                postal_code: filled(postal_code),
                country: country.into(),
                ..in_london()
            };
            let faults = Address::new(fields).err().map_or(Vec::new(), |error| error.0);
            faults.iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        // Countries without postal codes.
        for country in ["HK", "AE", "QA", "JM", "PA", "GH", "AW"] {
            assert_eq!(to(country, "Town", "", ""), [""; 0], "{country}");
            assert_eq!(to(country, "Town", "", "-"), [""; 0], "{country}");
        }
        // Cities that are countries, and where the region is the place.
        assert_eq!(to("SG", "", "", "546080"), [""; 0]);
        assert_eq!(to("HK", "", "Kowloon", ""), [""; 0]);
        assert_eq!(to("HK", "", "", ""), ["city"]);
        assert_eq!(to("JP", "", "Tokyo", "104-0061"), [""; 0]);
        // A postal code is optional in Ireland, but what is given must be one.
        assert_eq!(to("IE", "Dublin", "", ""), [""; 0]);
        assert_eq!(to("IE", "Dublin", "", "D02"), ["postal_code"]);
        // Labels to these need a region.
        for (country, code) in [("US", "89501"), ("CA", "H3Z 2Y7"), ("AU", "2060")] {
            assert_eq!(to(country, "Town", "", code), ["region"], "{country}");
            assert_eq!(to(country, "Town", "NSW", code), [""; 0], "{country}");
        }
        assert_eq!(to("DE", "", "", ""), ["city", "postal_code"]);
        assert_eq!(to("DE", "Mainz", "", "5511"), ["postal_code"]);
        assert_eq!(to("XK", "Prishtina", "", "10000"), [""; 0]);
        assert_eq!(to("XK", "Prishtina", "", ""), [""; 0]);
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
