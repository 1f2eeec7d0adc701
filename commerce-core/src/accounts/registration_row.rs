//! The state of an address in the database, and the writes of a transition.

use std::time::Duration;

use diesel::dsl::AsSelect;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::User;
use super::one_time_code::CODE_COOL_DOWN;
use super::password::{NewPassword, PasswordHash};
use super::password_hasher::{HashError, PasswordHasher};
use super::registration::{Keep, NewUser, Registration, Transition};
use crate::db::{self, clock, time_before};
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::schema::users;

/// The state of an address, and the password that it was registered with.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub state: Registration,
    /// Whether the last registration whose password was stored is less than a minute old.
    pub within_minute: bool,
    /// The password of the registration that waits for its code, or of the one that was refused because there
    /// is an account.
    registered_with: Option<PasswordHash>,
}

/// Looks up the state of an address. It stays true while the caller holds the account's row.
pub(crate) async fn find_standing(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<Standing> {
    type Row = (bool, bool, PasswordHash, Option<PasswordHash>, Option<bool>);
    let row: Option<Row> = users::table
        .filter(users::email.eq(email.as_str()))
        .select((
            users::email_verified_at.is_not_null(),
            users::contested,
            users::password_hash,
            users::refused_password_hash,
            users::registered_at.gt(time_before(CODE_COOL_DOWN).nullable()),
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((is_verified, is_contested, own, refused, within_minute)) = row else {
        return Ok(Standing { state: Registration::New, within_minute: false, registered_with: None });
    };
    let (state, registered_with) = match (is_verified, is_contested) {
        (true, _) => (Registration::Taken, refused),
        (false, true) => (Registration::Contested, Some(own)),
        (false, false) => (Registration::Pending, Some(own)),
    };
    Ok(Standing { state, within_minute: within_minute.unwrap_or(false), registered_with })
}

/// Whether a registration has the same password as the one before.
#[derive(Debug)]
pub(crate) struct Compared {
    with: Option<PasswordHash>,
    same: bool,
}

impl Standing {
    /// Compares the password of a registration with that of the one before. This takes tens of milliseconds,
    /// also if there is nothing to compare with. Do not hold a connection meanwhile.
    pub(crate) async fn compare(
        self,
        hasher: &PasswordHasher,
        password: NewPassword,
    ) -> Result<Compared, HashError> {
        let same = hasher.verify(password.into_text(), self.registered_with.clone()).await?;
        Ok(Compared { with: self.registered_with, same })
    }
}

impl Compared {
    /// Whether the password differs from the one that the address was registered with. `None` if that one has
    /// changed since the comparison.
    pub(crate) fn is_other_than(&self, now: &Standing) -> Option<bool> {
        (self.with == now.registered_with).then_some(self.with.is_some() && !self.same)
    }
}

/// Writes a transition if the address is still in the state that it goes from. Returns the account's id, or
/// `None` if the address is in another state by now.
///
/// A new account is inserted, which waits for a concurrent registration of the address. Any other transition
/// waits for the holder of the row, but only while the address is in the state. So if many registrations are
/// refused at once, the first contests the address, and the others do not wait.
pub(crate) async fn write_transition(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
    step: &Transition<'_>,
) -> QueryResult<Option<UserId>> {
    let Transition { from, to, keep, .. } = *step;
    if let (Registration::New, Keep::Given(user)) = (from, keep) {
        return insert(conn, user).await;
    }
    let (is_taken, is_contested) = (from == Registration::Taken, from == Registration::Contested);
    let in_state = users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::email_verified_at.is_not_null().eq(is_taken))
        .filter(users::email_verified_at.is_not_null().or(users::contested.eq(is_contested)));
    if to == from && keep == Keep::Former {
        return in_state.select(users::id).first(conn).await.optional();
    }
    let (password, name) = match keep {
        Keep::Former | Keep::Refused(_) => (None, None),
        Keep::Given(user) => (Some(user.password.clone()), Some(user.display_name.clone())),
        Keep::Neither => {
            (Some(PasswordHash::of_nobody()), Some(email.local_part().chars().take(200).collect::<String>()))
        }
    };
    let locale = if let Keep::Given(user) = keep { user.locale.clone() } else { None };
    let refused = if let Keep::Refused(password) = keep { Some(password) } else { None };
    let is_stored = matches!(keep, Keep::Given(_) | Keep::Refused(_));
    // A refused registration does not change the account's version, because its owner would see that.
    let is_seen = to != from || password.is_some();
    diesel::update(in_state)
        .set((
            users::contested.eq(to == Registration::Contested),
            (to == Registration::Taken && !is_taken)
                .then_some(users::email_verified_at.eq(clock().nullable())),
            password.map(|password| users::password_hash.eq(password)),
            name.map(|name| users::display_name.eq(name)),
            locale.map(|locale| users::locale.eq(Some(locale))),
            refused.map(|password| users::refused_password_hash.eq(Some(password))),
            is_stored.then_some(users::registered_at.eq(clock().nullable())),
            is_seen.then_some((users::updated_at.eq(clock()), users::version.eq(users::version + 1))),
        ))
        .returning(users::id)
        .get_result(conn)
        .await
        .optional()
}

/// Inserts an account with an unverified address. Does nothing if the address has an account.
async fn insert(conn: &mut AsyncPgConnection, user: &NewUser) -> QueryResult<Option<UserId>> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(UserId::new()),
            users::email.eq(user.email.as_str()),
            users::password_hash.eq(&user.password),
            users::display_name.eq(&user.display_name),
            users::locale.eq(&user.locale),
            users::registered_at.eq(clock().nullable()),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .returning(users::id)
        .get_result(conn)
        .await
        .optional()
}

/// The account with this address, its row locked. Not FOR UPDATE, because a checkout of the same user refers to
/// this row and would have to wait.
#[diesel::dsl::auto_type(no_type_alias)]
fn locked<'a>(email: &'a str) -> _ {
    let account: AsSelect<User, Pg> = User::as_select();
    let of_address = users::table.filter(users::email.eq(email)).filter(users::deleted_at.is_null());
    of_address.select(account).for_no_key_update()
}

