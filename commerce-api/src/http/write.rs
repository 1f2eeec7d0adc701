//! How an operation changes something: in one transaction that runs to its end even if the client hangs up,
//! and once for each idempotency key.

use commerce_core::db::{self, PooledConnection, Retryable, TransactionBody, TransactionError};
use commerce_core::idempotency::{self, Begun, IdempotencyError, IdempotentRequest};
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::ToJSON;

use crate::http::answer::{Answer, Reply};
use crate::http::problem::{Problem, Refusal, Refused};
use crate::http::state::State;

/// The body of a transaction: an async closure over its connection. It may run again and move between
/// threads.
pub trait Effect<R>:
    for<'r> AsyncFnOnce(&'r mut AsyncPgConnection) -> R
    + for<'r> TransactionBody<&'r mut AsyncPgConnection, R, Fut: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<R, F> Effect<R> for F where
    for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> R
        + TransactionBody<&'r mut AsyncPgConnection, R, Fut: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Why the transaction of [`State::write`] ended.
enum WriteError<E> {
    Effect(E),
    Idempotency(IdempotencyError),
}

impl<E> From<QueryError> for WriteError<E> {
    fn from(error: QueryError) -> Self {
        Self::Idempotency(error.into())
    }
}

impl<E> From<IdempotencyError> for WriteError<E> {
    fn from(error: IdempotencyError) -> Self {
        Self::Idempotency(error)
    }
}

impl<E: Retryable> Retryable for WriteError<E> {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Effect(error) => error.is_retryable(),
            Self::Idempotency(error) => error.is_retryable(),
        }
    }
}

impl<E: Refusal> From<TransactionError<WriteError<E>>> for Refused<E> {
    fn from(error: TransactionError<WriteError<E>>) -> Self {
        match error {
            TransactionError::NoConnection(error) => Problem::from(error).into(),
            TransactionError::RolledBack(WriteError::Effect(error)) => error.into(),
            TransactionError::RolledBack(WriteError::Idempotency(error)) => Problem::from(error).into(),
        }
    }
}

impl State {
    /// A connection to read with, but not for the catalogue: see [`reader`](Self::reader).
    pub async fn conn(&self) -> Result<PooledConnection, Problem> {
        Ok(self.pool.get().await?)
    }

    /// A connection to read the catalogue with.
    pub async fn reader(&self) -> Result<PooledConnection, Problem> {
        Ok(self.readers.pool(&self.pool).await?.get().await?)
    }

    /// Runs `effect` in a transaction and answers with its result. With a `request`, the answer is stored in
    /// the same transaction, and the same request again gets that answer without another effect. `name`
    /// labels retries and traces.
    ///
    /// The transaction runs in a task of its own. If a client hangs up in the middle of a checkout, the
    /// checkout is not aborted and leaves no locks behind.
    pub async fn write<const STATUS: u16, T, R, E, F>(
        &self,
        name: &'static str,
        request: Option<IdempotentRequest>,
        effect: F,
    ) -> Result<Answer<STATUS, T>, Refused<E>>
    where
        F: Effect<Result<R, E>>,
        T: ToJSON + 'static,
        R: Into<Reply<T>> + Send + 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        let kept = request.clone();
        let work = async move |conn: &mut AsyncPgConnection| {
            let answer = Answer::new(effect(conn).await.map_err(WriteError::Effect)?);
            if let Some(request) = &kept {
                idempotency::store_answer(conn, request, answer.stored()).await?;
            }
            Ok::<_, WriteError<E>>(answer)
        };
        self.answer_once(name, request, work).await
    }

    /// Like [`State::write`], for an effect that makes and stores its answer itself.
    pub async fn write_and_store<const STATUS: u16, T, E, F>(
        &self,
        name: &'static str,
        request: IdempotentRequest,
        effect: F,
    ) -> Result<Answer<STATUS, T>, Refused<E>>
    where
        F: Effect<Result<Answer<STATUS, T>, E>>,
        T: 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        let work = async move |conn: &mut AsyncPgConnection| effect(conn).await.map_err(WriteError::Effect);
        self.answer_once(name, Some(request), work).await
    }

    /// The first of two transactions with something slow between them, such as the upload of a file. If the
    /// request was answered before, this returns that answer. Otherwise it runs `effect`. [`State::write`] is
    /// the second transaction.
    pub async fn begin<const STATUS: u16, T, E, F>(
        &self,
        name: &'static str,
        request: Option<IdempotentRequest>,
        effect: F,
    ) -> Result<Option<Answer<STATUS, T>>, Refused<E>>
    where
        F: Effect<Result<(), E>>,
        T: 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        let begin = async move |conn: &mut AsyncPgConnection| {
            let answered = find_answer(conn, request.as_ref()).await?;
            if answered.is_none() {
                effect(conn).await.map_err(WriteError::Effect)?;
            }
            Ok::<_, WriteError<E>>(answered)
        };
        Ok(self.run_to_end(name, begin).await??)
    }

    /// Like [`State::write`], for a transaction whose result the handler has to look at first.
    pub async fn transaction<R, E, F>(&self, name: &'static str, body: F) -> Result<R, Problem>
    where
        F: Effect<Result<R, E>>,
        R: Send + 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        self.run_to_end(name, body).await?.map_err(|error| Refused::<E>::from(error).0)
    }

    /// Replays the stored answer, or does the work that leads to one.
    async fn answer_once<const STATUS: u16, T, E, F>(
        &self,
        name: &'static str,
        request: Option<IdempotentRequest>,
        work: F,
    ) -> Result<Answer<STATUS, T>, Refused<E>>
    where
        F: Effect<Result<Answer<STATUS, T>, WriteError<E>>>,
        T: 'static,
        E: Refusal + Retryable,
    {
        let once = async move |conn: &mut AsyncPgConnection| match find_answer(conn, request.as_ref()).await?
        {
            Some(answer) => Ok(answer),
            None => work(conn).await,
        };
        Ok(self.run_to_end(name, once).await??)
    }

    /// Runs work that begins its transactions itself in a task of its own, then wakes the workers. A client
    /// that hangs up does not stop it.
    pub async fn to_its_end<R, W>(&self, work: W) -> Result<R, Problem>
    where
        W: Future<Output = R> + Send + 'static,
        R: Send + 'static,
    {
        let state = self.clone();
        let work = async move {
            let result = work.await;
            state.wake();
            result
        };
        tokio::spawn(work).await.map_err(Problem::internal)
    }

    /// Like [`State::to_its_end`], for one transaction.
    async fn run_to_end<R, E, F>(
        &self,
        name: &'static str,
        body: F,
    ) -> Result<Result<R, TransactionError<E>>, Problem>
    where
        F: Effect<Result<R, E>>,
        R: Send + 'static,
        E: Retryable + From<QueryError> + Send + 'static,
    {
        let pool = self.pool.clone();
        self.to_its_end(async move { db::in_transaction(&pool, name, body).await }).await
    }
}

/// The stored answer to the same request, if there is one. From this call to the end of the transaction,
/// nobody else processes the request.
async fn find_answer<const STATUS: u16, T>(
    conn: &mut AsyncPgConnection,
    request: Option<&IdempotentRequest>,
) -> Result<Option<Answer<STATUS, T>>, IdempotencyError> {
    let Some(request) = request else { return Ok(None) };
    match idempotency::begin(conn, request).await? {
        Begun::Fresh => Ok(None),
        Begun::Replay(stored) => Ok(Some(Answer::replay(stored))),
    }
}
