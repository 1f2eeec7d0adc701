//! CSV as rows of named cells, each row with the line on which it begins. Only one row and a read-ahead
//! buffer are in memory.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Cursor, Read};

use csv::ByteRecord;

use super::dialect::{Misplaced, misplaced_quotes, separator_of};
use super::findings::{IgnoredColumn, LineError};
use crate::spreadsheet;

/// The largest row in bytes. If a quotation mark is missing, a row has no end.
const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most bytes of the first line that are searched for separators.
const FIRST_LINE_BYTES_MAX: usize = 64 * 1024;
/// The most characters of an example from a column that is not read.
const EXAMPLE_CHARS_MAX: usize = 40;

/// A CSV file whose header was read.
pub(crate) struct Table<R> {
    reader: csv::Reader<Retained<R>>,
    header: Header,
    separator: u8,
    is_broken: bool,
    /// The columns that nothing reads, by place.
    ignored: Vec<(usize, IgnoredColumn)>,
}

/// The columns of a file.
pub(crate) struct Header {
    /// The names as written in the file.
    names: Vec<String>,
    /// The place by the lower-case name.
    places: HashMap<String, usize>,
    /// Whether somebody looked for the column, by place.
    is_read: Vec<Cell<bool>>,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Row {
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
pub(crate) struct BrokenRow {
    pub cells: Vec<String>,
    pub errors: Vec<LineError>,
}

impl<R: Read> Table<R> {
    pub fn read_header(input: R) -> Result<Self, LineError> {
        let wrong = |message: &str| LineError { line: 1, column: String::new(), message: message.to_owned() };
        let (separator, retained) = Retained::new(input).map_err(|error| wrong(&error.to_string()))?;
        let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(separator).from_reader(retained);
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
        let is_read = names.iter().map(|_| Cell::new(false)).collect();
        let header = Header { names, places, is_read };
        Ok(Self { reader, header, separator, is_broken: false, ignored: Vec::new() })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether a comma separates decimals, not cells.
    pub fn has_decimal_commas(&self) -> bool {
        self.separator != b','
    }

    /// Counts the cells of the columns that nobody has looked for until now.
    pub fn watch_ignored(&mut self) {
        let names = self.header.names.iter().zip(&self.header.is_read).enumerate();
        let ignored = names.filter(|(_, (name, is_read))| !name.is_empty() && !is_read.get());
        self.ignored = ignored
            .map(|(place, (name, _))| {
                (place, IgnoredColumn { column: name.clone(), cells: 0, example: String::new() })
            })
            .collect();
    }

    /// The columns with a content that nothing reads.
    pub fn ignored(&self) -> Vec<IgnoredColumn> {
        let columns = self.ignored.iter().map(|(_, column)| column);
        columns.filter(|column| column.cells > 0).cloned().collect()
    }

    fn count_ignored(&mut self, record: &ByteRecord) {
        for (place, column) in &mut self.ignored {
            let cell = record.get(*place).unwrap_or_default().trim_ascii();
            if cell.is_empty() {
                continue;
            }
            column.cells += 1;
            if column.cells == 1 {
                column.example = shortened(&String::from_utf8_lossy(cell), EXAMPLE_CHARS_MAX);
            }
        }
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
                Ok(true) => {
                    self.count_ignored(&record);
                    return Some(self.row(&record));
                }
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
        match misplaced_quotes(rest, self.separator) {
            Some(Misplaced::NeverClosed) if is_last => {
                wrong("", "a quotation mark is opened and never closed".to_owned());
            }
            Some(Misplaced::Inside) => {
                let message = "a quotation mark inside a quoted cell must be doubled: \"19\"\" rack\"";
                wrong("", message.to_owned());
            }
            _ => {}
        }
        let mut cells = Vec::with_capacity(record.len());
        for (cell, name) in record.iter().zip(names.iter().map(String::as_str).chain(std::iter::repeat(""))) {
            let text = String::from_utf8_lossy(cell);
            if std::str::from_utf8(cell).is_err() {
                wrong(name, "is not in UTF-8".to_owned());
            } else if text.contains('\0') {
                wrong(name, "must not contain the character NUL".to_owned());
            }
            cells.push(spreadsheet::unguarded(&text).to_owned());
        }
        if errors.is_empty() { Ok(Row { line, cells }) } else { Err(BrokenRow { cells, errors }) }
    }

    /// The bytes of a record, and the line on which it begins. The reader's own count begins before the blank
    /// lines that it skips.
    fn place_of(&self, record: &ByteRecord) -> (&[u8], u64) {
        let Some(position) = record.position() else { return (&[], 1) };
        let length = self.reader.position().byte() - position.byte();
        let rest = self.reader.get_ref().kept_from(position.byte());
        let rest = rest.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(rest);
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
        let place = aliases.iter().find_map(|alias| self.places.get(&alias.to_lowercase())).copied()?;
        self.is_read.get(place)?.set(true);
        Some(place)
    }

    /// Whether the file has a column. It may be left unread.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(&name.to_lowercase())
    }

    /// The places and lower-case names of all columns.
    pub fn columns(&self) -> impl Iterator<Item = (usize, String)> {
        self.names.iter().map(|name| name.to_lowercase()).enumerate()
    }

    /// The file's own name of a column, or the usual name if the file does not have the column.
    pub fn name(&self, aliases: &[&str]) -> String {
        let own = self.place(aliases).and_then(|place| self.names.get(place)).cloned();
        own.unwrap_or_else(|| aliases.first().copied().unwrap_or_default().to_owned())
    }
}

/// Reads on, and keeps what was read since the beginning of the present row.
struct Retained<R> {
    input: io::Chain<Cursor<Vec<u8>>, R>,
    kept: Vec<u8>,
    /// The offset in the file of the first byte that is kept.
    from: u64,
    has_ended: bool,
}

impl<R: Read> Retained<R> {
    /// Reads the first line to find the separator.
    fn new(mut input: R) -> io::Result<(u8, Self)> {
        let mut first = Vec::new();
        let mut buffer = [0; 4096];
        while !first.contains(&b'\n') && first.len() < FIRST_LINE_BYTES_MAX {
            match input.read(&mut buffer)? {
                0 => break,
                count => first.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
        }
        let separator = separator_of(&first);
        let input = Cursor::new(first).chain(input);
        Ok((separator, Self { input, kept: Vec::new(), from: 0, has_ended: false }))
    }
}

impl<R> Retained<R> {
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

/// The beginning of a text, on one line.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    let beginning: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() { format!("{beginning}…") } else { beginning }
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
    fn cells_are_separated_by_what_the_header_has_most_of() {
        let mut table = Table::read_header(&b"a;b\n\"1;2\";3,5\n"[..]).unwrap();
        assert_eq!(table.next_row().unwrap().unwrap().cells, ["1;2", "3,5"]);
    }

    #[test]
    fn columns_that_nobody_reads_are_counted() {
        let mut table = Table::read_header(&b"a,b,c\n1,2,\n1,3,\n"[..]).unwrap();
        table.header().place(&["A"]);
        table.watch_ignored();
        while table.next_row().is_some() {}
        let ignored = IgnoredColumn { column: "b".to_owned(), cells: 2, example: "2".to_owned() };
        assert_eq!(table.ignored(), [ignored]);
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
