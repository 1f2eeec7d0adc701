//! Limits of stock.

/// The most units of a variant on hand at one location. It is more than any shop has of one thing, and leaves
/// room for sums. The database checks the same number.
pub const ON_HAND_MAX: i64 = 1_000_000_000;
