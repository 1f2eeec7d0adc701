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
        .select(User::as_select())
        .for_update()
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

/// What became of [`create_admin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedAdmin {
    Created(UserId),
    /// An admin with this address exists; nothing was changed, neither was their password.
    Exists,
    /// The address belongs to an account that is no admin: it is not promoted in passing.
    NotAnAdmin(Role),
}

/// Makes a verified admin, unless the address has an account.
pub async fn create_admin(conn: &mut AsyncPgConnection, user: &NewUser) -> QueryResult<CreatedAdmin> {
    let created: Option<UserId> = diesel::insert_into(users::table)
        .values((
            users::id.eq(UserId::new()),
            users::email.eq(user.email.as_str()),
            users::password_hash.eq(&user.password),
            users::display_name.eq(&user.display_name),
            users::role.eq(Role::Admin),
            users::email_verified_at.eq(clock().nullable()),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .returning(users::id)
        .get_result(conn)
        .await
        .optional()?;
    match created {
        Some(id) => Ok(CreatedAdmin::Created(id)),
        None => Ok(find_admin(conn, &user.email).await?.unwrap_or(CreatedAdmin::Exists)),
    }
}

/// Whether [`create_admin`] would have nothing to do, which saves the hashing of a password; `None` when it would.
pub async fn find_admin(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<Option<CreatedAdmin>> {
    let by_email = users::table.filter(users::email.eq(email.as_str())).select(users::role);
    let role: Option<Role> = by_email.first(conn).await.optional()?;
    Ok(role
        .map(|role| if role == Role::Admin { CreatedAdmin::Exists } else { CreatedAdmin::NotAnAdmin(role) }))
}
