//! How a CSV file is written: what separates its cells, and whether they are quoted as RFC 4180 wants.

use crate::spreadsheet;

/// The separators that are looked for in the header. Excel writes semicolons where a comma separates
/// decimals.
const SEPARATORS: [u8; 3] = *b",;\t";
/// What is wrong with the quotation marks of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    /// A quoted cell goes on after its end. The CSV reader would move or remove the mark.
    Inside,
    /// Everything after the opening mark was read as one cell.
    NeverClosed,
}

/// Looks at the quotation marks as RFC 4180 wants them: a cell may be quoted as a whole, and a mark within it
/// is doubled.
pub(super) fn misplaced_quotes(record: &[u8], separator: u8) -> Option<Misplaced> {
    enum At {
        Start,
        Plain,
        Quoted,
        /// After a mark in a quoted cell: its end, or the first of two.
        Mark,
        /// Blanks after the end.
        End,
    }
    let mut at = At::Start;
    for &byte in record {
        let ends_cell = byte == separator || byte == b'\n' || byte == b'\r';
        at = match at {
            At::Quoted if byte == b'"' => At::Mark,
            At::Mark if byte == b'"' => At::Quoted,
            At::Quoted => At::Quoted,
            At::Start if byte == b'"' => At::Quoted,
            _ if ends_cell => At::Start,
            At::Start | At::Plain => At::Plain,
            At::Mark | At::End if byte == b' ' => At::End,
            At::Mark | At::End => return Some(Misplaced::Inside),
        };
    }
    matches!(at, At::Quoted).then_some(Misplaced::NeverClosed)
}

/// The separator that the first line has most of, outside of quoted cells.
pub(super) fn separator_of(file: &[u8]) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut inside = false;
    for byte in file.strip_prefix(spreadsheet::BYTE_ORDER_MARK.as_bytes()).unwrap_or(file) {
        match byte {
            b'"' => inside = !inside,
            b'\n' | b'\r' if !inside => break,
            byte if !inside => {
                for (count, separator) in counts.iter_mut().zip(SEPARATORS) {
                    *count += usize::from(*byte == separator);
                }
            }
            _ => {}
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let found = counts.iter().zip(SEPARATORS).find(|(count, _)| **count == most);
    found.map_or(b',', |(_, separator)| separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_out_of_place_are_seen() {
        let misplaced = |text: &str| misplaced_quotes(text.as_bytes(), b',');
        for open in ["a,\"b", "\"", "\"a\"\"", "x\n\"y,\n"] {
            assert_eq!(misplaced(open), Some(Misplaced::NeverClosed), "{open:?}");
        }
        for closed in ["a,b", "\"a\"", "\"a \"\"b\"\"\",c\n", "5\" pipe,b", "\"\",\"\"\r\n", "\"a\" ,b\n"] {
            assert_eq!(misplaced(closed), None, "{closed:?}");
        }
        for inside in ["\"19\" rack\",x", "a,\"He said \"yes\" twice\"", "\"19\" rack x"] {
            assert_eq!(misplaced(inside), Some(Misplaced::Inside), "{inside:?}");
        }
    }

    #[test]
    fn cells_are_separated_by_what_the_header_has_most_of() {
        for (file, separator) in [
            ("a,b;c,d\n1;2;3;4\n", b','),
            ("\u{feff}a;b;\"c,d,e,f\"\r\n", b';'),
            ("a\tb\n", b'\t'),
            ("a\n", b','),
            ("", b','),
        ] {
            assert_eq!(separator_of(file.as_bytes()), separator, "{file:?}");
        }
    }
}
