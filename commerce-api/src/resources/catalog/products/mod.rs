//! `/products`: the products, for everybody to read and for staff to change.

mod requests;
mod shapes;
mod variant_requests;

use commerce_core::audit_log::{self, Subject};
use commerce_core::catalog::{
    self, Audience, ListProducts, ListProductsError, ProductKey, ProductPatch, ProductRefusal,
    ProductStatus as Status, UpdateProductError, VariantPatch,
};
use commerce_core::flows::{self, CreateCombinations, CreateProductError, CreateVariant};
use commerce_core::ids::{ProductId, VariantId};
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

pub use self::requests::{CreateProductRequest, ReplaceProductRequest, UpdateProductRequest};
pub use self::shapes::{Image, Product, ProductSort, ProductStatus};
pub use self::variant_requests::{CreateVariantMatrixRequest, CreateVariantRequest, UpdateVariantRequest};

use crate::http::answer::{Created, List, NOTHING, NoContent, Okay, twenty};
use crate::http::auth::{Can, ProductsRead, ProductsWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, MissingOrMoved, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Products(pub State);

#[OpenApi(tag = "Tag::Products")]
impl Products {
    /// List products
    ///
    /// Returns active products with their active variants. Filters are combined with AND.
    #[oai(path = "/products", method = "get", operation_id = "list_products")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        /// Id or slug of a category
        #[oai(validator(max_length = 120))]
        category: Query<Option<String>>,
        /// With `category`: whether to include products of its descendants
        descendants: Query<Option<bool>>,
        /// Lower bound of `price_from`, in minor units
        #[oai(validator(minimum(value = "0")))]
        price_min: Query<Option<i64>>,
        /// Upper bound of `price_from`, in minor units
        #[oai(validator(minimum(value = "0")))]
        price_max: Query<Option<i64>>,
        /// `true`: only products that can be bought now. `false`: only products that are sold out
        in_stock: Query<Option<bool>>,
        /// Words that must all appear in the title or a SKU. `GET /products/search` also searches descriptions
        #[oai(validator(max_length = 200))]
        q: Query<Option<String>>,
        /// Newest first by default. Products without a price come last
        sort: Query<Option<ProductSort>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Product>>, Refused<ListProductsError>> {
        self.page(ListProducts {
            audience: Audience::Shoppers,
            status: None,
            category: category.0,
            with_descendants: descendants.0 == Some(true),
            price_min_minor: price_min.0,
            price_max_minor: price_max.0,
            in_stock: in_stock.0,
            query: q.0,
            sort: sort.0.unwrap_or(ProductSort::CreatedAtDescending).into(),
            limit: Limit::new(limit.0).unwrap_or_default(),
            cursor: cursor.0,
        })
        .await
    }

    /// Get a product
    ///
    /// A former slug of the product is answered with 301, and `Location` has the current address.
    #[oai(path = "/products/:id_or_slug", method = "get", operation_id = "get_product")]
    async fn get(&self, id_or_slug: Path<String>) -> Result<Okay<Product>, Refused<MissingOrMoved>> {
        self.find("/v1/products", &id_or_slug.0, Audience::Shoppers).await
    }

    /// Create a product
    ///
    /// With `price`, and optionally `sku` and `stock`, the product has one variant. With `variants` it has
    /// options. The product, its variants and their stock are created together. The product is on sale at
    /// once unless `status` is `draft`.
    #[oai(path = "/products", method = "post", operation_id = "create_product")]
    async fn create(
        &self,
        staff: Can<ProductsWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CreateProductRequest>,
    ) -> Result<Created<Product>, Refused<CreateProductError>> {
        let (command, form) = body.command()?;
        let (currency, author) = (self.0.shop.currency, staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let made = flows::create_product(conn, command.clone(), currency, &author.origin).await;
            let made = made.map_err(|error| form.point(error))?;
            audit_log::record(conn, &author, "create_product", Subject::Product(made.id), None).await?;
            let product = Product::from(made);
            let path = format!("/v1/products/{}", product.id);
            Ok(product.reply().location(path))
        };
        self.0.write("create_product", key.request(&staff, body.raw()), effect).await
    }

    /// Replace a product
    ///
    /// Description, vendor, tags, categories, attributes and images that are left out become empty. Status, slug, price and
    /// SKU keep their value if they are left out. Price and SKU can be given only for a product with one
    /// variant.
    #[oai(path = "/products/:id_or_slug", method = "put", operation_id = "replace_product")]
    async fn replace(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<ReplaceProductRequest>,
    ) -> Result<Okay<Product>, Refused<UpdateProductError>> {
        self.update("replace_product", &staff, id_or_slug.0, expected, body.patch()?).await
    }

    /// Update a product
    ///
    /// Changes only the given fields. `price`, `compare_at_price` and `sku` can be given only for a product
    /// with one variant. If there are several variants, update each of them.
    #[oai(path = "/products/:id_or_slug", method = "patch", operation_id = "update_product")]
    async fn patch(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateProductRequest>,
    ) -> Result<Okay<Product>, Refused<UpdateProductError>> {
        self.update("update_product", &staff, id_or_slug.0, expected, body.patch()?).await
    }

    /// Archive a product
    ///
    /// The product is no longer shown or sold. Orders keep it, and its status can be changed back.
    #[oai(path = "/products/:id_or_slug", method = "delete", operation_id = "archive_product")]
    async fn archive(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
    ) -> Result<NoContent, Refused<UpdateProductError>> {
        let (key, currency, author) = (product_key(&id_or_slug.0), self.0.shop.currency, staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let id = product_id(conn, &key).await?;
            let before = audit_log::snapshot(conn, Subject::Product(id)).await?;
            let patch = ProductPatch { status: Some(Status::Archived), ..ProductPatch::default() };
            catalog::update_product(conn, id, expected.version(), patch, currency).await?;
            audit_log::record(conn, &author, "archive_product", Subject::Product(id), before).await?;
            Ok::<_, UpdateProductError>(NOTHING)
        };
        self.0.write("archive_product", None, effect).await
    }

    /// Create a variant
    ///
    /// A variant has a value for each of the product's options. The first variant of a product also sets the
    /// names of the options.
    #[oai(path = "/products/:id_or_slug/variants", method = "post", operation_id = "create_variant")]
    async fn create_variant(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CreateVariantRequest>,
    ) -> Result<Created<Product>, Refused<UpdateProductError>> {
        let (new, stock) = (body.variant("")?, body.stock.unwrap_or(0));
        let (product, currency, author) = (product_key(&id_or_slug.0), self.0.shop.currency, staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let id = product_id(conn, &product).await?;
            if new.has_keys() {
                catalog::lock_keys(conn).await?;
            }
            let before = audit_log::snapshot(conn, Subject::Product(id)).await?;
            let create =
                CreateVariant { product_id: id, if_version: expected.version(), variant: new.clone(), stock };
            let (_, product) = flows::create_variant(conn, create, currency, &author.origin).await?;
            audit_log::record(conn, &author, "create_variant", Subject::Product(id), before).await?;
            Ok::<_, UpdateProductError>(Product::from(product).reply())
        };
        self.0.write("create_variant", key.request(&staff, body.raw()), effect).await
    }

    /// Create variants for all combinations
    ///
    /// Creates a variant for each combination of the given options that the product does not have yet. All
    /// new variants have the same price, no stock and no SKU. Sending the request again adds nothing.
    #[oai(
        path = "/products/:id_or_slug/variant-matrix",
        method = "post",
        operation_id = "create_variant_matrix"
    )]
    async fn create_variant_matrix(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CreateVariantMatrixRequest>,
    ) -> Result<Okay<Product>, Refused<UpdateProductError>> {
        let (options, price) = body.matrix()?;
        let (product, currency, author) = (product_key(&id_or_slug.0), self.0.shop.currency, staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let id = product_id(conn, &product).await?;
            let before = audit_log::snapshot(conn, Subject::Product(id)).await?;
            let create = CreateCombinations {
                product_id: id,
                if_version: expected.version(),
                options: options.clone(),
                price,
            };
            let (_, product) = flows::create_combinations(conn, create, currency, &author.origin).await?;
            audit_log::record(conn, &author, "create_variant_matrix", Subject::Product(id), before).await?;
            Ok::<_, UpdateProductError>(Product::from(product).reply())
        };
        self.0.write("create_variant_matrix", key.request(&staff, body.raw()), effect).await
    }

    /// Update a variant
    #[oai(
        path = "/products/:id_or_slug/variants/:variant_id",
        method = "patch",
        operation_id = "update_variant"
    )]
    async fn patch_variant(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        variant_id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateVariantRequest>,
    ) -> Result<Okay<Product>, Refused<UpdateProductError>> {
        let patch = body.patch()?;
        let (key, currency, author) = (product_key(&id_or_slug.0), self.0.shop.currency, staff.author());
        let variant_id = VariantId(variant_id.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let (id, patch) = (product_id(conn, &key).await?, patch.clone());
            if patch.has_keys() {
                catalog::lock_keys(conn).await?;
            }
            let before = audit_log::snapshot(conn, Subject::Product(id)).await?;
            let product =
                catalog::update_variant(conn, id, variant_id, expected.version(), patch, currency).await?;
            audit_log::record(conn, &author, "update_variant", Subject::Product(id), before).await?;
            Ok::<_, UpdateProductError>(Product::from(product).reply())
        };
        self.0.write("update_variant", None, effect).await
    }

    /// Deactivate a variant
    ///
    /// The variant is no longer sold, but it is not deleted, because orders may refer to it. It keeps its SKU
    /// and its options, and can be activated again.
    #[oai(
        path = "/products/:id_or_slug/variants/:variant_id",
        method = "delete",
        operation_id = "deactivate_variant"
    )]
    async fn deactivate_variant(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        variant_id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
    ) -> Result<NoContent, Refused<UpdateProductError>> {
        let (key, currency, author) = (product_key(&id_or_slug.0), self.0.shop.currency, staff.author());
        let variant_id = VariantId(variant_id.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let id = product_id(conn, &key).await?;
            let before = audit_log::snapshot(conn, Subject::Product(id)).await?;
            let patch = VariantPatch { active: Some(false), ..VariantPatch::default() };
            catalog::update_variant(conn, id, variant_id, expected.version(), patch, currency).await?;
            audit_log::record(conn, &author, "deactivate_variant", Subject::Product(id), before).await?;
            Ok::<_, UpdateProductError>(NOTHING)
        };
        self.0.write("deactivate_variant", None, effect).await
    }

    /// List products in any status
    #[oai(path = "/admin/products", method = "get", operation_id = "admin_list_products")]
    #[allow(clippy::too_many_arguments)]
    async fn admin_list(
        &self,
        _staff: Can<ProductsRead>,
        status: Query<Option<ProductStatus>>,
        /// Id or slug of a category
        #[oai(validator(max_length = 120))]
        category: Query<Option<String>>,
        /// With `category`: whether to include products of its descendants
        descendants: Query<Option<bool>>,
        /// Lower bound of `price_from`, in minor units
        #[oai(validator(minimum(value = "0")))]
        price_min: Query<Option<i64>>,
        /// Upper bound of `price_from`, in minor units
        #[oai(validator(minimum(value = "0")))]
        price_max: Query<Option<i64>>,
        in_stock: Query<Option<bool>>,
        /// Words that must all appear in the title or a SKU. `GET /products/search` also searches descriptions
        #[oai(validator(max_length = 200))]
        q: Query<Option<String>>,
        sort: Query<Option<ProductSort>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Product>>, Refused<ListProductsError>> {
        self.page(ListProducts {
            audience: Audience::Staff,
            status: status.0.map(Into::into),
            category: category.0,
            with_descendants: descendants.0 == Some(true),
            price_min_minor: price_min.0,
            price_max_minor: price_max.0,
            in_stock: in_stock.0,
            query: q.0,
            sort: sort.0.unwrap_or(ProductSort::CreatedAtDescending).into(),
            limit: Limit::new(limit.0).unwrap_or_default(),
            cursor: cursor.0,
        })
        .await
    }

    /// Get a product in any status
    #[oai(path = "/admin/products/:id_or_slug", method = "get", operation_id = "admin_get_product")]
    async fn admin_get(
        &self,
        _staff: Can<ProductsRead>,
        id_or_slug: Path<String>,
    ) -> Result<Okay<Product>, Refused<MissingOrMoved>> {
        self.find("/v1/admin/products", &id_or_slug.0, Audience::Staff).await
    }
}

