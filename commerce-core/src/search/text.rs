//! Normalised texts for searching.

use unicode_normalization::UnicodeNormalization as _;

/// The same as the SQL function `commerce.search_text`, for engines that need not ask the database: the words
/// of a text in lower case, without accents, with one space between them.
pub fn search_text(text: &str) -> String {
    let letters = text.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}' | '\'' | '\u{2019}'));
    let folded: String = letters.flat_map(char::to_lowercase).collect();
    let words = folded.split(is_between_words).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn is_between_words(c: char) -> bool {
    matches!(c,
        '\0'..='\u{2f}' | '\u{3a}'..='\u{40}' | '\u{5b}'..='\u{60}' | '\u{7b}'..='\u{bf}'
        | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}')
}
