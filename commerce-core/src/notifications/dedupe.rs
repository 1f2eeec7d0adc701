//! The keys of mails. A second mail with the same key is not sent.
//!
//! | mail | is sent once for |
//! |---|---|
//! | with a code | the code |
//! | `welcome` | the account |
//! | `account_exists` | the account and the hour, however often the address is registered |
//! | `email_change_requested` | the account and the code that went to the new address |
//! | `email_changed`, `password_changed`, `second_factor_set_up`, `second_factor_removed` | the version of the account that the change made |
//! | `order_received`, `order_confirmed`, `payment_failed` | the order |
//! | `order_shipped`, `order_delivered` | the parcel |
//! | `order_cancelled`, `order_part_cancelled` | the version of the order, because it may be cancelled again |
//! | `order_link` | the link |
//! | `return_update` | the version of the return |
//! | `withdrawal_received` | the declaration |
//! | `payment_refunded` | the refund |
//! | an alert to the shop | the hour (`alerts.rs`) |
//! | `low_stock_alert` | the day |
//! | `contact_message` | the message |

use std::fmt::Display;

use super::Template;

/// The key of a mail that is sent once for its subject, such as an account.
pub(super) fn once_for(template: Template, subject: impl Display) -> String {
    format!("{template}:{subject}")
}

/// The key of a mail that is sent once for each of something beside its subject, such as the subject's version.
pub(super) fn once_each(key: &str, part: impl Display) -> String {
    format!("{key}:{part}")
}
