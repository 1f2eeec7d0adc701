//! The API's own server and edge around an answer that is always the same: what HTTP alone costs.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use commerce_api::edge::Edge;
use commerce_api::edge::settings::HttpSettings;
use commerce_api::http::route_table::RouteTable;
use poem::listener::TcpListener;
use poem::{EndpointExt as _, Response, Server};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long)]
    address: SocketAddr,
    /// What to answer
    #[arg(long)]
    body: PathBuf,
}

pub async fn run(arguments: &Arguments) -> Result<()> {
    let body = std::fs::read_to_string(&arguments.body).context("the body cannot be read")?;
    let constant = poem::endpoint::make_sync(move |_| {
        Response::builder().content_type("application/json").body(body.clone())
    });
    let edge = Edge::new(constant.map_to_response(), RouteTable::default(), &HttpSettings::default());
    Server::new(TcpListener::bind(arguments.address)).run(edge).await?;
    Ok(())
}
