//! One client of a storm, and the requests that it makes up.

use image::ImageFormat;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::json;
use uuid::Uuid;

use super::Storm;
use super::bodies::{csv, stock_csv};
use super::things::Shared;
use crate::images::{encoded, picture};
use crate::shop::{Ask, Got, ask, get, post};
use crate::surface::Operation;
use crate::world::Credential;

/// Orders, payments and the like are chosen among the newest, so that clients meet there too.
const NEWEST: usize = 12;

pub struct Client {
    pub(super) number: usize,
    pub(super) guest: Credential,
    /// Of the last request.
    pub(super) caller: Option<Credential>,
    pub(super) order_id: String,
    product: String,
    category: String,
    key: String,
}

fn guest(storm: &Storm) -> Credential {
    ("Cart-Token", storm.shop.state.cart_tokens.issue())
}

pub fn newest<T: Clone>(things: &Shared<T>, rng: &mut StdRng) -> Option<T> {
    let things = things.lock().unwrap();
    things[things.len().saturating_sub(NEWEST)..].choose(rng).cloned()
}

impl Client {
    pub fn new(storm: &Storm, number: usize) -> Self {
        let (order_id, product, category) = (String::new(), String::new(), String::new());
        let key = Uuid::now_v7().to_string();
        Self { number, guest: guest(storm), caller: None, order_id, product, category, key }
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
        if operation.id == "checkout" {
            self.fill_cart(storm, rng).await?;
        }
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
            "import_stock" => ask.body("text/csv", &stock_csv(rng)),
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

    /// Puts something into the caller's cart, so that there is something to order.
    async fn fill_cart(&self, storm: &Storm, rng: &mut StdRng) -> Option<()> {
        let variant = storm.things.variants.lock().unwrap().choose(rng)?.1.clone();
        let (name, value) = self.caller.clone()?;
        let ask = post("/v1/cart/items", &json!({ "variant_id": variant, "quantity": 1 }));
        let got = storm.modes[self.number % 2].send(ask.header(name, &value)).await;
        storm.note("add_cart_item", &got);
        Some(())
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
                "orders" => {
                    self.order_id = owned(&things.orders)?;
                    self.order_id.clone()
                }
                "payments" => owned(&things.payments)?,
                "addresses" => owned(&things.addresses)?,
                "products" => {
                    self.product = things.products.lock().unwrap().choose(rng)?.clone();
                    self.product.clone()
                }
                "variants" => of_product(&things.variants, &self.product, rng)?,
                "images" => of_product(&things.images, &self.product, rng)?,
                "items" | "inventory" => things.variants.lock().unwrap().choose(rng)?.1.clone(),
                "categories" => {
                    self.category = things.categories.lock().unwrap().choose(rng)?.clone();
                    self.category.clone()
                }
                "users" => things.customers.lock().unwrap().choose(rng)?.0.to_string(),
                "refunds" => self.refund(storm, rng).await?,
                "stock-locations" => newest(&things.locations, rng)?,
                "contact-messages" => newest(&things.messages, rng)?,
                // Of the others the shop's own invariants need the jobs.
                "job-kinds" => "resize_image".to_owned(),
                "shipments" => self.shipment(storm, rng).await?,
                // There may be none yet.
                "returns" | "withdrawals" => {
                    let list = format!("/v1/admin/{word}?limit=8");
                    let found = self.listed(&list, storm, rng).await;
                    found.unwrap_or_else(|| Uuid::now_v7().to_string())
                }
                _ => Uuid::now_v7().to_string(),
            });
        }
        Some(match operation.id.as_str() {
            "import_products" => {
                let stock = ["create_only", "set"].choose(rng)?;
                let (on_error, dry_run) = (["skip", "abort"].choose(rng)?, rng.random_bool(0.2));
                format!("{path}?stock={stock}&on_error={on_error}&dry_run={dry_run}")
            }
            "import_stock" => format!("{path}?on_error={}", ["skip", "abort"].choose(rng)?),
            "delete_category" => format!("{path}?detach_products=true&lift_children=true"),
            _ => path,
        })
    }

    async fn refund(&self, storm: &Storm, rng: &mut StdRng) -> Option<String> {
        let list = get("/v1/admin/refunds?limit=5").header(storm.things.admin.0, &storm.things.admin.1);
        let list = storm.modes[self.number % 2].send(list).await.json();
        list["data"].as_array()?.choose(rng)?["id"].as_str().map(str::to_owned)
    }

    async fn shipment(&self, storm: &Storm, rng: &mut StdRng) -> Option<String> {
        self.listed("/v1/shipments?limit=8", storm, rng).await
    }

    /// One of the things that an admin finds here.
    async fn listed(&self, path: &str, storm: &Storm, rng: &mut StdRng) -> Option<String> {
        let list = get(path).header(storm.things.admin.0, &storm.things.admin.1);
        let list = storm.modes[self.number % 2].send(list).await.json();
        list["data"].as_array()?.choose(rng)?["id"].as_str().map(str::to_owned)
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
        if operation.id == "delete_category" && (got.status == 204 || got.status == 404) {
            things.categories.lock().unwrap().retain(|id| *id != self.category);
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
                    self.guest = guest(storm);
                }
            }
            "pay_order" => things.payments.lock().unwrap().extend(caller.map(|caller| (id, caller))),
            "add_address" => things.addresses.lock().unwrap().extend(caller.map(|caller| (id, caller))),
            "upload_image" => things.images.lock().unwrap().push((self.product.clone(), id)),
            "create_category" => things.categories.lock().unwrap().push(id),
            "create_stock_location" => things.locations.lock().unwrap().push(id),
            "send_contact_message" => things.messages.lock().unwrap().push(id),
            _ => {}
        }
    }
}

fn of_product(things: &Shared<(String, String)>, product: &str, rng: &mut StdRng) -> Option<String> {
    let things = things.lock().unwrap();
    let own: Vec<&(String, String)> = things.iter().filter(|(of, _)| of == product).collect();
    own.choose(rng).map(|(_, id)| id.clone())
}
