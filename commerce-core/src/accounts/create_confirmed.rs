//! Accounts whose address is verified without a code.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::registration::NewUser;
use super::{Role, one_time_code};
use crate::db::clock;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::schema::users;

/// The result of [`create_confirmed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedAccount {
    /// The account was created, and its address counts as verified.
    Created(UserId),
    /// An account with this address and role exists. Nothing was changed, including its password.
    Exists,
    /// The address belongs to an account with another role. Nothing was changed.
    OtherRole(Role),
}

/// Creates an account whose address is verified without a code, such as the first admin, unless the address
/// has an account. An account that was registered but never verified is replaced, because nobody has ever
/// logged in to it.
pub async fn create_confirmed(
    conn: &mut AsyncPgConnection,
    user: &NewUser,
    role: Role,
) -> QueryResult<CreatedAccount> {
    let confirmed = (
        users::password_hash.eq(&user.password),
        users::display_name.eq(&user.display_name),
        users::locale.eq(&user.locale),
        users::role.eq(role),
        users::email_verified_at.eq(clock().nullable()),
    );
    let anew = (
        confirmed,
        users::phone.eq(None::<String>),
        users::disabled_at.eq(None::<chrono::DateTime<chrono::Utc>>),
        users::contested.eq(false),
        users::updated_at.eq(clock()),
        users::version.eq(users::version + 1),
    );
    let upsert = diesel::insert_into(users::table)
        .values((users::id.eq(UserId::new()), users::email.eq(user.email.as_str()), confirmed))
        .on_conflict(users::email)
        .do_update()
        .set(anew);
    conn.transaction(async |conn| {
        // One statement, which waits for a concurrent registration or verification of the address.
        let created: Option<UserId> =
            diesel::query_dsl::methods::FilterDsl::filter(upsert, users::email_verified_at.is_null())
                .returning(users::id)
                .get_result(conn)
                .await
                .optional()?;
        match created {
            Some(id) => {
                one_time_code::void_all(conn, id).await?;
                Ok(CreatedAccount::Created(id))
            }
            None => Ok(find_confirmed(conn, &user.email, role).await?.unwrap_or(CreatedAccount::Exists)),
        }
    })
    .await
}

/// The result of [`create_confirmed`] if there is nothing to create, so that no password must be hashed.
/// `None` if there is.
pub async fn find_confirmed(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
    role: Role,
) -> QueryResult<Option<CreatedAccount>> {
    let by_email = users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::email_verified_at.is_not_null())
        .select(users::role);
    let known: Option<Role> = by_email.first(conn).await.optional()?;
    Ok(known.map(
        |known| {
            if known == role { CreatedAccount::Exists } else { CreatedAccount::OtherRole(known) }
        },
    ))
}
