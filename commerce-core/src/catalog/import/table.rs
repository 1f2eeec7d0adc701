//! CSV as rows of named cells, each row with the line on which it begins. Only one row and a read-ahead
//! buffer are in memory.

use std::collections::HashMap;
use std::io::{self, Read};

use csv::ByteRecord;

use super::LineError;

/// The largest row in bytes. If a quotation mark is missing, a row has no end.
const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A CSV file whose header was read.
pub(super) struct Table<R> {
    reader: csv::Reader<Retained<R>>,
    header: Header,
    is_broken: bool,
}

/// The columns of a file.
pub(super) struct Header {
    /// The names as written in the file.
    names: Vec<String>,
    /// The place by the lower-case name.
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

/// A row that could not be read. Its first cell says which product it belongs to.
#[derive(Debug)]
pub(super) struct BrokenRow {
    pub cells: Vec<String>,
    pub errors: Vec<LineError>,
}

impl<R: Read> Table<R> {
    pub fn read_header(input: R) -> Result<Self, LineError> {
        let wrong = |message: &str| LineError { line: 1, column: String::new(), message: message.to_owned() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(Retained::new(input));
        let cells = reader.byte_headers().map_err(|error| wrong(&error.to_string()))?;
        if cells.iter().all(|name| name.trim_ascii().is_empty()) {
            return Err(wrong("the file is empty: its first line must name the columns"));
        }
        let mut names = Vec::new();
        let mut places = HashMap::new();
        for (place, name) in cells.iter().enumerate() {
            let name = std::str::from_utf8(name).map_err(|_| wrong("the header is not in UTF-8"))?.trim();
            if !name.is_empty() && places.insert(name.to_lowercase(), place).is_some() {
                let message = "is in the header twice".to_owned();
                return Err(LineError { line: 1, column: name.to_owned(), message });
            }
            names.push(name.to_owned());
        }
        Ok(Self { reader, header: Header { names, places }, is_broken: false })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of bytes that were examined.
    pub fn bytes_read(&self) -> u64 {
        self.reader.position().byte()
    }

    /// The next row that is not blank.
    pub fn next_row(&mut self) -> Option<Result<Row, BrokenRow>> {
        if self.is_broken {
            return None;
        }
        let mut record = ByteRecord::new();
        loop {
            let begins_at = self.reader.position().clone();
            self.reader.get_mut().forget_before(begins_at.byte());
            match self.reader.read_byte_record(&mut record) {
                Ok(true) if record.iter().all(|cell| cell.trim_ascii().is_empty()) => {}
                Ok(true) => return Some(self.row(&record)),
                Ok(false) => return None,
                // The rest of the file cannot be read.
                Err(error) => {
                    self.is_broken = true;
                    let message = match error.into_kind() {
                        csv::ErrorKind::Io(error) => error.to_string(),
                        _ => "cannot be read".to_owned(),
                    };
                    let errors = vec![LineError { line: begins_at.line(), column: String::new(), message }];
                    return Some(Err(BrokenRow { cells: Vec::new(), errors }));
                }
            }
        }
    }

    fn row(&self, record: &ByteRecord) -> Result<Row, BrokenRow> {
        let (rest, line) = self.place_of(record);
        let names = &self.header.names;
        let mut errors = Vec::new();
        let mut wrong = |column: &str, message: String| {
            errors.push(LineError { line, column: column.to_owned(), message });
        };
        if record.len() != names.len() {
            wrong("", format!("has {} cells, but the header has {}", record.len(), names.len()));
        }
        let is_last = self.reader.get_ref().ends_at(self.reader.position().byte());
        if is_last && ends_inside_quotes(rest) {
            wrong("", "a quotation mark is opened and never closed".to_owned());
        }
        let mut cells = Vec::with_capacity(record.len());
        for (cell, name) in record.iter().zip(names.iter().map(String::as_str).chain(std::iter::repeat(""))) {
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

    /// The bytes of the file from a record on, as far as they were read, and the line on which the record
    /// begins. The reader's own count begins before the blank lines that it skips.
    fn place_of(&self, record: &ByteRecord) -> (&[u8], u64) {
        let Some(position) = record.position() else { return (&[], 1) };
        let rest = self.reader.get_ref().kept_from(position.byte());
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let (blank, rest) = rest.split_at_checked(blank).unwrap_or_default();
        let lines = blank.iter().filter(|byte| **byte == b'\n').count();
        (rest, position.line() + u64::try_from(lines).unwrap_or(0))
    }
}

impl Header {
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of the first of these columns that the file has. Case does not matter.
    pub fn place(&self, aliases: &[&str]) -> Option<usize> {
        aliases.iter().find_map(|alias| self.places.get(&alias.to_lowercase())).copied()
    }

    /// The file's own name of a column, or the usual name if the file does not have the column.
    pub fn name(&self, aliases: &[&str]) -> String {
        let own = self.place(aliases).and_then(|place| self.names.get(place)).cloned();
        own.unwrap_or_else(|| aliases.first().copied().unwrap_or_default().to_owned())
    }
}

/// Reads on, and keeps what was read since the beginning of the present row.
struct Retained<R> {
    input: R,
    kept: Vec<u8>,
    /// The offset in the file of the first byte that is kept.
    from: u64,
    has_ended: bool,
}

impl<R> Retained<R> {
    fn new(input: R) -> Self {
        Self { input, kept: Vec::new(), from: 0, has_ended: false }
    }

    fn kept_from(&self, place: u64) -> &[u8] {
        let start = usize::try_from(place.saturating_sub(self.from)).unwrap_or(usize::MAX);
        self.kept.get(start..).unwrap_or_default()
    }

    fn ends_at(&self, place: u64) -> bool {
        self.has_ended && self.kept_from(place).is_empty()
    }

    /// Drops the bytes before `place` when they are more than half of the buffer.
    fn forget_before(&mut self, place: u64) {
        let needed = self.kept_from(place).len();
        let forgotten = self.kept.len() - needed;
        if forgotten > needed {
            self.kept.drain(..forgotten);
            self.from += u64::try_from(forgotten).unwrap_or(0);
        }
    }
}

impl<R: Read> Read for Retained<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.kept.len() > 2 * ROW_BYTES_MAX {
            let message =
                format!("is a row of more than {ROW_BYTES_MAX} bytes: is a quotation mark missing?");
            return Err(io::Error::other(message));
        }
        let count = self.input.read(buffer)?;
        self.has_ended |= count == 0;
        self.kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Whether the text ends inside a quoted cell. If so, everything after the opening quotation mark was read as
/// one cell.
fn ends_inside_quotes(record: &[u8]) -> bool {
    let (mut inside, mut at_start) = (false, true);
    for byte in record {
        match (byte, inside) {
            // A doubled quotation mark closes the cell and opens it again.
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
        let mut table = Table::read_header(&b"a,b\n1,\"2\n3,4\n"[..]).unwrap();
        let error = table.next_row().unwrap().unwrap_err().errors.remove(0);
        assert_eq!((error.line, error.message.as_str()), (2, "a quotation mark is opened and never closed"));
    }

    #[test]
    fn a_row_without_end_is_refused_and_a_long_file_is_not() {
        let endless = [b"a,b\n1,\"".to_vec(), vec![b'x'; 3 * ROW_BYTES_MAX]].concat();
        let mut table = Table::read_header(endless.as_slice()).unwrap();
        let error = table.next_row().unwrap().unwrap_err().errors.remove(0);
        assert!(error.line == 2 && error.message.contains("is a quotation mark missing?"), "{error:?}");
        assert!(table.next_row().is_none());

        let row = format!("1,\"{}\ny\"\n", "x".repeat(1000));
        let long = format!("a,b\n{}", row.repeat(9000));
        assert!(long.len() > 2 * ROW_BYTES_MAX);
        let mut table = Table::read_header(long.as_bytes()).unwrap();
        let lines = std::iter::from_fn(|| table.next_row()).map(|row| row.unwrap().line);
        assert_eq!(lines.last(), Some(18_000));
        assert!(table.reader.get_ref().kept.capacity() < 1024 * 1024);
    }

    #[test]
    fn headers_that_cannot_be_used() {
        for (csv, message) in [
            (&b""[..], "the file is empty: its first line must name the columns"),
            (b"\n\n", "the file is empty: its first line must name the columns"),
            (b"a\xff,b\n", "the header is not in UTF-8"),
            (b"Price,b,price\n", "is in the header twice"),
        ] {
            assert_eq!(Table::read_header(csv).err().unwrap().message, message);
        }
    }
}
