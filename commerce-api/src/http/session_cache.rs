//! The user behind a session, cached for two seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use commerce_core::accounts::{LiveSession, SessionKey};
use commerce_core::ids::{SessionId, UserId};

/// How long a session that was read from the database is cached.
const SESSION_REMEMBERED: Duration = Duration::from_secs(2);
const SESSIONS_REMEMBERED_MAX: usize = 10_000;

/// Sessions that were read in the last two seconds.
#[derive(Default)]
pub struct SessionCache(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    sessions: HashMap<SessionKey, (Instant, LiveSession)>,
    /// How often entries were removed because sessions ended.
    forgotten: u64,
}

impl SessionCache {
    /// The cached session. Otherwise the current count of removals, which the caller passes to [`Self::put`].
    pub fn get(&self, key: SessionKey) -> Result<(Duration, LiveSession), u64> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((read_at, session)) = remembered.sessions.get(&key) else {
            return Err(remembered.forgotten);
        };
        let age = read_at.elapsed();
        if age < SESSION_REMEMBERED { Ok((age, session.clone())) } else { Err(remembered.forgotten) }
    }

    /// Caches a session, unless entries were removed since the count was taken. In that case the session may
    /// just have ended, and what was read is out of date.
    pub fn put(&self, key: SessionKey, session: LiveSession, forgotten: u64) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.forgotten != forgotten {
            return;
        }
        let sessions = &mut remembered.sessions;
        if sessions.len() >= SESSIONS_REMEMBERED_MAX {
            sessions.retain(|_, (read_at, _)| read_at.elapsed() < SESSION_REMEMBERED);
        }
        if sessions.len() < SESSIONS_REMEMBERED_MAX {
            sessions.insert(key, (Instant::now(), session));
        }
    }

    /// Call it after this process has ended a session.
    pub fn forget(&self, id: SessionId) {
        self.retain(|session| session.session_id != id);
    }

    /// Call it after this process has ended sessions of a user.
    pub fn forget_user(&self, id: UserId) {
        self.retain(|session| session.user_id != id);
    }

    fn retain(&self, keep: impl Fn(&LiveSession) -> bool) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.forgotten += 1;
        remembered.sessions.retain(|_, (_, session)| keep(session));
    }
}

#[cfg(test)]
mod tests {
    use commerce_core::accounts::Role;

    use super::*;

    #[test]
    fn what_was_read_before_something_was_forgotten_is_not_remembered_after_it() {
        let (cache, session_id, user_id) = (SessionCache::default(), SessionId::new(), UserId::new());
        let at = chrono::Utc::now();
        let session = LiveSession {
            session_id,
            user_id,
            role: Role::Admin,
            second_factor: false,
            last_used_at: at,
            seen_at: at,
        };
        let key = SessionKey::Id(session_id);
        let before = cache.get(key).unwrap_err();
        cache.forget(session_id);
        cache.put(key, session.clone(), before);
        let after = cache.get(key).unwrap_err();
        cache.forget_user(user_id);
        cache.put(key, session.clone(), after);
        let now = cache.get(key).unwrap_err();
        cache.put(key, session.clone(), now);
        assert_eq!(cache.get(key).unwrap().1, session);
        cache.forget(session_id);
        assert!(cache.get(key).is_err());
    }
}
