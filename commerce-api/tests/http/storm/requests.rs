//! One client of a storm, and the requests that it makes up.

use commerce_core::accounts::SecretKey;
use commerce_core::accounts::one_time_code::derive_code;
use commerce_core::ids::CodeId;
use diesel_async::RunQueryDsl as _;
use image::ImageFormat;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Storm;
use super::things::{ADDRESSES, PASSWORD, SKUS, SLUGS, Shared};
use crate::images::{encoded, picture};
use crate::shop::{Ask, Got, SECRET, ask, get};
use crate::surface::Operation;
use crate::world::Credential;

/// Orders, payments and the like are chosen among the newest, so that clients meet there too.
const NEWEST: usize = 12;

pub struct Client {
    number: usize,
    guest: Credential,
    /// The credential and the product of the last request.
    caller: Option<Credential>,
    product: String,
    key: String,
}

fn guest() -> Credential {
    ("Cart-Token", Uuid::now_v7().simple().to_string())
}

fn newest<T: Clone>(things: &Shared<T>, rng: &mut StdRng) -> Option<T> {
    let things = things.lock().unwrap();
    things[things.len().saturating_sub(NEWEST)..].choose(rng).cloned()
}

fn some<T: Clone>(from: &[T], most: usize, rng: &mut StdRng) -> Vec<T> {
    let mut chosen = from.to_vec();
    chosen.shuffle(rng);
    chosen.truncate(rng.random_range(1..=most));
    chosen
}

impl Client {
    pub fn new(number: usize) -> Self {
        Self { number, guest: guest(), caller: None, product: String::new(), key: String::new() }
    }

    /// A request to this operation. `None` if there is nothing yet that it could be about.
    pub async fn request(&mut self, storm: &Storm, operation: &Operation, rng: &mut StdRng) -> Option<Ask> {
        let things = &storm.things;
        self.caller = if operation.permission.is_some() {
            Some(things.admin.clone())
        } else if operation.accepts("cart_token") && rng.random_bool(0.7) && operation.id != "merge_cart" {
            Some(self.guest.clone())
        } else if operation.accepts("bearer") {
            things.customers.lock().unwrap().choose(rng).map(|(_, token)| token.clone())
        } else {
            None
        };
        let path = self.path(storm, operation, rng).await?;
        let mut ask = ask(operation.method.clone(), &path);
        if let Some((name, value)) = &self.caller {
            ask = ask.header(name, value);
        }
        if operation.has_parameter("Idempotency-Key") {
            // Sometimes the last request again, or its key for another.
            if rng.random_bool(0.9) {
                self.key = Uuid::now_v7().to_string();
            }
            ask = ask.header("Idempotency-Key", &self.key);
        }
        Some(match operation.id.as_str() {
            "import_products" => ask.body("text/csv", &csv(rng)),
            "upload_image" => {
                let file = encoded(&picture(8, 8), ImageFormat::Png);
                ask.form("frontier", &[("file", Some("a.png"), &file)])
            }
            _ => match self.body(storm, operation, rng).await {
                Some(body) => ask.json(&body),
                None => ask,
            },
        })
    }

    /// The path with its parameters filled in. An order, a payment and an address bring their owner.
    async fn path(&mut self, storm: &Storm, operation: &Operation, rng: &mut StdRng) -> Option<String> {
        let things = &storm.things;
        let is_admin = operation.permission.is_some();
        let (mut path, mut word) = ("/v1".to_owned(), "");
        for part in operation.path.split('/').skip(1) {
            path.push('/');
            if !part.starts_with('{') {
                path.push_str(part);
                word = part;
                continue;
            }
            let mut owned = |things: &Shared<(String, Credential)>| {
                let (id, owner) = newest(things, rng)?;
                if !is_admin {
                    self.caller = Some(owner);
                }
                Some(id)
            };
            path.push_str(&match word {
                "orders" => owned(&things.orders)?,
                "payments" => owned(&things.payments)?,
                "addresses" => owned(&things.addresses)?,
                "products" => {
                    self.product = things.products.lock().unwrap().choose(rng)?.clone();
                    self.product.clone()
                }
                "variants" => of_product(&things.variants, &self.product, rng)?,
                "images" => of_product(&things.images, &self.product, rng)?,
                "items" | "inventory" => things.variants.lock().unwrap().choose(rng)?.1.clone(),
                "categories" => things.categories.lock().unwrap().choose(rng)?.clone(),
                "users" => things.customers.lock().unwrap().choose(rng)?.0.to_string(),
                "refunds" => self.refund(storm, rng).await?,
                _ => Uuid::now_v7().to_string(),
            });
        }
        Some(match operation.id.as_str() {
            "import_products" => {
                let stock = ["create_only", "set"].choose(rng)?;
                let (on_error, dry_run) = (["skip", "abort"].choose(rng)?, rng.random_bool(0.2));
                format!("{path}?stock={stock}&on_error={on_error}&dry_run={dry_run}")
            }
            "delete_category" => format!("{path}?detach_products=true&lift_children=true"),
            _ => path,
        })
    }

