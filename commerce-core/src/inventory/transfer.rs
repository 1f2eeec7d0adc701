//! Moves units from one location to another.

use std::collections::BTreeMap;

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::adjust::{ensure_levels, share_locations};
use super::allocate::{Demand, Shortage, merge};
use super::hold::expire_lapsed_holds;
use super::ledger::{LevelChange, MovementKind};
use super::limits::ON_HAND_MAX;
use super::lock::{LockedStock, lock};
use crate::db::Retryable;
use crate::ids::{LocationId, VariantId};
use crate::request::Origin;
use crate::text::single_line;

/// Units that go from one location to another.
#[derive(Debug, Clone)]
pub struct TransferStock {
    /// Where they are.
    pub from: LocationId,
    /// Where they go. It may be inactive.
    pub to: LocationId,
    /// The variants, each with its units.
    pub lines: Vec<Demand>,
    /// The reason, which is kept in the ledger.
    pub reason: Option<String>,
}

/// Why nothing was moved. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Both locations are the same.
    #[error("the units are at this location already")]
    SameLocation,
    /// The location does not exist.
    #[error("location {0} does not exist")]
    UnknownLocation(LocationId),
    /// The variant does not exist.
    #[error("variant {0} does not exist")]
    UnknownVariant(VariantId),
    /// There is no line, or a quantity is below 1.
    #[error("there is nothing to move")]
    Nothing,
    /// Every variant of which too few units that are not reserved are at the first location.
    #[error("too few units that are not reserved are there")]
    TooFew(Vec<Shortage>),
    /// More would be at the second location than can be counted.
    #[error("variant {0} would have more than {ON_HAND_MAX} units on hand")]
    TooLarge(VariantId),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for TransferError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Moves all of the units, or none. Reserved units stay where they are; the units of carts' lapsed holds can be moved.
/// The ledger has two entries for each variant.
pub async fn transfer(
    conn: &mut AsyncPgConnection,
    wish: &TransferStock,
    origin: &Origin,
) -> Result<(), TransferError> {
    let &TransferStock { from, to, .. } = wish;
    if from == to {
        return Err(TransferError::SameLocation);
    }
    if wish.lines.is_empty() || wish.lines.iter().any(|line| line.quantity < 1) {
        return Err(TransferError::Nothing);
    }
    let wanted = merge(&wish.lines);
    conn.transaction(async |conn| {
        let open = share_locations(conn, [from, to]).await?;
        if let Some(unknown) = [from, to].into_iter().find(|location| !open.contains(location)) {
            return Err(TransferError::UnknownLocation(unknown));
        }
        let both = wanted.keys().flat_map(|variant_id| [(*variant_id, from), (*variant_id, to)]);
        ensure_levels(conn, both).await?;
        let mut stock = lock(conn, wanted.keys().copied()).await?;
        if !shortages(&mut stock, from, &wanted)?.is_empty() {
            expire_lapsed_holds(conn, &mut stock, origin).await?;
        }
        let short = shortages(&mut stock, from, &wanted)?;
        if !short.is_empty() {
            return Err(TransferError::TooFew(short));
        }
        let mut changes = Vec::with_capacity(2 * wanted.len());
        for (&variant_id, &quantity) in &wanted {
            let there = stock.level_mut(variant_id, to).ok_or(TransferError::UnknownVariant(variant_id))?;
            if there.on_hand.saturating_add(quantity) > ON_HAND_MAX {
                return Err(TransferError::TooLarge(variant_id));
            }
            changes.extend([(from, -quantity), (to, quantity)].map(|(location_id, on_hand_delta)| {
                LevelChange {
                    variant_id,
                    location_id,
                    kind: MovementKind::Transfer,
                    on_hand_delta,
                    reserved_delta: 0,
                    reason: wish.reason.as_deref().map(single_line),
                    reservation_id: None,
                    order_id: None,
                }
            }));
        }
        Ok(stock.write(conn, &changes, origin).await?)
    })
    .await
}

/// Every variant of which too few units can leave the location.
fn shortages(
    stock: &mut LockedStock,
    from: LocationId,
    wanted: &BTreeMap<VariantId, i64>,
) -> Result<Vec<Shortage>, TransferError> {
    let mut short = Vec::new();
    for (&variant_id, &requested) in wanted {
        let level = stock.level_mut(variant_id, from).ok_or(TransferError::UnknownVariant(variant_id))?;
        let available = level.on_hand - level.reserved;
        if requested > available {
            short.push(Shortage { variant_id, requested, available });
        }
    }
    Ok(short)
}
