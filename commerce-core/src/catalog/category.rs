//! Categories. `category_tree` explains how they form a tree.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::sql_types::{Integer, Record, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::Retryable;
use crate::error::FieldError;
use crate::ids::CategoryId;
use crate::page::{Cursor, InvalidCursor, Limit, Page};
use crate::schema::categories;

/// A row of `commerce.categories`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = categories)]
pub struct Category {
    /// The category's id.
    pub id: CategoryId,
    /// The readable part of its URL. It is unique among categories.
    pub slug: String,
    /// What shoppers read.
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    /// Siblings are sorted by it, then by age.
    pub position: i32,
    /// The parent category. `None` on the top level.
    pub parent_id: Option<CategoryId>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// The version, which prevents that somebody overwrites a change that they have not seen.
    pub version: i32,
}

/// A category to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCategory {
    /// A given slug is used as it is, and refused if it is taken. `None` derives a slug from the title.
    pub slug: Option<String>,
    /// What shoppers read.
    pub title: String,
    /// HTML; sanitised before it is stored.
    pub description: String,
    /// Siblings are sorted by it, then by age.
    pub position: i32,
    /// The parent category. `None` for the top level.
    pub parent_id: Option<CategoryId>,
}

/// The changes to a category. `None` keeps the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CategoryPatch {
    /// The new slug. The former slug redirects to it.
    pub slug: Option<String>,
    /// The new title.
    pub title: Option<String>,
    /// The new description as HTML; sanitised before it is stored.
    pub description: Option<String>,
    /// The new position among its siblings.
    pub position: Option<i32>,
    /// `Some(None)` moves it to the top level.
    pub parent_id: Option<Option<CategoryId>>,
}

/// How a category is identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CategoryKey {
    /// By id.
    Id(CategoryId),
    /// By slug.
    Slug(String),
}

impl From<&str> for CategoryKey {
    /// A UUID is an id, and everything else is a slug. Postgres does not accept a NUL, and no slug contains
    /// one.
    fn from(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Slug(text.replace('\0', "")), Self::Id)
    }
}

/// What happens to the products of a deleted category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithProducts {
    /// The category is not deleted while it has products.
    Refuse,
    /// The products stay in the shop and lose the category.
    Detach,
}

/// What happens to the children of a deleted category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithChildren {
    /// The category is not deleted while it has children.
    Refuse,
    /// They move up to the category's parent.
    MoveUp,
}

/// Why a category was not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteCategoryError {
    /// There is no such category.
    #[error("there is no such category")]
    UnknownCategory,
    /// Somebody else changed it in the meantime.
    #[error("the category was changed in the meantime and is now at version {current}")]
    VersionMismatch {
        /// The present version.
        current: i32,
    },
    /// Values are invalid. Each error has its place.
    #[error("{} value(s) of the category are invalid", .0.len())]
    Invalid(Vec<FieldError>),
    /// The slug belongs to another category.
    #[error("the slug belongs to another category")]
    SlugTaken,
    /// The database failed.
    #[error(transparent)]
    Database(QueryError),
}

impl From<QueryError> for WriteCategoryError {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
                if info.constraint_name() == Some("categories_slug_key") =>
            {
                Self::SlugTaken
            }
            _ => Self::Database(error),
        }
    }
}

impl Retryable for WriteCategoryError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Why a category was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteCategoryError {
    /// There is no such category.
    #[error("there is no such category")]
    UnknownCategory,
    /// The category has products or children.
    #[error("the category is in use: products: {products}, child categories: {}", .children.len())]
    InUse {
        /// The number of products in the category.
        products: i64,
        /// The child categories.
        children: Vec<Category>,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for DeleteCategoryError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Why categories could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListCategoriesError {
    /// The cursor was not issued by this list in this order.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for ListCategoriesError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

const SORT: &str = "position";

/// Which categories to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Categories of all levels.
    Anything,
    /// Categories of the top level.
    Nothing,
    /// The children of this category.
    Category(CategoryId),
}

/// A page of categories by position.
pub async fn list_categories(
    conn: &mut AsyncPgConnection,
    below: Below,
    limit: Limit,
    cursor: Option<&str>,
) -> Result<Page<Category>, ListCategoriesError> {
    use categories::{id, position};
    let mut query = categories::table.select(Category::as_select()).into_boxed();
    query = match below {
        Below::Anything => query,
        Below::Nothing => query.filter(categories::parent_id.is_null()),
        Below::Category(parent) => query.filter(categories::parent_id.eq(parent)),
    };
    if let Some(last) = Cursor::<i32>::place::<CategoryId>(cursor, SORT)? {
        query = query.filter((position, id).into_sql::<Record<(Integer, SqlUuid)>>().gt(last));
    }
    let rows = query.order((position, id)).limit(limit.rows_and_one()).load(conn).await?;
    Ok(Page::from_rows(rows, limit, |last: &Category| Cursor::at(SORT, last.position, last.id)))
}

/// A category by id or slug.
pub async fn find_category(conn: &mut AsyncPgConnection, key: &CategoryKey) -> QueryResult<Option<Category>> {
    let query = categories::table.select(Category::as_select()).into_boxed();
    let query = match key {
        CategoryKey::Id(id) => query.filter(categories::id.eq(*id)),
        CategoryKey::Slug(slug) => query.filter(categories::slug.eq(slug)),
    };
    query.first(conn).await.optional()
}
