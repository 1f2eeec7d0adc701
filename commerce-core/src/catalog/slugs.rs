//! Readable parts of URLs. A slug is derived from the title. If it is taken, it gets the suffix `-2`, `-3`
//! and so on.

use uuid::Uuid;

/// Words that stand in URLs in the place of a product's slug: `/products/search`, `/admin/products/import`.
pub(super) const RESERVED_FOR_PRODUCTS: &[&str] = &["search", "import", "export"];
/// The word for the top level in the place of a category: `?parent=none`.
pub(super) const RESERVED_FOR_CATEGORIES: &[&str] = &["none"];

/// Whether this slug would mean something else in a URL: one of these words, or an id.
pub(super) fn is_reserved(slug: &str, reserved: &[&str]) -> bool {
    reserved.contains(&slug) || Uuid::try_parse(slug).is_ok()
}

/// The slug of a title, with at most `chars_max` characters and none of the reserved words. `fallback` is
/// used if no letter of the title can be written in ASCII.
pub(super) fn from_title(title: &str, fallback: &str, chars_max: usize, reserved: &[&str]) -> String {
    let slug = slug::slugify(title);
    let slug = cut(&slug, chars_max);
    match slug {
        "" => fallback.to_owned(),
        slug if is_reserved(slug, reserved) => with_tail(slug, "2", chars_max),
        slug => slug.to_owned(),
    }
}

/// The beginning of a slug.
fn cut(slug: &str, chars_max: usize) -> &str {
    slug.get(..chars_max).unwrap_or(slug).trim_end_matches('-')
}

/// The slug with a suffix. Only as much of the slug is cut off as the suffix needs, so that a title leads to
/// the same slug as far as possible.
fn with_tail(base: &str, tail: &str, chars_max: usize) -> String {
    format!("{}-{tail}", cut(base, chars_max.saturating_sub(tail.len() + 1)))
}

/// Whether the text is lower-case ASCII letters and digits, in words joined by single hyphens.
pub(super) fn is_slug(text: &str, chars_max: usize) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= chars_max && text.split('-').all(is_word)
}

/// The slugs to try one after the other: `base`, `base-2`, `base-3` and so on, without the taken ones.
/// Another transaction may take one at the same time. So after a few of them the counting stops, and every
/// further slug is one that nobody else is about to take.
pub(super) fn candidates<'a>(
    base: &'a str,
    taken: &'a [String],
    chars_max: usize,
) -> impl Iterator<Item = String> + Send + 'a {
    const COUNTED: usize = 5;
    std::iter::once(base.to_owned())
        .chain((2..).map(move |number: u64| with_tail(base, &number.to_string(), chars_max)))
        .filter(|slug| !taken.contains(slug))
        .take(COUNTED)
        .chain(std::iter::repeat_with(move || unlikely(base, chars_max)))
}

/// A slug that nobody else is about to take, for when many requests have the same title at the same time.
pub(super) fn unlikely(base: &str, chars_max: usize) -> String {
    let id = Uuid::now_v7().simple().to_string();
    let tail = id.get(20..).unwrap_or(&id);
    with_tail(base, tail, chars_max)
}

/// A pattern for SQL's LIKE that matches everything that [`candidates`] may have numbered. No number has
/// twenty digits.
pub(super) fn numbered_pattern(base: &str, chars_max: usize) -> String {
    let kept = cut(base, chars_max.saturating_sub(20));
    if kept == base { format!("{base}-%") } else { format!("{kept}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_of_titles() {
        let slug = |title: &str| from_title(title, "product", 255, RESERVED_FOR_PRODUCTS);
        assert_eq!((slug("Search"), slug("Searching")), ("search-2".to_owned(), "searching".to_owned()));
        assert_eq!(
            slug("01939F5C-7E2B-7C4A-9A55-0D8A6A4F4B1E"),
            "01939f5c-7e2b-7c4a-9a55-0d8a6a4f4b1e-2",
            "else an address would read it as an id"
        );
        assert_eq!(slug("Ocean Blue Shirt"), "ocean-blue-shirt");
        assert_eq!(slug("  Crème brûlée, 2 × 100 g!"), "creme-brulee-2-x-100-g");
        assert_eq!(slug("!!!"), "product");
        assert_eq!(from_title("one two three", "product", 8, &[]), "one-two");
        for title in ["Ocean Blue Shirt", "ÆØÅ", "日本", "!!!", "a--b", &"long ".repeat(100)] {
            assert!(is_slug(&slug(title), 255), "{title}: {}", slug(title));
        }
        assert!(is_slug(&unlikely("shirt", 255), 255));
    }

    #[test]
    fn numbers_fill_the_first_gap() {
        let taken = ["shirt".to_owned(), "shirt-2".to_owned(), "shirt-4".to_owned()];
        let first = |base: &str| candidates(base, &taken, 255).next().unwrap();
        assert_eq!((first("shirt"), first("hat")), ("shirt-3".to_owned(), "hat".to_owned()));
    }

    #[test]
    fn a_few_numbers_are_tried_and_then_what_nobody_else_takes() {
        let tried: Vec<String> = candidates("shirt", &["shirt-3".to_owned()], 255).take(7).collect();
        assert_eq!(tried[..5], ["shirt", "shirt-2", "shirt-4", "shirt-5", "shirt-6"]);
        assert!(tried[5].len() > "shirt-12345".len() && tried[5] != tried[6], "{tried:?}");
    }

    #[test]
    fn a_long_slug_makes_room_for_its_number_only() {
        let long = "ab-".repeat(85).trim_end_matches('-').to_owned() + "c";
        assert_eq!((long.len(), from_title(&long, "product", 255, &[])), (255, long.clone()));
        let second = candidates(&long, std::slice::from_ref(&long), 255).next().unwrap();
        assert!(second.ends_with("-2") && is_slug(&second, 255), "{second}");
        assert!(second.starts_with(numbered_pattern(&long, 255).trim_end_matches('%')), "{second}");
        assert!(is_slug(&unlikely(&long, 255), 255));
    }

    #[test]
    fn what_is_no_slug() {
        for text in ["", "-", "a-", "-a", "a--b", "A", "a_b", "ä", "a b"] {
            assert!(!is_slug(text, 255), "{text:?}");
        }
    }
}
