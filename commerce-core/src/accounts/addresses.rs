//! A user's address book. Every change locks the user's row, so that concurrent changes cannot exceed the
//! limit or leave two default addresses.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::lock_active_user;
use crate::address::{Address, AddressError, AddressFields};
use crate::db::{Retryable, clock};
use crate::ids::{AddressId, UserId};
use crate::schema::addresses;

/// The most addresses of one user.
pub const ADDRESSES_MAX: usize = 50;

/// An address in a user's address book.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = addresses, check_for_backend(diesel::pg::Pg))]
pub struct SavedAddress {
    /// Its id in the book.
    pub id: AddressId,
    /// The postal address.
    pub address: Address,
    /// Whether this is the default address. A user has at most one.
    pub is_default: bool,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Grows by one with every change.
    pub version: i32,
}

/// The changes to an address. `None` keeps the value. An empty text removes an optional field.
#[derive(Debug, Clone, Default)]
pub struct AddressChange {
    /// The name of the recipient.
    pub name: Option<String>,
    /// Street and number.
    pub line1: Option<String>,
    /// An additional line. An empty text removes it.
    pub line2: Option<String>,
    /// The town. An empty text removes it.
    pub city: Option<String>,
    /// State, province or county. An empty text removes it.
    pub region: Option<String>,
    /// The postal code, as the country writes it. An empty text removes it.
    pub postal_code: Option<String>,
    /// Two letters (ISO 3166-1, or `XK`).
    pub country: Option<String>,
    /// A phone number for the carrier. An empty text removes it.
    pub phone: Option<String>,
    /// `true` makes this address the default one instead of the former.
    pub is_default: Option<bool>,
    /// Change it only if it still has this version.
    pub expected_version: Option<i32>,
}

impl AddressChange {
    fn apply(&self, address: Address) -> AddressFields {
        let before = address.into_fields();
        let required = |new: &Option<String>, old: String| new.clone().unwrap_or(old);
        let optional = |new: &Option<String>, old: Option<String>| new.clone().or(old);
        AddressFields {
            name: required(&self.name, before.name),
            line1: required(&self.line1, before.line1),
            line2: optional(&self.line2, before.line2),
            city: optional(&self.city, before.city),
            region: optional(&self.region, before.region),
            postal_code: optional(&self.postal_code, before.postal_code),
            country: required(&self.country, before.country),
            phone: optional(&self.phone, before.phone),
        }
    }
}

/// Why an address book was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AddressBookError {
    /// This user has no address with this id.
    #[error("there is no such address")]
    NotFound,
    /// The book already holds [`ADDRESSES_MAX`] addresses.
    #[error("a user has at most {ADDRESSES_MAX} addresses")]
    Full,
    /// Somebody else changed the address in the meantime.
    #[error("the address has changed since it was read")]
    VersionMismatch,
    /// The address is not valid. The invalid fields are named.
    #[error(transparent)]
    Invalid(#[from] AddressError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for AddressBookError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// All addresses of a user: the default one first, then in the order they were added.
pub async fn list_addresses(conn: &mut AsyncPgConnection, user_id: UserId) -> QueryResult<Vec<SavedAddress>> {
    addresses::table
        .filter(addresses::user_id.eq(user_id))
        .order((addresses::is_default.desc(), addresses::created_at, addresses::id))
        .select(SavedAddress::as_select())
        .load(conn)
        .await
}

/// One address of this user.
pub async fn find_address(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    id: AddressId,
) -> QueryResult<Option<SavedAddress>> {
    let own = addresses::table.find(id).filter(addresses::user_id.eq(user_id));
    own.select(SavedAddress::as_select()).first(conn).await.optional()
}

/// Adds an address.
pub async fn add_address(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    address: &Address,
    is_default: bool,
) -> Result<SavedAddress, AddressBookError> {
    conn.transaction(async |conn| {
        lock_active_user(conn, user_id).await?.ok_or(AddressBookError::NotFound)?;
        let own = addresses::table.filter(addresses::user_id.eq(user_id));
        let count: i64 = own.count().get_result(conn).await?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= ADDRESSES_MAX {
            return Err(AddressBookError::Full);
        }
        if is_default {
            unset_default(conn, user_id).await?;
        }
        let added = diesel::insert_into(addresses::table).values((
            addresses::id.eq(AddressId::new()),
            addresses::user_id.eq(user_id),
            addresses::address.eq(address),
            addresses::is_default.eq(is_default),
        ));
        Ok(added.returning(SavedAddress::as_returning()).get_result(conn).await?)
    })
    .await
}

/// Changes an address and returns it as it is now.
pub async fn update_address(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    id: AddressId,
    change: &AddressChange,
) -> Result<SavedAddress, AddressBookError> {
    conn.transaction(async |conn| {
        lock_active_user(conn, user_id).await?.ok_or(AddressBookError::NotFound)?;
        let saved = find_address(conn, user_id, id).await?.ok_or(AddressBookError::NotFound)?;
        if change.expected_version.is_some_and(|expected| expected != saved.version) {
            return Err(AddressBookError::VersionMismatch);
        }
        // An address that was saved under other rules stays as it is, unless it is changed.
        let wanted = change.apply(saved.address.clone());
        let address = if wanted == *saved.address { saved.address } else { Address::new(wanted)? };
        let is_default = change.is_default.unwrap_or(saved.is_default);
        if is_default && !saved.is_default {
            unset_default(conn, user_id).await?;
        }
        let changed = diesel::update(addresses::table.find(id)).set((
            addresses::address.eq(address),
            addresses::is_default.eq(is_default),
            addresses::updated_at.eq(clock()),
            addresses::version.eq(addresses::version + 1),
        ));
        Ok(changed.returning(SavedAddress::as_returning()).get_result(conn).await?)
    })
    .await
}

/// Deletes an address. Returns `false` if this user has no such address.
pub async fn remove_address(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    id: AddressId,
) -> QueryResult<bool> {
    let own = addresses::table.find(id).filter(addresses::user_id.eq(user_id));
    Ok(diesel::delete(own).execute(conn).await? == 1)
}

async fn unset_default(conn: &mut AsyncPgConnection, user_id: UserId) -> QueryResult<()> {
    let default = addresses::table.filter(addresses::user_id.eq(user_id)).filter(addresses::is_default);
    diesel::update(default)
        .set((
            addresses::is_default.eq(false),
            addresses::updated_at.eq(clock()),
            addresses::version.eq(addresses::version + 1),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