impl Products {
    async fn page(&self, list: ListProducts) -> Result<Okay<List<Product>>, Refused<ListProductsError>> {
        let mut conn = self.0.reader().await?;
        let page = catalog::list_products(&mut conn, &list).await?;
        Ok(Okay::page(page.map(Product::from)).tagged_as_shown())
    }

    async fn find(
        &self,
        base: &str,
        key: &str,
        audience: Audience,
    ) -> Result<Okay<Product>, Refused<MissingOrMoved>> {
        let mut conn = self.0.reader().await?;
        let Some(product) = catalog::find_product(&mut conn, &product_key(key), audience).await? else {
            let moved = catalog::find_moved_product(&mut conn, key, audience).await?;
            return Err(match moved {
                Some(slug) => Problem::moved(format!("{base}/{slug}")).into(),
                None => MissingOrMoved("product").into(),
            });
        };
        Ok(Okay::new(Product::from(product).reply()))
    }

    async fn update(
        &self,
        action: &'static str,
        staff: &Can<ProductsWrite>,
        key: String,
        expected: IfMatch,
        patch: ProductPatch,
    ) -> Result<Okay<Product>, Refused<UpdateProductError>> {
        let (key, currency, author) = (product_key(&key), self.0.shop.currency, staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            let id = product_id(conn, &key).await?;
            if patch.has_keys() {
                catalog::lock_keys(conn).await?;
            }
            let before = audit_log::snapshot(conn, Subject::Product(id)).await?;
            let product =
                catalog::update_product(conn, id, expected.version(), patch.clone(), currency).await?;
            audit_log::record(conn, &author, action, Subject::Product(id), before).await?;
            Ok::<_, UpdateProductError>(Product::from(product).reply())
        };
        self.0.write(action, None, effect).await
    }
}

