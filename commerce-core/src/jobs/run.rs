//! Doing a job, whatever its kind.

use std::sync::Arc;

use super::kinds::{DeleteFiles, IndexProducts, Kind, RefundPayment, ResizeImage, SendEmail};
use crate::catalog::image::{self, Media};
use crate::db::Pool;
use crate::flows;
use crate::notifications::{self, MailSettings, Mailer};
use crate::payments::Providers;
use crate::queue::{ClaimedJob, Failure};
use crate::search::{self, SearchIndex};
use crate::settings::ShopSettings;

/// What jobs and sweeps work with. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Where the shop is.
    pub pool: Pool,
    /// The rules of the shop.
    pub shop: ShopSettings,
    /// Takes mails.
    pub mailer: Arc<dyn Mailer>,
    /// What mails have in common.
    pub mails: Arc<MailSettings>,
    /// Give money back, and end attempts to pay.
    pub providers: Providers,
    /// Where the files of images are.
    pub media: Media,
    /// Kept in step with the shop. `SearchIndex::none()` if Postgres alone searches.
    pub search_index: SearchIndex,
}

/// Does a claimed job and completes it, in the transaction of its effect. To be called with no transaction open, since handlers
/// talk to the outside. On `Err` the job is still there: hand the failure to [`fail`](super::fail).
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
