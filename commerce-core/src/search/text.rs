//! Normalised texts for searching.

use unicode_normalization::UnicodeNormalization as _;

/// What stands before an apostrophe that leaves out a vowel, in French, Italian and Catalan. The same list is
/// in the SQL functions.
const ELIDED: &[&str] = &[
    "c", "d", "j", "l", "m", "n", "s", "t", "v", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu", "presqu",
    "quelqu", "un", "all", "dall", "dell", "nell", "sull", "coll", "quell", "quest", "bell", "sant", "gl",
    "dov", "com", "tutt", "anch", "mezz",
];

/// The same as the SQL function `commerce.search_query`, for engines that need not ask the database: the words
/// of a search in lower case, without accents and elisions, with one space between them.
pub fn search_query(text: &str) -> String {
    let mut query = String::with_capacity(text.len());
    for word in letters(text).split([' ', '-']).filter(|word| !word.is_empty()) {
        let word = behind_elision(word).unwrap_or(word).replace('\'', "");
        if !word.is_empty() {
            if !query.is_empty() {
                query.push(' ');
            }
            query.push_str(&word);
        }
    }
    query
}

/// Whether people type this character for an apostrophe.
pub(super) fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`' | '\u{b4}' | '\u{2bc}' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' | '\u{ff07}'
    )
}

/// The same as the SQL function `commerce.search_letters`, but without words that are only spaces: lower case
/// without accents, `'` for every apostrophe, and spaces for everything that is no letter, digit or hyphen.
pub(super) fn letters(text: &str) -> String {
    // A spaced acute accent has a decomposition, so it is replaced first.
    let letters = text.chars().map(|c| if is_apostrophe(c) { '\'' } else { c });
    let letters = letters.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).flat_map(char::to_lowercase);
    let mut folded = String::with_capacity(text.len());
    for c in letters {
        match c {
            'ß' => folded.push_str("ss"),
            'œ' => folded.push_str("oe"),
            'æ' => folded.push_str("ae"),
            c if is_between_words(c) => folded.push(' '),
            c => folded.push(c),
        }
    }
    folded
}

/// Of a folded word such as `l'huile` the part behind the apostrophe. It begins with a vowel or an h.
pub(super) fn behind_elision(word: &str) -> Option<&str> {
    let (before, behind) = word.split_once('\'')?;
    let behind = behind.trim_start_matches('\'');
    let is_elision = ELIDED.contains(&before) && behind.starts_with(['a', 'e', 'i', 'o', 'u', 'y', 'h']);
    is_elision.then_some(behind)
}

fn is_between_words(c: char) -> bool {
    !matches!(c, '\'' | '-')
        && matches!(c,
            '\0'..='\u{2f}' | '\u{3a}'..='\u{40}' | '\u{5b}'..='\u{60}' | '\u{7b}'..='\u{bf}'
            | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}')
}
