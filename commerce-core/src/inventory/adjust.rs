//! Changes of stock outside of orders: counting, receiving and writing off goods.
//!
//! The stock of a variant that is not counted may be changed too, for example before it is counted again.
//! Until then nothing uses it. So may the stock at an inactive location.

use std::collections::{BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::ledger::{LevelChange, MovementKind};
use super::limits::ON_HAND_MAX;
use super::lock::{LockedStock, lock};
use crate::db::{Prepared, Retryable};
use crate::ids::{LocationId, VariantId};
use crate::request::Origin;
use crate::schema::stock_locations;
use crate::text::single_line;

/// A change of the units on hand.
#[derive(Debug, Clone)]
pub struct AdjustStock {
    /// The variant.
    pub variant_id: VariantId,
    /// [`super::MAIN_LOCATION`], unless stock is kept elsewhere.
    pub location_id: LocationId,
    /// Units to add. A negative number takes units away.
    pub delta: i64,
    /// The reason, which is kept in the ledger.
    pub reason: Option<String>,
}

/// The result of counting stock.
#[derive(Debug, Clone)]
pub struct CountStock {
    /// The variant.
    pub variant_id: VariantId,
    /// [`super::MAIN_LOCATION`], unless stock is kept elsewhere.
    pub location_id: LocationId,
    /// The counted units.
    pub on_hand: i64,
    /// The reason, which is kept in the ledger.
    pub reason: Option<String>,
}

/// Why stock was not adjusted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdjustError {
    /// Fewer units would be left than are reserved.
    #[error("variant {variant_id} would have {on_hand} on hand, fewer than the {reserved} that are reserved")]
    BelowReserved {
        /// The variant.
        variant_id: VariantId,
        /// The units that would be left.
        on_hand: i64,
        /// The units that are reserved.
        reserved: i64,
    },
    /// The variant or the location does not exist.
    #[error("variant {0} or its location does not exist")]
    UnknownLevel(VariantId),
    /// A delta of zero changes nothing.
    #[error("0 units are to be added to variant {0}, which changes nothing")]
    Nothing(VariantId),
    /// More would be on hand than can be counted.
    #[error("variant {0} would have more than {ON_HAND_MAX} units on hand")]
    TooLarge(VariantId),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for AdjustError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Adds units to what is on hand, or takes units away. Missing levels are created. All changes are made, or
/// none.
pub async fn adjust(
    conn: &mut AsyncPgConnection,
    adjustments: &[AdjustStock],
    origin: &Origin,
) -> Result<(), AdjustError> {
    if let Some(nothing) = adjustments.iter().find(|adjustment| adjustment.delta == 0) {
        return Err(AdjustError::Nothing(nothing.variant_id));
    }
    change(conn, adjustments.iter().map(StockChange::from).collect(), origin).await
}

/// Sets what is on hand to the counted units. Missing levels are created. All changes are made, or none.
pub async fn set_on_hand(
    conn: &mut AsyncPgConnection,
    counts: &[CountStock],
    origin: &Origin,
) -> Result<(), AdjustError> {
    change(conn, counts.iter().map(StockChange::from).collect(), origin).await
}

/// Like [`set_on_hand`], but makes the possible changes and refuses the others, each identified by its place
/// among the counts.
pub(crate) async fn set_on_hand_where_possible(
    conn: &mut AsyncPgConnection,
    counts: &[CountStock],
    origin: &Origin,
) -> Result<Vec<(usize, AdjustError)>, AdjustError> {
    let changes: Vec<StockChange> = counts.iter().map(StockChange::from).collect();
    let done = conn.transaction(async |conn| change_stock(conn, &changes, Apply::Possible, origin).await);
    Ok(done.await?.refused)
}

/// A change that is wanted for a level.
#[derive(Debug, Clone)]
pub(crate) struct StockChange {
    pub variant_id: VariantId,
    pub location_id: LocationId,
    pub units: Units,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Units {
    /// Add this many units. A negative number takes units away.
    Add(i64),
    /// Have this many units.
    Count(i64),
}

/// Which of several changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Apply {
    /// All of them. If one is refused, none is made.
    All,
    /// Those that are not refused.
    Possible,
    /// None. They are only judged.
    Nothing,
}

/// What became of several changes, or would become of them.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Changes that were made.
    pub changed: usize,
    /// Levels that already had the wanted units.
    pub unchanged: usize,
    /// The place of each refused change, and why it is refused.
    pub refused: Vec<(usize, AdjustError)>,
}

impl From<&AdjustStock> for StockChange {
    fn from(adjustment: &AdjustStock) -> Self {
        let &AdjustStock { variant_id, location_id, delta, ref reason } = adjustment;
        let reason = reason.as_deref().map(single_line);
        Self { variant_id, location_id, units: Units::Add(delta), reason }
    }
}

impl From<&CountStock> for StockChange {
    fn from(count: &CountStock) -> Self {
        let &CountStock { variant_id, location_id, on_hand, ref reason } = count;
        let reason = reason.as_deref().map(single_line);
        Self { variant_id, location_id, units: Units::Count(on_hand), reason }
    }
}

