//! What all mails have in common.

use super::{MailTemplates, Sender};
use crate::accounts::SecretKey;
use crate::settings::Carriers;

/// What mails have in common.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Who mails come from.
    pub sender: Sender,
    /// Where the shop can be visited, for the foot of each mail.
    pub shop_url: Option<String>,
    /// The page on which a forgotten password is set anew: `#token=…` is added. Without one, the mail has the code
    /// alone.
    pub password_reset_url: Option<String>,
    /// The page on which a guest sees an order: `#order=…&token=…` is added. Without one, the mail has the token alone.
    pub order_url: Option<String>,
    /// The key that codes are derived under.
    pub secret_key: SecretKey,
    /// The carriers whose parcels can be tracked on a page of theirs.
    pub carriers: Carriers,
    /// How mails are written.
    pub templates: MailTemplates,
}
