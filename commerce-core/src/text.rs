//! The normal form of what people type. Texts are stored, compared and mailed in it.
//!
//! The same letters can be typed as different code points: `ü` is one, or `u` and two dots. Here both become
//! the one of Unicode's NFC.

use unicode_normalization::UnicodeNormalization as _;

/// A name, a number or another text of one line.
///
/// It is in NFC, its words are separated by one space, and nothing is around it. Line breaks and tabs count
/// as spaces. Other control characters are left out, and so are the characters that change the direction of
/// writing, because they can make a text read as another one.
pub fn single_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    // A character that is left out may have stood between a letter and its accent.
    for c in text.chars().filter(|c| is_white(*c) || !is_hidden(*c)).nfc() {
        if !is_white(c) {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// A text that may have several lines, such as a note.
///
/// It is in NFC, each line break is `\n`, and nothing is around it. Control characters other than line breaks
/// and tabs are left out.
pub fn free_text(text: &str) -> String {
    let lines = text.replace("\r\n", "\n").replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    let kept: String = lines.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).nfc().collect();
    kept.trim().to_owned()
}

/// The text as a [`single_line`]. `None` if there is nothing to read in it.
pub(crate) fn filled_line(text: Option<&str>) -> Option<String> {
    text.map(single_line).filter(|line| !line.is_empty())
}

/// The text as a [`free_text`]. `None` if there is nothing to read in it.
pub(crate) fn filled_text(text: Option<&str>) -> Option<String> {
    text.map(free_text).filter(|text| !text.is_empty())
}

fn is_white(c: char) -> bool {
    c.is_whitespace()
}

/// Whether a character is not seen by itself, but may change how the others are seen: a control character
/// (C0, C1), a character for the direction of writing, or an invisible space.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks, embeddings, overrides and isolates (UAX #9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separator, spaces without width, deprecated formatting.
            | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{206a}'..='\u{206f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_typing_a_name_gives_one() {
        for same in [
            "Jürgen Groß",
            " Ju\u{308}rgen  Groß\u{a0}",
            "\u{202e}Jürgen\tGroß\u{202c}",
            "Jürgen\r\nGroß\0",
            "J\u{9b}u\u{200b}\u{308}rgen\u{2028}Groß",
            "\u{feff}Jürgen\u{3000}Groß",
        ] {
            assert_eq!(single_line(same), "Jürgen Groß", "{same:?}");
        }
        assert_eq!(single_line(" \t\r\n\u{200e}"), "");
        // A joiner is part of how some languages are written.
        assert_eq!(single_line("می\u{200c}خواهم"), "می\u{200c}خواهم");
        // It is not changed again.
        for text in ["  12 34\t56  ", "e\u{301}\u{200e}\u{323}", "a\u{1f}\u{301}"] {
            assert_eq!(single_line(&single_line(text)), single_line(text));
        }
    }

    #[test]
    fn a_free_text_keeps_its_lines() {
        assert_eq!(
            free_text("\r\n one\r\ntwo\rthree\u{85}\tfou\u{308}r\u{9b}\0\n"),
            "one\ntwo\nthree\n\tfoür"
        );
        assert_eq!(free_text(" \n"), "");
    }

    #[test]
    fn a_text_with_nothing_to_read_is_none() {
        assert_eq!(
            (filled_line(Some(" a ")), filled_text(Some("a\n"))),
            (Some("a".into()), Some("a".into()))
        );
        for nothing in [None, Some(""), Some(" \n\0")] {
            assert_eq!((filled_line(nothing), filled_text(nothing)), (None, None), "{nothing:?}");
        }
    }
}
