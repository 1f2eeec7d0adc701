//! `/categories`: the tree of categories.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::catalog::{
    self, Below, CategoryKey, CategoryNode, CategoryPatch, DeleteCategoryError, ListCategoriesError,
    NewCategory, WithChildren, WithProducts, WriteCategoryError,
};
use commerce_core::ids::CategoryId;
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, NOTHING, NoContent, Okay, Reply, twenty};
use crate::http::auth::{Can, CategoriesWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, MissingOrMoved, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Categories(pub State);

#[OpenApi(tag = "Tag::Categories")]
impl Categories {
    /// List categories
    ///
    /// Sorted by position, then by age.
    #[oai(path = "/categories", method = "get", operation_id = "list_categories")]
    async fn list(
        &self,
        /// Only the children of this category, by id or slug. `none` means the top level
        #[oai(validator(max_length = 120))]
        parent: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Category>>, Refused<ListCategoriesError>> {
        let mut conn = self.0.reader().await?;
        let limit = Limit::new(limit.0).unwrap_or_default();
        let below = match parent.0.as_deref() {
            None => Below::Anything,
            Some("none") => Below::Nothing,
            Some(parent) => match catalog::find_category(&mut conn, &CategoryKey::from(parent)).await? {
                Some(parent) => Below::Category(parent.id),
                None => return Ok(Okay::page(commerce_core::page::Page { data: vec![], next_cursor: None })),
            },
        };
        let page = catalog::list_categories(&mut conn, below, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(Category::from)))
    }

    /// Get the category tree
    ///
    /// Returns all categories depth first: each category comes right before its children. Each has the number
    /// of its products on sale.
    #[oai(path = "/category-tree", method = "get", operation_id = "get_category_tree")]
    async fn tree(&self) -> Result<Okay<CategoryTree>, Refused<OnlyDatabase>> {
        let mut conn = self.0.reader().await?;
        let nodes = catalog::list_tree(&mut conn, None).await?;
        Ok(Okay::new(Reply::new(CategoryTree {
            data: nodes.into_iter().map(CategoryInTree::from).collect(),
        })))
    }

    /// Get a category
    ///
    /// Returns the category with its breadcrumbs, and on request with all its descendants. A former slug of
    /// the category is answered with 301, and `Location` has the current address.
    #[oai(path = "/categories/:id_or_slug", method = "get", operation_id = "get_category")]
    async fn get(
        &self,
        id_or_slug: Path<String>,
        /// Whether to include the descendants, depth first, with the number of products on sale in each
        descendants: Query<Option<bool>>,
    ) -> Result<Okay<CategoryPage>, Refused<MissingOrMoved>> {
        let mut conn = self.0.reader().await?;
        let key = CategoryKey::from(id_or_slug.0.as_str());
        let Some(category) = catalog::find_category(&mut conn, &key).await? else {
            return Err(match catalog::find_moved_category(&mut conn, &id_or_slug.0).await? {
                Some(slug) => Problem::moved(format!("/v1/categories/{slug}")).into(),
                None => MissingOrMoved("category").into(),
            });
        };
        let way = catalog::list_breadcrumbs(&mut conn, category.id).await?;
        let descendants = if descendants.0 == Some(true) {
            let mut nodes = catalog::list_tree(&mut conn, Some(category.id)).await?.into_iter();
            let top = nodes.next().map(CategoryInTree::from);
            Some(CategoriesBelow {
                products: top.as_ref().map_or(0, |top| top.products),
                products_below: top.as_ref().map_or(0, |top| top.products_below),
                data: nodes.map(CategoryInTree::from).collect(),
            })
        } else {
            None
        };
        let breadcrumbs = way.into_iter().map(Breadcrumb::from).collect();
        let version = category.version;
        let page = CategoryPage { category: category.into(), breadcrumbs, descendants };
        Ok(Okay::new(Reply::new(page).version_as_shown(version)))
    }

    /// Reorder categories
    ///
    /// Takes every child of `parent_id` once, or every top-level category if `parent_id` is left out. They
    /// get the positions 0, 1, 2 and so on.
    #[oai(path = "/category-order", method = "put", operation_id = "reorder_categories")]
    async fn reorder(
        &self,
        staff: Can<CategoriesWrite>,
        body: Body<ReorderCategoriesRequest>,
    ) -> Result<Okay<CategoryList>, Refused<WriteCategoryError>> {
        let parent = body.parent_id.map(CategoryId);
        let order: Vec<CategoryId> = body.category_ids.iter().copied().map(CategoryId).collect();
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let before = audit_log::snapshot(conn, Subject::CategoryOrder).await?;
            let ordered = catalog::reorder_categories(conn, parent, &order).await?;
            audit_log::record(conn, &author, "reorder_categories", Subject::CategoryOrder, before).await?;
            let data = ordered.into_iter().map(Category::from).collect();
            Ok::<_, WriteCategoryError>(CategoryList { data })
        };
        self.0.write("reorder_categories", None, effect).await
    }

    /// Create a category
    #[oai(path = "/categories", method = "post", operation_id = "create_category")]
    async fn create(
        &self,
        staff: Can<CategoriesWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CreateCategoryRequest>,
    ) -> Result<Created<Category>, Refused<WriteCategoryError>> {
        let request = key.request(&staff, body.raw());
        let body = body.value;
        let new = NewCategory {
            slug: body.slug,
            title: body.title,
            description: body.description.unwrap_or_default(),
            position: body.position.unwrap_or(0),
            parent_id: body.parent_id.map(CategoryId),
        };
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let category = catalog::create_category(conn, new.clone()).await?;
            audit_log::record(conn, &author, "create_category", Subject::Category(category.id), None).await?;
            let path = format!("/v1/categories/{}", category.id);
            Ok::<_, WriteCategoryError>(Reply::from(category).location(path))
        };
        self.0.write("create_category", request, effect).await
    }

    /// Update a category
    ///
    /// Changes only the given fields. `parent_id` moves the category with all its descendants. A category
    /// cannot be moved below itself.
    #[oai(path = "/categories/:id_or_slug", method = "patch", operation_id = "update_category")]
    async fn patch(
        &self,
        staff: Can<CategoriesWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateCategoryRequest>,
    ) -> Result<Okay<Category>, Refused<WriteCategoryError>> {
        let UpdateCategoryRequest { title, slug, description, position, parent_id } = body.value;
        let parent_id = parent_id.map_value(CategoryId).into();
        let patch = CategoryPatch { slug, title, description, position, parent_id };
        let key = CategoryKey::from(id_or_slug.0.as_str());
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let known = catalog::find_category(conn, &key).await?;
            let id = known.ok_or(WriteCategoryError::UnknownCategory)?.id;
            if patch.has_keys() {
                catalog::lock_keys(conn).await?;
            }
            let before = audit_log::snapshot(conn, Subject::Category(id)).await?;
            let category = catalog::update_category(conn, id, expected.version(), patch.clone()).await?;
            audit_log::record(conn, &author, "update_category", Subject::Category(id), before).await?;
            Ok::<_, WriteCategoryError>(Reply::from(category))
        };
        self.0.write("update_category", None, effect).await
    }

    /// Delete a category
    ///
    /// Never deletes a product or another category. A category that has products or children is refused with
    /// 409 `category_in_use`. With `detach_products` its products lose the category first. With
    /// `lift_children` its children move up to its parent first.
    #[oai(path = "/categories/:id_or_slug", method = "delete", operation_id = "delete_category")]
    async fn delete(
        &self,
        staff: Can<CategoriesWrite>,
        id_or_slug: Path<String>,
        /// Remove the category from its products first
        detach_products: Query<Option<bool>>,
        /// Move the child categories up first
        lift_children: Query<Option<bool>>,
    ) -> Result<NoContent, Refused<DeleteCategoryError>> {
        let key = CategoryKey::from(id_or_slug.0.as_str());
        let with_products =
            if detach_products.0 == Some(true) { WithProducts::Detach } else { WithProducts::Refuse };
        let with_children =
            if lift_children.0 == Some(true) { WithChildren::MoveUp } else { WithChildren::Refuse };
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let known = catalog::find_category(conn, &key).await?;
            let id: CategoryId = known.ok_or(DeleteCategoryError::UnknownCategory)?.id;
            catalog::lock_keys(conn).await?;
            let before = audit_log::snapshot(conn, Subject::Category(id)).await?;
            catalog::delete_category(conn, id, with_products, with_children).await?;
            audit_log::record(conn, &author, "delete_category", Subject::Category(id), before).await?;
            Ok::<_, DeleteCategoryError>(NOTHING)
        };
        self.0.write("delete_category", None, effect).await
    }
}

