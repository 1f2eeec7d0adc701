//! Texts of people as part of a pattern for SQL's LIKE.

/// Escapes `%`, `_` and `\`, so that they stand for themselves.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
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
