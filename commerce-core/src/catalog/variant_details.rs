//! What a variant carries beside its options and its price: how it is counted, sent, taxed and recognised.

use crate::money::Money;

/// What shoppers may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantDetails {
    /// Whether units are counted. A variant that is not counted, such as a service or a download, is always
    /// available, and no units of it are reserved, shipped or taken back in the ledger. Its stock levels may
    /// be adjusted; they count as soon as it is counted again.
    ///
    /// A switch concerns what is ordered afterwards. An order remembers for each line whether its units were
    /// reserved, so an open order keeps its reservations, or goes on without any. A cart's hold lasts until
    /// it lapses. A late payment that restores a cancelled order reserves what is counted by then.
    pub track_inventory: bool,
    /// What a unit weighs, in grams: 0 to [`limits::WEIGHT_GRAMS_MAX`](super::limits::WEIGHT_GRAMS_MAX).
    pub weight_grams: Option<i32>,
    /// Whether it is sent in a parcel.
    pub requires_shipping: bool,
    /// Whether tax is due on it.
    pub taxable: bool,
    /// The number that a scanner reads, such as a GTIN, an ISBN or a UPC.
    pub barcode: Option<String>,
    /// The URL of the image that shows it, which is one of the product's images.
    pub image_url: Option<String>,
}

impl Default for VariantDetails {
    /// A counted variant that is sent and taxed.
    fn default() -> Self {
        Self {
            track_inventory: true,
            weight_grams: None,
            requires_shipping: true,
            taxable: true,
            barcode: None,
            image_url: None,
        }
    }
}

/// What only staff may know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaffDetails {
    /// What a unit costs the merchant, in the currency of the price.
    pub cost: Option<Money>,
    /// Whether the merchant wants to sell beyond the count. The wish is kept for programs that ask for it.
    /// This library sells nothing beyond the count.
    pub continue_selling: bool,
}
