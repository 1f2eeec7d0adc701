//! Changes stock by a CSV file, all of it in one transaction.
//!
//! The file is small enough to be read into memory, so its levels are locked in their order, whatever the order of
//! its lines. A delta that is applied twice counts twice: send the file with an `Idempotency-Key`, or send counts.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::import_options::{ImportMode, OnError};
use crate::catalog::import::{BrokenRow, Faults, LineError, Row, Table};
use crate::db::Retryable;
use crate::ids::{LocationId, VariantId};
use crate::inventory::{self, AdjustError, Apply, MAIN_LOCATION, ON_HAND_MAX, StockChange, Units};
use crate::request::Origin;
use crate::schema::{stock_locations, variants};
use crate::text::single_line;

/// The most lines of a file.
pub const STOCK_LINES_MAX: usize = 20_000;

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;

/// How a file is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockImportOptions {
    /// Whether a wrong line stops everything, or is left out.
    pub on_error: OnError,
    /// Whether the file is applied, or only judged.
    pub mode: ImportMode,
}

/// What a file did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockImportReport {
    /// Lines that changed a level.
    pub changed: usize,
    /// Counts of levels that had these units already.
    pub unchanged: usize,
    /// Lines that are wrong.
    pub skipped: usize,
    /// Sorted by line.
    pub faults: Faults,
}

