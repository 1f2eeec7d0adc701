//! Cells of CSV files that people open in a spreadsheet.

use std::borrow::Cow;

/// What a file in UTF-8 begins with, so that Excel does not take it for one in the code page of Windows.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The text as a cell. Spreadsheets read a leading `=`, `+`, `-`, `@`, tab or line break as a formula (OWASP,
/// CSV injection), so an apostrophe is put before it. A text that already looks like a guarded one gets one
/// more apostrophe, so that [`unguarded`] always returns the text as it was.
pub fn guarded(text: &str) -> Cow<'_, str> {
    if is_formula(text.trim_start_matches('\'')) { format!("'{text}").into() } else { text.into() }
}

/// The text of a cell that [`guarded`] wrote.
pub fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text.trim_start_matches('\'')) => text,
        _ => cell,
    }
}

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_text_comes_back() {
        for text in [
            "=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "'=1", "''-1", "'quoted'", "", "'", "plain", "5-1",
        ] {
            let cell = guarded(text);
            assert!(!is_formula(&cell), "{cell:?}");
            assert_eq!(unguarded(&cell), text);
        }
        assert_eq!((guarded("=1"), guarded("plain")), ("'=1".into(), "plain".into()));
    }
}
