//! What the cells of WooCommerce's export mean.

use super::findings::{Findings, LineError, WarningKind};
use super::line::{Head, LineVariant};

/// A variation without a value fits any. Here it needs one.
const ANY_VALUE: &str = "Any";

/// The first of `simple, downloadable, virtual`.
pub(super) fn kind_of(cell: &str) -> String {
    cell.split(',').next().unwrap_or_default().trim().to_lowercase()
}

/// Gives every variation the same options: those for which one of them has a value. Removes them from the
/// attributes of the product.
pub(super) fn settle_options(
    head: Option<&mut Head>,
    variants: &mut [(u64, LineVariant)],
    found: &mut Findings,
) {
    let mut names: Vec<String> = Vec::new();
    for (_, variant) in variants.iter() {
        for (name, value) in &variant.options {
            if !value.is_empty() && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    let weight_grams = head.as_ref().and_then(|head| head.weight_grams);
    for (line, variant) in variants {
        // A variation without a weight has that of its parent.
        variant.details.weight_grams = variant.details.weight_grams.or(weight_grams);
        let value_of = |name: &String| {
            let pair = variant.options.iter().find(|(own, value)| own == name && !value.is_empty());
            pair.map(|(_, value)| value.clone())
        };
        let options: Vec<(String, Option<String>)> =
            names.iter().map(|name| (name.clone(), value_of(name))).collect();
        for (name, _) in options.iter().filter(|(_, value)| value.is_none()) {
            let message = format!("{name} is empty, so it is {ANY_VALUE:?}");
            found.warn(WarningKind::AnyValue, LineError { line: *line, column: String::new(), message });
        }
        let with_any = |value: Option<String>| value.unwrap_or_else(|| ANY_VALUE.to_owned());
        variant.options = options.into_iter().map(|(name, value)| (name, with_any(value))).collect();
    }
    if let Some(head) = head {
        names.iter().for_each(|name| {
            head.attributes.remove(name);
        });
    }
}

/// Values separated by commas. A comma in a value has a backslash before it.
pub(super) fn list(cell: &str) -> Vec<String> {
    let values = cell.replace("\\,", "\0");
    let values = values.split(',').map(|value| value.trim().replace('\0', ","));
    values.filter(|value| !value.is_empty()).collect()
}

/// Descriptions have `\n` for a line break, and `\\n` for a backslash before an n.
pub(super) fn text_with_lines(cell: &str) -> String {
    cell.replace("\\\\n", "\0").replace("\\n", "\n").replace('\0', "\\n")
}

/// WordPress shows line breaks of a text without block elements as paragraphs.
pub(super) fn paragraphs(text: &str) -> String {
    let lower = text.to_lowercase();
    let has_blocks =
        ["<p", "<br", "<div", "<ul", "<ol", "<table", "<h"].iter().any(|tag| lower.contains(tag));
    if has_blocks || !text.contains('\n') {
        return text.to_owned();
    }
    let parts = text.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| format!("<p>{}</p>", part.replace('\n', "<br>"))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_as_the_exporter_writes_them() {
        assert_eq!(list("Red, Salt\\, pepper , "), ["Red", "Salt, pepper"]);
        assert_eq!(list(""), [""; 0]);
        assert_eq!(text_with_lines("a\\nb\\\\nc"), "a\nb\\nc");
        assert_eq!(paragraphs("a\nb\n\nc"), "<p>a<br>b</p>\n<p>c</p>");
        assert_eq!(paragraphs("<p>a</p>\nb"), "<p>a</p>\nb");
        assert_eq!(kind_of("Simple, downloadable, virtual"), "simple");
    }
}
