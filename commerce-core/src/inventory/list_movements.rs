//! Reads the ledger: of one variant page by page, and as a whole for a file.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Record, Timestamptz, Uuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::ledger::{Movement, MovementKind};
use crate::ids::{LocationId, MovementId, VariantId};
use crate::page::{Cursor, InvalidCursor, Limit, Page, storable_time};
use crate::schema::{stock_locations, stock_movements, variants};

/// Filters the ledger. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub struct MovementFilter {
    /// Only entries of this location.
    pub location_id: Option<LocationId>,
    /// Only entries of this kind.
    pub kind: Option<MovementKind>,
    /// Only entries at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    pub before: Option<DateTime<Utc>>,
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListMovementsError {
    /// There is no such variant.
    #[error("variant {0} does not exist")]
    UnknownVariant(VariantId),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    InvalidCursor(#[from] InvalidCursor),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

const NEWEST_FIRST: &str = "-created_at";

type Query<'a> =
    stock_movements::BoxedQuery<'a, Pg, diesel::dsl::SqlTypeOf<diesel::dsl::AsSelect<Movement, Pg>>>;

fn filtered(filter: &MovementFilter) -> Query<'_> {
    let mut query = stock_movements::table.select(Movement::as_select()).into_boxed();
    if let Some(location_id) = filter.location_id {
        query = query.filter(stock_movements::location_id.eq(location_id));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(stock_movements::kind.eq(kind));
    }
    if let Some(from) = filter.from {
        query = query.filter(stock_movements::created_at.ge(storable_time(from)));
    }
    if let Some(before) = filter.before {
        query = query.filter(stock_movements::created_at.lt(storable_time(before)));
    }
    query
}

/// The movements of a variant that match, newest first.
pub async fn list_movements(
    conn: &mut AsyncPgConnection,
    variant_id: VariantId,
    filter: &MovementFilter,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Movement>, ListMovementsError> {
    let mut query = filtered(filter)
        .filter(stock_movements::variant_id.eq(variant_id))
        .order((stock_movements::created_at.desc(), stock_movements::id.desc()))
        .limit(limit.rows_and_one());
    if let Some(last) = Cursor::<DateTime<Utc>>::place::<MovementId>(cursor, NEWEST_FIRST)? {
        let place = (stock_movements::created_at, stock_movements::id);
        query = query.filter(place.into_sql::<Record<(Timestamptz, Uuid)>>().lt(last));
    }
    let rows: Vec<Movement> = query.load(conn).await?;
    if rows.is_empty() && !variant_exists(conn, variant_id).await? {
        return Err(ListMovementsError::UnknownVariant(variant_id));
    }
    Ok(Page::from_rows(rows, limit, |last| Cursor::at(NEWEST_FIRST, last.created_at, last.id)))
}

async fn variant_exists(conn: &mut AsyncPgConnection, id: VariantId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(variants::table.find(id))).get_result(conn).await
}

/// The ledger, read from its beginning in the order of ids, a part at a time. A part looks at a bounded number of
/// entries, whatever the filter leaves of them. So no statement takes long, however long the ledger is.
#[derive(Debug, Clone)]
pub struct LedgerExport {
    filter: MovementFilter,
    variant_id: Option<VariantId>,
    after: Option<MovementId>,
}

/// An entry of the ledger, with the names by which people know its variant and its location.
#[derive(Debug, Clone)]
pub struct LedgerEntry {
    /// The entry.
    pub movement: Movement,
    /// The merchant's own number for the variant.
    pub sku: Option<String>,
    /// The location's code.
    pub location: String,
}

/// The most entries that a part looks at.
const ENTRIES_AT_ONCE: i64 = 2000;

impl LedgerExport {
    /// The whole ledger, or that of a variant, as far as the filter matches.
    pub fn new(variant_id: Option<VariantId>, filter: MovementFilter) -> Self {
        Self { filter, variant_id, after: None }
    }

    /// The next entries that match, perhaps none. `None` after the last part.
    pub async fn next_entries(
        &mut self,
        conn: &mut AsyncPgConnection,
    ) -> QueryResult<Option<Vec<LedgerEntry>>> {
        let mut part = stock_movements::table
            .order(stock_movements::id)
            .limit(ENTRIES_AT_ONCE)
            .select(stock_movements::id)
            .into_boxed();
        if let Some(after) = self.after {
            part = part.filter(stock_movements::id.gt(after));
        }
        if let Some(variant_id) = self.variant_id {
            part = part.filter(stock_movements::variant_id.eq(variant_id));
        }
        let ids: Vec<MovementId> = part.load(conn).await?;
        let Some(last) = ids.last().copied() else { return Ok(None) };
        self.after = Some(last);
        let movements: Vec<Movement> = filtered(&self.filter)
            .filter(stock_movements::id.eq_any(ids))
            .order(stock_movements::id)
            .load(conn)
            .await?;
        name(conn, movements).await.map(Some)
    }
}

async fn name(conn: &mut AsyncPgConnection, movements: Vec<Movement>) -> QueryResult<Vec<LedgerEntry>> {
    use std::collections::{BTreeSet, HashMap};
    let of: BTreeSet<VariantId> = movements.iter().map(|movement| movement.variant_id).collect();
    let skus = variants::table.filter(variants::id.eq_any(of)).select((variants::id, variants::sku));
    let skus: HashMap<VariantId, Option<String>> = skus.load(conn).await?.into_iter().collect();
    let at: BTreeSet<LocationId> = movements.iter().map(|movement| movement.location_id).collect();
    let codes = stock_locations::table.filter(stock_locations::id.eq_any(at));
    let codes = codes.select((stock_locations::id, stock_locations::code));
    let codes: HashMap<LocationId, String> = codes.load(conn).await?.into_iter().collect();
    let named = movements.into_iter().map(|movement| LedgerEntry {
        sku: skus.get(&movement.variant_id).cloned().flatten(),
        location: codes.get(&movement.location_id).cloned().unwrap_or_default(),
        movement,
    });
    Ok(named.collect())
}
