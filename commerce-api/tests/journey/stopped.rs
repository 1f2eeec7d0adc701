//! SIGTERM: what was begun is brought to its end, and nothing new is begun.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::bookkeeping;
use crate::client::get;
use crate::held::{self, Hold};
use crate::load::Load;
use crate::shop::{Shop, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_what_it_has_accepted_before_it_ends() {
    const REQUESTS: usize = 8;
    let mut shop = Shop::open().await;
    let variant = shop.database.variant(1000, 100).await;
    let hold = Hold::on(&shop.database, "commerce.stock_levels").await;
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let (client, checkout) = (shop.client.clone(), held::checkout(&shop.client, variant).await);
        requests.spawn(async move { client.try_send(checkout).await });
    }
    hold.awaited_by(&shop.database, REQUESTS).await;

    shop.api.signal("TERM");
    shop.api.says("stopping").await;
    eventually("nobody is let in any more", async || {
        // Who comes in the last moment is let in, and hung up on.
        let refused = shop.client.try_send(get("/healthz")).await.err()?;
        refused.is_connect().then_some(())
    })
    .await;
    hold.release().await;
    for answer in requests.join_all().await {
        answer.expect("a whole answer").expect(201);
    }
    assert!(shop.api.ended().await.success());

    (shop.api, _) = shop.settings.start_api().await;
    assert_eq!(bookkeeping::count(shop.database.url(), "commerce.orders").await, REQUESTS);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shoppers_hardly_notice_that_the_api_is_replaced() {
    let mut shop = Shop::open().await;
    let mut variants = Vec::new();
    for price_minor in [1000, 2000] {
        variants.push(shop.database.variant(price_minor, 100_000).await.to_string());
    }
    let load = Load::start(&shop.client, 6, &variants);
    for _ in 0..2 {
        load.goes_on_for(15).await;
        // The next one serves before the last one is told to stop.
        let (next, address) = shop.settings.start_api().await;
        shop.client.moved(address);
        let started = Instant::now();
        std::mem::replace(&mut shop.api, next).stop().await;
        println!("the API ended {} ms after SIGTERM", started.elapsed().as_millis());
    }
    load.goes_on_for(15).await;
    let (purchases, troubles) = load.end().await;
    assert_eq!((troubles.answers_lost, troubles.unavailable), (0, 0), "{troubles:?}");
    eventually("all jobs are done", async || {
        (bookkeeping::jobs_left(shop.database.url()).await == 0).then_some(())
    })
    .await;
    bookkeeping::check(shop.database.url(), &purchases).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_ends_the_job_it_is_at() {
    let mut shop = Shop::open().await;
    shop.worker.stop().await;
    let variant = shop.database.variant(1000, 1).await;
    shop.client.send(held::checkout(&shop.client, variant).await).await.expect(201);
    // The mail can be sent, but not yet be written down as sent.
    let hold = Hold::on(&shop.database, "commerce.emails").await;
    shop.worker = shop.settings.start_worker().await;
    hold.awaited_by(&shop.database, 1).await;

    shop.worker.signal("TERM");
    shop.worker.says("stopping").await;
    hold.release().await;
    assert!(shop.worker.ended().await.success());
    assert_eq!(bookkeeping::jobs_left(shop.database.url()).await, 0);
    let sent = "commerce.emails WHERE sent_at IS NOT NULL";
    assert_eq!(bookkeeping::count(shop.database.url(), sent).await, 1);

    // Another worker finds nothing left to do.
    shop.worker = shop.settings.start_worker().await;
    assert_eq!(shop.smtp.mails().len(), 1);
    shop.close().await;
}
