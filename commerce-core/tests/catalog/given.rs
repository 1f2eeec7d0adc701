//! Products as the tests need them.

use commerce_core::catalog::{NewProduct, NewVariant, Options, Product, ProductStatus};
use commerce_core::db;
use commerce_core::flows::{self, CreateProduct, CreateProductError};
use commerce_core::ids::{CartId, VariantId};
use commerce_core::inventory::{self, Demand, ReserveError, ReservedFor};
use commerce_core::money::{Currency, Money};
use commerce_core::request::Origin;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

pub fn usd(amount_minor: i64) -> Money {
    Money::new(amount_minor, Currency::USD)
}

pub fn variant(options: &[(&str, &str)], price: i64) -> NewVariant {
    NewVariant {
        sku: None,
        options: options_of(options),
        price: usd(price),
        compare_at_price: None,
        active: true,
        details: Default::default(),
        staff: Default::default(),
    }
}

pub fn options_of(options: &[(&str, &str)]) -> Options {
    options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// An active product without anything else.
pub fn product(title: &str, variants: Vec<NewVariant>) -> NewProduct {
    NewProduct {
        slug: None,
        title: title.to_owned(),
        description: String::new(),
        status: ProductStatus::Active,
        vendor: None,
        tags: Vec::new(),
        attributes: Default::default(),
        option_names: Vec::new(),
        category_ids: Vec::new(),
        images: Vec::new(),
        variants,
    }
}

pub async fn create(
    conn: &mut AsyncPgConnection,
    product: NewProduct,
    stock: &[i64],
) -> Result<Product, CreateProductError> {
    let create = CreateProduct { product, stock: stock.to_vec() };
    flows::create_product(conn, create, Currency::USD, &Origin::system()).await
}

/// A simple product with units on hand.
pub async fn simple(conn: &mut AsyncPgConnection, title: &str, price: i64, stock: i64) -> Product {
    create(conn, product(title, vec![variant(&[], price)]), &[stock]).await.unwrap()
}

/// Holds units of a variant for a guest's cart, for a minute.
pub async fn reserve(conn: &mut AsyncPgConnection, variant_id: VariantId, quantity: i64) {
    let cart_id = CartId::new();
    let cart =
        format!("INSERT INTO commerce.carts (id, token_hash) VALUES ('{cart_id}', sha256('{cart_id}'))");
    conn.batch_execute(&cart).await.unwrap();
    let expires_at = db::current_time(conn).await.unwrap() + chrono::TimeDelta::seconds(60);
    conn.transaction::<_, ReserveError, _>(async |conn| {
        let mut stock = inventory::lock(conn, [variant_id]).await?;
        let reserved_for = ReservedFor::Cart { id: cart_id, expires_at };
        let demand = Demand { variant_id, quantity };
        inventory::reserve(conn, &mut stock, &[demand], reserved_for, &Origin::system()).await
    })
    .await
    .unwrap();
}
