//! An account is deleted: whoever it belonged to can no longer be told from what is left.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use uuid::Uuid;

use super::Role;
use super::password::PasswordHash;
use crate::audit_log;
use crate::db::clock;
use crate::ids::UserId;
use crate::schema::{addresses, one_time_codes, sessions, users};

/// Takes everything personal from an account and ends its sessions at once. The row stays, nameless and disabled, because orders
/// point at it; the orders keep what the law wants kept about a sale. The address is free to be registered again. The caller
/// holds the user's row, and has seen to it that an admin is left.
pub async fn anonymise(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<()> {
    diesel::delete(sessions::table.filter(sessions::user_id.eq(id))).execute(conn).await?;
    diesel::delete(one_time_codes::table.filter(one_time_codes::user_id.eq(id))).execute(conn).await?;
    diesel::delete(addresses::table.filter(addresses::user_id.eq(id))).execute(conn).await?;
    diesel::update(users::table.find(id))
        .set((
            // Not from the id, which its owner knows: somebody could have registered the address before.
            users::email.eq(format!("deleted-{}@deleted.invalid", Uuid::new_v4())),
            users::email_verified_at.eq(None::<chrono::DateTime<chrono::Utc>>),
            users::password_hash.eq(PasswordHash::of_nobody()),
            users::refused_password_hash.eq(None::<PasswordHash>),
            users::registered_at.eq(None::<chrono::DateTime<chrono::Utc>>),
            users::display_name.eq("Deleted account"),
            users::phone.eq(None::<String>),
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
