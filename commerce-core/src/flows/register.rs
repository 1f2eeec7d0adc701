//! Registrations. The caller does not learn whether the address has an account. Only a mail to it says so.
//!
//! The effects of a registration on an address are decided in `accounts/registration.rs`.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::registration_mails::{self, mail_code};
use crate::accounts::{
    self, Compared, HashError, NewPassword, NewUser, PasswordHasher, Registration, RegistrationEvent,
};
use crate::db::{Pool, PoolError, Retryable, TransactionError, in_transaction};
use crate::email_address::EmailAddress;
use crate::locale::Locale;

/// Input of [`register`].
#[derive(Debug, Clone)]
pub struct Register {
    /// The address to which the code is mailed.
    pub email: EmailAddress,
    /// The password of the account.
    pub password: NewPassword,
    /// The name that other people read, of 1 to 200 characters.
    pub display_name: String,
    /// The language of mails to the owner. `None` means the shop's.
    pub locale: Option<Locale>,
}

/// Why a registration was not accepted. The error tells nothing about the address.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The pool had no connection.
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    /// Other registrations of the address were faster each time. Try again in a moment.
    #[error("an address is being registered again and again")]
    Contended,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for RegisterError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<TransactionError<QueryError>> for RegisterError {
    fn from(error: TransactionError<QueryError>) -> Self {
        match error {
            TransactionError::NoConnection(error) => error.into(),
            TransactionError::RolledBack(error) => error.into(),
        }
    }
}

/// The number of comparisons of one registration with faster ones.
const COMPARISONS_MAX: usize = 4;

/// Creates an account with an unverified address, and mails the code. If the address has an account, the mail
/// says so instead. Within a minute of the last registration no other code is mailed and no other password is
/// stored. Tell the client only that the registration was accepted.
///
/// An address that is registered with two passwords keeps neither when it is verified. A registration that
/// fails here counts as one with another password, see [`contest_registration`].
///
/// Two hashes are computed while no connection is held. They take as long with an account as without one.
/// That is why this takes the pool. Call it with no transaction open.
pub async fn register(pool: &Pool, hasher: &PasswordHasher, wish: Register) -> Result<(), RegisterError> {
    let email = wish.email.clone();
    let registered = hash_and_register(pool, hasher, wish).await;
    if registered.is_err() {
        let contest = async |conn: &mut AsyncPgConnection| contest_registration(conn, &email).await;
        in_transaction(pool, "contest_registration", contest).await?;
    }
    registered
}

async fn hash_and_register(
    pool: &Pool,
    hasher: &PasswordHasher,
    wish: Register,
) -> Result<(), RegisterError> {
    let Register { email, password, display_name, locale } = wish;
    let hash = hasher.hash(password.clone()).await?;
    let user = NewUser { email, password: hash, display_name, locale };
    // This takes more than one round if another registration of the address commits in between.
    for _ in 0..COMPARISONS_MAX {
        // The connection is returned before the passwords are compared.
        let before = accounts::find_standing(&mut *pool.get().await?, &user.email).await?;
        let compared = before.compare(hasher, password.clone()).await?;
        let register = async |conn: &mut AsyncPgConnection| register_compared(conn, &user, &compared).await;
        if in_transaction(pool, "register", register).await? == Outcome::Done {
            return Ok(());
        }
    }
    Err(RegisterError::Contended)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The registration has taken effect. A mail may be enqueued.
    Done,
    /// Nothing was changed. Another registration came in between, and its password must be compared first.
    CompareAgain,
}

async fn register_compared(
    conn: &mut AsyncPgConnection,
    user: &NewUser,
    compared: &Compared,
) -> Result<Outcome, QueryError> {
    let registered =
        |other_password, within_minute| RegistrationEvent::Registered { user, other_password, within_minute };
    conn.transaction(async |conn| {
        let anew = Registration::New.on(registered(false, false));
        if let Some(id) = accounts::write_transition(conn, &user.email, &anew).await? {
            registration_mails::enqueue(conn, anew.mails, id, &user.email).await?;
            return Ok(Outcome::Done);
        }
        // This waits for the holder of the row. The holder may be a stranger who wants to keep this
        // registration out, or who would learn from its absence that there is an account.
        let Some(account) = accounts::lock_by_email(conn, &user.email).await? else {
            return Ok(Outcome::Done);
        };
        let standing = accounts::find_standing(conn, &user.email).await?;
        let Some(other_password) = compared.is_other_than(&standing) else {
            return Ok(Outcome::CompareAgain);
        };
        let step = standing.state.on(registered(other_password, standing.within_minute));
        accounts::write_transition(conn, &user.email, &step).await?;
        registration_mails::enqueue(conn, step.mails, account.id, &user.email).await?;
        Ok(Outcome::Done)
    })
    .await
}

/// Contests an address whose registration was refused, such as by a rate limit. A stranger may have used up
/// the limit, so the earlier registration may be the stranger's. A contested address keeps no password when
/// it is verified. [`register`] does this for what it refuses itself.
pub async fn contest_registration(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    // No other state is changed by this event.
    accounts::write_transition(conn, email, &Registration::Pending.on(RegistrationEvent::TurnedAway)).await?;
    Ok(())
}

/// Mails another code to an unverified address. Does nothing for any other address, or if it is too soon.
pub async fn resend_code(conn: &mut AsyncPgConnection, email: &EmailAddress) -> Result<(), QueryError> {
    conn.transaction(async |conn| {
        if let Some(user) = accounts::try_lock_by_email(conn, email).await?
            && user.email_verified_at.is_none()
        {
            mail_code(conn, user.id, email).await?;
        }
        Ok(())
    })
    .await
}