/// Why a file was not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StockImportError {
    /// Lines are wrong, or the file as a whole.
    #[error("the file has wrong lines")]
    WrongLines(Faults),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for StockImportError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Applies a file with the columns `sku` or `variant_id`, `delta` or `on_hand`, and optionally `location` (a code; the
/// main location by default) and `reason`. Locks are taken in the order of levels, and one transaction has it all.
pub async fn import_stock(
    conn: &mut AsyncPgConnection,
    input: impl Read,
    options: StockImportOptions,
    origin: &Origin,
) -> Result<StockImportReport, StockImportError> {
    let (lines, mut report) = read(input)?;
    let lines = resolve(conn, lines, &mut report).await?;
    let (places, wanted): (Vec<Place>, Vec<StockChange>) =
        without_repeats(lines, &mut report).into_iter().unzip();
    let aborts = options.on_error == OnError::Abort;
    let apply = match options.mode {
        ImportMode::DryRun => Apply::Nothing,
        ImportMode::Apply if aborts && report.faults.total > 0 => Apply::Nothing,
        ImportMode::Apply if aborts => Apply::All,
        ImportMode::Apply => Apply::Possible,
    };
    let done = conn.transaction::<_, Undone, _>(async |conn| {
        let changed = inventory::change_stock(conn, &wanted, apply, origin).await?;
        let is_undone = apply == Apply::Nothing || apply == Apply::All && !changed.refused.is_empty();
        if is_undone { Err(Undone::Judged(changed)) } else { Ok(changed) }
    });
    let changed = match done.await {
        Ok(changed) | Err(Undone::Judged(changed)) => changed,
        Err(Undone::Failed(error)) => return Err(error.into()),
    };
    report.changed = changed.changed;
    report.unchanged = changed.unchanged;
    for (at, refusal) in changed.refused {
        let Some(place) = places.get(at) else { continue };
        report.wrong(place.error(refusal.to_string()));
    }
    report.faults.sort();
    if options.mode == ImportMode::Apply && aborts && report.faults.total > 0 {
        return Err(StockImportError::WrongLines(report.faults));
    }
    Ok(report)
}

/// Why the inner transaction is rolled back.
enum Undone {
    /// The changes were judged, and none is to be made.
    Judged(inventory::Changed),
    Failed(QueryError),
}

impl From<QueryError> for Undone {
    fn from(error: QueryError) -> Self {
        Self::Failed(error)
    }
}

impl From<AdjustError> for Undone {
    fn from(error: AdjustError) -> Self {
        match error {
            AdjustError::Database(error) => Self::Failed(error),
            // Refusals of single changes are among the changed.
            other => Self::Failed(QueryError::QueryBuilderError(other.into())),
        }
    }
}

impl StockImportReport {
    fn wrong(&mut self, error: LineError) {
        self.skipped += 1;
        self.faults.push(error);
    }
}

/// Where a line has its number, for errors.
struct Place {
    line: u64,
    column: String,
}

impl Place {
    fn error(&self, message: impl Into<String>) -> LineError {
        LineError { line: self.line, column: self.column.clone(), message: message.into() }
    }
}

/// A line whose cells can be read.
struct Line {
    place: Place,
    sku: String,
    variant_id: Option<VariantId>,
    location: String,
    units: Units,
    reason: Option<String>,
}

/// The places of the columns.
struct Columns {
    sku: Option<usize>,
    variant_id: Option<usize>,
    location: Option<usize>,
    delta: Option<usize>,
    on_hand: Option<usize>,
    reason: Option<usize>,
}

fn read(input: impl Read) -> Result<(Vec<Line>, StockImportReport), StockImportError> {
    let whole = |line, column: &str, message: String| {
        let error = LineError { line, column: column.to_owned(), message };
        StockImportError::WrongLines(vec![error].into())
    };
    let mut table =
        Table::read_header(input).map_err(|error| StockImportError::WrongLines(vec![error].into()))?;
    let header = table.header();
    let columns = Columns {
        sku: header.place(&["sku"]),
        variant_id: header.place(&["variant_id"]),
        location: header.place(&["location"]),
        delta: header.place(&["delta"]),
        on_hand: header.place(&["on_hand"]),
        reason: header.place(&["reason"]),
    };
    if columns.sku.is_none() && columns.variant_id.is_none() {
        return Err(whole(1, "sku", "the header needs a column sku or variant_id".to_owned()));
    }
    if columns.delta.is_none() && columns.on_hand.is_none() {
        return Err(whole(1, "delta", "the header needs a column delta or on_hand".to_owned()));
    }
    // A column that nobody reads may be a misspelt one, such as the location.
    let known = ["sku", "variant_id", "location", "delta", "on_hand", "reason"];
    let unknown = header.names().iter().find(|name| !known.contains(&name.to_lowercase().as_str()));
    if let Some(unknown) = unknown {
        let message = format!("is no column of this file; it may have {}", known.join(", "));
        return Err(whole(1, unknown, message));
    }
    let (mut lines, mut report) = (Vec::new(), StockImportReport::default());
    while let Some(row) = table.next_row() {
        if lines.len() + report.skipped >= STOCK_LINES_MAX {
            let line = row.map_or(1, |row| row.line);
            let message = format!("a file has at most {STOCK_LINES_MAX} lines; split it");
            return Err(whole(line, "", message));
        }
        match row {
            Ok(row) => match line_of(&row, &columns) {
                Ok(line) => lines.push(line),
                Err(error) => report.wrong(error),
            },
            Err(BrokenRow { errors, .. }) => {
                report.skipped += 1;
                report.faults.extend(errors);
            }
        }
    }
    Ok((lines, report))
}

fn line_of(row: &Row, columns: &Columns) -> Result<Line, LineError> {
    let wrong =
        |column: &str, message: String| LineError { line: row.line, column: column.to_owned(), message };
    let (sku, id) = (row.cell(columns.sku), row.cell(columns.variant_id));
    let variant_id = if id.is_empty() {
        None
    } else {
        Some(id.parse().map_err(|_| wrong("variant_id", format!("{id:?} is not an id")))?)
    };
    if sku.is_empty() && variant_id.is_none() {
        return Err(wrong("sku", "a line needs a sku or a variant_id".to_owned()));
    }
    let (delta, on_hand) = (row.cell(columns.delta), row.cell(columns.on_hand));
    let (column, units) = match (delta, on_hand) {
        ("", "") => return Err(wrong("delta", "a line needs a delta or on_hand".to_owned())),
        (delta, "") => ("delta", Units::Add(number(delta).map_err(|message| wrong("delta", message))?)),
        ("", on_hand) => {
            ("on_hand", Units::Count(number(on_hand).map_err(|message| wrong("on_hand", message))?))
        }
        _ => return Err(wrong("on_hand", "a line has a delta or on_hand, not both".to_owned())),
    };
    match units {
        Units::Add(0) => return Err(wrong("delta", "0 changes nothing".to_owned())),
        Units::Count(..0) => return Err(wrong("on_hand", "must be at least 0".to_owned())),
        _ => {}
    }
    let reason = single_line(row.cell(columns.reason));
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(wrong("reason", format!("has more than {REASON_CHARS_MAX} characters")));
    }
    let place = Place { line: row.line, column: column.to_owned() };
    let (sku, location) = (sku.to_owned(), row.cell(columns.location).to_owned());
    Ok(Line { place, sku, variant_id, location, units, reason: Some(reason).filter(|text| !text.is_empty()) })
}

