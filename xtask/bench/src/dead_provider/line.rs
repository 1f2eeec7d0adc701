//! The line between the shop and a provider, which can be cut in two ways.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the provider is from the shop's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Alive,
    /// It accepts connections and never answers, on those that there are neither.
    BlackHole,
    /// It refuses connections, and those that there are have ended.
    Refusing,
}

/// A line to one peer. It ends when it is dropped.
pub struct Line {
    pub address: SocketAddr,
    state: watch::Sender<State>,
}

impl Line {
    pub async fn to(peer: SocketAddr) -> Result<Self> {
        // Nobody else takes ports at this address while the line refuses connections.
        let listener = TcpListener::bind("127.0.0.3:0").await?;
        let address = listener.local_addr()?;
        let (state, seen) = watch::channel(State::Alive);
        tokio::spawn(async move {
            // The line was dropped, or its port is gone: the figures show it.
            let _ = accept(listener, address, peer, seen).await;
        });
        Ok(Self { address, state })
    }

    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

async fn accept(
    mut listener: TcpListener,
    address: SocketAddr,
    peer: SocketAddr,
    mut state: watch::Receiver<State>,
) -> Result<()> {
    loop {
        if *state.borrow_and_update() == State::Refusing {
            drop(listener);
            state.wait_for(|state| *state != State::Refusing).await?;
            listener = TcpListener::bind(address).await?;
            continue;
        }
        tokio::select! {
            accepted = listener.accept() => {
                tokio::spawn(carry(accepted?.0, peer, state.clone()));
            }
            changed = state.changed() => changed?,
        }
    }
}

/// Carries one connection for as long as the line is alive.
async fn carry(mut shop: TcpStream, peer: SocketAddr, mut state: watch::Receiver<State>) {
    let carried = async {
        let mut peer = TcpStream::connect(peer).await?;
        let (there, back) = (shop.set_nodelay(true), peer.set_nodelay(true));
        there.and(back)?;
        tokio::io::copy_bidirectional(&mut shop, &mut peer).await
    };
    let mut cut = state.clone();
    tokio::select! {
        // It ended by itself, and an error ends it too.
        _ = carried, if *state.borrow() == State::Alive => return,
        _ = cut.wait_for(|state| *state != State::Alive) => {}
    }
    // Nothing is said on it any more. When the provider is back, it has forgotten the connection.
    let _ = state.wait_for(|state| *state != State::BlackHole).await;
}
