//! Addresses that say what no text can say: bytes that are not UTF-8, and U+0000, which Postgres cannot store.
//!
//! They are refused before anything else is looked at, the caller included, since the router cannot read them either.

use crate::problem::{Code, Fault, Problem};
use crate::routes;

/// What is wrong with the path or query of a request, if anything.
pub fn fault(path: &str, query: Option<&str>) -> Option<Problem> {
    let in_path = path.split('/').enumerate().filter(|(_, part)| !is_text(part));
    let mut of_path = in_path.filter_map(|(index, _)| routes::parameter_at(path, index));
    if let Some(name) = of_path.next() {
        return Some(refused(name));
    }
    // A query that is not UTF-8 is read with replacement characters.
    let pair = query?.split('&').find(|pair| pair.contains("%00"))?;
    Some(refused(pair.split('=').next().unwrap_or_default()))
}

fn refused(name: &str) -> Problem {
    let message = "must be UTF-8 without the character U+0000";
    Problem::new(Code::InvalidParameter, format!("The parameter {name} {message}."))
        .with_errors(vec![Fault::parameter(name, message)])
}

/// Whether a part of a path is text once its percent-encoding is undone.
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
    !decoded.contains(&0) && std::str::from_utf8(&decoded).is_ok()
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
        for text in ["", "a%20b", "%F0%9F%A6%80", "100%", "%2", "%zz", "%+1", "%2500"] {
            assert!(is_text(text), "{text}");
        }
        for bytes in ["%00", "a%00", "%ff", "%F0%9F"] {
            assert!(!is_text(bytes), "{bytes}");
        }
    }
}
