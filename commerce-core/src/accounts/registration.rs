//! Accounts come to be: unverified at first.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::password::PasswordHash;
use super::{EmailAddress, Role, User};
use crate::db::clock;
use crate::ids::UserId;
use crate::schema::users;

/// An account to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: EmailAddress,
    pub password: PasswordHash,
    pub display_name: String,
}

/// Inserts an account that must still prove its address; does nothing when the address has one.
pub async fn insert_unverified(conn: &mut AsyncPgConnection, user: &NewUser) -> QueryResult<Option<UserId>> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(UserId::new()),
            users::email.eq(user.email.as_str()),
            users::password_hash.eq(&user.password),
            users::display_name.eq(&user.display_name),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .returning(users::id)
        .get_result(conn)
        .await
        .optional()
}

/// The account with this address, its row locked.
pub async fn lock_by_email(conn: &mut AsyncPgConnection, email: &EmailAddress) -> QueryResult<Option<User>> {
    users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::deleted_at.is_null())
        .select(User::as_select())
        // Not FOR UPDATE: a checkout of the same user, whose order refers to this row, need not wait.
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// As [`lock_by_email`], but `None` also while somebody else holds the row. For what is asked for by anyone and done once a
/// minute at the most: a crowd that asks at once does not queue up, which would hold connections and show in the time taken that
/// the address is known.
pub async fn try_lock_by_email(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<Option<User>> {
    users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::deleted_at.is_null())
        .select(User::as_select())
        .for_no_key_update()
        .skip_locked()
        .first(conn)
        .await
        .optional()
}

/// The address is not proven yet, and somebody registers it again: what they say now replaces what was said before, so
/// that a stranger who registered it first has no password that works once the owner verifies it.
pub async fn replace_unverified(conn: &mut AsyncPgConnection, id: UserId, user: &NewUser) -> QueryResult<()> {
    diesel::update(users::table.find(id).filter(users::email_verified_at.is_null()))
        .set((
            users::password_hash.eq(&user.password),
            users::display_name.eq(&user.display_name),
            users::updated_at.eq(clock()),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The address is proven.
pub async fn mark_verified(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<()> {
    diesel::update(users::table.find(id).filter(users::email_verified_at.is_null()))
        .set((
            users::email_verified_at.eq(clock().nullable()),
            users::updated_at.eq(clock()),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// What became of [`create_confirmed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedAccount {
    Created(UserId),
    /// An account with this address and role exists; nothing was changed, neither was its password.
    Exists,
    /// The address belongs to an account of another role: it is not changed in passing.
    OtherRole(Role),
}

/// Makes an account whose address needs no code, such as the first admin, unless the address has an account.
pub async fn create_confirmed(
    conn: &mut AsyncPgConnection,
    user: &NewUser,
    role: Role,
) -> QueryResult<CreatedAccount> {
    let created: Option<UserId> = diesel::insert_into(users::table)
        .values((
            users::id.eq(UserId::new()),
            users::email.eq(user.email.as_str()),
            users::password_hash.eq(&user.password),
            users::display_name.eq(&user.display_name),
            users::role.eq(role),
            users::email_verified_at.eq(clock().nullable()),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .returning(users::id)
        .get_result(conn)
        .await
        .optional()?;
    match created {
        Some(id) => Ok(CreatedAccount::Created(id)),
        None => Ok(find_confirmed(conn, &user.email, role).await?.unwrap_or(CreatedAccount::Exists)),
    }
}

/// Whether [`create_confirmed`] would have nothing to do, which saves the hashing of a password; `None` when it would.
pub async fn find_confirmed(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
    role: Role,
) -> QueryResult<Option<CreatedAccount>> {
    let by_email = users::table.filter(users::email.eq(email.as_str())).select(users::role);
    let known: Option<Role> = by_email.first(conn).await.optional()?;
    Ok(known.map(
        |known| {
            if known == role { CreatedAccount::Exists } else { CreatedAccount::OtherRole(known) }
        },
    ))
}
