//! The tree of categories: which parents are allowed, descendants and breadcrumbs.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use super::category::{Category, CategoryKey, WriteCategoryError};
use super::limits;
use crate::db::{AdvisoryLock, advisory_lock, clock};
use crate::error::FieldError;
use crate::ids::CategoryId;
use crate::schema::categories;

/// The locked tree. None of its categories is moved or deleted until the transaction ends. Every move locks
/// the tree first, so that two concurrent moves cannot make a cycle.
#[derive(Debug)]
pub(super) struct LockedTree {
    parents: HashMap<CategoryId, Option<CategoryId>>,
}

/// Locks the tree, and then every category in the order of their ids. A category that another transaction was
/// creating below a parent is among them.
pub(super) async fn lock_tree(conn: &mut AsyncPgConnection) -> QueryResult<LockedTree> {
    advisory_lock(conn, AdvisoryLock::CategoryTree).await?;
    let rows: Vec<(CategoryId, Option<CategoryId>)> = categories::table
        .order(categories::id)
        .select((categories::id, categories::parent_id))
        .for_no_key_update()
        .load(conn)
        .await?;
    Ok(LockedTree { parents: rows.into_iter().collect() })
}

impl LockedTree {
    /// Refuses a parent that does not exist, is a descendant of the moved category, or is too deep for it.
    /// `None` stands for a new category.
    pub(super) fn check_parent(
        &self,
        moved: Option<CategoryId>,
        parent: CategoryId,
    ) -> Result<(), WriteCategoryError> {
        let wrong = |message: String| {
            Err(WriteCategoryError::Invalid(vec![FieldError { pointer: "/parent_id".to_owned(), message }]))
        };
        if !self.parents.contains_key(&parent) {
            return wrong("there is no such category".to_owned());
        }
        let way = self.way_to(parent);
        if moved.is_some_and(|moved| way.contains(&moved)) {
            return wrong("is the category itself or one of its descendants".to_owned());
        }
        let levels = way.len() + moved.map_or(1, |moved| self.height(moved));
        if levels > limits::CATEGORY_LEVELS_MAX {
            let max = limits::CATEGORY_LEVELS_MAX;
            return wrong(format!("the tree would have {levels} levels; at most {max} are allowed"));
        }
        Ok(())
    }

    /// The category and all its ancestors.
    fn way_to(&self, id: CategoryId) -> Vec<CategoryId> {
        let parent_of = |id: &CategoryId| self.parents.get(id).copied().flatten();
        std::iter::successors(Some(id), parent_of).take(self.parents.len()).collect()
    }

    /// The number of levels from this category down.
    fn height(&self, top: CategoryId) -> usize {
        let levels_from_top = |id: &CategoryId| self.way_to(*id).iter().position(|above| *above == top);
        self.parents.keys().filter_map(levels_from_top).max().map_or(1, |below| below + 1)
    }

    pub(super) fn children(&self, parent: Option<CategoryId>) -> HashSet<CategoryId> {
        self.parents.iter().filter(|(_, above)| **above == parent).map(|(id, _)| *id).collect()
    }
}

/// Puts the children of `parent` in this order, which must name each of them once. `None` stands for the top
/// level.
pub async fn reorder_categories(
    conn: &mut AsyncPgConnection,
    parent: Option<CategoryId>,
    order: &[CategoryId],
) -> Result<Vec<Category>, WriteCategoryError> {
    conn.transaction::<_, WriteCategoryError, _>(async |conn| {
        let tree = lock_tree(conn).await?;
        if parent.is_some_and(|parent| !tree.parents.contains_key(&parent)) {
            return Err(WriteCategoryError::UnknownCategory);
        }
        check_order(&tree.children(parent), order)?;
        for (&id, position) in order.iter().zip(0..) {
            diesel::update(categories::table.find(id).filter(categories::position.ne(position)))
                .set((
                    categories::position.eq(position),
                    categories::updated_at.eq(clock()),
                    categories::version.eq(categories::version + 1),
                ))
                .execute(conn)
                .await?;
        }
        let in_order = categories::table
            .filter(categories::id.eq_any(order))
            .order((categories::position, categories::id))
            .select(Category::as_select());
        Ok(in_order.load(conn).await?)
    })
    .await
}