    async fn refund(&self, storm: &Storm, rng: &mut StdRng) -> Option<String> {
        let list = get("/v1/admin/refunds?limit=5").header(storm.things.admin.0, &storm.things.admin.1);
        let list = storm.modes[self.number % 2].send(list).await.json();
        list["data"].as_array()?.choose(rng)?["id"].as_str().map(str::to_owned)
    }

    async fn body(&self, storm: &Storm, operation: &Operation, rng: &mut StdRng) -> Option<Value> {
        let things = &storm.things;
        let example = operation.body.as_ref()?.example.clone();
        let address = *ADDRESSES.choose(rng)?;
        let sku = *SKUS.choose(rng)?;
        let slug = *SLUGS.choose(rng)?;
        let variants: Vec<String> =
            things.variants.lock().unwrap().iter().map(|(_, variant)| variant.clone()).collect();
        let categories = things.categories.lock().unwrap().clone();
        let price = json!({ "amount": rng.random_range(100..2000), "currency": "USD" });
        let outcome = *["succeed", "succeed", "fail", "require_action", "process"].choose(rng)?;
        let code = self.code(storm).await.unwrap_or_else(|| "000000".to_owned());
        Some(match operation.id.as_str() {
            "replace_cart" => {
                let items = some(&variants, 5, rng)
                    .into_iter()
                    .map(|variant| json!({ "variant_id": variant, "quantity": 1 }));
                json!({ "items": items.collect::<Vec<_>>() })
            }
            "add_cart_item" => {
                json!({ "variant_id": variants.choose(rng)?, "quantity": rng.random_range(1..3) })
            }
            "merge_cart" => json!({ "cart_token": self.guest.1 }),
            "checkout" => without(example, "expected_total"),
            "pay_order" => json!({ "provider": "mock", "outcome": outcome }),
            "adjust_stock" => json!({ "delta": rng.random_range(-5..20), "reason": "storm" }),
            "admin_move_order" => {
                let status = ["processing", "shipped", "delivered", "cancelled"].choose(rng)?;
                match *status {
                    "shipped" => {
                        json!({ "status": status, "tracking_number": rng.random_range(0..1000).to_string() })
                    }
                    _ => json!({ "status": status }),
                }
            }
            "create_product" => {
                json!({ "title": slug, "status": "active", "sku": sku, "price": price, "stock": 5,
                                        "category_ids": some(&categories, 2, rng) })
            }
            "replace_product" | "update_product" => match rng.random_range(0..4) {
                0 => json!({ "title": "New", "slug": slug }),
                1 => json!({ "title": slug, "category_ids": some(&categories, 4, rng) }),
                2 => {
                    json!({ "title": slug, "images": [{ "url": "/demo-images/b.svg" }, { "url": "/demo-images/a.svg" }] })
                }
                _ => json!({ "title": slug, "status": "active", "description": format!("<p>{sku}</p>") }),
            },
            "create_variant" => json!({ "options": { "Size": sku }, "price": price, "sku": sku, "stock": 3 }),
            "create_variant_matrix" => {
                json!({ "options": [{ "name": "Size", "values": some(&["S", "M", "L"], 3, rng) }], "price": price })
            }
            "update_variant" => match rng.random_range(0..3) {
                0 => json!({ "sku": sku, "active": true }),
                1 => json!({ "options": { "Size": *["S", "M", "L"].choose(rng)? } }),
                _ => json!({ "price": price, "active": true }),
            },
            "create_category" => {
                json!({ "title": slug, "parent_id": (rng.random_bool(0.5).then(|| categories.choose(rng)).flatten()) })
            }
            "update_category" => match rng.random_range(0..3) {
                0 => json!({ "title": "Other", "slug": slug }),
                1 => json!({ "parent_id": categories.choose(rng)? }),
                _ => json!({ "title": slug, "parent_id": null }),
            },
            "reorder_categories" => self.order(storm, rng).await?,
            "admin_update_user" => json!({ "display_name": "Ada", "disabled": rng.random_bool(0.1) }),
            "delete_me" => json!({ "password": PASSWORD }),
            "login" => {
                json!({ "email": self.address(storm, rng)?, "password": PASSWORD, "cart_token": self.guest.1 })
            }
            "change_password" => json!({ "old_password": PASSWORD, "new_password": PASSWORD }),
            "change_email" => json!({ "new_email": address, "password": PASSWORD }),
            "confirm_email" => json!({ "code": code }),
            "verify_email" => json!({ "email": address, "code": code }),
            "reset_password" => json!({ "email": address, "code": code, "new_password": PASSWORD }),
            "register" => json!({ "email": address, "display_name": "Ada", "password": PASSWORD }),
            "resend_code" | "forgot_password" => json!({ "email": address }),
            _ => example,
        })
    }