/// A category of products.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Category {
    pub id: Uuid,
    /// The readable part of the category's URL.
    pub slug: String,
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    /// Siblings are sorted by position, then by age.
    pub position: i32,
    /// The parent category. Absent on the top level.
    pub parent_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A category with its place in the tree.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct CategoryPage {
    #[oai(flatten)]
    pub category: Category,
    /// The path from the top level to this category.
    pub breadcrumbs: Vec<Breadcrumb>,
    /// Only if requested with `descendants`.
    pub descendants: Option<CategoriesBelow>,
}

/// One category of the breadcrumbs.
#[derive(Debug, Clone, Object)]
pub struct Breadcrumb {
    pub id: Uuid,
    pub slug: String,
    pub title: String,
}

/// The descendants of a category.
#[derive(Debug, Clone, Object)]
pub struct CategoriesBelow {
    /// Products on sale in the category itself.
    pub products: i64,
    /// Products on sale in the category or its descendants, each counted once.
    pub products_below: i64,
    /// Depth first.
    pub data: Vec<CategoryInTree>,
}

/// All categories.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct CategoryTree {
    /// Depth first.
    pub data: Vec<CategoryInTree>,
}

/// A category within the tree.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CategoryInTree {
    #[oai(flatten)]
    pub category: Category,
    /// The depth in this answer's tree.
    pub level: i32,
    /// Products on sale in the category itself.
    pub products: i64,
    /// Products on sale in the category or its descendants, each counted once.
    pub products_below: i64,
}

