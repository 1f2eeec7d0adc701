//! Limits of messages. The database checks the same numbers.

/// The longest name of a visitor.
pub const NAME_CHARS_MAX: usize = 200;
/// The longest message.
pub const MESSAGE_CHARS_MAX: usize = 5000;
/// The longest note of staff.
pub const NOTE_CHARS_MAX: usize = 5000;
