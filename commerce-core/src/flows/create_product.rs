//! Creates a product, its variants, its stock levels and their first ledger entries in one transaction.

use diesel::result::Error as QueryError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use crate::catalog::{
    self, Audience, NewProduct, NewVariant, OptionValues, Product, ProductKey, ProductRefusal,
    UpdateProductError, WriteProductError,
};
use crate::db::Retryable;
use crate::error::FieldErrors;
use crate::ids::{ProductId, VariantId};
use crate::inventory::{self, AdjustError, CountStock, MAIN_LOCATION, ON_HAND_MAX};
use crate::money::{Currency, Money};
use crate::request::Origin;

/// A product to create, with its stock.
#[derive(Debug, Clone)]
pub struct CreateProduct {
    /// The product with its variants.
    pub product: NewProduct,
    /// Units on hand at the main location, in the order of the product's variants. Missing numbers mean 0.
    pub stock: Vec<i64>,
}

/// A variant to add to a product, with its stock.
#[derive(Debug, Clone)]
pub struct CreateVariant {
    /// The product that it is a variant of.
    pub product_id: ProductId,
    /// Add it only if the product has this version.
    pub if_version: Option<i32>,
    /// The variant.
    pub variant: NewVariant,
    /// Units on hand at the main location.
    pub stock: i64,
}

/// Options whose combinations become variants of a product.
#[derive(Debug, Clone)]
pub struct CreateCombinations {
    /// The product that gets the variants.
    pub product_id: ProductId,
    /// Add them only if the product has this version.
    pub if_version: Option<i32>,
    /// The options and their values.
    pub options: Vec<OptionValues>,
    /// The price of each new variant.
    pub price: Money,
}

/// Why a product was not created. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CreateProductError {
    /// The catalogue's rules do not allow this product.
    #[error(transparent)]
    Refused(#[from] ProductRefusal),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl From<WriteProductError> for CreateProductError {
    fn from(error: WriteProductError) -> Self {
        match error {
            WriteProductError::Refused(refusal) => Self::Refused(refusal),
            WriteProductError::Database(error) => Self::Database(error),
        }
    }
}

impl Retryable for CreateProductError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// Creates a product with stock and returns it as staff see it. `currency` is the shop's.
pub async fn create_product(
    conn: &mut AsyncPgConnection,
    create: CreateProduct,
    currency: Currency,
    origin: &Origin,
) -> Result<Product, CreateProductError> {
    check_stock(
        create.stock.iter().enumerate().map(|(at, units)| (format!("/variants/{at}/stock"), *units)),
    )?;
    conn.transaction::<_, CreateProductError, _>(async |conn| {
        let inserted = catalog::insert_product(conn, create.product, currency).await?;
        let stock = inserted.variant_ids.into_iter().zip(create.stock);
        receive(conn, stock, "first stock", origin).await?;
        let key = ProductKey::Id(inserted.id);
        let product = catalog::find_product(conn, &key, Audience::Staff).await?;
        Ok(product.ok_or(QueryError::NotFound)?)
    })
    .await
}

/// Adds a variant with stock to a product and returns its id and the product.
pub async fn create_variant(
    conn: &mut AsyncPgConnection,
    create: CreateVariant,
    currency: Currency,
    origin: &Origin,
) -> Result<(VariantId, Product), UpdateProductError> {
    let CreateVariant { product_id, if_version, variant, stock } = create;
    check_stock([("/stock".to_owned(), stock)])?;
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let id = catalog::append_variant(conn, product_id, if_version, variant, currency).await?;
        receive(conn, [(id, stock)], "first stock", origin).await?;
        Ok((id, catalog::finish_write(conn, product_id).await?))
    })
    .await
}

/// Adds a variant without stock for every missing combination of the options. Returns the number of added
/// variants, and the product.
pub async fn create_combinations(
    conn: &mut AsyncPgConnection,
    create: CreateCombinations,
    currency: Currency,
    origin: &Origin,
) -> Result<(usize, Product), UpdateProductError> {
    let CreateCombinations { product_id, if_version, options, price } = create;
    conn.transaction::<_, UpdateProductError, _>(async |conn| {
        let (ids, product) =
            catalog::add_combinations(conn, product_id, if_version, &options, price, currency).await?;
        receive(conn, ids.iter().map(|id| (*id, 0)), "first stock", origin).await?;
        Ok((ids.len(), product))
    })
    .await
}

fn check_stock(stock: impl IntoIterator<Item = (String, i64)>) -> Result<(), ProductRefusal> {
    let mut errors = FieldErrors::default();
    for (pointer, units) in stock {
        if !(0..=ON_HAND_MAX).contains(&units) {
            errors.push(pointer, format!("must be between 0 and {ON_HAND_MAX} units"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ProductRefusal::Invalid(errors.into_vec())) }
}

/// Records the first units of new variants. A variant without units gets a stock level too, so that inventory
/// lists it.
pub(super) async fn receive(
    conn: &mut AsyncPgConnection,
    stock: impl IntoIterator<Item = (VariantId, i64)>,
    reason: &str,
    origin: &Origin,
) -> QueryResult {
    let counts: Vec<CountStock> = stock
        .into_iter()
        .map(|(variant_id, on_hand)| CountStock {
            variant_id,
            location_id: MAIN_LOCATION,
            on_hand,
            reason: Some(reason.to_owned()),
        })
        .collect();
    if counts.is_empty() {
        return Ok(());
    }
    inventory::set_on_hand(conn, &counts, origin).await.map_err(|error| match error {
        AdjustError::Database(error) => error,
        // Nobody else knows the new variants yet, and the quantity was checked.
        other => QueryError::QueryBuilderError(other.into()),
    })
}

type QueryResult = Result<(), QueryError>;
