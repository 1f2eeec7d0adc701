//! Stop words and synonyms, for both engines.

/// Ignored in a search that has other words.
pub const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "in", "is", "it", "its", "of",
    "on", "or", "that", "the", "this", "to", "with",
];

/// Each word of a line also finds the other words of the line.
pub const SYNONYMS: &[&[&str]] = &[
    &["sofa", "couch", "settee"],
    &["rug", "carpet"],
    &["throw", "blanket"],
    &["cushion", "pillow"],
    &["trousers", "pants"],
    &["jumper", "sweater", "pullover"],
    &["trainers", "sneakers"],
    &["rucksack", "backpack"],
    &["torch", "flashlight"],
    &["bin", "trashcan"],
    &["colour", "color"],
    &["grey", "gray"],
    &["tap", "faucet"],
    &["secateurs", "pruners"],
    &["notebook", "journal"],
    &["tshirt", "tee"],
    &["mug", "cup"],
];

/// The other words of each line that contains one of these words.
pub fn synonyms_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<&'static str> {
    let words: Vec<&str> = words.into_iter().collect();
    let lines = SYNONYMS.iter().filter(|line| line.iter().any(|word| words.contains(word)));
    lines.flat_map(|line| line.iter().copied()).filter(|word| !words.contains(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_of_a_line_finds_the_others() {
        assert_eq!(synonyms_of(["couches", "couch"]), ["sofa", "settee"]);
        assert_eq!(synonyms_of(["lamp"]), Vec::<&str>::new());
    }
}
