//! Former slugs lead to the present place of a product or category, so that old links keep working.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::product::{Audience, ProductStatus};
use crate::ids::{CategoryId, ProductId};
use crate::schema::{
    categories, former_category_slugs, former_category_titles, former_product_slugs, products,
};

/// The slug of the product that formerly had this one, if this audience may see the product. Look first for a
/// product that has the slug now.
pub async fn find_moved_product(
    conn: &mut AsyncPgConnection,
    former: &str,
    audience: Audience,
) -> QueryResult<Option<String>> {
    let mut query = former_product_slugs::table
        .inner_join(products::table)
        .filter(former_product_slugs::slug.eq(former.replace('\0', "")))
        .select(products::slug)
        .into_boxed();
    if audience == Audience::Shoppers {
        query = query.filter(products::status.eq(ProductStatus::Active));
    }
    query.first(conn).await.optional()
}

/// The slug of the category that formerly had this one. Look first for a category that has the slug now.
pub async fn find_moved_category(conn: &mut AsyncPgConnection, former: &str) -> QueryResult<Option<String>> {
    former_category_slugs::table
        .inner_join(categories::table)
        .filter(former_category_slugs::slug.eq(former.replace('\0', "")))
        .select(categories::slug)
        .first(conn)
        .await
        .optional()
}

/// Records that a locked product changes its slug.
pub(super) async fn leave_product_slug(
    conn: &mut AsyncPgConnection,
    id: ProductId,
    former: &str,
    new: &str,
) -> QueryResult<()> {
    use former_product_slugs::{product_id, slug, table};
    diesel::delete(table.find(new).filter(product_id.eq(id))).execute(conn).await?;
    diesel::insert_into(table)
        .values((slug.eq(former), product_id.eq(id)))
        .on_conflict(slug)
        .do_update()
        .set(product_id.eq(id))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that a locked category changes its slug.
pub(super) async fn leave_category_slug(
    conn: &mut AsyncPgConnection,
    id: CategoryId,
    former: &str,
    new: &str,
) -> QueryResult<()> {
    use former_category_slugs::{category_id, slug, table};
    diesel::delete(table.find(new).filter(category_id.eq(id))).execute(conn).await?;
    diesel::insert_into(table)
        .values((slug.eq(former), category_id.eq(id)))
        .on_conflict(slug)
        .do_update()
        .set(category_id.eq(id))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that a locked category changes its title, so that an older file finds it.
pub(super) async fn leave_category_title(
    conn: &mut AsyncPgConnection,
    id: CategoryId,
    former: &str,
    new: &str,
) -> QueryResult<()> {
    use former_category_titles::{category_id, table, title};
    diesel::delete(table.find(new).filter(category_id.eq(id))).execute(conn).await?;
    diesel::insert_into(table)
        .values((title.eq(former), category_id.eq(id)))
        .on_conflict(title)
        .do_update()
        .set(category_id.eq(id))
        .execute(conn)
        .await?;
    Ok(())
}
