//! `/categories`: what products are filed under.

use chrono::{DateTime, Utc};
use commerce_core::catalog::{
    self, CategoryKey, CategoryPatch, DeleteCategoryError, ListCategoriesError, NewCategory, WithProducts,
    WriteCategoryError,
};
use commerce_core::ids::CategoryId;
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::answer::{Created, List, NOTHING, NoContent, Okay, Reply};
use crate::auth::{Can, CategoriesWrite};
use crate::body::Body;
use crate::edge::IfMatch;
use crate::idempotency_key::IdempotencyKey;
use crate::orders::twenty;
use crate::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::routes::Tag;
use crate::state::State;

pub struct Categories(pub State);

#[OpenApi(tag = "Tag::Categories")]
impl Categories {
    /// List categories
    ///
    /// By position, then by age.
    #[oai(path = "/categories", method = "get", operation_id = "list_categories")]
    async fn list(
        &self,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Category>>, Refused<ListCategoriesError>> {
        let mut conn = self.0.conn().await?;
        let limit = Limit::new(limit.0).unwrap_or_default();
        let page = catalog::list_categories(&mut conn, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(Category::from)))
    }

    /// Read a category
    #[oai(path = "/categories/:id_or_slug", method = "get", operation_id = "get_category")]
    async fn get(&self, id_or_slug: Path<String>) -> Result<Okay<Category>, Refused<WriteCategoryError>> {
        let mut conn = self.0.conn().await?;
        let found = catalog::find_category(&mut conn, &CategoryKey::from(id_or_slug.0.as_str())).await?;
        let category = found.ok_or_else(|| Problem::not_found("category"))?;
        Ok(Okay::new(Reply::from(category)))
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
        };
        let effect = async move |conn: &mut AsyncPgConnection| {
            let category = catalog::create_category(conn, new.clone()).await?;
            let path = format!("/v1/categories/{}", category.id);
            Ok::<_, WriteCategoryError>(Reply::from(category).location(path))
        };
        self.0.write("create_category", request, effect).await
    }

    /// Change a category
    ///
    /// Changes the given fields only.
    #[oai(path = "/categories/:id_or_slug", method = "patch", operation_id = "update_category")]
    async fn patch(
        &self,
        _staff: Can<CategoriesWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateCategoryRequest>,
    ) -> Result<Okay<Category>, Refused<WriteCategoryError>> {
        let UpdateCategoryRequest { title, slug, description, position } = body.value;
        let patch = CategoryPatch { slug, title, description, position };
        let key = CategoryKey::from(id_or_slug.0.as_str());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let known = catalog::find_category(conn, &key).await?;
            let id = known.ok_or(WriteCategoryError::UnknownCategory)?.id;
            let category = catalog::update_category(conn, id, expected.version(), patch.clone()).await?;
            Ok::<_, WriteCategoryError>(Reply::from(category))
        };
        self.0.write("update_category", None, effect).await
    }

    /// Delete a category
    ///
    /// Never deletes a product. While products are in the category it is refused with 409 `category_in_use`, unless
    /// `detach_products` says that they are to lose the category.
    #[oai(path = "/categories/:id_or_slug", method = "delete", operation_id = "delete_category")]
    async fn delete(
        &self,
        _staff: Can<CategoriesWrite>,
        id_or_slug: Path<String>,
        /// Take the category from its products first
        detach_products: Query<Option<bool>>,
    ) -> Result<NoContent, Refused<DeleteCategoryError>> {
        let key = CategoryKey::from(id_or_slug.0.as_str());
        let with_products =
            if detach_products.0 == Some(true) { WithProducts::Detach } else { WithProducts::Refuse };
        let effect = async move |conn: &mut AsyncPgConnection| {
            let known = catalog::find_category(conn, &key).await?;
            let id: CategoryId = known.ok_or(DeleteCategoryError::UnknownCategory)?.id;
            catalog::delete_category(conn, id, with_products).await?;
            Ok::<_, DeleteCategoryError>(NOTHING)
        };
        self.0.write("delete_category", None, effect).await
    }
}

/// What products are filed under.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct Category {
    pub id: Uuid,
    /// The readable part of its address.
    pub slug: String,
    pub title: String,
    /// Sanitised HTML.
    pub description: String,
    /// Lists are sorted by it, then by age.
    pub position: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A category to be made.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CreateCategoryRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub title: String,
    /// Made from the title unless given.
    #[oai(validator(min_length = 1, max_length = 120))]
    pub slug: Option<String>,
    /// HTML; what could run in a browser is taken out.
    #[oai(validator(max_length = 16384))]
    pub description: Option<String>,
    pub position: Option<i32>,
}

/// What to change in a category; what is left out stays.
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
}

impl From<catalog::Category> for Category {
    fn from(category: catalog::Category) -> Self {
        Self {
            id: category.id.0,
            slug: category.slug,
            title: category.title,
            description: category.description,
            position: category.position,
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
            created_at: at,
            updated_at: at,
        }
    }
}

impl Example for CreateCategoryRequest {
    fn example() -> Self {
        Self { title: "Kitchen".to_owned(), slug: None, description: None, position: Some(1) }
    }
}

impl Example for UpdateCategoryRequest {
    fn example() -> Self {
        Self { title: Some("Kitchen and table".to_owned()), slug: None, description: None, position: None }
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
            Self::InUse { products } => {
                Problem::new(Code::CategoryInUse, self.to_string()).with("products", products)
            }
            Self::Database(error) => error.into(),
        }
    }
}