/// Changes levels, as far as `apply` says. Missing levels are created in any case, so call it in a transaction that
/// is rolled back if nothing is to be changed.
pub(crate) async fn change_stock(
    conn: &mut AsyncPgConnection,
    wanted: &[StockChange],
    apply: Apply,
    origin: &Origin,
) -> Result<Changed, AdjustError> {
    let (mut stock, planned) = plan(conn, wanted).await?;
    let (mut changes, mut result) = (Vec::with_capacity(wanted.len()), Changed::default());
    for (at, planned) in planned.into_iter().enumerate() {
        match planned {
            Ok(Some(change)) => changes.push(change),
            Ok(None) => result.unchanged += 1,
            Err(refusal) => result.refused.push((at, refusal)),
        }
    }
    result.changed = changes.len();
    let is_applied = match apply {
        Apply::All => result.refused.is_empty(),
        Apply::Possible => true,
        Apply::Nothing => false,
    };
    if is_applied {
        stock.write(conn, &changes, origin).await?;
    }
    Ok(result)
}

async fn change(
    conn: &mut AsyncPgConnection,
    wanted: Vec<StockChange>,
    origin: &Origin,
) -> Result<(), AdjustError> {
    conn.transaction(async |conn| {
        let changed = change_stock(conn, &wanted, Apply::All, origin).await?;
        changed.refused.into_iter().next().map_or(Ok(()), |(_, refusal)| Err(refusal))
    })
    .await
}

/// The plan for a change. `None` if the level already has the wanted units.
type Planned = Result<Option<LevelChange>, AdjustError>;

/// Locks the levels and plans the changes, one by one. It writes nothing except missing levels.
async fn plan(
    conn: &mut AsyncPgConnection,
    wanted: &[StockChange],
) -> Result<(LockedStock, Vec<Planned>), AdjustError> {
    let places = wanted.iter().map(|change| (change.variant_id, change.location_id));
    let open = share_locations(conn, places.clone().map(|(_, location)| location)).await?;
    ensure_levels(conn, places.filter(|(_, location)| open.contains(location))).await?;
    let stock = lock(conn, wanted.iter().map(|change| change.variant_id)).await?;
    let mut levels: HashMap<_, (i64, i64)> = stock
        .levels
        .iter()
        .filter(|level| open.contains(&level.location_id))
        .map(|level| ((level.variant_id, level.location_id), (level.on_hand, level.reserved)))
        .collect();
    let planned = wanted.iter().map(|change| {
        let &StockChange { variant_id, location_id, .. } = change;
        // Several changes may be of the same level.
        let level = levels.get_mut(&(variant_id, location_id));
        let (current, reserved) = level.ok_or(AdjustError::UnknownLevel(variant_id))?;
        let on_hand = match change.units {
            Units::Add(delta) => current.checked_add(delta),
            Units::Count(units) => Some(units),
        };
        let on_hand = on_hand.filter(|sum| *sum <= ON_HAND_MAX).ok_or(AdjustError::TooLarge(variant_id))?;
        if on_hand < *reserved {
            return Err(AdjustError::BelowReserved { variant_id, on_hand, reserved: *reserved });
        }
        let on_hand_delta = on_hand - *current;
        *current = on_hand;
        Ok((on_hand_delta != 0).then(|| LevelChange {
            variant_id,
            location_id,
            kind: MovementKind::Adjust,
            on_hand_delta,
            reserved_delta: 0,
            reason: change.reason.clone(),
            reservation_id: None,
            order_id: None,
        }))
    });
    let planned = planned.collect();
    Ok((stock, planned))
}

/// Those of these locations that exist. They are not deleted before this transaction ends.
pub(super) async fn share_locations(
    conn: &mut AsyncPgConnection,
    locations: impl IntoIterator<Item = LocationId>,
) -> QueryResult<BTreeSet<LocationId>> {
    let wanted: BTreeSet<LocationId> = locations.into_iter().collect();
    let open = stock_locations::table
        .filter(stock_locations::id.eq_any(wanted))
        .filter(stock_locations::deleted_at.is_null())
        .order(stock_locations::id)
        .select(stock_locations::id)
        .for_key_share();
    Ok(open.load::<LocationId>(conn).await?.into_iter().collect())
}

/// Creates missing levels, in the order of their keys. Levels of a variant or location that does not exist
/// are left out.
pub(super) async fn ensure_levels(
    conn: &mut AsyncPgConnection,
    levels: impl IntoIterator<Item = (VariantId, LocationId)>,
) -> QueryResult<()> {
    use diesel::sql_types::{Array, Uuid};
    let keys: BTreeSet<(VariantId, LocationId)> = levels.into_iter().collect();
    let insert = diesel::sql_query(
        "INSERT INTO commerce.stock_levels (variant_id, location_id)
         SELECT variant.id, location.id
         FROM unnest($1, $2) AS wanted (variant_id, location_id)
         JOIN commerce.variants AS variant ON variant.id = wanted.variant_id
         JOIN commerce.stock_locations AS location ON location.id = wanted.location_id
         ORDER BY variant.id, location.id
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<Uuid>, _>(keys.iter().map(|(variant_id, _)| variant_id.0).collect::<Vec<_>>())
    .bind::<Array<Uuid>, _>(keys.iter().map(|(_, location_id)| location_id.0).collect::<Vec<_>>());
    Prepared(insert).execute(conn).await?;
    Ok(())
}
