//! Sends what is recorded as changed to the live index, whoever changed it.

use std::time::Duration;

use super::IndexError;
use super::push::{has_changes, live_index, push_changes};
use super::turn::Turn;
use crate::db::Pool;
use crate::search::meilisearch::{Meilisearch, SETTINGS_VERSION};

/// While Meilisearch does not answer, one job tries again after this time; the changes wait in their table.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Sends all recorded changes. Returns after which time a job should send again, if one should.
pub async fn send_changes(pool: &Pool, server: &Meilisearch) -> Result<Option<Duration>, IndexError> {
    match send_all(pool, server).await {
        Ok(Sent::All) => Ok(None),
        Ok(Sent::Some) => Ok(Some(Duration::ZERO)),
        Ok(Sent::AllButLocked) => Ok(Some(LOOK_AGAIN_AFTER)),
        Err(error @ (IndexError::Meilisearch(_) | IndexError::TurnLost)) => {
            tracing::warn!(%error, "the search index could not be brought up to date; Postgres answers searches");
            metrics::counter!("commerce_search_index_failures_total").increment(1);
            Ok(Some(TRY_AGAIN_AFTER))
        }
        Err(error) => Err(error),
    }
}

/// While rows are locked by others, one job looks again after this time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How often one job looks for more before it leaves that to another.
const PASSES_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    All,
    /// The shop is changed faster than one job should go on.
    Some,
    /// What is left is being changed at this moment, perhaps by a long import: it may be rolled back.
    AllButLocked,
}

/// To be called after the turn was given back: jobs that found it taken are done, and have left their changes to who had it.
pub(super) async fn send_what_others_left(pool: &Pool, server: &Meilisearch) -> Result<(), IndexError> {
    if has_changes(&mut *pool.get().await?).await? {
        send_all(pool, server).await?;
    }
    Ok(())
}

/// Whoever finds the turn taken may go: the one who has it looks again after giving it back, and sees every change that was
/// committed before it was asked for.
async fn send_all(pool: &Pool, server: &Meilisearch) -> Result<Sent, IndexError> {
    for _ in 0..PASSES_MAX {
        let Some(mut turn) = Turn::take(pool).await? else { return Ok(Sent::All) };
        let live = live_index(&mut *pool.get().await?).await?;
        // An index of a later version gets its documents from a newer program, in the shape that it expects.
        let live = live.filter(|(_, version)| *version <= SETTINGS_VERSION);
        let done = match &live {
            Some((uid, _)) => push_changes(pool, server, &mut turn, &[uid]).await,
            None => Ok(0),
        };
        turn.give_back().await;
        let done = done?;
        if live.is_none() || !has_changes(&mut *pool.get().await?).await? {
            return Ok(Sent::All);
        }
        if done == 0 {
            return Ok(Sent::AllButLocked);
        }
    }
    Ok(Sent::Some)
}
