//! The form encoding of Stripe's API.

use std::fmt::Display;

use url::form_urlencoded::byte_serialize;

/// A form with nested keys, such as `metadata[order_id]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(String);

impl Form {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(&mut self, key: &str, value: impl Display) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(byte_serialize(key.as_bytes()));
        self.0.push('=');
        self.0.extend(byte_serialize(value.to_string().as_bytes()));
        self
    }

    pub fn into_body(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_escaped() {
        let mut form = Form::new();
        form.put("metadata[order_id]", 7).put("name", "Tom & Jerry = 100 %, é");
        let body = form.into_body();
        assert_eq!(body, "metadata%5Border_id%5D=7&name=Tom+%26+Jerry+%3D+100+%25%2C+%C3%A9");
    }
}
