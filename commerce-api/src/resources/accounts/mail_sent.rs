//! The answer of every operation that mails to an address whose account it does not tell.

use poem_openapi::Object;
use poem_openapi::types::Example;

/// Says what happens next; the same for every address.
#[derive(Object)]
#[oai(example)]
pub struct MailSent {
    message: String,
}

impl Example for MailSent {
    fn example() -> Self {
        Self { message: "A mail is on its way to this address, if it can be used.".to_owned() }
    }
}
