//! The places where stock is kept.
//!
//! An order is supplied from active locations, by priority. The units at an inactive location are not for sale.
//! They can be counted and moved, and what is reserved there is shipped or released as ever. A location is deleted
//! only when it has no units, so none are lost. Its row stays for the ledger.
//!
//! Whoever deletes a location locks its row, and then its levels. Whoever adds units takes a share of the row first,
//! so that none arrive at a location that is just being deleted.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::sql_types::{Int4, Record, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::MAIN_LOCATION;
use crate::db::{Retryable, clock};
use crate::error::{FieldError, FieldErrors};
use crate::ids::LocationId;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::{stock_levels, stock_locations};
use crate::text::single_line;
use crate::text_enum::text_enum;

/// A place where stock is kept.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = stock_locations)]
pub struct Location {
    /// Its id.
    pub id: LocationId,
    /// A short word for files, such as `berlin-2`.
    pub code: String,
    /// Its name, for people.
    pub name: String,
    /// Lower supplies first. Of two with the same priority, the older one does.
    pub priority: i32,
    /// Whether it supplies orders.
    pub active: bool,
    /// Goes up with every change.
    pub version: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A location to create.
#[derive(Debug, Clone)]
pub struct NewLocation {
    /// Lower-case letters and digits in words joined by hyphens.
    pub code: String,
    /// Its name, for people.
    pub name: String,
    /// `None` means after all others.
    pub priority: Option<i32>,
    /// Whether it supplies orders.
    pub active: bool,
}

/// Changes of a location. A field that is `None` keeps its value.
#[derive(Debug, Clone, Default)]
pub struct LocationPatch {
    /// Lower-case letters and digits in words joined by hyphens.
    pub code: Option<String>,
    /// Its name, for people.
    pub name: Option<String>,
    /// Lower supplies first.
    pub priority: Option<i32>,
    /// Whether it supplies orders.
    pub active: Option<bool>,
}

/// Why a location was not written. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteLocationError {
    /// There is no such location.
    #[error("the location does not exist")]
    Unknown,
    /// It has changed since it was read.
    #[error("the location has version {current}")]
    VersionMismatch {
        /// Its present version.
        current: i32,
    },
    /// Values are invalid.
    #[error("the location has invalid values")]
    Invalid(Vec<FieldError>),
    /// Another location has the code.
    #[error("another location has this code")]
    CodeTaken,
    /// A shop has at most [`LOCATIONS_MAX`] locations.
    #[error("a shop has at most {LOCATIONS_MAX} locations")]
    TooMany,
    /// It has units on hand. Move them first, or switch the location off.
    #[error(
        "the location has {on_hand} units on hand, of which {reserved} are reserved: move them, or make it inactive"
    )]
    InUse {
        /// Units on hand.
        on_hand: i64,
        /// Reserved units among them.
        reserved: i64,
    },
    /// Every shop has the main location. It can be switched off.
    #[error("the main location cannot be deleted: make it inactive instead")]
    Main,
    /// A statement failed.
    #[error(transparent)]
    Database(QueryError),
}

impl From<QueryError> for WriteLocationError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::CodeTaken,
            error => Self::Database(error),
        }
    }
}

impl Retryable for WriteLocationError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The most locations of a shop. Every checkout reads them all.
pub const LOCATIONS_MAX: i64 = 200;
/// The longest code.
pub const LOCATION_CODE_CHARS_MAX: usize = 50;
/// The longest name.
pub const LOCATION_NAME_CHARS_MAX: usize = 200;

/// Creates a location.
pub async fn create_location(
    conn: &mut AsyncPgConnection,
    new: &NewLocation,
) -> Result<Location, WriteLocationError> {
    check(Some(&new.code), Some(&new.name))?;
    conn.transaction(async |conn| {
        let known: Vec<i32> = stock_locations::table
            .filter(stock_locations::deleted_at.is_null())
            .select(stock_locations::priority)
            .load(conn)
            .await?;
        if i64::try_from(known.len()).unwrap_or(i64::MAX) >= LOCATIONS_MAX {
            return Err(WriteLocationError::TooMany);
        }
        let last = || known.iter().max().map_or(1, |last| last.saturating_add(1));
        let created = diesel::insert_into(stock_locations::table).values((
            stock_locations::id.eq(LocationId::new()),
            stock_locations::code.eq(&new.code),
            stock_locations::name.eq(single_line(&new.name)),
            stock_locations::priority.eq(new.priority.unwrap_or_else(last)),
            stock_locations::active.eq(new.active),
        ));
        Ok(created.returning(Location::as_returning()).get_result(conn).await?)
    })
    .await
}

#[derive(AsChangeset)]
#[diesel(table_name = stock_locations)]
struct LocationChanges<'a> {
    code: Option<&'a str>,
    name: Option<String>,
    priority: Option<i32>,
    active: Option<bool>,
}

/// Changes a location. With `if_version` only if it has this version. Whether its units are for sale changes at once,
/// and search follows by jobs.
pub async fn update_location(
    conn: &mut AsyncPgConnection,
    id: LocationId,
    if_version: Option<i32>,
    patch: &LocationPatch,
) -> Result<Location, WriteLocationError> {
    check(patch.code.as_deref(), patch.name.as_deref())?;
    conn.transaction(async |conn| {
        let current = stock_locations::table
            .find(id)
            .filter(stock_locations::deleted_at.is_null())
            .select(stock_locations::version)
            .for_no_key_update()
            .first(conn)
            .await
            .optional()?;
        check_version(current, if_version)?;
        let changes = LocationChanges {
            code: patch.code.as_deref(),
            name: patch.name.as_deref().map(single_line),
            priority: patch.priority,
            active: patch.active,
        };
        let updated = diesel::update(stock_locations::table.find(id)).set((
            changes,
            stock_locations::version.eq(stock_locations::version + 1),
            stock_locations::updated_at.eq(clock()),
        ));
        Ok(updated.returning(Location::as_returning()).get_result(conn).await?)
    })
    .await
}

