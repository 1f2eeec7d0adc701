//! Marks found words in texts.

use std::collections::HashMap;

use unicode_normalization::char::is_combining_mark;

use super::engine::Term;
use super::text::{behind_elision, is_apostrophe, letters};
use super::typos::is_meant;

/// The length of the part of a long text that is shown around its first found word, in characters.
const SNIPPET_CHARS: usize = 160;

/// Marks the words of one search in the texts of its results.
pub struct Marker {
    terms: Vec<Term>,
    /// Words that were already checked, and whether they match. The same words occur again and again.
    known: HashMap<String, bool>,
}

impl Marker {
    /// Marks these terms.
    pub fn new(terms: Vec<Term>) -> Self {
        Self { terms, known: HashMap::new() }
    }

    /// The text as HTML, with found words between `<mark>` and `</mark>`.
    pub fn mark(&mut self, text: &str) -> String {
        let mut html = String::with_capacity(text.len() + 16);
        for (piece, found) in self.pieces(text) {
            if found {
                html.push_str("<mark>");
                escape(piece, &mut html);
                html.push_str("</mark>");
            } else {
                escape(piece, &mut html);
            }
        }
        html
    }

    /// The part of a long text around its first found word, marked. `None` if there is none.
    pub fn snippet(&mut self, text: &str) -> Option<String> {
        let mut at = 0;
        let first = self.pieces(text).find_map(|(piece, found)| {
            let start = at;
            at += piece.len();
            found.then_some(start)
        })?;
        let lead = text.get(..first)?.char_indices().rev().nth(SNIPPET_CHARS / 3).map_or(0, |(at, _)| at);
        // The part begins and ends between words.
        let from = match lead {
            0 => 0,
            _ => text.get(lead..first)?.find(' ').map_or(first, |space| lead + space + 1),
        };
        let rest = text.get(from..)?;
        let (part, cut) = match rest.char_indices().nth(SNIPPET_CHARS) {
            None => (rest, false),
            Some((end, _)) => {
                let part = rest.get(..end)?;
                (part.rsplit_once(' ').map_or(part, |(whole_words, _)| whole_words), true)
            }
        };
        let lead = if from > 0 { "… " } else { "" };
        Some(format!("{lead}{}{}", self.mark(part), if cut { " …" } else { "" }))
    }

    /// Words and the text between them, and whether each word matches.
    fn pieces<'a>(&'a mut self, text: &'a str) -> impl Iterator<Item = (&'a str, bool)> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let is_word = belongs_to_word(first);
            let end = rest.find(|c| belongs_to_word(c) != is_word).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            rest = after;
            Some((piece, is_word && self.is_found(piece)))
        })
    }

    fn is_found(&mut self, word: &str) -> bool {
        if let Some(found) = self.known.get(word) {
            return *found;
        }
        let folded = letters(word);
        let behind = behind_elision(&folded).map(|behind| behind.replace('\'', ""));
        let joined = folded.replace('\'', "");
        let found = self.terms.iter().any(|term| {
            [Some(&joined), behind.as_ref()].into_iter().flatten().any(|word| {
                *word == term.word
                    || (term.prefix && !term.word.is_empty() && word.starts_with(&term.word))
                    || (term.typos > 0 && is_meant(&term.word, word, term.prefix, term.typos))
            })
        });
        self.known.insert(word.to_owned(), found);
        found
    }
}

fn belongs_to_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || is_apostrophe(c);
    }
    c.is_alphanumeric() || is_combining_mark(c) || is_apostrophe(c)
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}

/// The text of HTML without its markup.
pub fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    if text.contains('&') {
        text = text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        text = text.replace("&#39;", "'").replace("&amp;", "&");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(words: &[&str]) -> Marker {
        let terms = words
            .iter()
            .map(|word| Term {
                word: word.trim_end_matches('*').to_owned(),
                prefix: word.ends_with('*'),
                typos: 0,
            })
            .collect();
        Marker::new(terms)
    }

    #[test]
    fn whole_words_are_marked_and_everything_is_escaped() {
        assert_eq!(
            marker(&["creme", "chefs"]).mark("Chef's <Crème> & creme-pot"),
            "<mark>Chef&#39;s</mark> &lt;<mark>Crème</mark>&gt; &amp; <mark>creme</mark>-pot"
        );
        assert_eq!(marker(&["ston*"]).mark("Stoneware stone"), "<mark>Stoneware</mark> <mark>stone</mark>");
        assert_eq!(marker(&[]).mark("anything"), "anything");
        assert_eq!(
            marker(&["huile", "oneill"]).mark("L’huile d´O`Neill"),
            "<mark>L’huile</mark> <mark>d´O`Neill</mark>"
        );
        assert_eq!(marker(&["oneill"]).mark("O‘Neill"), "<mark>O‘Neill</mark>");
    }

    #[test]
    fn a_snippet_is_cut_between_words_around_the_first_found_one() {
        let text = format!("{}needle {}", "hay ".repeat(50), "straw ".repeat(50));
        let snippet = marker(&["needle"]).snippet(&text).unwrap();
        assert!(snippet.starts_with("… hay ") && snippet.ends_with(" straw …"), "{snippet}");
        assert!(snippet.contains("<mark>needle</mark>") && snippet.chars().count() < 200, "{snippet}");
        assert_eq!(marker(&["needle"]).snippet("hay"), None);
    }

    #[test]
    fn markup_and_entities_become_text() {
        assert_eq!(plain_text("<p>a &amp; b<br>c&nbsp;d</p>\n<p>1 &lt; 2</p>"), "a & b c d 1 < 2");
    }
}
