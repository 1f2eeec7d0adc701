//! How every write to a product begins and ends: it locks the row, and it increments the version.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::product::{Audience, Product};
use super::read_product::{ProductRow, find_by_ids, with_parts};
use super::refusal::UpdateProductError;
use crate::ids::ProductId;
use crate::schema::{products, variants};

/// Locks a product's row, so that writes to the product and its variants wait for each other, and reads all
/// of it.
pub(super) async fn lock_product(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    if_version: Option<i32>,
) -> Result<Product, UpdateProductError> {
    let row = products::table.find(id).select(products::version);
    let version: Option<i32> = row.for_no_key_update().first(conn).await.optional()?;
    let current = version.ok_or(UpdateProductError::UnknownProduct)?;
    if if_version.is_some_and(|version| version != current) {
        return Err(UpdateProductError::VersionMismatch { current });
    }
    // Read only now. A statement that waited for a lock sees all other rows as they were before the wait.
    let product = find_by_ids(conn, &[id]).await?.pop();
    product.ok_or(UpdateProductError::UnknownProduct)
}

/// Ends a write to a product with [`count_write`], and reads the result.
pub(crate) async fn finish_write(
    conn: &mut AsyncPgConnection,
    id: ProductId,
) -> Result<Product, UpdateProductError> {
    let row = count_write(conn, id).await?;
    let product = with_parts(conn, vec![row], Audience::Staff).await?.pop();
    product.ok_or(UpdateProductError::UnknownProduct)
}

/// Ends every write to a product: updates its lowest price and increments the version.
pub(super) async fn count_write(conn: &mut AsyncPgConnection, id: ProductId) -> QueryResult<ProductRow> {
    let lowest = variants::table
        .filter(variants::product_id.eq(id).and(variants::active))
        .select(diesel::dsl::min(variants::price_minor))
        .single_value();
    diesel::update(products::table.find(id))
        .set((
            products::price_from_minor.eq(lowest),
            products::version.eq(products::version + 1),
            products::updated_at.eq(crate::db::clock()),
        ))
        .returning(ProductRow::as_returning())
        .get_result(conn)
        .await
}
