//! How far a typed word may be from a word that is meant.

/// Errors that are forgiven: none in words of up to four letters, one from five on, two from nine on. The same as
/// Meilisearch's defaults.
pub fn typos_allowed(word: &str) -> usize {
    match word.chars().count() {
        0..5 => 0,
        5..9 => 1,
        _ => 2,
    }
}

/// Letters to insert, remove, replace, or swap with their neighbour, to make one word of the other.
pub fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    last_row(from, &to).last().copied().unwrap_or(0)
}

/// The same to the nearest beginning of `to`: for a word that is still being typed.
pub fn distance_to_prefix(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    last_row(from, &to).into_iter().min().unwrap_or(0)
}

/// The distances from all of `from` to each beginning of `to` (optimal string alignment).
#[allow(clippy::indexing_slicing, reason = "every index is below the length that the row was made with")]
fn last_row(from: &str, to: &[char]) -> Vec<usize> {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (i, a) in from.chars().enumerate() {
        let mut row = vec![i + 1; to.len() + 1];
        for (j, &b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if j > 0 && previous == Some(b) && to[j - 1] == a {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
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
    fn short_words_must_be_right() {
        assert_eq!(["mug", "lamp", "chair", "blankets", "secateurs"].map(typos_allowed), [0, 0, 1, 1, 2]);
    }
}
