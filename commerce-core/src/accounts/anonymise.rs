//! Deletes an account, so that nothing left in it identifies its owner.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use uuid::Uuid;

use super::Role;
use super::known_networks::forget_networks;
use super::password::PasswordHash;
use super::second_factor_check::forget_second_factor;
use crate::audit_log;
use crate::db::clock;
use crate::ids::UserId;
use crate::locale::Locale;
use crate::schema::{addresses, one_time_codes, sessions, users};

/// Deletes all personal data of an account and ends its sessions at once. The row stays, without a name and
/// disabled, because orders refer to it. The orders keep their own data, because the law requires records of
/// sales. The e-mail address can be registered again. The caller has locked the user's row and has checked
/// that an admin remains.
pub async fn anonymise(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<()> {
    diesel::delete(sessions::table.filter(sessions::user_id.eq(id))).execute(conn).await?;
    diesel::delete(one_time_codes::table.filter(one_time_codes::user_id.eq(id))).execute(conn).await?;
    diesel::delete(addresses::table.filter(addresses::user_id.eq(id))).execute(conn).await?;
    forget_networks(conn, id).await?;
    forget_second_factor(conn, id).await?;
    diesel::update(users::table.find(id))
        .set((
            // A random id, not the user's id. The owner knows that id, and somebody could have registered
            // this address before.
            users::email.eq(format!("deleted-{}@deleted.invalid", Uuid::new_v4())),
            users::email_verified_at.eq(None::<chrono::DateTime<chrono::Utc>>),
            users::password_hash.eq(PasswordHash::of_nobody()),
            users::refused_password_hash.eq(None::<PasswordHash>),
            users::registered_at.eq(None::<chrono::DateTime<chrono::Utc>>),
            users::display_name.eq("Deleted account"),
            users::phone.eq(None::<String>),
            users::locale.eq(None::<Locale>),
            users::role.eq(Role::Customer),
            users::disabled_at.eq(clock().nullable()),
            users::deleted_at.eq(clock().nullable()),
            users::updated_at.eq(clock()),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)
        .await?;
    audit_log::forget_user(conn, id).await
}
