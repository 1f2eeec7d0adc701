//! The account itself.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Role;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::locale::Locale;
use crate::schema::users;

/// SQL for whether the user of the row has a second factor that was confirmed.
pub(super) fn has_second_factor() -> SqlLiteral<Bool> {
    sql("EXISTS (SELECT FROM commerce.second_factors WHERE user_id = users.id AND confirmed_at IS NOT NULL)")
}

/// An account as others may see it: without its password hash.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub struct User {
    /// Its id, which never changes.
    pub id: UserId,
    /// In lower case; no other account has it.
    pub email: EmailAddress,
    /// When the owner verified the address.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// The name that other people read.
    pub display_name: String,
    /// Digits, with an optional `+` in front.
    pub phone: Option<String>,
    /// The language of mails to the owner. `None` means the shop's.
    pub locale: Option<Locale>,
    /// What it may do.
    pub role: Role,
    /// Whether logins ask for a second factor.
    #[diesel(select_expression = has_second_factor())]
    #[diesel(select_expression_type = SqlLiteral<Bool>)]
    pub second_factor: bool,
    /// When an admin disabled the account. A disabled account cannot log in.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows by one with every change.
    pub version: i32,
}

impl User {
    /// Whether this is the address of the account, and its owner has shown to read what is sent there.
    pub fn has_proven(&self, email: &EmailAddress) -> bool {
        self.email == *email && self.email_verified_at.is_some()
    }
}

/// The account with this id, even if it is disabled.
pub async fn find_user(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<Option<User>> {
    users::table.find(id).select(User::as_select()).first(conn).await.optional()
}

/// The account with this id, its row locked, unless it was deleted or disabled.
pub async fn lock_active_user(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<Option<User>> {
    users::table
        .find(id)
        .filter(users::disabled_at.is_null())
        .filter(users::deleted_at.is_null())
        .select(User::as_select())
        // Not FOR UPDATE, so that a checkout of the same user, whose order refers to this row, does not wait.
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}