/// Categories in their order.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct CategoryList {
    pub data: Vec<Category>,
}

/// The new order of sibling categories.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct ReorderCategoriesRequest {
    /// Leave it out for the top level.
    pub parent_id: Option<Uuid>,
    #[oai(validator(max_items = 1000))]
    pub category_ids: Vec<Uuid>,
}

/// A category to create.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CreateCategoryRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub title: String,
    /// Derived from the title by default.
    #[oai(validator(min_length = 1, max_length = 120))]
    pub slug: Option<String>,
    /// HTML. Active content, such as scripts, is removed.
    #[oai(validator(max_length = 16384))]
    pub description: Option<String>,
    pub position: Option<i32>,
    /// Leave it out for the top level.
    pub parent_id: Option<Uuid>,
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateCategoryRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub title: Option<String>,
    #[oai(validator(min_length = 1, max_length = 120))]
    pub slug: Option<String>,
    #[oai(validator(max_length = 16384))]
    pub description: Option<String>,
    pub position: Option<i32>,
    /// Null moves the category to the top level.
    pub parent_id: MaybeUndefined<Uuid>,
}

impl From<CategoryNode> for CategoryInTree {
    fn from(node: CategoryNode) -> Self {
        let CategoryNode { category, level, products, products_below } = node;
        Self { category: category.into(), level, products, products_below }
    }
}

impl From<catalog::Category> for Breadcrumb {
    fn from(category: catalog::Category) -> Self {
        Self { id: category.id.0, slug: category.slug, title: category.title }
    }
}

impl From<catalog::Category> for Category {
    fn from(category: catalog::Category) -> Self {
        Self {
            id: category.id.0,
            slug: category.slug,
            title: category.title,
            description: category.description,
            position: category.position,
            parent_id: category.parent_id.map(|id| id.0),
            created_at: category.created_at,
            updated_at: category.updated_at,
        }
    }
}

impl From<catalog::Category> for Reply<Category> {
    fn from(category: catalog::Category) -> Self {
        let version = category.version;
        Self::new(Category::from(category)).version(version)
    }
}

impl Example for Category {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_0002),
            slug: "kitchen".to_owned(),
            title: "Kitchen".to_owned(),
            description: "<p>For cooks.</p>".to_owned(),
            position: 0,
            parent_id: None,
            created_at: at,
            updated_at: at,
        }
    }
}

impl Example for CreateCategoryRequest {
    fn example() -> Self {
        Self {
            title: "Kitchen".to_owned(),
            slug: None,
            description: None,
            position: Some(1),
            parent_id: None,
        }
    }
}

impl Example for CategoryInTree {
    fn example() -> Self {
        Self { category: Category::example(), level: 0, products: 12, products_below: 40 }
    }
}

impl Example for CategoryTree {
    fn example() -> Self {
        Self { data: vec![CategoryInTree::example()] }
    }
}

impl Example for CategoryPage {
    fn example() -> Self {
        let category = Category::example();
        let Category { id, slug, title, .. } = category.clone();
        Self { category, breadcrumbs: vec![Breadcrumb { id, slug, title }], descendants: None }
    }
}

impl Example for CategoryList {
    fn example() -> Self {
        Self { data: vec![Category::example()] }
    }
}

impl Example for ReorderCategoriesRequest {
    fn example() -> Self {
        Self { parent_id: None, category_ids: vec![Category::example().id] }
    }
}

impl Example for UpdateCategoryRequest {
    fn example() -> Self {
        Self {
            title: Some("Kitchen and table".to_owned()),
            slug: None,
            description: None,
            position: None,
            parent_id: MaybeUndefined::Undefined,
        }
    }
}

impl Refusal for ListCategoriesError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::Cursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for WriteCategoryError {
    const CODES: &'static [Code] =
        &[Code::NotFound, Code::VersionMismatch, Code::ValidationFailed, Code::SlugTaken];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownCategory => Problem::not_found("category"),
            Self::VersionMismatch { .. } => Problem::new(Code::VersionMismatch, self.to_string()),
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::SlugTaken => Problem::new(Code::SlugTaken, self.to_string()),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for DeleteCategoryError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::CategoryInUse];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownCategory => Problem::not_found("category"),
            Self::InUse { products, ref children } => {
                let children: Vec<_> = children
                    .iter()
                    .map(|child| serde_json::json!({ "id": child.id, "slug": child.slug, "title": child.title }))
                    .collect();
                Problem::new(Code::CategoryInUse, self.to_string())
                    .with("products", products)
                    .with("children", children)
            }
            Self::Database(error) => error.into(),
        }
    }
}
