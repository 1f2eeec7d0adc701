//! The header `If-Match`: a change is made only to the version that the caller saw.

use poem::http::header;

use crate::http::header_parameter::header_parameter;

/// The header `If-Match`: change the resource only if it still has the version that the caller saw. Declare
/// it as `#[oai(name = "If-Match")] expected: IfMatch`.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(Option<i32>);

impl IfMatch {
    /// The version that the resource must have, if the caller asked for one.
    pub fn version(self) -> Option<i32> {
        self.0
    }
}

header_parameter!(IfMatch, required = false, |request| {
    // A value that is not ASCII is a condition too. No version meets it.
    let condition = request.headers().get(header::IF_MATCH);
    let condition = condition.map(|tag| tag.to_str().unwrap_or_default().trim());
    let Some(tag) = condition.filter(|tag| *tag != "*") else { return Ok(Self(None)) };
    // The part after a hyphen is the digest of what is shown, such as stock.
    let tag = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let version = tag.and_then(|tag| tag.split('-').next()?.parse().ok());
    // A tag that this server never issues cannot match. It is refused when the version is compared, after
    // path and body are checked.
    const NEVER: i32 = i32::MIN;
    Ok(Self(Some(version.unwrap_or(NEVER))))
});
