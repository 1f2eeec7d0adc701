//! The header `If-Match`: a change is made only to the version that the caller saw.

use poem::http::{HeaderMap, HeaderValue, header};

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

header_parameter!(IfMatch, required = false, |request| Ok(expected(request.headers())));

/// Reads the list of tags (RFC 9110, 13.1.1). Versions only grow, so only the highest of several that a caller
/// saw can be the current one.
fn expected(headers: &HeaderMap) -> IfMatch {
    let lines: Vec<&HeaderValue> = headers.get_all(header::IF_MATCH).iter().collect();
    // A value that is not ASCII is a condition too. No version meets it.
    let mut tags = lines.iter().flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(str::trim);
    if lines.is_empty() || tags.clone().any(|tag| tag == "*") {
        return IfMatch(None);
    }
    // A tag that this server never issues cannot match. It is refused when the version is compared, after
    // path and body are checked.
    const NEVER: i32 = i32::MIN;
    IfMatch(Some(tags.by_ref().filter_map(version_of).max().unwrap_or(NEVER)))
}

/// The version in a strong tag. The part after a hyphen is the digest of what is shown, such as stock.
fn version_of(tag: &str) -> Option<i32> {
    tag.strip_prefix('"')?.strip_suffix('"')?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_tag_of_the_list_may_match() {
        for (lines, expected_version) in [
            (&[][..], None),
            (&["*"], None),
            (&[r#""3""#], Some(3)),
            (&[r#""3-9c15""#], Some(3)),
            (&[r#""3-9c15-gzip""#], Some(3)),
            (&[r#""zzz", "3""#], Some(3)),
            (&[r#""2","3" , "zzz""#], Some(3)),
            (&[r#""2""#, r#""3""#], Some(3)),
            (&[r#"W/"3""#], Some(i32::MIN)),
            (&["3"], Some(i32::MIN)),
            (&[""], Some(i32::MIN)),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::IF_MATCH, HeaderValue::from_static(line));
            }
            assert_eq!(expected(&headers).version(), expected_version, "{lines:?}");
        }
    }
}
