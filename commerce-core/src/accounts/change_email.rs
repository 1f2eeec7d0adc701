//! Moves an account to another e-mail address, which was proven by a mailed code.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::User;
use super::one_time_code::{self, CodePurpose};
use super::password::PasswordHash;
use crate::db::clock;
use crate::email_address::EmailAddress;
use crate::ids::{CodeId, UserId};
use crate::schema::{one_time_codes, users};

/// The account that has verified this address, if there is one. An account with an unverified address does
/// not block whoever proves the address.
pub(crate) async fn find_verified_by_email(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<Option<UserId>> {
    users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::email_verified_at.is_not_null())
        .select(users::id)
        .first(conn)
        .await
        .optional()
}

/// Locks the account, and an unverified account that has the address it is to move to. They are locked together
/// because accounts are locked in the order of their ids.
pub(crate) async fn lock_for_move(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<()> {
    let new_email: Option<Option<String>> = one_time_codes::table
        .filter(one_time_codes::user_id.eq(id).and(one_time_codes::purpose.eq(CodePurpose::ChangeEmail)))
        .order((one_time_codes::created_at.desc(), one_time_codes::id.desc()))
        .select(one_time_codes::new_email)
        .first(conn)
        .await
        .optional()?;
    let unproven = users::email.nullable().eq(new_email.flatten()).and(users::email_verified_at.is_null());
    users::table
        .filter(users::id.eq(id).or(unproven.assume_not_null()))
        .order(users::id)
        .select(users::id)
        .for_no_key_update()
        .load::<UserId>(conn)
        .await
        .map(drop)
}

/// Moves the account to the address that the used-up code was mailed to. The caller has called
/// [`lock_for_move`]. Codes and links that were mailed to the former address become invalid. `None` if another account has
/// verified the address in the meantime.
pub(crate) async fn move_to_proven_address(
    conn: &mut AsyncPgConnection,
    id: UserId,
    code_id: CodeId,
) -> QueryResult<Option<User>> {
    let new_email: Option<String> =
        one_time_codes::table.find(code_id).select(one_time_codes::new_email).first(conn).await?;
    let Some(new_email) = new_email else { return Ok(None) };
    let moved = conn
        .transaction(async |conn| {
            // An account with this address that was never verified. It never had a session, a cart or an
            // order.
            let unproven = users::table
                .filter(users::email.eq(&new_email))
                .filter(users::email_verified_at.is_null())
                .filter(users::id.ne(id));
            diesel::delete(unproven).execute(conn).await?;
            diesel::update(users::table.find(id))
                .set((
                    users::email.eq(&new_email),
                    users::email_verified_at.eq(clock().nullable()),
                    // The refused registration belongs to the former address.
                    users::refused_password_hash.eq(None::<PasswordHash>),
                    users::updated_at.eq(clock()),
                    users::version.eq(users::version + 1),
                ))
                .returning(User::as_returning())
                .get_result(conn)
                .await
        })
        .await;
    match moved {
        Ok(user) => {
            one_time_code::void_all(conn, id).await?;
            Ok(Some(user))
        }
        Err(QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, info))
            if info.constraint_name() == Some("users_email_key") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
