//! Invalid values of a request, each with its place.

use std::ops::RangeInclusive;

/// One invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// RFC 6901 JSON pointer into the request, such as `/variants/0/price`.
    pub pointer: String,
    /// What is wrong, for people.
    pub message: String,
}

/// Collects all errors, so that a person sees all of them at once.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds an error about the field at `pointer` (RFC 6901).
    pub fn push(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), message: message.into() });
    }

    /// Checks a text: its length in characters, and whether Postgres can store it.
    pub fn check_text(&mut self, pointer: &str, text: &str, chars: RangeInclusive<usize>) {
        let length = text.chars().count();
        if length > *chars.end() {
            self.push(pointer, format!("has {length} characters; at most {} are allowed", chars.end()));
        } else if length < *chars.start() {
            self.push(pointer, "must not be empty");
        } else if text.contains('\0') {
            self.push(pointer, "must not contain the character NUL");
        }
    }

    /// Whether there are no errors.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors, in the order in which they were found.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }
}
