//! kill -9 in the middle of a running load: what was acknowledged is there, once.

use std::time::Instant;

use commerce_core::testing::{SmtpPeer, TestDatabase};
use serde_json::Value;

use crate::bookkeeping;
use crate::client::{Client, get};
use crate::load::Load;
use crate::program::Program;
use crate::shop::{Settings, eventually};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Api,
    Worker,
    Both,
}

/// Both programs, of which one or the other dies and is started anew at once.
struct Programs {
    settings: Settings,
    client: Client,
    api: Program,
    worker: Program,
}

impl Programs {
    async fn start(settings: Settings) -> Self {
        let (api, address) = settings.start_api().await;
        let worker = settings.start_worker().await;
        Self { settings, client: Client::new(address), api, worker }
    }

    async fn kill(&mut self, victim: Victim) {
        if victim != Victim::Worker {
            self.api.signal("KILL");
        }
        if victim != Victim::Api {
            self.worker.signal("KILL");
            let worker = self.settings.start_worker().await;
            std::mem::replace(&mut self.worker, worker).kill().await;
        }
        if victim != Victim::Worker {
            let (api, address) = self.settings.start_api().await;
            self.client.moved(address);
            std::mem::replace(&mut self.api, api).kill().await;
        }
    }

    async fn stop(self) {
        self.api.stop().await;
        self.worker.stop().await;
    }
}

async fn all_jobs_done(database_url: &str) {
    let started = Instant::now();
    eventually("all jobs are done", async || (bookkeeping::jobs_left(database_url).await == 0).then_some(()))
        .await;
    println!("the last job was done {:.1} s after the last purchase", started.elapsed().as_secs_f32());
}

/// Goods of which there are so many units that nobody goes without.
async fn goods(programs: &Programs) -> Vec<String> {
    let file = std::env::temp_dir().join(format!("commerce-goods-{}.csv", uuid::Uuid::now_v7()));
    let lines = (1..=5).map(|number| format!("good-{number},Good {number},{number}.50,1000000\n"));
    std::fs::write(&file, format!("slug,title,price,stock\n{}", lines.collect::<String>())).unwrap();
    let import = ["import", file.to_str().unwrap()];
    assert!(programs.settings.api_command(&import).status().await.unwrap().success());
    std::fs::remove_file(file).unwrap();
    let listed = programs.client.send(get("/v1/products")).await.expect(200);
    let variant = |product: &Value| product["variants"][0]["id"].as_str().unwrap().to_owned();
    listed["data"].as_array().unwrap().iter().map(variant).collect()
}

/// Kills the victims one after the other, with so many purchases before each and after the last.
async fn survive(victims: &[Victim], shoppers: usize, purchases_between: usize) {
    let started = Instant::now();
    let database = TestDatabase::new().await;
    let smtp = SmtpPeer::start().await.unwrap();
    let settings = Settings::new(database.url()).with("SMTP_URL", smtp.url());
    let mut programs = Programs::start(settings).await;
    let load = Load::start(&programs.client, shoppers, &goods(&programs).await);
    for victim in victims {
        load.goes_on_for(purchases_between).await;
        programs.kill(*victim).await;
    }
    load.goes_on_for(purchases_between).await;
    let (purchases, _) = load.end().await;
    all_jobs_done(database.url()).await;
    programs.stop().await;
    bookkeeping::check(database.url(), &purchases).await;
    let twice = bookkeeping::check_mails(&smtp.mails(), &purchases);
    let seconds = started.elapsed().as_secs_f32();
    println!("{} kills in {seconds:.1} s; confirmations that came twice: {twice}", victims.len());
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_api_and_worker() {
    survive(&[Victim::Api, Victim::Worker, Victim::Both], 8, 15).await;
}

mod long_tests {
    use super::*;
    use commerce_core::testing::PostgresServer;

    #[tokio::test(flavor = "multi_thread")]
    async fn api_and_worker_die_again_and_again() {
        let victims: Vec<Victim> = [Victim::Api, Victim::Worker, Victim::Both].repeat(15);
        survive(&victims, 12, 40).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_acknowledged_survives_the_death_of_postgres() {
        const KILLS: usize = 15;
        let postgres = PostgresServer::start();
        let url = postgres.database().await;
        let smtp = SmtpPeer::start().await.unwrap();
        let mut programs = Programs::start(Settings::new(&url).with("SMTP_URL", smtp.url())).await;
        let load = Load::start(&programs.client, 12, &goods(&programs).await);
        for kill in 0..KILLS {
            load.goes_on_for(40).await;
            let started = Instant::now();
            postgres.kill().await;
            println!("Postgres was back after {} ms", started.elapsed().as_millis());
            if kill % 5 == 4 {
                programs.kill(Victim::Both).await;
            }
        }
        load.goes_on_for(40).await;
        let (purchases, _) = load.end().await;
        all_jobs_done(&url).await;
        programs.stop().await;
        bookkeeping::check(&url, &purchases).await;
        let twice = bookkeeping::check_mails(&smtp.mails(), &purchases);
        println!("confirmations that came twice: {twice}");
    }
}
