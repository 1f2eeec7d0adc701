//! The mails about an order that could not be delivered, as staff see them.

use chrono::{DateTime, Utc};
use commerce_core::notifications;
use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

/// A mail about the order that was given up: its address was refused, or all attempts have failed.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct UndeliveredMail {
    /// What it was to tell, such as `order_confirmed`.
    pub template: String,
    pub recipient: String,
    /// What the mail server answered.
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub failed_at: DateTime<Utc>,
    /// The dead job. `POST /admin/jobs/{id}/retry` sends the mail after all.
    pub job_id: Uuid,
}

impl From<notifications::UndeliveredMail> for UndeliveredMail {
    fn from(mail: notifications::UndeliveredMail) -> Self {
        Self {
            template: mail.template,
            recipient: mail.recipient.to_string(),
            error: mail.error,
            created_at: mail.created_at,
            failed_at: mail.failed_at,
            job_id: mail.job_id.0,
        }
    }
}

impl Example for UndeliveredMail {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            template: "order_confirmed".to_owned(),
            recipient: "ada@example.com".to_owned(),
            error: Some("the mail was refused: permanent error (550): no such mailbox".to_owned()),
            created_at: at,
            failed_at: at + chrono::Duration::seconds(1),
            job_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b60),
        }
    }
}
