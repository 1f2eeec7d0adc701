//! A small shop whose goods tell every rule of searching apart.

use commerce_core::catalog::{
    self, Category, NewCategory, NewProduct, NewVariant, Product, ProductPatch, ProductStatus,
};
use commerce_core::flows::{self, CreateProduct};
use commerce_core::ids::ProductId;
use commerce_core::money::{Currency, Money};
use commerce_core::page::Limit;
use commerce_core::request::Origin;
use commerce_core::search::{self, SearchEngine, SearchPage, SearchProducts, SearchSort};
use commerce_core::testing::TestDatabase;
use diesel_async::AsyncPgConnection;

/// Goods with a title, a price in USD cents, and units on hand; more is added by the calls on it.
pub struct Goods {
    product: NewProduct,
    stock: Vec<i64>,
}

pub fn goods(title: &str, price: i64, stock: i64) -> Goods {
    Goods {
        product: NewProduct {
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
            variants: vec![variant(&[], price)],
        },
        stock: vec![stock],
    }
}

fn variant(options: &[(&str, &str)], price: i64) -> NewVariant {
    NewVariant {
        sku: None,
        options: options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        price: Money::new(price, Currency::USD),
        compare_at_price: None,
        active: true,
        details: Default::default(),
        staff: Default::default(),
    }
}

impl Goods {
    pub fn sku(mut self, sku: &str) -> Self {
        self.product.variants[0].sku = Some(sku.to_owned());
        self
    }

    pub fn description(mut self, html: &str) -> Self {
        self.product.description = html.to_owned();
        self
    }

    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.product.attributes.insert(name.to_owned(), value.into());
        self
    }

    pub fn category(mut self, category: &Category) -> Self {
        self.product.category_ids.push(category.id);
        self
    }

    /// A variant a value, each at the price and with the stock of the first.
    pub fn option(mut self, name: &str, values: &[&str]) -> Self {
        let (price, stock) = (self.product.variants[0].price.amount_minor, self.stock[0]);
        self.product.variants = values.iter().map(|value| variant(&[(name, value)], price)).collect();
        self.stock = vec![stock; values.len()];
        self
    }

    /// Sold without being counted.
    pub fn uncounted(mut self) -> Self {
        self.product.variants.iter_mut().for_each(|variant| variant.details.track_inventory = false);
        self
    }

    pub fn draft(mut self) -> Self {
        self.product.status = ProductStatus::Draft;
        self
    }

    pub async fn create(self, conn: &mut AsyncPgConnection) -> Product {
        let create = CreateProduct { product: self.product, stock: self.stock };
        flows::create_product(conn, create, Currency::USD, &Origin::system()).await.unwrap()
    }
}

pub async fn category(conn: &mut AsyncPgConnection, title: &str) -> Category {
    catalog::create_category(conn, NewCategory { title: title.to_owned(), ..Default::default() })
        .await
        .unwrap()
}

pub async fn category_below(conn: &mut AsyncPgConnection, parent: &Category, title: &str) -> Category {
    let new = NewCategory { title: title.to_owned(), parent_id: Some(parent.id), ..Default::default() };
    catalog::create_category(conn, new).await.unwrap()
}

pub async fn patch(conn: &mut AsyncPgConnection, id: ProductId, patch: ProductPatch) {
    catalog::update_product(conn, id, None, patch, Currency::USD).await.unwrap();
}

/// A search for a text, with nothing else asked.
pub fn text(text: &str) -> SearchProducts {
    SearchProducts {
        text: text.to_owned(),
        categories: Vec::new(),
        price_min_minor: None,
        price_max_minor: None,
        options: Vec::new(),
        in_stock: None,
        sort: SearchSort::Relevance,
        page: 1,
        per_page: Limit::default(),
    }
}

pub async fn search(db: &TestDatabase, engine: &dyn SearchEngine, search: &SearchProducts) -> SearchPage {
    search::search_products(db.pool(), engine, search).await.unwrap()
}

pub fn titles(page: &SearchPage) -> Vec<&str> {
    page.found.iter().map(|found| found.product.title.as_str()).collect()
}
