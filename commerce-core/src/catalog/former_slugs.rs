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

/// Writes one function for each table of former names: a locked owner changes its name, and an earlier name of another
/// leads to this owner from now on.
macro_rules! leave {
    ($(#[$doc:meta])* $function:ident, $table:ident, $former:ident, $owner:ident: $Id:ty) => {
        $(#[$doc])*
        pub(super) async fn $function(
            conn: &mut AsyncPgConnection,
            id: $Id,
            former: &str,
            new: &str,
        ) -> QueryResult<()> {
            use $table::{$former, $owner, table};
            diesel::delete(table.find(new).filter($owner.eq(id))).execute(conn).await?;
            diesel::insert_into(table)
                .values(($former.eq(former), $owner.eq(id)))
                .on_conflict($former)
                .do_update()
                .set($owner.eq(id))
                .execute(conn)
                .await?;
            Ok(())
        }
    };
}

leave! {
    /// Records that a locked product changes its slug.
    leave_product_slug, former_product_slugs, slug, product_id: ProductId
}
leave! {
    /// Records that a locked category changes its slug.
    leave_category_slug, former_category_slugs, slug, category_id: CategoryId
}
leave! {
    /// Records that a locked category changes its title, so that an older file finds it.
    leave_category_title, former_category_titles, title, category_id: CategoryId
}
