//! What runs beside the clients: jobs and sweeps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use commerce_core::accounts::SecretKey;
use commerce_core::db::{PoolSettings, pool};
use commerce_core::jobs::{self, Services, Sweep, kinds};
use commerce_core::notifications::{FolderMailer, MailSettings, Sender};
use commerce_core::search::SearchIndex;
use commerce_core::settings::ShopSettings;

use super::{Storm, named};
use crate::shop::SECRET;

/// Claims and runs jobs, and runs every sweep, until the storm is over.
pub async fn work(storm: &Storm, number: usize, rules: ShopSettings) {
    let folder = tempfile::tempdir().unwrap();
    let settings = PoolSettings { connections_max: 4, ..PoolSettings::default() };
    let services = Services {
        pool: pool(&named(storm.shop.database.url()), &settings).unwrap(),
        shop: rules,
        mailer: Arc::new(FolderMailer::new(folder.path()).unwrap()),
        mails: Arc::new(MailSettings {
            sender: "Shop <shop@example.com>".parse::<Sender>().unwrap(),
            shop_url: None,
            password_reset_url: None,
            order_url: None,
            secret_key: SecretKey::parse(SECRET).unwrap(),
            carriers: Default::default(),
            templates: Default::default(),
        }),
        providers: storm.shop.state.providers.clone(),
        media: storm.shop.state.media.clone(),
        search_index: SearchIndex::none(),
    };
    let worker = format!("worker {number}");
    while !storm.stop.load(Ordering::Relaxed) {
        let lease = Duration::from_secs(60);
        let due = {
            let mut conn = services.pool.get().await.unwrap();
            jobs::claim(&mut conn, &worker, kinds::ALL, 10, lease).await.unwrap()
        };
        for job in due {
            if let Err(failure) = jobs::run(&job, &services).await {
                storm.failures.lock().unwrap().push(format!("{} {}: {failure:?}", job.kind, job.payload));
                let mut conn = services.pool.get().await.unwrap();
                jobs::fail(&mut conn, &job, &failure).await.unwrap();
            }
        }
        for sweep in Sweep::ALL {
            if let Err(error) = sweep.run(&services).await {
                storm.failures.lock().unwrap().push(format!("{}: {error}", sweep.name()));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
