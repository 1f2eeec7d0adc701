//! Texts of people as part of a pattern for SQL's LIKE.

use crate::text::single_line;

/// The text in its normal form, like the texts it is compared with. `%`, `_` and `\` are escaped, so that they
/// stand for themselves.
pub(crate) fn escape_like(text: &str) -> String {
    single_line(text).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_patterns_are_plain_characters() {
        assert_eq!(escape_like(r"50%_\\"), r"50\%\_\\\\");
        assert_eq!(escape_like("Ocean blue"), "Ocean blue");
    }
}
