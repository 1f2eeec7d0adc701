//! Staff change and delete the accounts of others. Each change is recorded in the audit log, and at least one
//! admin always remains.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::session::revoke_sessions;
use super::{Permission, Phone, Role, User, check_display_name, find_user};
use crate::audit_log::{self, Author, Subject};
use crate::db::Retryable;
use crate::email_address::EmailAddress;
use crate::error::{FieldError, FieldErrors};
use crate::ids::UserId;
use crate::request::Actor;
use crate::schema::users;

/// How an account is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By e-mail address.
    Email(EmailAddress),
}

impl UserKey {
    /// Reads an id or an e-mail address. `None` if the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Id).ok().or_else(|| EmailAddress::of_account(text).map(Self::Email).ok())
    }
}

/// The changes to an account. `None` keeps the value.
#[derive(Debug, Clone, Default)]
pub struct UpdateUser {
    /// The name that other people read.
    pub display_name: Option<String>,
    /// `Some(None)` takes the number away.
    pub phone: Option<Option<String>>,
    /// `Some(None)` removes the number.
    pub role: Option<Role>,
    /// `true` ends every session and refuses logins; `false` allows them again.
    pub disabled: Option<bool>,
    /// Change it only if it still has this version.
    pub expected_version: Option<i32>,
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AdministerUserError {
    /// The account of the caller was disabled or deleted in the meantime.
    #[error("the account of the caller can no longer be used")]
    AuthorGone,
    /// The caller's role does not include the permission, or no longer does.
    #[error("the caller may not change accounts")]
    AuthorMayNot,
    /// There is no such account, or it was deleted.
    #[error("there is no such account")]
    NotFound,
    /// Somebody else changed the account in the meantime.
    #[error("the account has changed since it was read")]
    VersionMismatch,
    /// No admin who can log in would remain.
    #[error("this is the last admin who can log in: make somebody else an admin first")]
    LastAdmin,
    /// The account has no second factor that could be removed.
    #[error("the account has no second factor")]
    NoSecondFactor,
    /// Values are invalid. Each error has its place in the request.
    #[error("the change is invalid")]
    Invalid(Vec<FieldError>),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for AdministerUserError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The account, unless it was deleted.
pub async fn find_user_by_key(conn: &mut AsyncPgConnection, key: &UserKey) -> QueryResult<Option<User>> {
    let query = users::table.filter(users::deleted_at.is_null()).select(User::as_select()).into_boxed();
    let query = match key {
        UserKey::Id(id) => query.filter(users::id.eq(*id)),
        UserKey::Email(email) => query.filter(users::email.eq(email.as_str().to_owned())),
    };
    query.first(conn).await.optional()
}

#[derive(AsChangeset)]
#[diesel(table_name = users)]
struct UserChanges {
    display_name: Option<String>,
    phone: Option<Option<String>>,
    role: Option<Role>,
    disabled_at: Option<Option<DateTime<Utc>>>,
    updated_at: DateTime<Utc>,
}

/// Changes an account and returns its new state. Disabling an account ends its sessions. The author must have
/// the permission when the change is made, not only when it was requested.
pub async fn update_user(
    conn: &mut AsyncPgConnection,
    key: &UserKey,
    change: &UpdateUser,
    author: &Author,
) -> Result<User, AdministerUserError> {
    let mut faults = FieldErrors::default();
    let display_name = change.display_name.as_deref().map(|name| check_display_name(name, &mut faults));
    let phone = change.phone.as_ref().map(|phone| {
        let phone = phone.as_deref().map(str::parse::<Phone>).transpose();
        phone.unwrap_or_else(|error| {
            faults.push("/phone", error.to_string());
            None
        })
    });
    if !faults.is_empty() {
        return Err(AdministerUserError::Invalid(faults.into_vec()));
    }
    conn.transaction(async |conn| {
        let (user, other_admins) = lock_for(conn, key, change.expected_version, author).await?;
        let subject = Subject::User(user.id);
        let before = audit_log::snapshot(conn, subject).await?;
        let stays_admin = change.role.unwrap_or(user.role) == Role::Admin && change.disabled != Some(true);
        if is_acting_admin(&user) && !stays_admin && other_admins == 0 {
            return Err(AdministerUserError::LastAdmin);
        }
        let now = crate::db::current_time(conn).await?;
        let changes = UserChanges {
            display_name,
            phone: phone.map(|phone| phone.map(|phone| phone.as_str().to_owned())),
            role: change.role,
            disabled_at: change.disabled.map(|disabled| disabled.then_some(user.disabled_at.unwrap_or(now))),
            updated_at: now,
        };
        diesel::update(users::table.find(user.id))
            .set((changes, users::version.eq(users::version + 1)))
            .execute(conn)
            .await?;
        if change.disabled == Some(true) {
            revoke_sessions(conn, user.id, None, "account_disabled").await?;
        }
        audit_log::record(conn, author, "admin_update_user", subject, before).await?;
        find_user(conn, user.id).await?.ok_or(AdministerUserError::NotFound)
    })
    .await
}

/// Like [`lock_beside_admins`], for a change that somebody makes to another's account. The author's own
/// account is locked too and must still have the permission, because the change might undo the author's own
/// disabling or demotion. The system always has the permission.
pub async fn lock_for(
    conn: &mut AsyncPgConnection,
    key: &UserKey,
    expected_version: Option<i32>,
    author: &Author,
) -> Result<(User, usize), AdministerUserError> {
    let by = match author.origin.actor {
        Actor::User(id) => Some(id),
        Actor::System => None,
        Actor::Guest => return Err(AdministerUserError::AuthorMayNot),
    };
    lock(conn, key, expected_version, by).await
}

/// Locks an account for a change. If it is an admin, all other admins are locked too, in the order of their
/// ids. So if two requests each remove one of the last two admins, the second sees the change of the first.
/// Returns the number of other admins. If the account becomes an admin at this moment, its version has
/// changed.
pub async fn lock_beside_admins(
    conn: &mut AsyncPgConnection,
    key: &UserKey,
    expected_version: Option<i32>,
) -> Result<(User, usize), AdministerUserError> {
    lock(conn, key, expected_version, None).await
}

/// All rows in one statement, so that they are locked in the order of their ids.
async fn lock(
    conn: &mut AsyncPgConnection,
    key: &UserKey,
    expected_version: Option<i32>,
    by: Option<UserId>,
) -> Result<(User, usize), AdministerUserError> {
    let found = find_user_by_key(conn, key).await?;
    let id = found.as_ref().map(|user| user.id);
    let was_admin = found.as_ref().is_some_and(|user| user.role == Role::Admin);
    let acting_admin = users::role
        .eq(Role::Admin)
        .and(was_admin.into_sql::<diesel::sql_types::Bool>())
        .and(users::disabled_at.is_null())
        .and(users::email_verified_at.is_not_null());
    let named: Vec<UserId> = id.into_iter().chain(by).collect();
    let locked: Vec<User> = users::table
        .filter(users::id.eq_any(named).or(acting_admin))
        .filter(users::deleted_at.is_null())
        .order(users::id)
        .select(User::as_select())
        .for_no_key_update()
        .load(conn)
        .await?;
    if let Some(by) = by {
        let author = locked.iter().find(|user| user.id == by && user.disabled_at.is_none());
        let author = author.ok_or(AdministerUserError::AuthorGone)?;
        if !author.role.may(Permission::UsersWrite) {
            return Err(AdministerUserError::AuthorMayNot);
        }
    }
    let admins = locked.iter().filter(|user| Some(user.id) != id && is_acting_admin(user)).count();
    let user = locked.into_iter().find(|user| Some(user.id) == id).ok_or(AdministerUserError::NotFound)?;
    let promoted = user.role == Role::Admin && !was_admin;
    if promoted || expected_version.is_some_and(|expected| expected != user.version) {
        return Err(AdministerUserError::VersionMismatch);
    }
    Ok((user, admins))
}

/// Whether there is an admin who can log in.
pub async fn has_acting_admin(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    let admins: Vec<User> =
        users::table.filter(users::role.eq(Role::Admin)).select(User::as_select()).load(conn).await?;
    Ok(admins.iter().any(is_acting_admin))
}

/// Whether the user is an admin who can log in, that is, neither disabled nor unverified.
pub fn is_acting_admin(user: &User) -> bool {
    user.role == Role::Admin && user.disabled_at.is_none() && user.email_verified_at.is_some()
}