fn check_order(children: &HashSet<CategoryId>, order: &[CategoryId]) -> Result<(), WriteCategoryError> {
    let mut missing = children.clone();
    let mut errors = Vec::new();
    for (at, id) in order.iter().enumerate() {
        if !missing.remove(id) {
            let message =
                if children.contains(id) { "is listed twice" } else { "is not a child of this parent" };
            errors.push(FieldError { pointer: format!("/category_ids/{at}"), message: message.to_owned() });
        }
    }
    if !missing.is_empty() {
        let mut ids: Vec<String> = missing.iter().map(CategoryId::to_string).collect();
        ids.sort();
        let message = format!("does not list {}", ids.join(", "));
        errors.push(FieldError { pointer: "/category_ids".to_owned(), message });
    }
    if errors.is_empty() { Ok(()) } else { Err(WriteCategoryError::Invalid(errors)) }
}

/// A category within the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryNode {
    /// The category itself.
    pub category: Category,
    /// The depth below the start of the list, whose own level is 0.
    pub level: i32,
    /// Active products in the category itself.
    pub products: i64,
    /// Active products in the category or its descendants, each counted once.
    pub products_below: i64,
}

#[derive(QueryableByName)]
struct NodeRow {
    #[diesel(sql_type = SqlUuid)]
    id: CategoryId,
    #[diesel(sql_type = Integer)]
    level: i32,
    #[diesel(sql_type = BigInt)]
    products: i64,
    #[diesel(sql_type = BigInt)]
    products_below: i64,
}

/// All categories below `$1` (null: all), depth first, siblings sorted by position and age. Each category
/// appears once, because there is only one path to it.
const NODES: &str = "
    WITH RECURSIVE tree AS (
        SELECT id, 0 AS level, ARRAY[(position, id)] AS place, ARRAY[id] AS way
        FROM commerce.categories WHERE CASE WHEN $1 IS NULL THEN parent_id IS NULL ELSE id = $1 END
        UNION ALL
        SELECT child.id, tree.level + 1, tree.place || (child.position, child.id), tree.way || child.id
        FROM tree JOIN commerce.categories AS child ON child.parent_id = tree.id),
    filed AS (
        SELECT member.category_id, member.product_id
        FROM commerce.product_categories AS member
        JOIN commerce.products AS product ON product.id = member.product_id AND product.status = 'active'),
    counted AS (
        SELECT above.id, count(DISTINCT filed.product_id) AS products_below,
               count(filed.product_id) FILTER (WHERE filed.category_id = above.id) AS products
        FROM tree CROSS JOIN LATERAL unnest(tree.way) AS above (id) JOIN filed ON filed.category_id = tree.id
        GROUP BY above.id)
    SELECT tree.id, tree.level, coalesce(counted.products, 0) AS products,
           coalesce(counted.products_below, 0) AS products_below
    FROM tree LEFT JOIN counted ON counted.id = tree.id
    ORDER BY tree.place";

/// A category and its descendants, or the whole tree for `None`, depth first, with the number of products in
/// each.
pub async fn list_tree(
    conn: &mut AsyncPgConnection,
    from: Option<CategoryId>,
) -> QueryResult<Vec<CategoryNode>> {
    let nodes: Vec<NodeRow> =
        diesel::sql_query(NODES).bind::<Nullable<SqlUuid>, _>(from.map(|id| id.0)).load(conn).await?;
    let rows: Vec<Category> = categories::table
        .filter(categories::id.eq_any(nodes.iter().map(|node| node.id)))
        .select(Category::as_select())
        .load(conn)
        .await?;
    let mut by_id: HashMap<CategoryId, Category> = rows.into_iter().map(|row| (row.id, row)).collect();
    let with_row = |node: NodeRow| {
        let NodeRow { id, level, products, products_below } = node;
        Some(CategoryNode { category: by_id.remove(&id)?, level, products, products_below })
    };
    Ok(nodes.into_iter().filter_map(with_row).collect())
}

const IDS_BELOW: &str = "
    WITH RECURSIVE tree AS (
        SELECT id FROM commerce.categories WHERE id = $1 OR slug = $2
        UNION ALL
        SELECT child.id FROM tree JOIN commerce.categories AS child ON child.parent_id = tree.id)
    SELECT id FROM tree";

