//! The keys of mails. A second mail with the same key is not sent.
//!
//! | mail | is sent once for |
//! |---|---|
//! | with a code | the code |
//! | `welcome` | the account |
//! | `account_exists` | the account and the hour, however often the address is registered |
//! | `email_change_requested` | the account and the code that went to the new address |
//! | `email_changed`, `password_changed` | the version of the account that the change made |
//! | `order_received`, `order_confirmed`, `order_shipped` | the order |
//! | `order_cancelled` | the version of the order, because a reinstated order may be cancelled again |
//! | `payment_refunded` | the refund |
//! | `late_payment_alert`, `payment_mismatch_alert` | the payment |
//! | `refund_failed_alert`, `refund_mismatch_alert` | the attempt at the refund |

use std::fmt::Display;

use chrono::{DateTime, Utc};

use super::{NewEmail, Template};
use crate::ids::{CodeId, PaymentId};

/// The key of a mail that is sent once for its subject, such as an account.
pub(super) fn once_for(template: Template, subject: impl Display) -> String {
    format!("{template}:{subject}")
}

impl NewEmail {
    /// Sends the mail once for each version of its account or order.
    pub fn once_a_version(self, version: i32) -> Self {
        self.once_each(version)
    }

    /// Sends the mail once an hour for its account.
    pub fn once_an_hour(self, now: DateTime<Utc>) -> Self {
        self.once_each(now.timestamp() / 3600)
    }

    /// Sends the mail once for each code that is mailed to another address.
    pub fn once_a_code(self, code: CodeId) -> Self {
        self.once_each(code)
    }

    /// Sends the mail once for the payment. An order may have several payments.
    pub fn once_a_payment(self, payment: PaymentId) -> Self {
        Self { dedupe_key: once_for(self.template, payment), ..self }
    }

    /// Sends the mail once for each attempt at the refund. The provider is given the same key.
    pub fn once_an_attempt(self, provider_key: &str) -> Self {
        Self { dedupe_key: once_for(self.template, provider_key), ..self }
    }

    fn once_each(self, part: impl Display) -> Self {
        Self { dedupe_key: format!("{}:{part}", self.dedupe_key), ..self }
    }
}
