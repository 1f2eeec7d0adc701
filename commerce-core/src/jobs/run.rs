//! Runs a job of any kind.

use std::sync::Arc;

use super::kinds::{
    CheckPayment, DeleteFiles, EndPayment, IndexProducts, Kind, LookUpOrder, ProcessWebhook,
    ProcessWithdrawal, RefundPayment, ResizeImage, SendEmail,
};
use crate::catalog::image::{self, Media};
use crate::db::Pool;
use crate::flows;
use crate::notifications::{self, MailSettings, Mailer};
use crate::payments::Providers;
use crate::queue::{ClaimedJob, Failure};
use crate::search::{self, SearchIndex};
use crate::settings::ShopSettings;

/// The services that jobs and sweeps need. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Connections to the shop's database.
    pub pool: Pool,
    /// The rules of the shop.
    pub shop: ShopSettings,
    /// Sends mails.
    pub mailer: Arc<dyn Mailer>,
    /// The settings that all mails share.
    pub mails: Arc<MailSettings>,
    /// The payment providers, for refunds and for ending attempts to pay.
    pub providers: Providers,
    /// The store of image files.
    pub media: Media,
    /// The search index to keep up to date. `SearchIndex::none()` if Postgres alone searches.
    pub search_index: SearchIndex,
}

/// Does a claimed job, and completes it in the transaction of its effect. Call it with no transaction open,
/// because handlers use the network. After an `Err` the job is still there: pass the failure to
/// [`fail`](super::fail).
pub async fn run(job: &ClaimedJob, services: &Services) -> Result<(), Failure> {
    let Some(kind) = Kind::of(&job.kind) else {
        return Err(Failure::Retry(format!("this version does not know jobs of kind {:?}", job.kind)));
    };
    let (Services { pool, .. }, lease) = (services, job.lease());
    match kind {
        Kind::SendEmail => {
            let SendEmail { email_id } = job.payload()?;
            let (mailer, mails) = (services.mailer.as_ref(), &services.mails);
            let outcome = notifications::send_email(pool, mailer, mails, lease, email_id).await?;
            tracing::info!(%email_id, ?outcome, "mail");
        }
        Kind::RefundPayment => {
            let RefundPayment { refund_id } = job.payload()?;
            flows::run_refund(pool, &services.shop, &services.providers, refund_id, lease).await?;
            tracing::info!(%refund_id, "refund ended");
        }
        Kind::CheckPayment => {
            let CheckPayment { payment_id } = job.payload()?;
            flows::run_check(pool, &services.shop, &services.providers, payment_id, lease).await?;
        }
        Kind::EndPayment => {
            let EndPayment { payment_id } = job.payload()?;
            flows::run_end(pool, &services.shop, &services.providers, payment_id, lease).await?;
        }
        Kind::ProcessWebhook => {
            let ProcessWebhook { webhook_id } = job.payload()?;
            flows::run_webhook(pool, &services.shop, webhook_id, lease).await?;
        }
        Kind::LookUpOrder => {
            let job: LookUpOrder = job.payload()?;
            flows::run_lookup(pool, &services.mails.secret_key, &job, lease).await?;
        }
        Kind::ProcessWithdrawal => {
            let ProcessWithdrawal { withdrawal_id } = job.payload()?;
            flows::run_withdrawal(pool, &services.shop, withdrawal_id, lease).await?;
        }
        Kind::ResizeImage => {
            let ResizeImage { image_id } = job.payload()?;
            image::resize_image(pool, &services.media, lease, image_id).await?;
        }
        Kind::DeleteFiles => {
            let DeleteFiles { keys } = job.payload()?;
            image::delete_files(pool, &services.media, lease, &keys).await?;
        }
        Kind::IndexProducts => {
            let job: IndexProducts = job.payload()?;
            search::index_products(pool, &services.search_index, lease, &job).await?;
        }
    }
    Ok(())
}
