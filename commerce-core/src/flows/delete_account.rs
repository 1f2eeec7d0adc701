//! Users delete their own account, and staff delete the accounts of others.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::accounts::{self, AdministerUserError, ProvenUser, User, UserKey};
use crate::audit_log::{self, Author, Subject};
use crate::cart::{self, CartError, Owner};
use crate::contact;
use crate::db::Retryable;
use crate::ids::UserId;
use crate::notifications;
use crate::request::Origin;
use crate::settings::ShopSettings;

/// Why an account was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteAccountError {
    /// The password was changed in the meantime, or the account is disabled.
    #[error("the password was changed after it was checked")]
    PasswordChanged,
    /// No admin who can log in would remain.
    #[error("this is the last admin who can log in: make somebody else an admin first")]
    LastAdmin,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<AdministerUserError> for DeleteAccountError {
    fn from(error: AdministerUserError) -> Self {
        match error {
            AdministerUserError::LastAdmin => Self::LastAdmin,
            AdministerUserError::Database(error) => Self::Database(error),
            // The account was deleted a moment ago.
            AdministerUserError::NotFound
            | AdministerUserError::AuthorGone
            | AdministerUserError::AuthorMayNot
            | AdministerUserError::VersionMismatch
            | AdministerUserError::NoSecondFactor
            | AdministerUserError::Invalid(_) => Self::PasswordChanged,
        }
    }
}

impl Retryable for DeleteAccountError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Deletes an account for good.
///
/// These data are deleted: name, e-mail address, password, role, sessions with their devices and IP
/// addresses, codes, the address book, the items of the cart with the stock that it held, the recipient of
/// mails that were sent, pending mails about the account, and, if the address was proven, the messages that were sent
/// to the shop with it. The address can be registered again, as a new account without any link to this one.
///
/// These data stay: orders, payments, shipments, returns and their timelines, with the e-mail and postal addresses
/// that were given for them. They are the shop's records of its sales, and pending deliveries and refunds
/// need them. They refer to a row that says only that there was an account. Confirmed declarations of withdrawal stay
/// as well: they prove what was declared and when, and the law sets their time.
pub async fn delete_account(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    proven: &ProvenUser,
    origin: &Origin,
) -> Result<UserId, DeleteAccountError> {
    conn.transaction(async |conn| {
        let key = UserKey::Id(proven.id());
        let (_, other_admins) = accounts::lock_beside_admins(conn, &key, None).await?;
        let user = proven.lock(conn).await?.ok_or(DeleteAccountError::PasswordChanged)?;
        if accounts::is_acting_admin(&user) && other_admins == 0 {
            return Err(DeleteAccountError::LastAdmin);
        }
        delete(conn, shop, &user, origin).await?;
        Ok(user.id)
    })
    .await
}

/// Like [`delete_account`], for another's account. The author must have the permission when the account is
/// deleted. The deletion is recorded in the audit log.
pub async fn delete_account_of(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    key: &UserKey,
    expected_version: Option<i32>,
    author: &Author,
) -> Result<UserId, AdministerUserError> {
    conn.transaction(async |conn| {
        let (user, other_admins) = accounts::lock_for(conn, key, expected_version, author).await?;
        if accounts::is_acting_admin(&user) && other_admins == 0 {
            return Err(AdministerUserError::LastAdmin);
        }
        let subject = Subject::User(user.id);
        let before = audit_log::snapshot(conn, subject).await?;
        audit_log::record_facts(conn, author, "admin_delete_user", subject, before, None).await?;
        delete(conn, shop, &user, &author.origin).await?;
        Ok(user.id)
    })
    .await
}

/// First deletes the personal data of other domains, then those of the account. At first the user's row is
/// locked but not changed, because a checkout of the user may hold the cart and still be about to refer to
/// the row.
async fn delete(
    conn: &mut AsyncPgConnection,
    shop: &ShopSettings,
    user: &User,
    origin: &Origin,
) -> Result<(), QueryError> {
    // In the lock order: jobs, carts, mails.
    notifications::forget_errors_about(conn, user.id, &user.email).await?;
    cart::lock_open(conn, Owner::User(user.id)).await?;
    notifications::forget_recipient(conn, user.id, &user.email).await?;
    if user.has_proven(&user.email) {
        contact::forget_sender(conn, &user.email).await?;
    }
    cart::clear(conn, shop, Owner::User(user.id), origin).await.map_err(|error| match error {
        CartError::Database(error) => error,
        // Removing an item asks for nothing that could be refused.
        other => QueryError::QueryBuilderError(other.into()),
    })?;
    accounts::anonymise(conn, user.id).await
}
