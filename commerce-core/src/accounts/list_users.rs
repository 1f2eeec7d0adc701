//! Listing and searching accounts, for staff.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Record, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::phone::compact;
use super::{Role, User};
use crate::db::escape_like;
use crate::ids::UserId;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::users;
use crate::text_enum::text_enum;

/// Filters accounts. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Part of the name, the e-mail address or the phone number. One or two characters match the beginnings
    /// of words only.
    pub text: Option<String>,
    /// Accounts with exactly this role.
    pub role: Option<Role>,
    /// Whether an admin has disabled the account.
    pub disabled: Option<bool>,
}

text_enum! {
    /// The sort order of accounts.
    pub enum UserSort {
        /// By age, the oldest account first.
        OldestFirst = "created_at",
        /// By age, the newest account first.
        NewestFirst = "-created_at",
        /// By e-mail address.
        Email = "email",
        /// By e-mail address, descending.
        EmailDescending = "-email",
        /// By display name.
        Name = "display_name",
        /// By display name, descending.
        NameDescending = "-display_name",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListUsersError {
    /// The cursor did not come from this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

type Query<'a> = users::BoxedQuery<'a, Pg, diesel::dsl::SqlTypeOf<diesel::dsl::AsSelect<User, Pg>>>;

/// One page of the accounts that match. Deleted accounts are never listed.
pub async fn list_users(
    conn: &mut AsyncPgConnection,
    filter: &UserFilter,
    sort: UserSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<User>, ListUsersError> {
    let query = sorted(after(filtered(filter), sort, cursor)?, sort);
    let rows: Vec<User> = query.limit(limit.rows_and_one()).load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last| cursor_of(last, sort)))
}

fn filtered(filter: &UserFilter) -> Query<'_> {
    let mut query = users::table.select(User::as_select()).into_boxed().filter(users::deleted_at.is_null());
    if let Some(role) = filter.role {
        query = query.filter(users::role.eq(role));
    }
    match filter.disabled {
        Some(true) => query = query.filter(users::disabled_at.is_not_null()),
        Some(false) => query = query.filter(users::disabled_at.is_null()),
        None => {}
    }
    match filter.text.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => matching(query, text),
        _ => query,
    }
}

/// Trigrams find three or more characters anywhere. Fewer characters form a trigram only at the beginning of
/// a word.
fn matching<'a>(query: Query<'a>, text: &str) -> Query<'a> {
    let escaped = escape_like(text);
    let phone = compact(text);
    if text.chars().count() < 3 {
        let begins = format!("{escaped}%");
        let phone = format!("{}%", phone.as_deref().unwrap_or(&escaped));
        let word_begins = format!("% {escaped}%");
        return query.filter(
            users::email
                .ilike(begins.clone())
                .or(users::display_name.ilike(begins))
                .or(users::display_name.ilike(word_begins))
                .or(users::phone.assume_not_null().like(phone)),
        );
    }
    let anywhere = format!("%{escaped}%");
    let named = users::email.ilike(anywhere.clone()).or(users::display_name.ilike(anywhere));
    match phone {
        Some(phone) => query.filter(named.or(users::phone.assume_not_null().like(format!("%{phone}%")))),
        None => query.filter(named),
    }
}

fn sorted(query: Query<'_>, sort: UserSort) -> Query<'_> {
    use users::{created_at, display_name, email, id};
    match sort {
        UserSort::OldestFirst => query.order((created_at.asc(), id.asc())),
        UserSort::NewestFirst => query.order((created_at.desc(), id.desc())),
        UserSort::Email => query.order(email.asc()),
        UserSort::EmailDescending => query.order(email.desc()),
        UserSort::Name => query.order((display_name.asc(), id.asc())),
        UserSort::NameDescending => query.order((display_name.desc(), id.desc())),
    }
}

fn cursor_of(user: &User, sort: UserSort) -> String {
    let (name, id) = (sort.as_str(), user.id);
    match sort {
        UserSort::OldestFirst | UserSort::NewestFirst => Cursor::at(name, user.created_at, id),
        UserSort::Email | UserSort::EmailDescending => Cursor::at(name, user.email.to_string(), id),
        UserSort::Name | UserSort::NameDescending => Cursor::at(name, user.display_name.clone(), id),
    }
}

fn after<'a>(query: Query<'a>, sort: UserSort, cursor: Option<&str>) -> Result<Query<'a>, InvalidCursor> {
    use users::{created_at, display_name, email, id};
    let is_ascending = matches!(sort, UserSort::OldestFirst | UserSort::Email | UserSort::Name);
    Ok(match sort {
        UserSort::OldestFirst | UserSort::NewestFirst => {
            let place = (created_at, id).into_sql::<Record<(Timestamptz, SqlUuid)>>();
            match Cursor::<DateTime<Utc>>::place::<UserId>(cursor, sort.as_str())? {
                Some(last) if is_ascending => query.filter(place.gt(last)),
                Some(last) => query.filter(place.lt(last)),
                None => query,
            }
        }
        UserSort::Email | UserSort::EmailDescending => {
            match Cursor::<String>::place::<UserId>(cursor, sort.as_str())? {
                Some((last, _)) if is_ascending => query.filter(email.gt(last)),
                Some((last, _)) => query.filter(email.lt(last)),
                None => query,
            }
        }
        UserSort::Name | UserSort::NameDescending => {
            let place = (display_name, id).into_sql::<Record<(Text, SqlUuid)>>();
            match Cursor::<String>::place::<UserId>(cursor, sort.as_str())? {
                Some(last) if is_ascending => query.filter(place.gt(last)),
                Some(last) => query.filter(place.lt(last)),
                None => query,
            }
        }
    })
}
