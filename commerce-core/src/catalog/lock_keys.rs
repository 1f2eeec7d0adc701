//! The lock on slugs, SKUs and titles of categories. Whoever changes one, or deletes a category, holds it, and so
//! does every import.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::category::CategoryPatch;
use super::product::{NewVariant, ProductPatch, VariantPatch};
use crate::db::{AdvisoryLock, advisory_lock};

/// Locks the slugs, SKUs and titles of categories of the catalogue until the transaction ends. It waits for a running import.
///
/// Every function of the catalogue that needs the lock takes it. Call this before, if your transaction locks a
/// product or a category itself, because this lock comes first in the lock order.
pub async fn lock_keys(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    advisory_lock(conn, AdvisoryLock::CatalogueKeys).await
}

impl ProductPatch {
    /// Whether the patch needs [`lock_keys`].
    pub fn has_keys(&self) -> bool {
        self.slug.is_some() || self.only_variant.as_ref().is_some_and(VariantPatch::has_keys)
    }
}

impl CategoryPatch {
    /// Whether the patch needs [`lock_keys`]. A former title leads to its category, so it is a key too.
    pub fn has_keys(&self) -> bool {
        self.slug.is_some() || self.title.is_some()
    }
}

impl VariantPatch {
    /// Whether the patch needs [`lock_keys`].
    pub fn has_keys(&self) -> bool {
        self.sku.is_some()
    }
}

impl NewVariant {
    /// Whether the variant needs [`lock_keys`].
    pub fn has_keys(&self) -> bool {
        self.sku.is_some()
    }
}