/// The ids of a category and its descendants. Empty if there is no such category.
pub async fn list_ids_below(conn: &mut AsyncPgConnection, key: &CategoryKey) -> QueryResult<Vec<CategoryId>> {
    #[derive(QueryableByName)]
    struct IdRow {
        #[diesel(sql_type = SqlUuid)]
        id: CategoryId,
    }
    let (id, slug) = match key {
        CategoryKey::Id(id) => (Some(id.0), None),
        CategoryKey::Slug(slug) => (None, Some(slug)),
    };
    let rows: Vec<IdRow> = diesel::sql_query(IDS_BELOW)
        .bind::<Nullable<SqlUuid>, _>(id)
        .bind::<Nullable<Text>, _>(slug)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

const WAY: &str = "
    WITH RECURSIVE way AS (
        SELECT id, parent_id, 0 AS level FROM commerce.categories WHERE id = $1
        UNION ALL
        SELECT above.id, above.parent_id, way.level + 1
        FROM way JOIN commerce.categories AS above ON above.id = way.parent_id)
    SELECT id, level, 0::bigint AS products, 0::bigint AS products_below FROM way ORDER BY level DESC";

/// The path from the top level to a category, which is the last step. These are the breadcrumbs of its page.
pub async fn list_breadcrumbs(conn: &mut AsyncPgConnection, id: CategoryId) -> QueryResult<Vec<Category>> {
    let way: Vec<NodeRow> = diesel::sql_query(WAY).bind::<SqlUuid, _>(id.0).load(conn).await?;
    let ids: Vec<CategoryId> = way.iter().map(|step| step.id).collect();
    let mut rows: Vec<Category> = categories::table
        .filter(categories::id.eq_any(&ids))
        .select(Category::as_select())
        .load(conn)
        .await?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(edges: &[(u128, u128)]) -> LockedTree {
        let id = |number| CategoryId(uuid::Uuid::from_u128(number));
        let parents = edges.iter().map(|(child, parent)| (id(*child), (*parent > 0).then(|| id(*parent))));
        LockedTree { parents: parents.collect() }
    }

    fn id(number: u128) -> CategoryId {
        CategoryId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_category_cannot_hang_below_itself() {
        let tree = tree(&[(1, 0), (2, 1), (3, 2), (4, 0)]);
        for parent in [1, 2, 3] {
            assert!(tree.check_parent(Some(id(1)), id(parent)).is_err(), "{parent}");
        }
        assert!(tree.check_parent(Some(id(1)), id(4)).is_ok());
        assert!(tree.check_parent(Some(id(3)), id(1)).is_ok());
        assert!(tree.check_parent(None, id(9)).is_err());
    }

    #[test]
    fn a_tree_does_not_grow_too_deep() {
        let deepest = u128::try_from(limits::CATEGORY_LEVELS_MAX).unwrap();
        let mut edges: Vec<(u128, u128)> = (1..=deepest).map(|level| (level, level - 1)).collect();
        edges.extend([(100, 0), (101, 100)]);
        let tree = tree(&edges);
        assert!(tree.check_parent(None, id(deepest)).is_err());
        assert!(tree.check_parent(None, id(deepest - 1)).is_ok());
        // The moved category brings one level of its own.
        assert!(tree.check_parent(Some(id(100)), id(deepest - 1)).is_err());
        assert!(tree.check_parent(Some(id(100)), id(deepest - 2)).is_ok());
    }

    #[test]
    fn an_order_names_each_child_once() {
        let children: HashSet<_> = [id(1), id(2)].into();
        assert!(check_order(&children, &[id(2), id(1)]).is_ok());
        for (order, pointer) in [
            (vec![id(2)], "/category_ids"),
            (vec![id(2), id(1), id(2)], "/category_ids/2"),
            (vec![id(3), id(1), id(2)], "/category_ids/0"),
        ] {
            let Err(WriteCategoryError::Invalid(errors)) = check_order(&children, &order) else {
                panic!("{order:?}")
            };
            assert_eq!(errors[0].pointer, pointer);
        }
    }
}