/// Locks the account with this address.
pub(crate) async fn lock_by_email(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<Option<User>> {
    locked(email.as_str()).first(conn).await.optional()
}

/// Like [`lock_by_email`], but also `None` while another transaction holds the row. This is for requests that
/// anyone can make. Concurrent requests do not queue up. A queue would hold connections, and its time would show
/// that the address is known.
pub(crate) async fn try_lock_by_email(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<Option<User>> {
    locked(email.as_str()).skip_locked().first(conn).await.optional()
}

/// How long an account waits for its address to be verified.
pub const UNVERIFIED_ACCOUNTS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Deletes accounts whose address was not verified for [`UNVERIFIED_ACCOUNTS_KEPT`] after the last
/// registration, `batch` at a time. Nobody has ever logged in to them. An account that staff disabled or gave
/// a role stays. Returns their number.
pub async fn prune_unverified(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.users WHERE id = ANY (ARRAY(
         SELECT u.id FROM commerce.users u
         WHERE u.email_verified_at IS NULL AND u.deleted_at IS NULL AND u.disabled_at IS NULL
           AND u.role = 'customer'
           AND u.updated_at < commerce.clock() - make_interval(secs => $2)
           AND NOT EXISTS (SELECT FROM commerce.one_time_codes o
                           WHERE o.user_id = u.id AND o.expires_at > commerce.clock())
           AND NOT EXISTS (SELECT FROM commerce.carts c WHERE c.user_id = u.id)
           AND NOT EXISTS (SELECT FROM commerce.orders o WHERE o.user_id = u.id)
         LIMIT $1 FOR UPDATE OF u SKIP LOCKED))";
    db::prune(conn, batch, UNVERIFIED_ACCOUNTS_KEPT, delete).await
}
