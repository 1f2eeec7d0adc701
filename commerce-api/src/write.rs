//! How an operation changes something: one transaction, run to its end even when the client hangs up, once a key.

use commerce_core::db::{self, PooledConnection, Retryable, TransactionBody, TransactionError};
use commerce_core::idempotency::{self, Begun, IdempotencyError, IdempotentRequest};
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::ToJSON;

use crate::answer::{Answer, Reply};
use crate::problem::{Problem, Refusal, Refused};
use crate::state::State;

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

impl<E: Refusal> From<WriteError<E>> for Refused<E> {
    fn from(error: WriteError<E>) -> Self {
        match error {
            WriteError::Effect(error) => error.into(),
            WriteError::Idempotency(error) => Problem::from(error).into(),
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
        for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<R, E>
            + TransactionBody<&'r mut AsyncPgConnection, Result<R, E>, Fut: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        T: ToJSON + 'static,
        R: Into<Reply<T>> + Send + 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        let once =
            async move |conn: &mut AsyncPgConnection| answer_once(conn, request.as_ref(), effect).await;
        match self.run_to_end(name, once).await? {
            Ok(answer) => Ok(answer),
            Err(TransactionError::NoConnection(error)) => Err(Problem::from(error).into()),
            Err(TransactionError::RolledBack(error)) => Err(error.into()),
        }
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
        for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<(), E>
            + TransactionBody<&'r mut AsyncPgConnection, Result<(), E>, Fut: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        let begin = async move |conn: &mut AsyncPgConnection| {
            if let Some(request) = &request
                && let Begun::Replay(stored) = idempotency::begin(conn, request).await?
            {
                return Ok(Some(stored));
            }
            effect(conn).await.map_err(WriteError::Effect)?;
            Ok::<_, WriteError<E>>(None)
        };
        match self.run_to_end(name, begin).await? {
            Ok(stored) => Ok(stored.map(Answer::replay)),
            Err(TransactionError::NoConnection(error)) => Err(Problem::from(error).into()),
            Err(TransactionError::RolledBack(error)) => Err(error.into()),
        }
    }

    /// As [`State::write`], for a transaction whose outcome the handler still has to look at.
    pub async fn transaction<R, E, F>(&self, name: &'static str, body: F) -> Result<R, Problem>
    where
        for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<R, E>
            + TransactionBody<&'r mut AsyncPgConnection, Result<R, E>, Fut: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        R: Send + 'static,
        E: Refusal + Retryable + From<QueryError>,
    {
        self.run_to_end(name, body).await?.map_err(|error| Refused::<E>::from(error).0)
    }

    /// In a task of its own, after which workers are woken.
    async fn run_to_end<R, E, F>(
        &self,
        name: &'static str,
        body: F,
    ) -> Result<Result<R, TransactionError<E>>, Problem>
    where
        for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<R, E>
            + TransactionBody<&'r mut AsyncPgConnection, Result<R, E>, Fut: Send>
            + Clone
            + Send
            + Sync
            + 'static,
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

async fn answer_once<const STATUS: u16, T, R, E, F>(
    conn: &mut AsyncPgConnection,
    request: Option<&IdempotentRequest>,
    effect: F,
) -> Result<Answer<STATUS, T>, WriteError<E>>
where
    for<'r> F: AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<R, E>
        + TransactionBody<&'r mut AsyncPgConnection, Result<R, E>, Fut: Send>
        + Send,
    T: ToJSON,
    R: Into<Reply<T>> + Send,
{
    if let Some(request) = request
        && let Begun::Replay(stored) = idempotency::begin(conn, request).await?
    {
        return Ok(Answer::replay(stored));
    }
    let answer = Answer::new(effect(conn).await.map_err(WriteError::Effect)?);
    if let Some(request) = request {
        idempotency::store_answer(conn, request, answer.stored()).await?;
    }
    Ok(answer)
}
