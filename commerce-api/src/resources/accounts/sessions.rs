//! `/me/sessions`: the caller's sessions.

use chrono::{DateTime, Utc};
use commerce_core::accounts::{self, ListSessionsError};
use commerce_core::ids::SessionId;
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{List, NoContent, Okay, twenty};
use crate::http::auth::Customer;
use crate::http::problem::{Code, Missing, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Sessions(pub State);

#[OpenApi(tag = "Tag::Me")]
impl Sessions {
    /// List your sessions
    ///
    /// The newest session comes first. `last_used_at` is accurate to a minute.
    #[oai(path = "/me/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        customer: Customer,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Session>>, Refused<ListSessionsError>> {
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = accounts::list_sessions(&mut conn, customer.user_id, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(|session| Session::of(session, customer.session_id))))
    }

    /// End a session
    ///
    /// Logs out one of your devices. The session's refresh token stops working at once, its access tokens or
    /// its cookie within two seconds.
    #[oai(path = "/me/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end(&self, customer: Customer, id: Path<Uuid>) -> Result<NoContent, Refused<Missing>> {
        let (user_id, id) = (customer.user_id, SessionId(id.0));
        let end = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(accounts::end_own_session(conn, user_id, id).await?)
        };
        let ended = self.0.transaction("end_session", end).await?;
        self.0.sessions.forget(id);
        if ended { Ok(NoContent::done()) } else { Err(Missing("session").into()) }
    }
}

/// A session that has not ended.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Session {
    id: Uuid,
    /// The `User-Agent` of the device.
    device: Option<String>,
    /// The network address that logged in.
    ip: Option<String>,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    /// When the session ends if it is not used before.
    expires_at: DateTime<Utc>,
    /// Whether this request uses this session.
    current: bool,
}

impl Session {
    fn of(session: accounts::Session, current: SessionId) -> Self {
        Self {
            id: session.id.0,
            device: session.user_agent,
            ip: session.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            current: session.id == current,
        }
    }
}

impl Example for Session {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1f),
            device: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
            ip: Some("203.0.113.7".to_owned()),
            created_at: at,
            last_used_at: at,
            expires_at: at + accounts::SESSION_TTL,
            current: true,
        }
    }
}

impl Refusal for ListSessionsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}
