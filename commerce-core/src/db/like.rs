//! What a person types, as part of a pattern for SQL's LIKE.

/// The text with `%`, `_` and `\` as the plain characters that a person means by them.
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
