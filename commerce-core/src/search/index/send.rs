//! Sends the recorded changes to the live index, whoever made them.

use std::time::Duration;

use super::IndexError;
use super::push::{has_changes, live_index, push_changes};
use super::turn::Turn;
use crate::db::Pool;
use crate::search::meilisearch::{Meilisearch, SETTINGS_VERSION};

/// The time after which a job tries again if Meilisearch does not answer. The changes wait in their table.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Sends all recorded changes. Returns the time after which a job should send again, if it should.
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

/// The time after which a job looks again if rows were locked by others.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How many times one job looks for more changes before it leaves them to another job.
const PASSES_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    All,
    /// The shop changes faster than one job should follow.
    Some,
    /// The remaining changes are of rows that are being changed at this moment, perhaps by a long import,
    /// which may be rolled back.
    AllButLocked,
}

/// Call it after the turn was given back. Jobs that found the turn taken are done, and have left their
/// changes to its holder.
pub(super) async fn send_what_others_left(pool: &Pool, server: &Meilisearch) -> Result<(), IndexError> {
    if has_changes(&mut *pool.get().await?).await? {
        send_all(pool, server).await?;
    }
    Ok(())
}

/// A job that finds the turn taken is done. The holder looks again after giving the turn back, and then sees
/// every change that was committed before the job ran.
async fn send_all(pool: &Pool, server: &Meilisearch) -> Result<Sent, IndexError> {
    for _ in 0..PASSES_MAX {
        let Some(mut turn) = Turn::take(pool).await? else { return Ok(Sent::All) };
        let live = live_index(&mut *pool.get().await?).await?;
        // A newer program sends the documents to an index of a newer version, in the form that it expects.
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
