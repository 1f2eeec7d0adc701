//! CSV as rows of named cells, each row with the line it begins on.

use std::collections::HashMap;

use csv::ByteRecord;

use super::LineError;

/// A CSV file whose header was read.
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    reader: csv::Reader<&'a [u8]>,
    /// Names as they stand in the file.
    names: Vec<String>,
    /// Place by lower-case name.
    places: HashMap<String, usize>,
}

/// A line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub line: u64,
    cells: Vec<String>,
}

impl Row {
    pub fn cells(&self) -> &[String] {
        &self.cells
    }

    /// The trimmed text of a cell; empty for a column that the file does not have.
    pub fn cell(&self, place: Option<usize>) -> &str {
        place.and_then(|place| self.cells.get(place)).map_or("", |cell| cell.trim())
    }
}

/// A row that could not be read; its first cell tells which product it was meant for.
#[derive(Debug)]
pub(super) struct BrokenRow {
    pub cells: Vec<String>,
    pub errors: Vec<LineError>,
}

impl<'a> Table<'a> {
    pub fn read_header(bytes: &'a [u8]) -> Result<Self, LineError> {
        let wrong = |message: &str| LineError { line: 1, column: String::new(), message: message.to_owned() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = reader.byte_headers().map_err(|error| wrong(&error.to_string()))?;
        if header.iter().all(|name| name.trim_ascii().is_empty()) {
            return Err(wrong("the file is empty: its first line must name the columns"));
        }
        let mut names = Vec::new();
        let mut places = HashMap::new();
        for (place, name) in header.iter().enumerate() {
            let name = std::str::from_utf8(name).map_err(|_| wrong("the header is not in UTF-8"))?.trim();
            if !name.is_empty() && places.insert(name.to_lowercase(), place).is_some() {
                let message = "stands in the header twice".to_owned();
                return Err(LineError { line: 1, column: name.to_owned(), message });
            }
            names.push(name.to_owned());
        }
        Ok(Self { bytes, reader, names, places })
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of the first of these columns that the file has. Upper and lower case are the same.
    pub fn place(&self, aliases: &[&str]) -> Option<usize> {
        aliases.iter().find_map(|alias| self.places.get(&alias.to_lowercase())).copied()
    }

    /// The file's own name of a column; the usual one if it does not have it.
    pub fn name(&self, aliases: &[&str]) -> String {
        let own = self.place(aliases).and_then(|place| self.names.get(place)).cloned();
        own.unwrap_or_else(|| aliases.first().copied().unwrap_or_default().to_owned())
    }

    /// The next row that is not blank.
    pub fn next_row(&mut self) -> Option<Result<Row, BrokenRow>> {
        let mut record = ByteRecord::new();
        loop {
            match self.reader.read_byte_record(&mut record) {
                Ok(true) if record.iter().all(|cell| cell.trim_ascii().is_empty()) => {}
                Ok(true) => return Some(self.row(&record)),
                Ok(false) => return None,
                // Reading from memory does not fail.
                Err(error) => {
                    let line = error.position().map_or(0, |position| position.line());
                    let errors = vec![LineError { line, column: String::new(), message: error.to_string() }];
                    return Some(Err(BrokenRow { cells: Vec::new(), errors }));
                }
            }
        }
    }

    fn row(&self, record: &ByteRecord) -> Result<Row, BrokenRow> {
        let (start, line) = self.place_of(record);
        let mut errors = Vec::new();
        let mut wrong = |column: &str, message: String| {
            errors.push(LineError { line, column: column.to_owned(), message });
        };
        if record.len() != self.names.len() {
            wrong("", format!("has {} cells where the header has {}", record.len(), self.names.len()));
        }
        let is_last = usize::try_from(self.reader.position().byte()).is_ok_and(|end| end >= self.bytes.len());
        if is_last && ends_inside_quotes(self.bytes.get(start..).unwrap_or_default()) {
            wrong("", "a quotation mark is opened and never closed".to_owned());
        }
        let mut cells = Vec::with_capacity(record.len());
        for (cell, name) in
            record.iter().zip(self.names.iter().map(String::as_str).chain(std::iter::repeat("")))
        {
            let text = String::from_utf8_lossy(cell);
            if std::str::from_utf8(cell).is_err() {
                wrong(name, "is not in UTF-8".to_owned());
            } else if text.contains('\0') {
                wrong(name, "must not contain the character NUL".to_owned());
            }
            cells.push(text.into_owned());
        }
        if errors.is_empty() { Ok(Row { line, cells }) } else { Err(BrokenRow { cells, errors }) }
    }

    /// Offset and line at which a record begins: the reader counts from before the blank lines that it skips.
    fn place_of(&self, record: &ByteRecord) -> (usize, u64) {
        let Some(position) = record.position() else { return (0, 1) };
        let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let lines = rest.iter().take(blank).filter(|byte| **byte == b'\n').count();
        (start + blank, position.line() + u64::try_from(lines).unwrap_or(0))
    }
}

/// Whether the text ends within a quoted cell: then everything after the opening mark was read as one cell.
fn ends_inside_quotes(record: &[u8]) -> bool {
    let (mut inside, mut at_start) = (false, true);
    for byte in record {
        match (byte, inside) {
            // A doubled mark closes and opens again.
            (b'"', true) => inside = false,
            (b'"', false) if at_start => inside = true,
            (b',' | b'\n' | b'\r', false) => {
                at_start = true;
                continue;
            }
            _ => {}
        }
        at_start = *byte == b'"' && !inside;
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(csv: &str) -> Vec<u64> {
        let mut table = Table::read_header(csv.as_bytes()).unwrap();
        std::iter::from_fn(|| table.next_row()).map(|row| row.unwrap().line).collect()
    }

    #[test]
    fn a_row_is_at_the_line_it_begins_on() {
        assert_eq!(lines("a,b\n1,2\n3,4\n"), [2, 3]);
        assert_eq!(lines("\u{feff}a,b\r\n1,2\r\n3,4"), [2, 3]);
        assert_eq!(lines("a,b\n1,\"x\n\ny\"\n3,4\n"), [2, 5]);
        assert_eq!(lines("a,b\n\n\n1,2\n\n,\n3,4\n"), [4, 7]);
        assert_eq!(lines("a,b\r\n\r\n1,2\r\n\r\n3,4\r\n"), [3, 5]);
    }

    #[test]
    fn an_open_quotation_mark_is_seen() {
        for open in ["a,\"b", "\"", "\"a\"\"", "x\n\"y,\n"] {
            assert!(ends_inside_quotes(open.as_bytes()), "{open:?}");
        }
        for closed in ["a,b", "\"a\"", "\"a \"\"b\"\"\",c\n", "5\" pipe,b", "\"\",\"\"\r\n"] {
            assert!(!ends_inside_quotes(closed.as_bytes()), "{closed:?}");
        }
        let mut table = Table::read_header(b"a,b\n1,\"2\n3,4\n").unwrap();
        let error = table.next_row().unwrap().unwrap_err().errors.remove(0);
        assert_eq!((error.line, error.message.as_str()), (2, "a quotation mark is opened and never closed"));
    }

    #[test]
    fn headers_that_cannot_be_used() {
        for (csv, message) in [
            (&b""[..], "the file is empty: its first line must name the columns"),
            (b"\n\n", "the file is empty: its first line must name the columns"),
            (b"a\xff,b\n", "the header is not in UTF-8"),
            (b"Price,b,price\n", "stands in the header twice"),
        ] {
            assert_eq!(Table::read_header(csv).err().unwrap().message, message);
        }
    }
}
