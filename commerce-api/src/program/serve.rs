//! `commerce-api serve`: runs until it is asked to stop.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use commerce_core::accounts::PasswordHasher;
use commerce_program::settings::{LogSettings, MediaSettings, PaymentSettings, ShopArguments};
use commerce_program::{logs, stop};
use tokio::net::TcpListener;

use crate::edge::settings::HttpSettings;
use crate::http::state::{Parts, State};
use crate::program::app::app;
use crate::program::config::{ConnectionSettings, SearchEngineSettings, SecretSettings};
use crate::program::connections::{self, Limits};
use crate::program::create_admin::AdminSettings;
use crate::program::operators::operators;

/// An error that names the setting.
async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address} ({setting})"))
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    #[command(flatten)]
    database: ConnectionSettings,
    #[command(flatten)]
    http: HttpSettings,
    #[command(flatten)]
    secrets: SecretSettings,
    #[command(flatten)]
    shop: ShopArguments,
    #[command(flatten)]
    payments: PaymentSettings,
    #[command(flatten)]
    media: MediaSettings,
    #[command(flatten)]
    search: SearchEngineSettings,
    #[command(flatten)]
    admin: AdminSettings,
    #[command(flatten)]
    log: LogSettings,
}

pub async fn serve(arguments: ServeArguments) -> anyhow::Result<()> {
    logs::start(&arguments.log, "info,poem::server=warn");
    // Signals are watched from here on, so that a signal during the start also leads to a clean stop.
    let stop = stop::asked_to_stop().context("signals cannot be watched")?;
    let (pool, readers) = arguments.database.pools()?;
    let providers = arguments.payments.providers(&arguments.http.public_url())?;
    let media = arguments.media.media()?;
    let search = arguments.search.engine(&readers.always).context("MEILISEARCH_URL")?;
    let state = State::new(Parts {
        pool,
        readers,
        shop: arguments.shop.settings(),
        providers,
        media,
        keys: arguments.secrets.keys()?,
        hasher: PasswordHasher::default(),
        cookies: arguments.http.session_cookies(),
        second_factors: arguments.http.second_factors(),
        search,
        rate_limits: arguments.http.rate_limits,
        units_per_hour: arguments.http.units_per_hour,
    });
    arguments.admin.see_to(state.pool.clone(), state.hasher.clone());
    let listener = listen(arguments.http.http_addr, "COMMERCE_HTTP_ADDR").await?;
    if let Some(address) = arguments.http.metrics_addr {
        let listener = listen(address, "COMMERCE_METRICS_ADDR").await?;
        tracing::info!(metrics_address = %listener.local_addr()?, "metrics and readiness are told");
        let operators = operators(state.clone());
        tokio::spawn(connections::serve(listener, operators, Limits::default(), std::future::pending()));
    }
    tracing::info!(address = %listener.local_addr()?, "listening; Swagger UI is at /docs");
    let stop = async move {
        stop.await;
        tracing::info!("stopping: running requests are completed");
    };
    let limits = Limits::from(&arguments.http);
    connections::serve(listener, app(state, &arguments.http), limits, stop)
        .await
        .context("the server stopped unexpectedly")?;
    tracing::info!("stopped");
    Ok(())
}
