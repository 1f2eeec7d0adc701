//! The bodies of a storm's requests: about few things, in any order.

use commerce_core::accounts::SecretKey;
use commerce_core::accounts::one_time_code::derive_code;
use commerce_core::ids::CodeId;
use commerce_core::inventory::MAIN_LOCATION;
use diesel_async::RunQueryDsl as _;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde_json::{Value, json};

use super::Storm;
use super::requests::{Client, newest};
use super::things::{ADDRESSES, PASSWORD, SKUS, SLUGS};
use crate::shop::{SECRET, get};
use crate::surface::Operation;

fn some<T: Clone>(from: &[T], most: usize, rng: &mut StdRng) -> Vec<T> {
    let mut chosen = from.to_vec();
    chosen.shuffle(rng);
    chosen.truncate(rng.random_range(1..=most));
    chosen
}

impl Client {
    /// A body for this operation. `None` if it takes none.
    pub async fn body(&self, storm: &Storm, operation: &Operation, rng: &mut StdRng) -> Option<Value> {
        let things = &storm.things;
        let example = operation.body.as_ref()?.example.clone();
        let address = *ADDRESSES.choose(rng)?;
        let sku = *SKUS.choose(rng)?;
        let slug = *SLUGS.choose(rng)?;
        // Often one that is taken.
        let new_sku =
            if rng.random_bool(0.5) { sku.to_owned() } else { format!("N{}", rng.random_range(0..500)) };
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
            "pay_order" | "admin_create_payment_link" => json!({ "provider": "mock", "outcome": outcome }),
            "admin_place_order" => {
                let items = some(&variants, 5, rng)
                    .into_iter()
                    .map(|variant| json!({ "variant_id": variant, "quantity": rng.random_range(1..3) }));
                let items: Vec<Value> = items.collect();
                let customer = things.customers.lock().unwrap().choose(rng).map(|(id, _)| id.to_string());
                let mut body = example;
                body["items"] = json!(items);
                if let Some(id) = customer.filter(|_| rng.random_bool(0.5)) {
                    body["customer_id"] = json!(id);
                }
                body
            }
            "admin_refund_payment" | "admin_refund_order" => match rng.random_range(0..3) {
                0 => json!({}),
                amount => json!({ "amount": { "amount": 100 * amount, "currency": "USD" } }),
            },
            "adjust_stock" => json!({ "delta": rng.random_range(-3..30), "reason": "storm" }),
            "update_variant_stock" => json!({ "low_stock_threshold": rng.random_range(0..20) }),
            "create_stock_location" => {
                json!({ "code": format!("l{}", rng.random_range(0..1000)), "name": "Shelf" })
            }
            "update_stock_location" => {
                json!({ "active": rng.random_bool(0.7), "priority": rng.random_range(0..9) })
            }
            "transfer_stock" => {
                let other = json!(things.locations.lock().unwrap().choose(rng)?);
                let (from, to) = (json!(MAIN_LOCATION), other);
                let (from, to) = if rng.random_bool(0.5) { (from, to) } else { (to, from) };
                let lines = some(&variants, 4, rng)
                    .into_iter()
                    .map(|variant| json!({ "variant_id": variant, "quantity": rng.random_range(1..4) }))
                    .collect::<Vec<_>>();
                json!({ "from_location_id": from, "to_location_id": to, "lines": lines })
            }
            "set_job_kind" => json!({ "paused": rng.random_bool(0.5) }),
            "admin_move_order" => {
                let status = ["processing", "shipped", "delivered", "cancelled"].choose(rng)?;
                match *status {
                    "shipped" => {
                        json!({ "status": status, "tracking_number": rng.random_range(0..1000).to_string() })
                    }
                    "cancelled" => json!({ "status": status, "refund": rng.random_bool(0.7) }),
                    _ => json!({ "status": status }),
                }
            }
            "cancel_order" => match self.a_line(storm, rng).await {
                Some(line) if rng.random_bool(0.6) => {
                    json!({ "lines": [{ "order_line_id": line, "quantity": 1 }] })
                }
                _ => json!({}),
            },
            "create_shipment" => {
                let (order, _) = newest(&things.orders, rng)?;
                let status = *["pending", "shipped"].choose(rng)?;
                json!({ "order_id": order, "status": status, "carrier": *["DHL", "UPS"].choose(rng)?,
                        "tracking_number": rng.random_range(0..1000).to_string() })
            }
            "move_shipment" => {
                let statuses =
                    ["shipped", "in_transit", "failed_attempt", "delivered", "returned", "lost", "cancelled"];
                json!({ "status": statuses.choose(rng)? })
            }
            "add_checkpoint" => {
                let status = *["in_transit", "out_for_delivery", "delivered"].choose(rng)?;
                json!({ "status": status, "event_id": rng.random_range(0..5).to_string() })
            }
            "look_up_order" => {
                json!({ "number": rng.random_range(1001..1060).to_string(), "email": "ada@example.com" })
            }
            "declare_withdrawal" => {
                let number = rng.random_range(1001..1060).to_string();
                json!({ "name": "Ada", "email": "ada@example.com", "order_number": number })
            }
            "request_return" => {
                let line = self.a_line(storm, rng).await?;
                json!({ "lines": [{ "order_line_id": line, "quantity": 1, "reason": "other" }] })
            }
            "admin_move_return" => {
                let statuses = ["approved", "approved", "received", "received", "refunded", "rejected"];
                match *statuses.choose(rng)? {
                    "refunded" if rng.random_bool(0.3) => {
                        json!({ "status": "refunded", "amount": { "amount": 1, "currency": "USD" } })
                    }
                    status => json!({ "status": status }),
                }
            }
            "admin_open_return" => {
                let line = self.a_line(storm, rng).await?;
                json!({ "lines": [{ "order_line_id": line, "quantity": 1, "reason": "damaged" }],
                        "waive_window": true, "reason": "storm" })
            }
            "send_contact_message" => {
                let mut body = example;
                body["email"] = json!(address);
                body["opened_at"] = json!(chrono::Utc::now() - chrono::TimeDelta::minutes(1));
                body
            }
            "create_product" => {
                json!({ "title": slug, "status": "active", "sku": new_sku, "price": price, "stock": 5,
                                        "category_ids": some(&categories, 2, rng) })
            }
            "replace_product" | "update_product" => match rng.random_range(0..4) {
                0 => json!({ "title": "New", "slug": slug, "status": "active" }),
                1 => json!({ "title": slug, "status": "active", "category_ids": some(&categories, 4, rng) }),
                2 => {
                    json!({ "title": slug, "images": [{ "url": "/demo-images/b.svg" }, { "url": "/demo-images/a.svg" }] })
                }
                _ => json!({ "title": slug, "status": "active", "description": format!("<p>{sku}</p>") }),
            },
            "create_variant" => {
                json!({ "options": { "Size": new_sku }, "price": price, "sku": new_sku, "stock": 3 })
            }
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
            "begin_second_factor" => json!({ "password": PASSWORD }),
            "remove_second_factor" => json!({ "password": PASSWORD, "code": code }),
            "confirm_email" => json!({ "code": code }),
            "verify_email" => json!({ "email": address, "code": code }),
            "reset_password" => json!({ "email": address, "code": code, "new_password": PASSWORD }),
            "register" => json!({ "email": address, "display_name": "Ada", "password": PASSWORD }),
            "resend_code" | "forgot_password" => json!({ "email": address }),
            _ => example,
        })
    }

    /// A line of the order that the request is about.
    async fn a_line(&self, storm: &Storm, rng: &mut StdRng) -> Option<Value> {
        let (name, value) = self.caller.clone()?;
        let ask = get(&format!("/v1/orders/{}", self.order_id)).header(name, &value);
        let order = storm.modes[self.number % 2].send(ask).await.json();
        Some(order["lines"].as_array()?.choose(rng)?["id"].clone())
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
}

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().unwrap().remove(field);
    body
}

/// A file about the stock of these SKUs, in any order.
pub fn stock_csv(rng: &mut StdRng) -> String {
    let mut skus = SKUS;
    skus.shuffle(rng);
    let lines = skus.iter().map(|sku| format!("{sku},{}\n", rng.random_range(1..9)));
    format!("sku,delta\n{}", lines.collect::<String>())
}

/// A file about products that there are, in any order, with each other's SKUs and new ones beside them.
pub fn csv(rng: &mut StdRng) -> String {
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
