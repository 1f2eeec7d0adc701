//! Why a product cannot be written.

use diesel::result::{DatabaseErrorKind, Error as QueryError};

use crate::db::Retryable;
use crate::error::FieldError;
use crate::ids::VariantId;
use crate::money::Currency;

/// What is wrong with the given product or variant. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductRefusal {
    /// Values are invalid. Each error has its place.
    #[error("{} value(s) of the product are invalid", .0.len())]
    Invalid(Vec<FieldError>),
    /// The price at `pointer` is not in the shop's currency.
    #[error("prices of this shop are in {shop}, not in {given}")]
    CurrencyMismatch {
        /// The place of the price (RFC 6901).
        pointer: String,
        /// The currency of the price.
        given: Currency,
        /// The shop's currency.
        shop: Currency,
    },
    /// A category does not exist.
    #[error("there is no category {0}")]
    UnknownCategory(String),
    /// The slug belongs to another product.
    #[error("the slug {0:?} belongs to another product")]
    SlugTaken(String),
    /// The SKU belongs to another variant.
    #[error("the SKU {0:?} belongs to another variant")]
    SkuTaken(String),
    /// Another variant of the product has the same options.
    #[error("the product already has a variant with these options")]
    OptionsTaken,
}

/// Why a product was not created.
#[derive(Debug, thiserror::Error)]
pub enum WriteProductError {
    /// The product was refused.
    #[error(transparent)]
    Refused(#[from] ProductRefusal),
    /// The database failed.
    #[error(transparent)]
    Database(QueryError),
}

/// Why a product or one of its variants was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateProductError {
    /// There is no such product.
    #[error("there is no such product")]
    UnknownProduct,
    /// The product has no such variant.
    #[error("the product has no variant {0}")]
    UnknownVariant(VariantId),
    /// Somebody else changed it in the meantime.
    #[error("the product was changed in the meantime and is now at version {current}")]
    VersionMismatch {
        /// The present version.
        current: i32,
    },
    /// The change was refused.
    #[error(transparent)]
    Refused(#[from] ProductRefusal),
    /// The database failed.
    #[error(transparent)]
    Database(QueryError),
}

impl From<QueryError> for WriteProductError {
    fn from(error: QueryError) -> Self {
        refusal_of(&error).map_or(Self::Database(error), Self::Refused)
    }
}

impl From<QueryError> for UpdateProductError {
    fn from(error: QueryError) -> Self {
        refusal_of(&error).map_or(Self::Database(error), Self::Refused)
    }
}

impl From<WriteProductError> for UpdateProductError {
    fn from(error: WriteProductError) -> Self {
        match error {
            WriteProductError::Refused(refusal) => Self::Refused(refusal),
            WriteProductError::Database(error) => Self::Database(error),
        }
    }
}

impl Retryable for WriteProductError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl Retryable for UpdateProductError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

/// The refusal that a violated constraint stands for, by the constraint's name.
fn refusal_of(error: &QueryError) -> Option<ProductRefusal> {
    let QueryError::DatabaseError(
        DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ForeignKeyViolation,
        info,
    ) = error
    else {
        return None;
    };
    let value = || violating_value(info.details().unwrap_or_default()).to_owned();
    match info.constraint_name()? {
        "products_slug_key" => Some(ProductRefusal::SlugTaken(value())),
        "variants_sku_key" => Some(ProductRefusal::SkuTaken(value())),
        "variants_options_key" => Some(ProductRefusal::OptionsTaken),
        "product_categories_category_id_fkey" => Some(ProductRefusal::UnknownCategory(value())),
        _ => None,
    }
}

/// The value in Postgres's `Key (sku)=(A-1) already exists.`. Empty if the message has another form.
fn violating_value(details: &str) -> &str {
    let value = details.split_once(")=(").map(|(_, rest)| rest);
    value.and_then(|rest| rest.rsplit_once(')')).map_or("", |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_read_from_the_servers_words() {
        assert_eq!(violating_value("Key (sku)=(A(1)) already exists."), "A(1)");
        assert_eq!(violating_value("something else"), "");
    }
}
