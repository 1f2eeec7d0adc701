//! Users change their own profile.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::{User, find_user, lock_active_user};
use crate::db::{Retryable, clock};
use crate::error::{FieldError, FieldErrors};
use crate::ids::UserId;
use crate::locale::Locale;
use crate::schema::users;
use crate::text::single_line;

/// The changes to a profile. `None` keeps the value.
#[derive(Debug, Clone, Default)]
pub struct UpdateProfile {
    /// The name that other people read, of 1 to 200 characters.
    pub display_name: Option<String>,
    /// The language of mails to the owner.
    pub locale: Option<Locale>,
    /// Change it only if it still has this version.
    pub expected_version: Option<i32>,
}

/// Why a profile was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateProfileError {
    /// There is no such account, or it was deleted.
    #[error("there is no such account")]
    NotFound,
    /// The account was changed in the meantime.
    #[error("the account has changed since it was read")]
    VersionMismatch,
    /// Values are invalid. Each error has its place in the request.
    #[error("the profile is invalid")]
    Invalid(Vec<FieldError>),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for UpdateProfileError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The name in its normal form, of 1 to 200 characters.
pub fn check_display_name(text: &str, faults: &mut FieldErrors) -> String {
    let name = single_line(text);
    faults.check_text("/display_name", &name, 1..=200);
    name
}

/// Changes the profile and returns the account's new state.
pub async fn update_profile(
    conn: &mut AsyncPgConnection,
    id: UserId,
    change: &UpdateProfile,
) -> Result<User, UpdateProfileError> {
    let mut faults = FieldErrors::default();
    let display_name = change.display_name.as_deref().map(|name| check_display_name(name, &mut faults));
    if !faults.is_empty() {
        return Err(UpdateProfileError::Invalid(faults.into_vec()));
    }
    conn.transaction(async |conn| {
        // An account that was deleted or disabled a moment ago is not changed.
        let user = lock_active_user(conn, id).await?.ok_or(UpdateProfileError::NotFound)?;
        if change.expected_version.is_some_and(|expected| expected != user.version) {
            return Err(UpdateProfileError::VersionMismatch);
        }
        if display_name.is_some() || change.locale.is_some() {
            let changes = (
                display_name.map(|name| users::display_name.eq(name)),
                change.locale.as_ref().map(|locale| users::locale.eq(Some(locale))),
            );
            diesel::update(users::table.find(id))
                .set((changes, users::updated_at.eq(clock()), users::version.eq(users::version + 1)))
                .execute(conn)
                .await?;
        }
        find_user(conn, id).await?.ok_or(UpdateProfileError::NotFound)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{CreatedAccount, NewUser, Role, create_confirmed};
    use crate::testing::{TestDatabase, email};

    #[tokio::test]
    async fn of_two_who_change_the_same_version_at_once_one_is_refused() {
        let database = TestDatabase::new().await;
        let (mut first, mut second) = (database.conn().await, database.conn().await);
        let password = crate::accounts::PasswordHash::of_nobody();
        let user = NewUser {
            email: email("ada@example.com"),
            password,
            display_name: "Ada".to_owned(),
            locale: None,
        };
        let created = create_confirmed(&mut first, &user, Role::Customer).await.unwrap();
        let CreatedAccount::Created(id) = created else { panic!("{created:?}") };
        for round in 0..10 {
            let version = find_user(&mut first, id).await.unwrap().unwrap().version;
            let to = |name: &str| UpdateProfile {
                display_name: Some(format!("{name} {round}")),
                locale: None,
                expected_version: Some(version),
            };
            let (one, other) = (to("Ada"), to("Grace"));
            let changed = futures_util::join!(
                update_profile(&mut first, id, &one),
                update_profile(&mut second, id, &other)
            );
            match changed {
                (Ok(changed), Err(UpdateProfileError::VersionMismatch))
                | (Err(UpdateProfileError::VersionMismatch), Ok(changed)) => {
                    assert_eq!(find_user(&mut first, id).await.unwrap().unwrap(), changed);
                }
                other => panic!("{other:?}"),
            }
        }
        drop((first, second));
        database.finish().await;
    }
}