/// Deletes a location that has no units. Its code is free again, and its ledger stays.
pub async fn delete_location(
    conn: &mut AsyncPgConnection,
    id: LocationId,
    if_version: Option<i32>,
) -> Result<(), WriteLocationError> {
    conn.transaction(async |conn| {
        // It waits for those who are adding units here.
        let current = stock_locations::table
            .find(id)
            .filter(stock_locations::deleted_at.is_null())
            .select(stock_locations::version)
            .for_update()
            .first(conn)
            .await
            .optional()?;
        check_version(current, if_version)?;
        if id == MAIN_LOCATION {
            return Err(WriteLocationError::Main);
        }
        let levels: Vec<(i64, i64)> = stock_levels::table
            .filter(stock_levels::location_id.eq(id))
            .order(stock_levels::variant_id)
            .select((stock_levels::on_hand, stock_levels::reserved))
            .for_update()
            .load(conn)
            .await?;
        let sum = |(on_hand, reserved): (i64, i64), level: (i64, i64)| {
            (on_hand.saturating_add(level.0), reserved.saturating_add(level.1))
        };
        let (on_hand, reserved) = levels.into_iter().fold((0, 0), sum);
        if on_hand > 0 || reserved > 0 {
            return Err(WriteLocationError::InUse { on_hand, reserved });
        }
        diesel::update(stock_locations::table.find(id))
            .set((
                stock_locations::active.eq(false),
                stock_locations::deleted_at.eq(clock().nullable()),
                stock_locations::version.eq(stock_locations::version + 1),
                stock_locations::updated_at.eq(clock()),
            ))
            .execute(conn)
            .await?;
        Ok(())
    })
    .await
}

fn check_version(current: Option<i32>, expected: Option<i32>) -> Result<(), WriteLocationError> {
    let current = current.ok_or(WriteLocationError::Unknown)?;
    if expected.is_some_and(|version| version != current) {
        return Err(WriteLocationError::VersionMismatch { current });
    }
    Ok(())
}

fn check(code: Option<&str>, name: Option<&str>) -> Result<(), WriteLocationError> {
    let mut errors = FieldErrors::default();
    if code.is_some_and(|code| !is_code(code)) {
        errors.push(
            "/code",
            "must be lower-case letters and digits in words joined by hyphens, such as berlin-2",
        );
    }
    if let Some(name) = name {
        errors.check_text("/name", &single_line(name), 1..=LOCATION_NAME_CHARS_MAX);
    }
    if errors.is_empty() { Ok(()) } else { Err(WriteLocationError::Invalid(errors.into_vec())) }
}

fn is_code(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= LOCATION_CODE_CHARS_MAX && text.split('-').all(is_word)
}

/// A location by id. A deleted one is not found.
pub async fn find_location(conn: &mut AsyncPgConnection, id: LocationId) -> QueryResult<Option<Location>> {
    let found = stock_locations::table.find(id).filter(stock_locations::deleted_at.is_null());
    found.select(Location::as_select()).first(conn).await.optional()
}

text_enum! {
    /// The sort order of locations.
    pub enum LocationSort {
        /// As they supply orders.
        Priority = "priority",
        /// By code.
        Code = "code",
        /// By name.
        Name = "name",
    }
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListLocationsError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

/// The locations that are not deleted, or only the active or the inactive ones of them.
pub async fn list_locations(
    conn: &mut AsyncPgConnection,
    active: Option<bool>,
    sort: LocationSort,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Location>, ListLocationsError> {
    use stock_locations::{code, id, name, priority};
    let mut query = stock_locations::table
        .filter(stock_locations::deleted_at.is_null())
        .select(Location::as_select())
        .limit(limit.rows_and_one())
        .into_boxed();
    if let Some(active) = active {
        query = query.filter(stock_locations::active.eq(active));
    }
    let word = sort.as_str();
    query = match sort {
        LocationSort::Priority => {
            if let Some(last) = Cursor::<i32>::place::<LocationId>(cursor, word)? {
                query = query.filter((priority, id).into_sql::<Record<(Int4, SqlUuid)>>().gt(last));
            }
            query.order((priority, id))
        }
        LocationSort::Code => {
            if let Some(last) = Cursor::<String>::place::<LocationId>(cursor, word)? {
                query = query.filter((code, id).into_sql::<Record<(Text, SqlUuid)>>().gt(last));
            }
            query.order((code, id))
        }
        LocationSort::Name => {
            if let Some(last) = Cursor::<String>::place::<LocationId>(cursor, word)? {
                query = query.filter((name, id).into_sql::<Record<(Text, SqlUuid)>>().gt(last));
            }
            query.order((name, id))
        }
    };
    let rows: Vec<Location> = query.load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last| match sort {
        LocationSort::Priority => Cursor::at(word, last.priority, last.id),
        LocationSort::Code => Cursor::at(word, last.code.clone(), last.id),
        LocationSort::Name => Cursor::at(word, last.name.clone(), last.id),
    }))
}