    fn address(&self, storm: &Storm, rng: &mut StdRng) -> Option<String> {
        storm.things.customers.lock().unwrap().choose(rng).map(|(id, _)| format!("{id}@example.com"))
    }

    /// The newest code, whoever it was mailed to.
    async fn code(&self, storm: &Storm) -> Option<String> {
        use commerce_core::schema::one_time_codes;
        use diesel::{ExpressionMethods as _, QueryDsl as _};
        let newest =
            one_time_codes::table.order(one_time_codes::created_at.desc()).select(one_time_codes::id);
        let id: CodeId = newest.first(&mut storm.shop.database.conn().await).await.ok()?;
        Some(derive_code(&SecretKey::parse(SECRET).unwrap(), id))
    }

    /// The top level, in any order. It may have changed by the time that the request arrives.
    async fn order(&self, storm: &Storm, rng: &mut StdRng) -> Option<Value> {
        let top = storm.modes[self.number % 2].send(get("/v1/categories?parent=none&limit=100")).await.json();
        let mut ids: Vec<Value> =
            top["data"].as_array()?.iter().map(|category| category["id"].clone()).collect();
        ids.shuffle(rng);
        Some(json!({ "category_ids": ids, "parent_id": null }))
    }

    /// Remembers what an answer has made.
    pub async fn learn(&mut self, storm: &Storm, operation: &Operation, got: &Got, rng: &mut StdRng) {
        let things = &storm.things;
        if got.status == 401 || (got.status == 204 && operation.id == "delete_me") {
            things.customers.lock().unwrap().retain(|(_, token)| Some(token) != self.caller.as_ref());
            if things.customers.lock().unwrap().len() < 4 {
                things.add_customer(&storm.shop).await;
            }
            return;
        }
        if !got.status.is_success() || got.text.is_empty() {
            return;
        }
        let made = got.json();
        let Some(id) = made["id"].as_str().map(str::to_owned) else { return };
        let caller = self.caller.clone();
        match operation.id.as_str() {
            "checkout" => {
                things.orders.lock().unwrap().extend(caller.map(|caller| (id, caller)));
                if rng.random_bool(0.3) {
                    self.guest = guest();
                }
            }
            "pay_order" => things.payments.lock().unwrap().extend(caller.map(|caller| (id, caller))),
            "add_address" => things.addresses.lock().unwrap().extend(caller.map(|caller| (id, caller))),
            "upload_image" => things.images.lock().unwrap().push((self.product.clone(), id)),
            "create_category" => things.categories.lock().unwrap().push(id),
            _ => {}
        }
    }
}

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().unwrap().remove(field);
    body
}

fn of_product(things: &Shared<(String, String)>, product: &str, rng: &mut StdRng) -> Option<String> {
    let things = things.lock().unwrap();
    let own: Vec<&(String, String)> = things.iter().filter(|(of, _)| of == product).collect();
    own.choose(rng).map(|(_, id)| id.clone())
}

/// A file about products that there are, in any order, with each other's SKUs and new ones beside them.
fn csv(rng: &mut StdRng) -> String {
    let mut skus = SKUS;
    if rng.random_bool(0.5) {
        skus.shuffle(rng);
    }
    let mut slugs = SLUGS.to_vec();
    slugs.shuffle(rng);
    let mut file = "slug,title,price,categories,sku,options,stock\n".to_owned();
    for (number, slug) in slugs.iter().enumerate() {
        for (at, size) in ["S", "L"].into_iter().enumerate() {
            let (price, stock) = (rng.random_range(1..20), rng.random_range(10..40));
            let sku = skus[2 * number + at];
            // Only the first line of a product has its title.
            let title = if at == 0 { *slug } else { "" };
            file += &format!("{slug},{title},{price}.00,lake,{sku},Size={size},{stock}\n");
        }
    }
    file
}
