//! The fields of an address.

use serde::{Deserialize, Serialize};

/// The fields of an address, as they are entered and stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AddressFields {
    /// The name of the recipient.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// An additional line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Town. Required in most countries, but not in Hong Kong or Singapore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State, province or county. Required where labels need it, such as in the United States.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// ZIP or postcode. Required where letters do not arrive without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, such as `DE`, or `XK` for Kosovo.
    pub country: String,
    /// A phone number for the carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}