pub(crate) fn product_key(text: &str) -> ProductKey {
    ProductKey::from(text)
}

async fn product_id(conn: &mut AsyncPgConnection, key: &ProductKey) -> Result<ProductId, UpdateProductError> {
    catalog::find_product_id(conn, key).await?.ok_or(UpdateProductError::UnknownProduct)
}

impl Refusal for ListProductsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::Cursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

const REFUSAL_CODES: [Code; 5] =
    [Code::ValidationFailed, Code::CurrencyMismatch, Code::SlugTaken, Code::SkuTaken, Code::OptionsTaken];

fn refusal(refusal: ProductRefusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        ProductRefusal::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
        ProductRefusal::CurrencyMismatch { pointer, .. } => {
            Problem::new(Code::CurrencyMismatch, detail.clone()).with_errors(vec![Fault::at(pointer, detail)])
        }
        ProductRefusal::UnknownCategory(_) => Problem::invalid(vec![Fault::at("/category_ids", detail)]),
        ProductRefusal::SlugTaken(_) => Problem::new(Code::SlugTaken, detail),
        ProductRefusal::SkuTaken(_) => Problem::new(Code::SkuTaken, detail),
        ProductRefusal::OptionsTaken => Problem::new(Code::OptionsTaken, detail),
    }
}

impl Refusal for CreateProductError {
    const CODES: &'static [Code] = &REFUSAL_CODES;

    fn problem(self) -> Problem {
        match self {
            Self::Refused(refused) => refusal(refused),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for UpdateProductError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::VersionMismatch,
        Code::ValidationFailed,
        Code::CurrencyMismatch,
        Code::SlugTaken,
        Code::SkuTaken,
        Code::OptionsTaken,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownProduct => Problem::not_found("product"),
            Self::UnknownVariant(_) => Problem::not_found("variant"),
            Self::VersionMismatch { .. } => Problem::new(Code::VersionMismatch, self.to_string()),
            Self::Refused(refused) => refusal(refused),
            Self::Database(error) => error.into(),
        }
    }
}
