//! Changes of stock outside of orders: counting, receiving and writing off goods.
//!
//! The stock of a variant that is not counted may be changed too, for example before it is counted again.
//! Until then nothing uses it.

use std::collections::HashMap;

use diesel::QueryResult;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::ledger::{LevelChange, MovementKind};
use super::limits::ON_HAND_MAX;
use super::lock::{LockedStock, lock};
use crate::db::{Prepared, Retryable};
use crate::ids::{LocationId, VariantId};
use crate::request::Origin;
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
    change(conn, adjustments.iter().map(Target::from).collect(), origin).await
}

/// Sets what is on hand to the counted units. Missing levels are created. All changes are made, or none.
pub async fn set_on_hand(
    conn: &mut AsyncPgConnection,
    counts: &[CountStock],
    origin: &Origin,
) -> Result<(), AdjustError> {
    change(conn, counts.iter().map(Target::from).collect(), origin).await
}

/// Like [`set_on_hand`], but makes the possible changes and refuses the others, each identified by its place
/// among the counts.
pub(crate) async fn set_on_hand_where_possible(
    conn: &mut AsyncPgConnection,
    counts: &[CountStock],
    origin: &Origin,
) -> Result<Vec<(usize, AdjustError)>, AdjustError> {
    let targets: Vec<Target> = counts.iter().map(Target::from).collect();
    conn.transaction(async |conn| {
        let (mut stock, planned) = plan(conn, &targets).await?;
        let (mut changes, mut refused) = (Vec::with_capacity(counts.len()), Vec::new());
        for (at, planned) in planned.into_iter().enumerate() {
            match planned {
                Ok(change) => changes.extend(change),
                Err(refusal) => refused.push((at, refusal)),
            }
        }
        stock.write(conn, &changes, origin).await?;
        Ok(refused)
    })
    .await
}

/// A change that is wanted for a level.
struct Target {
    variant_id: VariantId,
    location_id: LocationId,
    on_hand: OnHand,
    reason: Option<String>,
}

#[derive(Clone, Copy)]
enum OnHand {
    /// Add this many units.
    By(i64),
    /// Set this many units.
    To(i64),
}

impl From<&AdjustStock> for Target {
    fn from(adjustment: &AdjustStock) -> Self {
        let &AdjustStock { variant_id, location_id, delta, ref reason } = adjustment;
        let reason = reason.as_deref().map(single_line);
        Self { variant_id, location_id, on_hand: OnHand::By(delta), reason }
    }
}

impl From<&CountStock> for Target {
    fn from(count: &CountStock) -> Self {
        let &CountStock { variant_id, location_id, on_hand, ref reason } = count;
        let reason = reason.as_deref().map(single_line);
        Self { variant_id, location_id, on_hand: OnHand::To(on_hand), reason }
    }
}

async fn change(
    conn: &mut AsyncPgConnection,
    targets: Vec<Target>,
    origin: &Origin,
) -> Result<(), AdjustError> {
    conn.transaction(async |conn| {
        let (mut stock, planned) = plan(conn, &targets).await?;
        let changes: Vec<Option<LevelChange>> = planned.into_iter().collect::<Result<_, _>>()?;
        let changes: Vec<LevelChange> = changes.into_iter().flatten().collect();
        Ok(stock.write(conn, &changes, origin).await?)
    })
    .await
}

/// The plan for a target. `None` if the level already has the wanted value.
type Planned = Result<Option<LevelChange>, AdjustError>;

/// Locks the levels and plans the changes, target by target. It writes nothing except missing levels.
async fn plan(
    conn: &mut AsyncPgConnection,
    targets: &[Target],
) -> Result<(LockedStock, Vec<Planned>), AdjustError> {
    ensure_levels(conn, targets).await?;
    let stock = lock(conn, targets.iter().map(|target| target.variant_id)).await?;
    let mut levels: HashMap<_, (i64, i64)> = stock
        .levels
        .iter()
        .map(|level| ((level.variant_id, level.location_id), (level.on_hand, level.reserved)))
        .collect();
    let planned = targets.iter().map(|target| {
        let &Target { variant_id, location_id, .. } = target;
        // Several targets may have the same level.
        let level = levels.get_mut(&(variant_id, location_id));
        let (current, reserved) = level.ok_or(AdjustError::UnknownLevel(variant_id))?;
        let on_hand = match target.on_hand {
            OnHand::By(delta) => current.checked_add(delta),
            OnHand::To(units) => Some(units),
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
            reason: target.reason.clone(),
            reservation_id: None,
            order_id: None,
        }))
    });
    let planned = planned.collect();
    Ok((stock, planned))
}

/// Creates missing levels, in the order of their keys. Levels of a variant or location that does not exist
/// are left out.
async fn ensure_levels(conn: &mut AsyncPgConnection, targets: &[Target]) -> QueryResult<()> {
    use diesel::sql_types::{Array, Uuid};
    let mut keys: Vec<_> = targets.iter().map(|target| (target.variant_id, target.location_id)).collect();
    keys.sort_unstable();
    keys.dedup();
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
