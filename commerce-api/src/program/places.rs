//! Places for connections: so many there may be at once, and who is idle makes room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::program::activity::Activity;

/// A connection may end for another one after it was idle for so long. Before, its client may be about to speak.
const IDLE_MIN: Duration = Duration::from_secs(1);

/// How long to wait before looking again for a connection to end.
const PAUSE: Duration = Duration::from_millis(100);

/// The places for connections.
pub struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

/// The connections that may be asked to end.
#[derive(Default)]
struct Taken {
    next_id: u64,
    connections: HashMap<u64, Arc<Connection>>,
}

/// What is known of a connection.
#[derive(Default)]
pub struct Connection {
    pub activity: Arc<Activity>,
    asked_to_end: Notify,
}

/// The place of one connection, free again when this is dropped.
pub struct Place {
    places: Arc<Places>,
    id: u64,
    pub connection: Arc<Connection>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Ends when another connection needs the place of this one.
    pub async fn asked_to_end(&self) {
        self.asked_to_end.notified().await;
    }
}

impl Places {
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), taken: Mutex::default() })
    }

    /// The next place. If none is free, the connection that has been idle longest is asked to end.
    ///
    /// One connection ends for one that comes. So a crowd of silent clients costs the others the time of one
    /// ending, and a client that was served a moment ago keeps its connection.
    pub async fn next(self: &Arc<Self>) -> Place {
        loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return self.take(permit);
            }
            self.end_the_idlest();
            if let Ok(Ok(permit)) = timeout(PAUSE, Arc::clone(&self.free).acquire_owned()).await {
                return self.take(permit);
            }
        }
    }

    /// Waits until no connection is left.
    pub async fn all_free(&self, count: usize) {
        let everybody = u32::try_from(count).unwrap_or(u32::MAX);
        let _ = self.free.acquire_many(everybody).await;
    }

    fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let connection = Arc::<Connection>::default();
        let mut taken = self.taken();
        let id = taken.next_id;
        taken.next_id += 1;
        taken.connections.insert(id, Arc::clone(&connection));
        drop(taken);
        Place { places: Arc::clone(self), id, connection, _permit: permit }
    }

    fn end_the_idlest(&self) {
        let mut taken = self.taken();
        let idlest = taken
            .connections
            .iter()
            .map(|(id, connection)| (connection.activity.idle(), *id))
            .max()
            .filter(|(idle, _)| *idle >= IDLE_MIN);
        // A connection that was asked is asked no more.
        if let Some(connection) = idlest.and_then(|(_, id)| taken.connections.remove(&id)) {
            connection.asked_to_end.notify_one();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().connections.remove(&self.id);
    }
}
