//! What an operation needs to find, so that a request to it comes as far as it can: buyers with orders and payments, a
//! product, an admin.

use commerce_core::accounts::Role;
use commerce_core::audit_log::Author;
use commerce_core::flows::{
    BeginPayment, CreateShipment, PackedLine, begin_payment, create_shipment, receive_webhook, settle_payment,
};
use commerce_core::ids::{OrderId, PaymentId, RefundId, ShipmentId, WebhookId};
use commerce_core::inventory::MAIN_LOCATION;
use commerce_core::money::{Currency, Money};
use commerce_core::page::Limit;
use commerce_core::payments::{
    Authorization, Capture, CaptureMethod, Outcome, PaymentKey, ProviderName, WebhookEvent, list_refunds,
    list_webhooks,
};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::guest_origin;
use diesel_async::SimpleAsyncConnection as _;
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Ask, TestShop, ask, get, post};
use crate::surface::Operation;

/// A header that says who is calling.
pub type Credential = (&'static str, String);

pub fn bearer(token: &str) -> Credential {
    ("Authorization", format!("Bearer {token}"))
}

/// Somebody with a full cart, an order that waits for its payment, and a payment that waits for its confirmation.
#[derive(Debug, Clone)]
pub struct Buyer {
    pub credential: Credential,
    pub order: String,
    pub payment: String,
    /// A parcel of the order that is being packed.
    pub shipment: String,
    /// Of the order.
    pub line: String,
    /// Of the order. It was rejected.
    pub goods_back: String,
}

#[derive(Debug, Clone)]
pub struct World {
    pub admin: Credential,
    pub customer: Buyer,
    pub guest: Buyer,
    /// A guest's token with a cart that nobody has taken over yet.
    pub spare_token: String,
    pub variant: String,
    pub product: String,
    pub image: String,
    pub category: String,
    /// Somebody else than the buyers, with a second factor.
    pub user: String,
    /// In the customer's address book.
    pub address: String,
    /// Of the customer, on another device than the one that they call with.
    pub session: String,
    /// Refused by its provider.
    pub refund: String,
    /// A payment whose money its provider holds.
    pub authorized: String,
    /// An event that a provider has reported.
    pub webhook: String,
    /// Another place for stock, which has none.
    pub location: String,
    /// From a visitor.
    pub message: String,
    /// A job that waits for another day.
    pub job: String,
    /// A paid order, of which a part is left to send.
    pub paid_order: String,
    /// A parcel of it that is on its way.
    pub parcel: String,
    /// A declaration that waits for its confirmation.
    pub withdrawal: String,
}

impl World {
    pub async fn new(shop: &TestShop) -> Self {
        let variant = shop.database.variant(1250, 1_000_000).await.to_string();
        let (_, admin) = shop.login(Role::Admin).await;
        let (customer_id, customer) = shop.login(Role::Customer).await;
        let session = shop.session(customer_id).await.to_string();
        let customer = Buyer::new(shop, &variant, bearer(&customer)).await;
        let guest = Buyer::new(shop, &variant, ("Cart-Token", shop.state.cart_tokens.issue())).await;
        let spare_token = shop.state.cart_tokens.issue();
        let cart = add(shop, &variant, &("Cart-Token", spare_token.clone())).await;
        let product = cart["items"][0]["product_id"].as_str().unwrap().to_owned();
        let admin = bearer(&admin);
        let category = json!({ "title": format!("Category {}", Uuid::now_v7().simple()) });
        let category = send_new(shop, "/v1/categories", &category, &admin).await;
        let category = category["id"].as_str().unwrap().to_owned();
        let image = linked_image(shop, &product, &admin).await;
        let user = shop.login(Role::Customer).await.0.to_string();
        give_second_factor(shop, &user).await;
        let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
        let address = send_new(shop, "/v1/me/addresses", &address, &customer.credential).await;
        let address = address["id"].as_str().unwrap().to_owned();
        let location = json!({ "code": format!("c{}", Uuid::now_v7().simple()), "name": "Elsewhere" });
        let location = send_new(shop, "/v1/admin/stock-locations", &location, &admin).await;
        let location = location["id"].as_str().unwrap().to_owned();
        let opened_at = chrono::Utc::now() - chrono::TimeDelta::minutes(1);
        let message =
            json!({ "name": "Ada", "email": "ada@example.com", "message": "Hello", "opened_at": opened_at });
        let message = shop.send(post("/v1/contact-messages", &message)).await.json();
        let message = message["id"].as_str().unwrap().to_owned();
        let (paid_order, parcel) = sent_parcel(shop).await;
        Self {
            admin,
            customer,
            guest,
            spare_token,
            variant,
            product,
            image,
            category,
            user,
            address,
            session,
            refund: refused_refund(shop).await.to_string(),
            authorized: authorized_payment(shop).await.to_string(),
            webhook: reported_event(shop).await.to_string(),
            location,
            message,
            job: waiting_job(shop).await,
            paid_order: paid_order.to_string(),
            parcel: parcel.to_string(),
            withdrawal: declaration(shop).await,
        }
    }

    /// Whoever this operation lets in: staff, else a guest, else a customer, else nobody.
    pub fn caller_of(&self, operation: &Operation) -> Option<&Credential> {
        match operation {
            operation if operation.permission.is_some() => Some(&self.admin),
            operation if operation.accepts("cart_token") => Some(&self.guest.credential),
            operation if operation.accepts("bearer") => Some(&self.customer.credential),
            _ => None,
        }
    }

    /// Whose order and payment a call with this credential is about.
    fn buyer(&self, credential: Option<&Credential>) -> &Buyer {
        if credential == Some(&self.guest.credential) { &self.guest } else { &self.customer }
    }

    /// The value of a path parameter, by the word before it: something that exists, wherever this world has such a thing.
    pub fn path_value(&self, word: &str, credential: Option<&Credential>) -> String {
        match word {
            "orders" => self.buyer(credential).order.clone(),
            "payments" => self.buyer(credential).payment.clone(),
            "shipments" if credential == Some(&self.admin) => self.parcel.clone(),
            "shipments" => self.buyer(credential).shipment.clone(),
            "items" | "inventory" | "variants" => self.variant.clone(),
            "products" => self.product.clone(),
            "images" => self.image.clone(),
            "categories" => self.category.clone(),
            "users" => self.user.clone(),
            "addresses" => self.address.clone(),
            "sessions" => self.session.clone(),
            "refunds" => self.refund.clone(),
            "webhooks" => self.webhook.clone(),
            "stock-locations" => self.location.clone(),
            "contact-messages" => self.message.clone(),
            "jobs" => self.job.clone(),
            "job-kinds" => "send_email".to_owned(),
            "returns" => self.buyer(credential).goods_back.clone(),
            "withdrawals" => self.withdrawal.clone(),
            _ => Uuid::now_v7().to_string(),
        }
    }

    /// The path of an operation with its parameters filled in; `instead` takes the place of the n-th.
    pub fn path(
        &self,
        template: &str,
        credential: Option<&Credential>,
        instead: Option<(usize, &str)>,
    ) -> String {
        let (mut path, mut word, mut index) = ("/v1".to_owned(), "", 0);
        for part in template.split('/').skip(1) {
            path.push('/');
            if part.starts_with('{') {
                match instead {
                    Some((place, value)) if place == index => path.push_str(value),
                    _ if template.ends_with("/capture") || template.ends_with("/void") => {
                        path.push_str(&self.authorized)
                    }
                    _ if template.starts_with("/webhooks/") => path.push_str("mock"),
                    _ => path.push_str(&self.path_value(word, credential)),
                }
                index += 1;
            } else {
                path.push_str(part);
                word = part;
            }
        }
        path
    }

    /// The spec's example of a body, about things that exist here.
    pub fn body(&self, example: &Value) -> Value {
        match example {
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.field(name, value))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.body(item)).collect(),
            plain => plain.clone(),
        }
    }

    fn field(&self, name: &str, value: &Value) -> Value {
        match name {
            "variant_id" => json!(self.variant),
            "product_id" => json!(self.product),
            "from_location_id" => json!(MAIN_LOCATION),
            "to_location_id" => json!(self.location),
            "code" if value.as_str().is_some_and(|code| code.starts_with("berlin")) => {
                json!(format!("c{}", Uuid::now_v7().simple()))
            }
            // A minute ago, when people opened the form that they send.
            "opened_at" => json!(chrono::Utc::now() - chrono::TimeDelta::minutes(1)),
            "order_id" => json!(self.paid_order),
            "order_line_id" => json!(self.guest.line),
            "cart_token" => json!(self.spare_token),
            "category_ids" => json!([self.category]),
            "sku" | "tracking_number" | "slug" => json!(format!("x-{}", Uuid::now_v7().simple())),
            _ => self.body(value),
        }
    }
}

