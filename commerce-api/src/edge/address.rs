//! Refuses URLs that cannot be text: bytes in the path that are not UTF-8, which the router cannot read, and
//! U+0000 in the query, which Postgres cannot store. They are refused before anything else is checked, even
//! before the caller.

use crate::http::problem::{Code, Fault, Problem};
use crate::http::route_table::RouteTable;

/// The problem with the path or query of a request, if there is one.
pub fn fault(routes: &RouteTable, path: &str, query: Option<&str>) -> Option<Problem> {
    let in_path = path.split('/').enumerate().filter(|(_, part)| !is_text(part));
    let of_path = in_path.filter_map(|(index, _)| routes.parameter_at(path, index));
    let of_path = of_path.map(|name| Fault::parameter(name, "must be UTF-8"));
    // Bytes of a query that are not UTF-8 are read as replacement characters.
    let in_query = query.unwrap_or_default().split('&').filter(|pair| pair.contains("%00"));
    let of_query = in_query.map(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        Fault::parameter(name, "must not contain the character U+0000")
    });
    let faults: Vec<Fault> = of_path.chain(of_query).collect();
    let detail = "The URL contains bytes or characters that no text can contain.";
    (!faults.is_empty()).then(|| Problem::new(Code::InvalidParameter, detail).with_errors(faults))
}

/// Whether a part of a path is text after percent-decoding.
fn is_text(part: &str) -> bool {
    let mut bytes = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        let digits = || Some([bytes.clone().next()?, bytes.clone().nth(1)?]);
        let escaped = if byte == b'%' { digits().and_then(|digits| hex(&digits)) } else { None };
        if escaped.is_some() {
            bytes.nth(1);
        }
        decoded.push(escaped.unwrap_or(byte));
    }
    std::str::from_utf8(&decoded).is_ok()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_bytes() {
        for text in ["", "a%20b", "%F0%9F%A6%80", "100%", "%2", "%zz", "%+1", "%00"] {
            assert!(is_text(text), "{text}");
        }
        for bytes in ["%ff", "a%ff", "%F0%9F"] {
            assert!(!is_text(bytes), "{bytes}");
        }
    }
}
