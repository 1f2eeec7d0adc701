//! What the clients of a storm act on: few rows, so that they meet.

use std::sync::Mutex;

use commerce_core::accounts::{NewPassword, PasswordHash, Role};
use commerce_core::ids::UserId;
use commerce_core::testing::email;
use diesel::ExpressionMethods as _;
use diesel_async::RunQueryDsl as _;
use poem::http::Method;
use serde_json::json;

use crate::shop::{TestShop, ask, post};
use crate::world::{Credential, bearer};

/// The password of every customer.
pub const PASSWORD: &str = "correct-horse-battery";

/// The SKUs that variants exchange among themselves.
pub const SKUS: [&str; 12] = ["A1", "A2", "B1", "B2", "C1", "C2", "D1", "D2", "E1", "E2", "F1", "F2"];

/// The slugs that products and categories exchange among themselves.
pub const SLUGS: [&str; 6] = ["ash", "birch", "cedar", "elm", "fir", "oak"];

/// The addresses that people register with and move to.
pub const ADDRESSES: [&str; 5] =
    ["ada@example.com", "bea@example.com", "cyd@example.com", "dee@example.com", "eve@example.com"];

/// A list that clients add to and choose from.
pub type Shared<T> = Mutex<Vec<T>>;

pub struct Things {
    pub admin: Credential,
    hash: PasswordHash,
    pub products: Shared<String>,
    /// With their products.
    pub variants: Shared<(String, String)>,
    pub categories: Shared<String>,
    /// With their products.
    pub images: Shared<(String, String)>,
    pub customers: Shared<(UserId, Credential)>,
    /// With their owners.
    pub orders: Shared<(String, Credential)>,
    pub payments: Shared<(String, Credential)>,
    pub addresses: Shared<(String, Credential)>,
    /// Places for stock beside the main one.
    pub locations: Shared<String>,
    pub messages: Shared<String>,
}

impl Things {
    /// Six products with two variants each, three categories, an image, an admin and four customers.
    pub async fn new(shop: &TestShop) -> Self {
        let (_, admin) = shop.login(Role::Admin).await;
        let password = NewPassword::parse(PASSWORD, "").unwrap();
        let things = Self {
            admin: bearer(&admin),
            hash: shop.state.hasher.hash(password).await.unwrap(),
            products: Mutex::default(),
            variants: Mutex::default(),
            categories: Mutex::default(),
            images: Mutex::default(),
            customers: Mutex::default(),
            orders: Mutex::default(),
            payments: Mutex::default(),
            addresses: Mutex::default(),
            locations: Mutex::default(),
            messages: Mutex::default(),
        };
        for code in ["attic", "barn"] {
            let location = json!({ "code": code, "name": code });
            let made = shop.send(post("/v1/admin/stock-locations", &location).bearer(&admin)).await;
            things.locations.lock().unwrap().push(made.json()["id"].as_str().unwrap().to_owned());
        }
        for slug in ["lake", "moor", "vale"] {
            let made = shop.send(post("/v1/categories", &json!({ "title": slug })).bearer(&admin)).await;
            things.categories.lock().unwrap().push(made.json()["id"].as_str().unwrap().to_owned());
        }
        let categories = things.categories.lock().unwrap().clone();
        for (number, slug) in SLUGS.into_iter().enumerate() {
            let variant = |at: usize| {
                json!({ "sku": SKUS[2 * number + at], "options": { "Size": (["S", "L"][at]) },
                        "price": { "amount": 1000, "currency": "USD" }, "stock": 30 })
            };
            let product = json!({ "title": slug, "slug": slug, "status": "active", "category_ids": categories,
                                  "variants": [variant(0), variant(1)] });
            let made = shop.send(post("/v1/products", &product).bearer(&admin)).await;
            assert_eq!(made.status, 201, "{}", made.text);
            let made = made.json();
            let id = made["id"].as_str().unwrap().to_owned();
            for variant in made["variants"].as_array().unwrap() {
                let variant = variant["id"].as_str().unwrap().to_owned();
                things.variants.lock().unwrap().push((id.clone(), variant));
            }
            let link =
                json!({ "images": [{ "url": "/demo-images/a.svg" }, { "url": "/demo-images/b.svg" }] });
            let ask = ask(Method::PATCH, &format!("/v1/products/{id}")).json(&link).bearer(&admin);
            for image in shop.send(ask).await.json()["images"].as_array().unwrap() {
                let image = image["id"].as_str().unwrap().to_owned();
                things.images.lock().unwrap().push((id.clone(), image));
            }
            things.products.lock().unwrap().push(id);
        }
        for _ in 0..4 {
            things.add_customer(shop).await;
        }
        things
    }

    /// A new customer instead of one who was deleted or logged out.
    pub async fn add_customer(&self, shop: &TestShop) {
        use commerce_core::schema::users;
        let (id, token) = shop.login(Role::Customer).await;
        let name = email(&format!("{id}@example.com"));
        diesel::update(users::table)
            .filter(users::email.eq(name.as_str()))
            .set(users::password_hash.eq(&self.hash))
            .execute(&mut shop.database.conn().await)
            .await
            .unwrap();
        self.customers.lock().unwrap().push((id, bearer(&token)));
    }
}
