//! Accounts come to be: unverified at first.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::one_time_code::{self, CODE_COOL_DOWN};
use super::password::{NewPassword, PasswordHash};
use super::password_hasher::{HashError, PasswordHasher};
use super::{Role, User};
use crate::db::clock;
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::schema::users;

/// An account to be.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address, which no other account may have.
    pub email: EmailAddress,
    /// The password, hashed.
    pub password: PasswordHash,
    /// The name that other people read, of 1 to 200 characters.
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
            users::registered_at.eq(clock().nullable()),
        ))
        .on_conflict(users::email)
        .do_nothing()
        .returning(users::id)
        .get_result(conn)
        .await
        .optional()
}

/// The password with which an address was registered before: of a registration that waits for its code, or of one that was refused
/// because there is an account.
#[derive(Debug)]
pub struct EarlierRegistration(Option<PasswordHash>);

/// Whether somebody registers again with the password of the time before.
#[derive(Debug)]
pub struct ComparedRegistration {
    with: Option<PasswordHash>,
    same: bool,
}

/// Whether the account is verified, its password, and that of a refused registration.
type Passwords = (bool, PasswordHash, Option<PasswordHash>);

type PasswordColumns =
    (diesel::dsl::IsNotNull<users::email_verified_at>, users::password_hash, users::refused_password_hash);

fn passwords() -> PasswordColumns {
    (users::email_verified_at.is_not_null(), users::password_hash, users::refused_password_hash)
}

/// The one that [`register`](crate::flows::register) compares with.
fn registered_with((is_verified, own, refused): Passwords) -> Option<PasswordHash> {
    if is_verified { refused } else { Some(own) }
}

/// Looks up what an address was registered with.
pub async fn find_earlier_registration(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> QueryResult<EarlierRegistration> {
    let of_address = users::table.filter(users::email.eq(email.as_str())).select(passwords());
    let stored: Option<Passwords> = of_address.first(conn).await.optional()?;
    Ok(EarlierRegistration(stored.and_then(registered_with)))
}

impl EarlierRegistration {
    /// Compares the passwords. It takes a while, as long where there is nothing to compare: call it without a connection in hand.
    pub async fn compare(
        self,
        hasher: &PasswordHasher,
        password: NewPassword,
    ) -> Result<ComparedRegistration, HashError> {
        let same = hasher.verify(password.into_text(), self.0.clone()).await?;
        Ok(ComparedRegistration { with: self.0, same })
    }
}

impl ComparedRegistration {
    /// Whether this is another password than the one it was compared with.
    pub fn differs(&self) -> bool {
        self.with.is_some() && !self.same
    }

    /// Whether what it was compared with is what the account has. Its row is locked.
    pub async fn still_holds(&self, conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<bool> {
        let stored: Passwords = users::table.find(id).select(passwords()).first(conn).await?;
        Ok(self.with == registered_with(stored))
    }
}

/// An address was registered with two passwords, and the code that is mailed there does not tell which of them is its owner's:
/// once it is verified, neither is kept (see [`mark_verified`]). Waits for who holds the row, but only until it is contested.
pub async fn contest(conn: &mut AsyncPgConnection, email: &EmailAddress) -> QueryResult<()> {
    let waiting = users::table
        .filter(users::email.eq(email.as_str()))
        .filter(users::email_verified_at.is_null())
        .filter(users::contested.eq(false));
    diesel::update(waiting)
        .set((
            users::contested.eq(true),
            users::updated_at.eq(clock()),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the password of this registration is taken note of, which happens once a minute whether or not the account is
/// verified: then a login with it is told that the address is not verified. The caller holds the row.
pub async fn takes_note(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<bool> {
    let before = users::registered_at
        .is_null()
        .or(users::registered_at.assume_not_null().le(crate::db::time_before(CODE_COOL_DOWN)));
    let noted = diesel::update(users::table.find(id).filter(before));
    Ok(noted.set(users::registered_at.eq(clock().nullable())).execute(conn).await? == 1)
}

/// The address has a verified account: the password with which it was registered once more opens nothing.
pub async fn keep_refused(
    conn: &mut AsyncPgConnection,
    id: UserId,
    password: &PasswordHash,
) -> QueryResult<()> {
    let refused = users::refused_password_hash.eq(Some(password));
    diesel::update(users::table.find(id)).set(refused).execute(conn).await?;
    Ok(())
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

/// The address is not proven yet, and somebody registers it again: what they say now replaces what was said before.
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

/// The address of the account, whose row the caller has locked, is proven. If it was contested, a stranger may have chosen its
/// password and its name: neither is kept, and `true` is returned, since its owner now needs a way to set a password.
pub async fn mark_verified(conn: &mut AsyncPgConnection, id: UserId) -> QueryResult<bool> {
    let unverified = || users::table.find(id).filter(users::email_verified_at.is_null());
    let contested: Option<EmailAddress> =
        unverified().filter(users::contested).select(users::email).first(conn).await.optional()?;
    if let Some(email) = &contested {
        let name: String = email.local_part().chars().take(200).collect();
        diesel::update(unverified())
            .set((
                users::password_hash.eq(PasswordHash::of_nobody()),
                users::display_name.eq(name),
                users::contested.eq(false),
            ))
            .execute(conn)
            .await?;
    }
    diesel::update(unverified())
        .set((
            users::email_verified_at.eq(clock().nullable()),
            users::updated_at.eq(clock()),
            users::version.eq(users::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(contested.is_some())
}

/// What became of [`create_confirmed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedAccount {
    /// The account is new, and its address counts as verified.
    Created(UserId),
    /// An account with this address and role exists; nothing was changed, neither was its password.
    Exists,
    /// The address belongs to an account of another role: it is not changed in passing.
    OtherRole(Role),
}

/// Makes an account whose address needs no code, such as the first admin, unless the address has an account. One that was only
/// registered, and never verified, is replaced: nobody has ever logged in to it.
pub async fn create_confirmed(
    conn: &mut AsyncPgConnection,
    user: &NewUser,
    role: Role,
) -> QueryResult<CreatedAccount> {
    let confirmed = (
        users::password_hash.eq(&user.password),
        users::display_name.eq(&user.display_name),
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
    // One statement, which waits for whoever is registering or verifying the address.
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
}

/// Whether [`create_confirmed`] would have nothing to do, which saves the hashing of a password; `None` when it would.
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
