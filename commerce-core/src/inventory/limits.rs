//! How much stock there may be.

/// The most units of a variant on hand at one location: more than any shop keeps of one thing, and room for sums.
/// The database checks the same number.
pub const ON_HAND_MAX: i64 = 1_000_000_000;