impl Buyer {
    pub async fn new(shop: &TestShop, variant: &str, credential: Credential) -> Self {
        add(shop, variant, &credential).await;
        let address = json!({ "name": "Ada", "line1": "1 Street", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" });
        let checkout = json!({ "email": "ada@example.com", "shipping_address": address });
        let order = send_new(shop, "/v1/orders/checkout", &checkout, &credential).await;
        let line = order["lines"][0]["id"].as_str().unwrap().to_owned();
        let order = order["id"].as_str().unwrap().to_owned();
        let pay = json!({ "provider": "mock", "outcome": "require_action" });
        let payment = send_new(shop, &format!("/v1/orders/{order}/pay"), &pay, &credential).await;
        let payment = payment["id"].as_str().unwrap().to_owned();
        add(shop, variant, &credential).await;
        let shipment = packed_parcel(shop, &order, &line).await;
        let goods_back = rejected_return(shop, &order, &line).await;
        Self { credential, order, payment, shipment, line, goods_back }
    }
}

/// A parcel that is packed for an order, with one unit of its line. Its order is not paid, so that only tests do this.
async fn packed_parcel(shop: &TestShop, order: &str, line: &str) -> String {
    let shipment = Uuid::now_v7();
    let pack = format!(
        "INSERT INTO commerce.shipments (id, order_id, status, tracking_number)
         VALUES ('{shipment}', '{order}', 'pending', '{shipment}');
         INSERT INTO commerce.shipment_lines (shipment_id, order_line_id, quantity) VALUES ('{shipment}', '{line}', 1)"
    );
    shop.database.conn().await.batch_execute(&pack).await.unwrap();
    shipment.to_string()
}

/// A return that was rejected. Nothing of its order has arrived, so that only tests do this.
async fn rejected_return(shop: &TestShop, order: &str, line: &str) -> String {
    let id = Uuid::now_v7();
    let reject = format!(
        "INSERT INTO commerce.returns (id, order_id, status) VALUES ('{id}', '{order}', 'rejected');
         INSERT INTO commerce.return_lines (return_id, order_line_id, quantity, reason) VALUES ('{id}', '{line}', 1, 'other')"
    );
    shop.database.conn().await.batch_execute(&reject).await.unwrap();
    id.to_string()
}

async fn declaration(shop: &TestShop) -> String {
    let body = json!({ "name": "Ada", "email": "ada@example.com", "order_number": "1001" });
    let declared = shop.send(post("/v1/withdrawals", &body)).await;
    assert_eq!(declared.status, 202, "{}", declared.text);
    declared.json()["id"].as_str().unwrap().to_owned()
}

/// A paid order of two units, and the parcel that brings one of them.
async fn sent_parcel(shop: &TestShop) -> (OrderId, ShipmentId) {
    let variant = shop.database.variant(0, 2).await;
    let (_, placed) = shop.database.order(&ShopSettings::default(), &[(variant, 2)]).await;
    let line = PackedLine { order_line_id: placed.lines[0].id, quantity: 1 };
    let wish = CreateShipment {
        order_id: placed.order.id,
        lines: Some(vec![line]),
        carrier: None,
        tracking_number: None,
        replaces: None,
        shipped: true,
        author: Author { origin: guest_origin(), role: None },
    };
    let sent = create_shipment(&mut *shop.database.conn().await, wish).await.unwrap();
    (placed.order.id, sent.id)
}

/// Of an order whose payment is authorized and not captured.
async fn authorized_payment(shop: &TestShop) -> PaymentId {
    let (database, settings) = (&shop.database, ShopSettings::default());
    let variant = database.variant(12_000, 1).await;
    let (owner, placed) = database.order(&settings, &[(variant, 1)]).await;
    let wish = BeginPayment {
        order_id: placed.order.id,
        owner,
        provider: ProviderName::MOCK,
        amount: None,
        capture_method: CaptureMethod::Manual,
        request: json!({}),
        request_key: rand::random(),
        origin: guest_origin(),
    };
    let mut conn = database.conn().await;
    let payment = begin_payment(&mut conn, wish).await.unwrap();
    let held = Authorization::new(format!("mock_{}", payment.id), Money::new(12_000, Currency::USD));
    settle_payment(&mut conn, &settings, payment.id, Outcome::Authorized(held), &guest_origin())
        .await
        .unwrap();
    payment.id
}

/// Of a kind that nothing else in this world is about.
async fn waiting_job(shop: &TestShop) -> String {
    let id = Uuid::now_v7().to_string();
    let insert = format!(
        "INSERT INTO commerce.jobs (id, kind, payload, attempts_max, run_at)
         VALUES ('{id}', 'delete_files', '{{\"keys\": []}}', 20, commerce.clock() + interval '1 day')"
    );
    shop.database.conn().await.batch_execute(&insert).await.unwrap();
    id
}

/// Its payment is not known, so that nothing comes of it.
async fn reported_event(shop: &TestShop) -> WebhookId {
    let mut conn = shop.database.conn().await;
    let event = WebhookEvent::Payment {
        event_id: "evt_1".to_owned(),
        payment: PaymentKey::Reference("nobody's".to_owned()),
        outcome: Outcome::Expired,
    };
    receive_webhook(&mut conn, &ProviderName::MOCK, &[event]).await.unwrap();
    let stored = list_webhooks(&mut conn, None, Limit::default(), None).await.unwrap().data.remove(0);
    // It was given up.
    conn.batch_execute(
        "UPDATE commerce.inbound_webhooks SET status = 'failed'; DELETE FROM commerce.jobs WHERE kind = 'process_webhook'",
    )
    .await
    .unwrap();
    stored.id
}

/// Of an order that was paid with too much; its provider would not give the rest back.
async fn refused_refund(shop: &TestShop) -> RefundId {
    let (database, settings) = (&shop.database, ShopSettings::default());
    let variant = database.variant(1250, 1).await;
    let (owner, placed) = database.order(&settings, &[(variant, 1)]).await;
    let wish = BeginPayment {
        order_id: placed.order.id,
        owner,
        provider: ProviderName::MOCK,
        amount: None,
        capture_method: CaptureMethod::Automatic,
        request: json!({ "refund": "refuse" }),
        request_key: rand::random(),
        origin: guest_origin(),
    };
    let mut conn = database.conn().await;
    let payment = begin_payment(&mut conn, wish).await.unwrap();
    let too_much = Capture::new(format!("mock_{}", payment.id), Money::new(1300, Currency::USD));
    settle_payment(&mut conn, &settings, payment.id, Outcome::Succeeded(too_much), &guest_origin())
        .await
        .unwrap();
    let refuse = format!(
        "UPDATE commerce.refunds SET status = 'failed', failure_code = 'insufficient_funds' WHERE payment_id = '{}'",
        payment.id
    );
    conn.batch_execute(&refuse).await.unwrap();
    let page = list_refunds(&mut conn, None, Limit::default(), None).await.unwrap();
    page.data.iter().find(|(refund, _)| refund.payment_id == payment.id).unwrap().0.id
}

/// Without an app that knows it.
async fn give_second_factor(shop: &TestShop, user: &str) {
    let give = format!(
        "INSERT INTO commerce.second_factors (user_id, salt, confirmed_at)
         VALUES ('{user}', decode(repeat('00', 16), 'hex'), commerce.clock())"
    );
    shop.database.conn().await.batch_execute(&give).await.unwrap();
}

/// The one image of a product, which is a link.
async fn linked_image(shop: &TestShop, product: &str, (name, value): &Credential) -> String {
    let link = json!({ "images": [{ "url": "/demo-images/mug-b5654a.svg" }] });
    let ask = ask(Method::PATCH, &format!("/v1/products/{product}")).json(&link).header(name, value);
    let product = shop.send(ask).await.json();
    product["images"][0]["id"].as_str().unwrap().to_owned()
}

async fn add(shop: &TestShop, variant: &str, credential: &Credential) -> Value {
    let ask = post("/v1/cart/items", &json!({ "variant_id": variant, "quantity": 2 }));
    let added = shop.send(ask.header(credential.0, &credential.1)).await;
    assert_eq!(added.status, 200, "{}", added.text);
    let cart = shop.send(get("/v1/cart").header(credential.0, &credential.1)).await;
    cart.json()
}

async fn send_new(shop: &TestShop, path: &str, body: &Value, credential: &Credential) -> Value {
    let ask: Ask = post(path, body).header("Idempotency-Key", &Uuid::now_v7().to_string());
    let made = shop.send(ask.header(credential.0, &credential.1)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

/// Every row of every table, as one number a table: what it is before and after a request that was refused.
pub async fn fingerprint(shop: &TestShop) -> Vec<(String, String)> {
    use diesel_async::RunQueryDsl as _;
    #[derive(diesel::QueryableByName)]
    struct Table {
        #[diesel(sql_type = diesel::sql_types::Text)]
        name: String,
        #[diesel(sql_type = diesel::sql_types::Text)]
        rows: String,
    }
    let query = "SELECT table_name::text AS name, (xpath('/row/sum/text()', query_to_xml(format(
                     'SELECT count(*) || ''/'' || coalesce(sum(hashtextextended((to_jsonb(t) - ''last_used_at'')::text, 0)), 0) AS sum FROM commerce.%I t',
                     table_name), false, true, '')))[1]::text AS rows
                 FROM information_schema.tables
                 WHERE table_schema = 'commerce' AND table_type = 'BASE TABLE' ORDER BY table_name";
    let mut conn = shop.database.conn().await;
    let tables: Vec<Table> = diesel::sql_query(query).load(&mut conn).await.unwrap();
    tables.into_iter().map(|Table { name, rows }| (name, rows)).collect()
}
