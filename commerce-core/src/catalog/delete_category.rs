//! Deletes a category. Its products and its children stay.

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::category::{Category, DeleteCategoryError, WithChildren, WithProducts};
use super::category_tree::lock_tree;
use super::lock_keys::lock_keys;
use crate::ids::{CategoryId, ProductId};
use crate::schema::{categories, product_categories, products};

/// Deletes a category, but never a product or another category.
pub async fn delete_category(
    conn: &mut AsyncPgConnection,
    id: CategoryId,
    with_products: WithProducts,
    with_children: WithChildren,
) -> Result<(), DeleteCategoryError> {
    conn.transaction::<_, DeleteCategoryError, _>(async |conn| {
        // An import locks products in the order of its file, so it must not lock any in the meantime.
        lock_keys(conn).await?;
        lock_tree(conn).await?;
        let children: Vec<Category> = categories::table
            .filter(categories::parent_id.eq(id))
            .order((categories::position, categories::id))
            .select(Category::as_select())
            .load(conn)
            .await?;
        let mut locked: Vec<ProductId> = Vec::new();
        loop {
            let members = members(conn, id).await?;
            if (!members.is_empty() && with_products == WithProducts::Refuse)
                || (!children.is_empty() && with_children == WithChildren::Refuse)
            {
                let is_there = categories::table.find(id).select(categories::id);
                let known: Option<CategoryId> = is_there.first(conn).await.optional()?;
                known.ok_or(DeleteCategoryError::UnknownCategory)?;
                let products = i64::try_from(members.len()).unwrap_or(i64::MAX);
                return Err(DeleteCategoryError::InUse { products, children });
            }
            // Products come before the category, as for everybody who gives a product its categories.
            lock_products(conn, &members, &mut locked).await?;
            match conn.transaction(async |conn| delete(conn, id, &locked).await).await {
                Err(Undone::JoinedMeanwhile) => {}
                Err(Undone::Failed(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    })
    .await
}

/// Why the savepoint of [`delete`] was rolled back, and the lock on the category released.
enum Undone {
    /// Somebody has added a product that is not locked.
    JoinedMeanwhile,
    Failed(DeleteCategoryError),
}

impl From<QueryError> for Undone {
    fn from(error: QueryError) -> Self {
        Self::Failed(error.into())
    }
}

async fn delete(conn: &mut AsyncPgConnection, id: CategoryId, locked: &[ProductId]) -> Result<(), Undone> {
    // Blocks products and categories that are just being added to it.
    let found: Option<Option<CategoryId>> =
        categories::table.find(id).select(categories::parent_id).for_update().first(conn).await.optional()?;
    let parent_id = found.ok_or(Undone::Failed(DeleteCategoryError::UnknownCategory))?;
    let members = members(conn, id).await?;
    if members.iter().any(|member| locked.binary_search(member).is_err()) {
        return Err(Undone::JoinedMeanwhile);
    }
    diesel::update(categories::table.filter(categories::parent_id.eq(id)))
        .set((
            categories::parent_id.eq(parent_id),
            categories::version.eq(categories::version + 1),
            categories::updated_at.eq(crate::db::clock()),
        ))
        .execute(conn)
        .await?;
    diesel::update(products::table.filter(products::id.eq_any(&members)))
        .set((products::version.eq(products::version + 1), products::updated_at.eq(crate::db::clock())))
        .execute(conn)
        .await?;
    diesel::delete(categories::table.find(id)).execute(conn).await?;
    Ok(())
}

async fn members(conn: &mut AsyncPgConnection, id: CategoryId) -> QueryResult<Vec<ProductId>> {
    product_categories::table
        .filter(product_categories::category_id.eq(id))
        .order(product_categories::product_id)
        .select(product_categories::product_id)
        .load(conn)
        .await
}

/// Locks the products that are not among the locked ones yet. `locked` stays sorted. Others lock one product
/// each, so the order between two calls does not matter.
async fn lock_products(
    conn: &mut AsyncPgConnection,
    ids: &[ProductId],
    locked: &mut Vec<ProductId>,
) -> QueryResult<()> {
    let new: Vec<ProductId> = ids.iter().copied().filter(|id| locked.binary_search(id).is_err()).collect();
    let rows = products::table.filter(products::id.eq_any(&new)).order(products::id).select(products::id);
    rows.for_no_key_update().load::<ProductId>(conn).await?;
    locked.extend(new);
    locked.sort_unstable();
    Ok(())
}
