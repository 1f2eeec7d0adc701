//! The carriers of a shop that have a page where a parcel can be tracked.

use std::fmt::Write as _;
use std::str::FromStr;

use crate::text::single_line;

/// The place of the tracking number in a pattern.
const PLACEHOLDER: &str = "{tracking_number}";

/// Carriers with a tracking page. Parcels of other carriers are sent too, only without a link.
///
/// It is read from `name=pattern` pairs with `;` between them:
/// `DHL=https://www.dhl.com/track?id={tracking_number};UPS=https://www.ups.com/track?tracknum={tracking_number}`. A `;`
/// within an address is written `%3B`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carriers(Vec<Carrier>);

/// A carrier and the address of its tracking page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Carrier {
    name: String,
    pattern: String,
}

/// Why a list of carriers is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCarriers {
    /// An entry is not `name=pattern`.
    #[error("{0:?} is not `name=https://…{{tracking_number}}…`")]
    NoPattern(String),
    /// A name is longer than a shipment's carrier can be.
    #[error("the name {0:?} has more than 100 characters")]
    LongName(String),
    /// A carrier is there twice.
    #[error("{0} is there twice")]
    Twice(String),
    /// The address of a tracking page is not one that shoppers could be sent to.
    #[error("the tracking page of {0} must be an https address with {PLACEHOLDER} after its host, once")]
    NoPage(String),
}

impl Carriers {
    /// The address of the page that tracks this parcel, if the carrier has such a page.
    pub fn tracking_url(&self, carrier: &str, tracking_number: &str) -> Option<String> {
        let carrier = self.find(carrier)?;
        Some(carrier.pattern.replace(PLACEHOLDER, &encoded(tracking_number)))
    }

    fn find(&self, name: &str) -> Option<&Carrier> {
        let name = name.to_lowercase();
        self.0.iter().find(|carrier| carrier.name.to_lowercase() == name)
    }
}

impl FromStr for Carriers {
    type Err = InvalidCarriers;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut carriers = Self::default();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let no_pattern = || InvalidCarriers::NoPattern(entry.to_owned());
            let (name, pattern) = entry.split_once('=').ok_or_else(no_pattern)?;
            let (name, pattern) = (single_line(name), pattern.trim().to_owned());
            if name.is_empty() || pattern.is_empty() {
                return Err(no_pattern());
            }
            if name.chars().count() > 100 {
                return Err(InvalidCarriers::LongName(name));
            }
            if carriers.find(&name).is_some() {
                return Err(InvalidCarriers::Twice(name));
            }
            if !is_page(&pattern) {
                return Err(InvalidCarriers::NoPage(name));
            }
            carriers.0.push(Carrier { name, pattern });
        }
        Ok(carriers)
    }
}

/// Whether it is the pattern of an https address. The tracking number must not be able to change the host.
fn is_page(pattern: &str) -> bool {
    let Some(rest) = pattern.strip_prefix("https://") else { return false };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    let is_address = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '|');
    !host.is_empty()
        && host.chars().all(is_host)
        && path.matches(PLACEHOLDER).count() == 1
        && path.replace(PLACEHOLDER, "").chars().all(|c| is_address(c) && !matches!(c, '{' | '}'))
}

/// The text as a part of an address: everything except letters, digits and `-._~` is percent-encoded (RFC 3986).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_encoded_into_the_page_of_its_carrier() {
        let text = " DHL = https://www.dhl.com/track?id={tracking_number}&lang=en ; \n\
                    Deutsche  Post=https://post.example.com/{tracking_number}#way;";
        let carriers: Carriers = text.parse().unwrap();
        assert_eq!(
            carriers.tracking_url("dhl", "A/1 ?ü&x=1").as_deref(),
            Some("https://www.dhl.com/track?id=A%2F1%20%3F%C3%BC%26x%3D1&lang=en")
        );
        assert_eq!(
            carriers.tracking_url("deutsche post", "12").as_deref(),
            Some("https://post.example.com/12#way")
        );
        assert_eq!(carriers.tracking_url("Bike", "12"), None);
        assert_eq!("".parse(), Ok(Carriers::default()));
    }

    #[test]
    fn what_is_no_tracking_page_is_refused_by_name() {
        for wrong in [
            "http://dhl.com/{tracking_number}",
            "javascript:alert({tracking_number})",
            "https://{tracking_number}.example.com/",
            "https://dhl.com{tracking_number}",
            "https://user@dhl.com/{tracking_number}",
            "https://dhl.com/",
            "https://dhl.com/{tracking_number}/{tracking_number}",
            "https://dhl.com/{number}/{tracking_number}",
            "https://dhl.com/a b/{tracking_number}",
            "https://dhl.com/\"{tracking_number}",
            "https:///{tracking_number}",
        ] {
            let refused = format!("DHL={wrong}").parse::<Carriers>();
            assert_eq!(refused, Err(InvalidCarriers::NoPage("DHL".to_owned())), "{wrong}");
        }
        for wrong in ["DHL", "=https://dhl.com/{tracking_number}", "DHL="] {
            assert!(matches!(wrong.parse::<Carriers>(), Err(InvalidCarriers::NoPattern(_))), "{wrong}");
        }
        let twice = "DHL=https://a.com/{tracking_number};dhl=https://b.com/{tracking_number}";
        assert_eq!(twice.parse::<Carriers>(), Err(InvalidCarriers::Twice("dhl".to_owned())));
        let long = format!("{}=https://a.com/{{tracking_number}}", "x".repeat(101));
        assert!(matches!(long.parse::<Carriers>(), Err(InvalidCarriers::LongName(_))));
    }
}
