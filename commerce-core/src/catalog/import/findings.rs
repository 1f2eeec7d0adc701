//! What an import finds in a file: errors, which cost a product or the whole import, and warnings, which cost
//! a cell or nothing.

use std::collections::BTreeMap;

use crate::text_enum::text_enum;

/// An error on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// The line on which the row begins. The header is line 1.
    pub line: u64,
    /// The column's name in the header. Empty if the error is about the whole line.
    pub column: String,
    /// What is wrong, for people.
    pub message: String,
}

/// The errors of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// The number of errors.
    pub total: usize,
    /// The first [`Faults::LISTED_MAX`] errors.
    pub listed: Vec<LineError>,
}

impl Faults {
    /// The most errors that are listed. More would not help to correct the file.
    pub const LISTED_MAX: usize = 1000;

    pub(crate) fn push(&mut self, error: LineError) {
        self.total += 1;
        if self.listed.len() < Self::LISTED_MAX {
            self.listed.push(error);
        }
    }

    pub(crate) fn extend(&mut self, errors: impl IntoIterator<Item = LineError>) {
        errors.into_iter().for_each(|error| self.push(error));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.total += other.total - other.listed.len();
        self.extend(other.listed);
    }

    /// Sorts by line, because errors of a whole product are found after its rows.
    pub(crate) fn sort(&mut self) {
        self.listed.sort_by_key(|error| error.line);
    }
}

impl From<Vec<LineError>> for Faults {
    fn from(errors: Vec<LineError>) -> Self {
        let mut faults = Self::default();
        faults.extend(errors);
        faults
    }
}

text_enum! {
    /// What a warning is about. Everything else of the product is imported.
    pub enum WarningKind {
        /// The status cannot be read. The product is hidden.
        UnknownStatus = "unknown_status",
        /// The source offers the product in some places only, and this shop has one place.
        PartlyVisible = "partly_visible",
        /// The units on hand are negative. They are taken as 0.
        NegativeStock = "negative_stock",
        /// The units on hand cannot be read. They are left out.
        UnreadableStock = "unreadable_stock",
        /// An earlier line has the SKU. The variant is imported without one.
        RepeatedSku = "repeated_sku",
        /// The SKU belongs to another product of the shop. The variant is imported without one.
        ForeignSku = "foreign_sku",
        /// The SKU is too long. The variant is imported without one.
        UnusableSku = "unusable_sku",
        /// The variant has the options of an earlier one. It is left out.
        RepeatedOptions = "repeated_options",
        /// The compare-at price cannot be read. It is left out.
        UnreadableCompareAtPrice = "unreadable_compare_at_price",
        /// A weight, a barcode, a cost or another detail of a variant cannot be read. It is left out.
        UnreadableDetail = "unreadable_detail",
        /// The source sells beyond the count. The wish is kept, but nothing is sold beyond the count here.
        ContinueSelling = "continue_selling",
        /// The URL of an image was not one, and is one now.
        MendedImage = "mended_image",
        /// The image is left out.
        UnusableImage = "unusable_image",
        /// The alternative text of an image is cut.
        CutAlternativeText = "cut_alternative_text",
        /// The description is left out.
        UnusableDescription = "unusable_description",
        /// Attributes are left out.
        UnusableAttributes = "unusable_attributes",
        /// Categories are left out.
        UnusableCategories = "unusable_categories",
        /// The source's key is no slug. The product has another slug, and is found by its key.
        MadeSlug = "made_slug",
        /// A variation fits any value of an option. It gets the value "Any".
        AnyValue = "any_value",
        /// There is a sale price for some time. It is left out.
        ScheduledSale = "scheduled_sale",
        /// There is no price, so the source does not sell it. It is left out.
        NoPrice = "no_price",
        /// The product is a gift card. It is left out.
        GiftCard = "gift_card",
        /// Products of this kind cannot be imported.
        UnknownType = "unknown_type",
    }
}

impl WarningKind {
    /// What happened, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::UnknownStatus => "the status is not understood; the product is hidden",
            Self::PartlyVisible => "the source shows the product in some places only; here it is for sale",
            Self::NegativeStock => "a negative number of units is taken as 0",
            Self::UnreadableStock => "a number of units is not understood, and left out",
            Self::RepeatedSku => "an earlier line has the SKU; the variant is imported without it",
            Self::ForeignSku => "another product of the shop has the SKU; the variant is imported without it",
            Self::UnusableSku => "the SKU cannot be used; the variant is imported without it",
            Self::RepeatedOptions => "an earlier variant has the same options; this one is left out",
            Self::UnreadableCompareAtPrice => "a compare-at price is not understood, and left out",
            Self::UnreadableDetail => "a detail of a variant is not understood, and left out",
            Self::ContinueSelling => "the source sells beyond the count; here nothing is sold beyond it",
            Self::MendedImage => "the URL of an image is mended",
            Self::UnusableImage => "an image is left out",
            Self::CutAlternativeText => "the alternative text of an image is cut",
            Self::UnusableDescription => "a description is left out",
            Self::UnusableAttributes => "attributes are left out",
            Self::UnusableCategories => "categories are left out",
            Self::MadeSlug => "the product gets a slug made from its key, and is found again by its key",
            Self::AnyValue => "a variation fits any value of an option; its value is \"Any\"",
            Self::ScheduledSale => "a sale price is for some time only, and left out",
            Self::NoPrice => "the source does not sell what has no price; it is left out",
            Self::GiftCard => "gift cards are not sold in this shop, and are left out",
            Self::UnknownType => "products of this type cannot be imported, and are left out",
        }
    }
}

/// The number of findings of a kind, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// The number of findings.
    pub total: usize,
    /// The first [`Noted::EXAMPLES_MAX`] findings, sorted by line.
    pub examples: Vec<LineError>,
}

impl Noted {
    /// The most examples that are kept.
    pub const EXAMPLES_MAX: usize = 5;

    pub(crate) fn push(&mut self, place: LineError) {
        self.total += 1;
        self.keep(place);
    }

    fn keep(&mut self, place: LineError) {
        let at = self.examples.partition_point(|known| known.line <= place.line);
        if at < Self::EXAMPLES_MAX {
            self.examples.insert(at, place);
            self.examples.truncate(Self::EXAMPLES_MAX);
        }
    }
}

/// The warnings of a file, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(pub BTreeMap<WarningKind, Noted>);

impl Warnings {
    pub(crate) fn push(&mut self, kind: WarningKind, place: LineError) {
        self.0.entry(kind).or_default().push(place);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (kind, noted) in other.0 {
            let own = self.0.entry(kind).or_default();
            own.total += noted.total;
            noted.examples.into_iter().for_each(|place| own.keep(place));
        }
    }

    /// The number of warnings.
    pub fn total(&self) -> usize {
        self.0.values().map(|noted| noted.total).sum()
    }
}

/// A column that no part of an import reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredColumn {
    /// Its name in the header.
    pub column: String,
    /// The number of cells with a content.
    pub cells: usize,
    /// The beginning of the first such cell.
    pub example: String,
}

/// What is found in one row or one product.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub errors: Vec<LineError>,
    pub warnings: Vec<(WarningKind, LineError)>,
}

impl Findings {
    pub fn warn(&mut self, kind: WarningKind, place: LineError) {
        self.warnings.push((kind, place));
    }
}
