//! Compares the index with the table.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::IndexError;
use super::push::{live_index, rows_after};
use crate::db::Pool;
use crate::search::meilisearch::{Document, Meilisearch};

/// The products whose document in the live index is missing, superfluous or different, or all listed products
/// if there is no index. The shop must not change in the meantime: products that do may be reported too.
pub async fn compare_index(pool: &Pool, server: &Meilisearch) -> Result<Vec<Uuid>, IndexError> {
    let mut wanted: BTreeMap<Uuid, Value> = BTreeMap::new();
    let mut last = None;
    loop {
        let rows = rows_after(&mut *pool.get().await?, last).await?;
        let Some(row) = rows.last() else { break };
        last = Some(row.product_id);
        for row in rows {
            let id = row.product_id;
            wanted.insert(id, serde_json::to_value(Document::from(row)).unwrap_or_default());
        }
    }
    let live = live_index(&mut *pool.get().await?).await?;
    let documents = match live {
        None => Vec::new(),
        Some((uid, _)) => server.documents(&uid).await?,
    };
    let mut differing = Vec::new();
    for document in documents {
        let id =
            document.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok()).unwrap_or_default();
        if wanted.remove(&id).as_ref() != Some(&document) {
            differing.push(id);
        }
    }
    differing.extend(wanted.into_keys());
    Ok(differing)
}
