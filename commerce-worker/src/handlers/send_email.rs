//! `send_email`: one mail.

use std::sync::Arc;

use commerce_core::db::Pool;
use commerce_core::jobs::kinds::SendEmail;
use commerce_core::jobs::{Failure, Lease};
use commerce_core::notifications::{self, MailSettings, Mailer};

/// Hands the mail to the mailer and completes the job.
pub async fn run(
    pool: Pool,
    mailer: Arc<dyn Mailer>,
    settings: Arc<MailSettings>,
    lease: Lease,
    job: SendEmail,
) -> Result<(), Failure> {
    let outcome = notifications::send_email(&pool, mailer.as_ref(), &settings, lease, job.email_id).await?;
    tracing::info!(email_id = %job.email_id, ?outcome, "mail");
    Ok(())
}
