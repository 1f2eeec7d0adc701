//! A florist's program that contains a shop and runs the shop's jobs. Mails become files in `mail`, and
//! images are in `media`.
//!
//! ```sh
//! DATABASE_URL=postgres://user:password@localhost/florist COMMERCE_SECRET_KEY=… cargo run -p host-jobs
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use commerce_core::accounts::SecretKey;
use commerce_core::catalog::image::Media;
use commerce_core::db::{self, PoolSettings};
use commerce_core::jobs::Services;
use commerce_core::notifications::{FolderMailer, MailSettings};
use commerce_core::payments::Providers;
use commerce_core::search::SearchIndex;
use commerce_core::settings::ShopSettings;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("set {name}"));
    let url = variable("DATABASE_URL")?;
    db::migrate(&url).await?;
    let services = Services {
        pool: db::pool(&url, &PoolSettings::default())?,
        shop: ShopSettings::default(),
        mailer: Arc::new(FolderMailer::new("mail")?),
        mails: Arc::new(MailSettings {
            sender: "The Florist <shop@florist.example>".parse()?,
            shop_url: None,
            password_reset_url: None,
            order_url: None,
            secret_key: SecretKey::parse(&variable("COMMERCE_SECRET_KEY")?)?,
            carriers: Default::default(),
            templates: Default::default(),
        }),
        providers: Providers::default(),
        media: Media::in_folder(Path::new("media"))?,
        search_index: SearchIndex::none(),
    };
    println!("Doing the shop's jobs until Ctrl-C …");
    host_jobs::work_until(services, async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await;
    Ok(())
}
