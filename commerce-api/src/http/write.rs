//! How an operation changes something: one transaction, run to its end even when the client hangs up, once a key.

use commerce_core::db::{self, PooledConnection, Retryable, TransactionBody, TransactionError};
use commerce_core::idempotency::{self, Begun, IdempotencyError, IdempotentRequest};
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::ToJSON;

use crate::http::answer::{Answer, Reply};
use crate::http::problem::{Problem, Refusal, Refused};
use crate::http::state::State;

/// What runs in a transaction: an async closure over its connection that may run again and move between threads.
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

/// What ends the transaction of [`State::write`].
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
    /// A connection to read with.
    pub async fn conn(&self) -> Result<PooledConnection, Problem> {
        Ok(self.pool.get().await?)
    }

    /// Runs `effect` in a transaction and answers with what it returns. With a `request`, the answer is stored in the same
    /// transaction, and the same request again gets that answer without another effect. `name` labels retries and traces.
    ///
    /// The transaction runs in a task of its own: a client that hangs up in the middle of a checkout neither aborts it nor
    /// leaves its locks behind.
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

    /// As [`State::write`], for an effect that writes out its answer and stores it itself.
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

    /// The first of two transactions with something slow between them, such as the upload of a file: runs `effect`, unless the
    /// request was answered before; then it returns that answer. [`State::write`] is the second.
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

    /// As [`State::write`], for a transaction whose outcome the handler still has to look at.
    pub async fn transaction<R, E, F>(&self, name: &'static str, body: F) -> Result<R, Problem>
    where
        F: Effect<Result<R, E>>,
        R: Send + 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        self.run_to_end(name, body).await?.map_err(|error| Refused::<E>::from(error).0)
    }

    /// Replays the stored answer, or does the work that comes to one.
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

    /// In a task of its own, after which workers are woken.
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
        let state = self.clone();
        let transaction = async move {
            let result = db::in_transaction(&state.pool, name, body).await;
            state.wake();
            result
        };
        tokio::spawn(transaction).await.map_err(Problem::internal)
    }
}

/// What the same request was answered before. From here to the end of the transaction nobody else works on it.
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
