//! The language that a client wants to read, for its mails.

use commerce_core::locale::Locale;
use poem::http::header::ACCEPT_LANGUAGE;

use super::header_parameter::header_parameter;
use super::problem::Fault;

/// The language that the header `Accept-Language` prefers. A header that cannot be read has none.
#[derive(Debug, Clone, Default)]
pub struct AcceptLanguage(pub Option<Locale>);

header_parameter!(AcceptLanguage, required = false, |request| {
    let header = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Ok(Self(header.and_then(Locale::preferred)))
});

/// The field `locale` of a body.
pub fn checked_locale(text: &Option<String>) -> Result<Option<Locale>, Fault> {
    let locale = text.as_deref().map(str::parse::<Locale>).transpose();
    locale.map_err(|error| Fault::at("/locale", error.to_string()))
}
