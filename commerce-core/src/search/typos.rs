//! How far a typed word may differ from the intended word.

/// The number of allowed typing errors: none in words of up to four letters, one from five letters on, two
/// from nine letters on. These are the defaults of Meilisearch. Numbers must match exactly, because 45 cm is
/// not 46 cm.
pub fn typos_allowed(word: &str) -> usize {
    if word.chars().any(|c| c.is_ascii_digit()) {
        return 0;
    }
    match word.chars().count() {
        0..5 => 0,
        5..9 => 1,
        _ => 2,
    }
}

/// Whether a typed word may stand for this word, or for its beginning if the word is unfinished. A wrong
/// first letter counts twice, because it is a rare error.
pub fn is_meant(typed: &str, word: &str, is_unfinished: bool, allowed: usize) -> bool {
    let first = usize::from(typed.chars().next() != word.chars().next());
    if first > allowed {
        return false;
    }
    let typed_length = typed.chars().count();
    let length = word.chars().count();
    if typed_length > length + allowed || (!is_unfinished && length > typed_length + allowed) {
        return false;
    }
    let errors = if is_unfinished { distance_to_prefix(typed, word) } else { distance(typed, word) };
    first + errors <= allowed
}

/// The number of letters to insert, remove, replace, or swap with their neighbour, to turn one word into the
/// other.
fn distance(from: &str, to: &str) -> usize {
    last_row(from, to).last().copied().unwrap_or(0)
}

/// The distance to the nearest beginning of `to`, for an unfinished word.
fn distance_to_prefix(from: &str, to: &str) -> usize {
    last_row(from, to).into_iter().min().unwrap_or(0)
}

/// The distances from all of `from` to each beginning of `to` (optimal string alignment).
#[allow(clippy::indexing_slicing, reason = "every index is below the length that the rows were made with")]
fn last_row(from: &str, to: &str) -> Vec<usize> {
    let to: Vec<char> = to.chars().collect();
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut row = vec![0; to.len() + 1];
    let mut previous = None;
    for (i, a) in from.chars().enumerate() {
        row[0] = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if j > 0 && previous == Some(b) && to[j - 1] == a {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        // The oldest of the three rows is overwritten next.
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
        previous = Some(a);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted() {
        for (from, to, errors) in [
            ("lamp", "lamp", 0),
            ("lmap", "lamp", 1),
            ("lamps", "lamp", 1),
            ("blnaket", "blanket", 1),
            ("secatuers", "secateurs", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("ürn", "urn", 1),
        ] {
            assert_eq!(distance(from, to), errors, "{from} {to}");
        }
    }

    #[test]
    fn a_word_being_typed_is_near_the_beginning_of_the_word() {
        assert_eq!(distance_to_prefix("stonw", "stoneware"), 1);
        assert_eq!(distance_to_prefix("stone", "stoneware"), 0);
        assert_eq!(distance_to_prefix("ware", "stoneware"), 4);
    }

    #[test]
    fn what_is_near_is_meant() {
        let meant = |typed: &str, word: &str, is_unfinished| {
            is_meant(typed, word, is_unfinished, typos_allowed(typed))
        };
        assert!(meant("blnaket", "blanket", false));
        assert!(meant("stonw", "stoneware", true));
        assert!(!meant("stonw", "stoneware", false));
        assert!(!meant("bottery", "pottery", true));
        assert!(!meant("lmap", "lamp", false));
        assert!(!meant("10045", "10046", false));
    }

    #[test]
    fn short_words_must_be_right() {
        assert_eq!(["mug", "lamp", "chair", "blankets", "secateurs"].map(typos_allowed), [0, 0, 1, 1, 2]);
    }
}