fn number(text: &str) -> Result<i64, String> {
    let number: i64 = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
    if (-ON_HAND_MAX..=ON_HAND_MAX).contains(&number) {
        Ok(number)
    } else {
        Err(format!("must be between -{ON_HAND_MAX} and {ON_HAND_MAX}"))
    }
}

/// Finds the variants and locations that the lines name.
async fn resolve(
    conn: &mut AsyncPgConnection,
    lines: Vec<Line>,
    report: &mut StockImportReport,
) -> QueryResult<Vec<(Place, StockChange)>> {
    let skus: HashSet<&str> =
        lines.iter().map(|line| line.sku.as_str()).filter(|sku| !sku.is_empty()).collect();
    let by_sku = variants::table.filter(variants::sku.eq_any(skus.into_iter().collect::<Vec<_>>()));
    let by_sku: Vec<(Option<String>, VariantId)> =
        by_sku.select((variants::sku, variants::id)).load(conn).await?;
    let by_sku: HashMap<String, VariantId> =
        by_sku.into_iter().filter_map(|(sku, id)| Some((sku?, id))).collect();
    let ids: HashSet<VariantId> = lines.iter().filter_map(|line| line.variant_id).collect();
    let known = variants::table.filter(variants::id.eq_any(ids)).select(variants::id);
    let known: HashSet<VariantId> = known.load::<VariantId>(conn).await?.into_iter().collect();
    let locations = stock_locations::table
        .filter(stock_locations::deleted_at.is_null())
        .select((stock_locations::code, stock_locations::id));
    let locations: HashMap<String, LocationId> = locations.load(conn).await?.into_iter().collect();
    let mut found = Vec::with_capacity(lines.len());
    for line in lines {
        let Line { place, sku, variant_id, location, units, reason } = line;
        let wrong = |column: &str, message: String| LineError {
            line: place.line,
            column: column.to_owned(),
            message,
        };
        let of_sku = by_sku.get(&sku).copied();
        let variant_id = match variant_id {
            Some(id) if !known.contains(&id) => Err(wrong("variant_id", format!("there is no variant {id}"))),
            Some(id) if !sku.is_empty() && of_sku != Some(id) => {
                Err(wrong("sku", format!("{sku:?} is not the SKU of variant {id}")))
            }
            Some(id) => Ok(id),
            None => of_sku.ok_or_else(|| wrong("sku", format!("there is no variant with the SKU {sku:?}"))),
        };
        let location_id = match location.as_str() {
            "" => Ok(MAIN_LOCATION),
            code => {
                let known = locations.get(code).copied();
                known.ok_or_else(|| wrong("location", format!("there is no location with the code {code:?}")))
            }
        };
        match variant_id.and_then(|variant_id| Ok((variant_id, location_id?))) {
            Ok((variant_id, location_id)) => {
                found.push((place, StockChange { variant_id, location_id, units, reason }));
            }
            Err(error) => report.wrong(error),
        }
    }
    Ok(found)
}

/// Several deltas of a level add up. Beside a count, any other line about the level is a mistake.
fn without_repeats(
    lines: Vec<(Place, StockChange)>,
    report: &mut StockImportReport,
) -> Vec<(Place, StockChange)> {
    let mut first: HashMap<(VariantId, LocationId), (u64, bool)> = HashMap::new();
    let mut kept = Vec::with_capacity(lines.len());
    for (place, change) in lines {
        let is_count = matches!(change.units, Units::Count(_));
        let level = first.entry((change.variant_id, change.location_id)).or_insert((place.line, is_count));
        if level.0 != place.line && (is_count || level.1) {
            report.wrong(place.error(format!("line {} is about the same stock", level.0)));
        } else {
            kept.push((place, change));
        }
    }
    kept
}
