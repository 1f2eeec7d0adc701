//! The answer of every operation that may send a mail. It does not tell whether the address has an account.

use poem_openapi::Object;
use poem_openapi::types::Example;

/// Says what happens next. The text is the same for every address.
#[derive(Object)]
#[oai(example)]
pub struct MailSent {
    message: String,
}

impl Example for MailSent {
    fn example() -> Self {
        Self { message: "If this address can be used, a mail is on its way to it.".to_owned() }
    }
}
