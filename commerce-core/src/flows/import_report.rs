//! What an import did, or would do, for people and programs.

use std::fmt;

use super::import_options::{ImportMode, ImportOptions, OnError};
use crate::catalog::import::{Faults, IgnoredColumn, Layout, LineError, Noted, Warnings};

/// The counts of products, the errors and the warnings. It is shown as a text of several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportReport {
    /// How the columns were read.
    pub layout: Layout,
    /// Whether the file was written to the shop.
    pub mode: ImportMode,
    /// What an error stops.
    pub on_error: OnError,
    /// Products that are new.
    pub created: usize,
    /// Products that were changed.
    pub updated: usize,
    /// Products that already matched the file.
    pub unchanged: usize,
    /// Products with an error, and wrong lines that name no product.
    pub skipped: usize,
    /// Products that shoppers do not see, because the file says so.
    pub hidden: Noted,
    /// Sorted by line.
    pub faults: Faults,
    /// What was imported in another way than it is in the file, or left out.
    pub warnings: Warnings,
    /// Columns with a content that nothing reads.
    pub ignored_columns: Vec<IgnoredColumn>,
}

impl ImportReport {
    pub(super) fn new(options: ImportOptions, layout: Layout) -> Self {
        Self {
            layout,
            mode: options.mode,
            on_error: options.on_error,
            created: 0,
            updated: 0,
            unchanged: 0,
            skipped: 0,
            hidden: Noted::default(),
            faults: Faults::default(),
            warnings: Warnings::default(),
            ignored_columns: Vec::new(),
        }
    }

    /// Whether the errors stop the import.
    pub fn is_refused(&self) -> bool {
        self.on_error == OnError::Abort && self.faults.total > 0
    }
}

/// The most errors that are shown.
const FAULTS_SHOWN_MAX: usize = 20;

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { created, updated, unchanged, skipped, .. } = self;
        let done = if self.mode == ImportMode::DryRun { "Would be" } else { "Products" };
        writeln!(
            f,
            "{done} created: {created}, updated: {updated}, unchanged: {unchanged}, skipped: {skipped} \
             (layout: {})",
            self.layout
        )?;
        if self.hidden.total > 0 {
            writeln!(f, "Hidden from shoppers, as the file says: {}", self.hidden.total)?;
            write_examples(f, &self.hidden)?;
        }
        if self.warnings.total() > 0 {
            writeln!(f, "Warnings: {}", self.warnings.total())?;
        }
        for (kind, noted) in &self.warnings.0 {
            writeln!(f, "  {}: {}", kind.title(), noted.total)?;
            write_examples(f, noted)?;
        }
        if !self.ignored_columns.is_empty() {
            writeln!(f, "Columns that are not understood, and left out: {}", self.ignored_columns.len())?;
        }
        for IgnoredColumn { column, cells, example } in &self.ignored_columns {
            let cells = if *cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") };
            writeln!(f, "    {column} ({cells}, such as {example:?})")?;
        }
        if self.faults.total > 0 {
            let stopped = if self.is_refused() { "; nothing is imported" } else { "" };
            writeln!(f, "Errors: {}{stopped}", self.faults.total)?;
        }
        for error in self.faults.listed.iter().take(FAULTS_SHOWN_MAX) {
            write_place(f, error)?;
        }
        let further = self.faults.total.saturating_sub(FAULTS_SHOWN_MAX);
        if further > 0 {
            writeln!(f, "    and {further} more")?;
        }
        Ok(())
    }
}

fn write_examples(f: &mut fmt::Formatter<'_>, noted: &Noted) -> fmt::Result {
    noted.examples.iter().try_for_each(|example| write_place(f, example))?;
    let further = noted.total - noted.examples.len();
    if further > 0 { writeln!(f, "    and {further} more") } else { Ok(()) }
}

fn write_place(f: &mut fmt::Formatter<'_>, LineError { line, column, message }: &LineError) -> fmt::Result {
    let column = if column.is_empty() { String::new() } else { format!(", {column}") };
    writeln!(f, "    line {line}{column}: {message}")
}
