//! Maintains the index: builds it if there is none, if its settings are of an older version, or if the server
//! has lost it.

use super::IndexError;
use super::push::{count_listed, has_changes, live_index, push_changes};
use super::rebuild::rebuild;
use super::send::send_what_others_left;
use super::turn::Turn;
use crate::db::Pool;
use crate::search::meilisearch::{Meilisearch, MeilisearchError, SETTINGS_VERSION};

/// What was done about the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Another process is working on it.
    ElsewhereInHand,
    /// Changes were sent that no job had sent.
    UpToDate {
        /// The number of changes that were sent.
        sent: usize,
    },
    /// It was rebuilt.
    Rebuilt {
        /// The number of products in the index.
        products: i64,
    },
}

/// Call it from time to time. It is safe in several processes at once.
pub async fn keep_index(pool: &Pool, server: &Meilisearch) -> Result<Kept, IndexError> {
    let Some(mut turn) = Turn::take(pool).await? else { return Ok(Kept::ElsewhereInHand) };
    let kept = keep(pool, server, &mut turn).await;
    turn.give_back().await;
    if kept.is_ok() {
        send_what_others_left(pool, server).await?;
    }
    kept
}

async fn keep(pool: &Pool, server: &Meilisearch, turn: &mut Turn) -> Result<Kept, IndexError> {
    let live = live_index(&mut *pool.get().await?).await?;
    if live.as_ref().is_some_and(|(_, version)| *version > SETTINGS_VERSION) {
        // A newer program has built it and maintains it.
        return Ok(Kept::ElsewhereInHand);
    }
    if let Some((uid, SETTINGS_VERSION)) = live {
        match is_whole(pool, server, turn, &uid).await {
            Ok(Some(sent)) => return Ok(Kept::UpToDate { sent }),
            Ok(None) => tracing::warn!(
                index = uid,
                "the search index does not have all products of the shop: it is rebuilt"
            ),
            Err(IndexError::Meilisearch(MeilisearchError::NoIndex(_))) => {
                tracing::warn!(index = uid, "Meilisearch has lost the search index: it is built anew");
            }
            Err(error) => return Err(error),
        }
    }
    let products = rebuild(pool, server, turn, &mut |_| {}).await?;
    Ok(Kept::Rebuilt { products })
}

/// The number of changes that were sent. `None` if the index does not have as many documents as there are
/// products.
async fn is_whole(
    pool: &Pool,
    server: &Meilisearch,
    turn: &mut Turn,
    uid: &str,
) -> Result<Option<usize>, IndexError> {
    let sent = push_changes(pool, server, turn, &[uid]).await?;
    // While we have the turn, nobody else writes to the index. The shop may change between two looks.
    let (before, was_settled) = count_listed(&mut *pool.get().await?).await?;
    let documents = server.count(uid).await?;
    let is_settled = was_settled && !has_changes(&mut *pool.get().await?).await?;
    Ok((!is_settled || documents == before).then_some(sent))
}
