//! `commerce-worker audit …`: how an operator checks the books, and mends stock that drifted.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::bail;
use commerce_core::audit_log::Author;
use commerce_core::ids::VariantId;
use commerce_core::inventory::{self, Drift};
use commerce_core::request::Origin;
use commerce_core::{audit, db};
use diesel_async::AsyncPgConnection;

use crate::config::{AuditArgs, AuditCommand};

/// Runs the command and writes readable output to `out`. It is an error if something does not hold afterwards.
pub async fn audit(args: AuditArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let mut conn = db::connect(&args.database.database_url).await?;
    match args.command {
        AuditCommand::Verify => verify(&mut conn, out).await,
        AuditCommand::Repair { apply } => repair(&mut conn, apply, out).await,
    }
}

async fn verify(conn: &mut AsyncPgConnection, out: &mut impl Write) -> anyhow::Result<()> {
    let breaches = audit::verify(conn).await?;
    for breach in &breaches {
        writeln!(out, "{}  {}: {}", breach.invariant, breach.subject, breach.detail)?;
    }
    if !breaches.is_empty() {
        bail!("{} breach(es) of what must always hold", breaches.len());
    }
    Ok(writeln!(out, "Everything holds.")?)
}

async fn repair(conn: &mut AsyncPgConnection, apply: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut drifted = inventory::find_drift(conn, None).await?;
    if apply {
        let variants: BTreeSet<VariantId> = drifted.iter().map(|drift| drift.variant_id).collect();
        let author = Author { origin: Origin::system(), role: None };
        drifted.clear();
        for variant_id in variants {
            // Each variant in a transaction of its own, so that shoppers wait for one variant only.
            drifted.extend(audit::repair_stock(conn, variant_id, &author).await?);
        }
    }
    let (mut mended, mut left) = (0, 0);
    for drift in &drifted {
        let outcome = if drift.can_be_mended() {
            mended += 1;
            if apply { "mended" } else { "can be mended" }
        } else {
            left += 1;
            "must be counted: the ledger has fewer units than are reserved, or none that make sense"
        };
        let Drift {
            variant_id,
            location_id,
            on_hand,
            ledger_on_hand,
            reserved,
            ledger_reserved,
            live_reserved,
        } = drift;
        writeln!(
            out,
            "variant {variant_id} at {location_id}: on hand {on_hand}, ledger {ledger_on_hand}; reserved {reserved}, \
             ledger {ledger_reserved}, live reservations {live_reserved}: {outcome}"
        )?;
    }
    match (drifted.len(), apply) {
        (0, _) => writeln!(out, "No stock has drifted.")?,
        (_, true) => writeln!(out, "{mended} level(s) mended, {left} to be counted.")?,
        (_, false) => writeln!(out, "{mended} level(s) can be mended with --apply, {left} must be counted.")?,
    }
    if left > 0 {
        bail!("{left} level(s) must be counted");
    }
    Ok(())
}
