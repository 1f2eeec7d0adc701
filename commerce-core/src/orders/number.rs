//! Order numbers, for people. They count up from 1001. A number may be skipped, but none is used twice.

/// Reads an order number as people type it: `1001` or `#1001`, with or without spaces around it.
pub fn parse_order_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The number for display. It has digits only, so that it can be typed into any search.
pub fn format_order_number(number: i64) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_people_type_it() {
        for text in ["1001", "#1001", " #1001 "] {
            assert_eq!(parse_order_number(text), Some(1001), "{text:?}");
        }
        for text in ["", "#", "-1001", "+1001", "##1001", "1001a", "ada@example.com", "99999999999999999999"]
        {
            assert_eq!(parse_order_number(text), None, "{text:?}");
        }
        assert_eq!(parse_order_number(&format_order_number(1001)), Some(1001));
    }
}
