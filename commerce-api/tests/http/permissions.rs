//! Who may call what: every operation of the spec, called by everybody there is, against a table that is written by hand.
//! An operation that is not in the table fails the test, whoever added it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commerce_core::accounts::Role::{self, Admin, CatalogueManager, Customer, Fulfilment, Support};
use commerce_core::ids::{SessionId, UserId};
use poem::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Ask, Got, TestShop, ask};
use crate::surface::{Operation, Surface};
use crate::world::{Buyer, Credential, World, bearer, fingerprint};

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum May {
    /// Everybody; a credential is not even looked at.
    Anybody,
    /// Everybody; a credential that is sent must be good.
    Visitors,
    /// Logged-in users, and guests by their token.
    Shoppers,
    /// Logged-in users of any role.
    Users,
    /// Logged-in users of these roles.
    Staff(&'static [Role]),
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leads {
    /// To the caller's own things, or to what is nobody's.
    Anywhere,
    /// To a thing that belongs to somebody: it is 404 to others, but not to these roles.
    ToOwned(&'static [Role]),
}

use Leads::{Anywhere, ToOwned};
use May::{Anybody, Shoppers, Staff, Users, Visitors};

const READS_ORDERS: &[Role] = &[Support, Fulfilment, Admin];
const WRITES_ORDERS: &[Role] = &[Support, Fulfilment, Admin];
const WRITES_SHIPMENTS: &[Role] = &[Fulfilment, Admin];
const WRITES_RETURNS: &[Role] = &[Support, Fulfilment, Admin];
const READS_PAYMENTS: &[Role] = &[Support, Admin];
const READS_PRODUCTS: &[Role] = &[Support, CatalogueManager, Fulfilment, Admin];
const WRITES_PRODUCTS: &[Role] = &[CatalogueManager, Admin];
const READS_STOCK: &[Role] = &[Support, CatalogueManager, Fulfilment, Admin];
const READS_USERS: &[Role] = &[Support, Admin];
const ADMINS: &[Role] = &[Admin];
const ANSWERS_SHOPPERS: &[Role] = &[Support, Admin];
const WRITES_STOCK: &[Role] = &[CatalogueManager, Fulfilment, Admin];

#[rustfmt::skip]
const TABLE: &[(&str, May, Leads)] = &[
    ("register", Anybody, Anywhere),
    ("verify_email", Anybody, Anywhere),
    ("resend_code", Anybody, Anywhere),
    ("login", Anybody, Anywhere),
    ("refresh_session", Anybody, Anywhere),
    ("logout", Users, Anywhere),
    ("forgot_password", Anybody, Anywhere),
    ("reset_password", Anybody, Anywhere),
    ("change_password", Users, Anywhere),
    ("get_me", Users, Anywhere),
    ("delete_me", Users, Anywhere),
    ("change_email", Users, Anywhere),
    ("confirm_email", Users, Anywhere),
    ("list_addresses", Users, Anywhere),
    ("add_address", Users, Anywhere),
    ("get_address", Users, ToOwned(&[])),
    ("replace_address", Users, ToOwned(&[])),
    ("update_address", Users, ToOwned(&[])),
    ("remove_address", Users, ToOwned(&[])),
    ("list_sessions", Users, Anywhere),
    ("end_session", Users, ToOwned(&[])),
    ("update_me", Users, Anywhere),
    ("begin_second_factor", Users, Anywhere),
    ("confirm_second_factor", Users, Anywhere),
    ("remove_second_factor", Users, Anywhere),

    ("list_products", Anybody, Anywhere),
    ("search_products", Anybody, Anywhere),
    ("get_product", Anybody, Anywhere),
    ("create_product", Staff(WRITES_PRODUCTS), Anywhere),
    ("replace_product", Staff(WRITES_PRODUCTS), Anywhere),
    ("update_product", Staff(WRITES_PRODUCTS), Anywhere),
    ("archive_product", Staff(WRITES_PRODUCTS), Anywhere),
    ("create_variant", Staff(WRITES_PRODUCTS), Anywhere),
    ("create_variant_matrix", Staff(WRITES_PRODUCTS), Anywhere),
    ("update_variant", Staff(WRITES_PRODUCTS), Anywhere),
    ("deactivate_variant", Staff(WRITES_PRODUCTS), Anywhere),
    ("upload_image", Staff(WRITES_PRODUCTS), Anywhere),
    ("update_image", Staff(WRITES_PRODUCTS), Anywhere),
    ("remove_image", Staff(WRITES_PRODUCTS), Anywhere),
    ("import_products", Staff(WRITES_PRODUCTS), Anywhere),
    ("get_running_import", Staff(WRITES_PRODUCTS), Anywhere),
    ("export_products", Staff(READS_PRODUCTS), Anywhere),
    ("admin_list_products", Staff(READS_PRODUCTS), Anywhere),
    ("admin_get_product", Staff(READS_PRODUCTS), Anywhere),

    ("list_categories", Anybody, Anywhere),
    ("get_category", Anybody, Anywhere),
    ("get_category_tree", Anybody, Anywhere),
    ("reorder_categories", Staff(WRITES_PRODUCTS), Anywhere),
    ("create_category", Staff(WRITES_PRODUCTS), Anywhere),
    ("update_category", Staff(WRITES_PRODUCTS), Anywhere),
    ("delete_category", Staff(WRITES_PRODUCTS), Anywhere),

    ("list_stock_levels", Staff(READS_STOCK), Anywhere),
    ("list_stock_movements", Staff(READS_STOCK), Anywhere),
    ("adjust_stock", Staff(WRITES_STOCK), Anywhere),
    ("list_low_stock", Staff(READS_STOCK), Anywhere),
    ("get_variant_stock", Staff(READS_STOCK), Anywhere),
    ("update_variant_stock", Staff(WRITES_STOCK), Anywhere),
    ("export_stock_movements", Staff(READS_STOCK), Anywhere),
    ("import_stock", Staff(WRITES_STOCK), Anywhere),
    ("transfer_stock", Staff(WRITES_STOCK), Anywhere),
    ("list_stock_locations", Staff(READS_STOCK), Anywhere),
    ("create_stock_location", Staff(WRITES_STOCK), Anywhere),
    ("get_stock_location", Staff(READS_STOCK), Anywhere),
    ("update_stock_location", Staff(WRITES_STOCK), Anywhere),
    ("delete_stock_location", Staff(WRITES_STOCK), Anywhere),

    ("send_contact_message", Anybody, Anywhere),
    ("list_contact_messages", Staff(ANSWERS_SHOPPERS), Anywhere),
    ("get_contact_message", Staff(ANSWERS_SHOPPERS), Anywhere),
    ("update_contact_message", Staff(ANSWERS_SHOPPERS), Anywhere),
    ("delete_contact_message", Staff(ANSWERS_SHOPPERS), Anywhere),

    ("get_cart", Visitors, Anywhere),
    ("replace_cart", Visitors, Anywhere),
    ("add_cart_item", Visitors, Anywhere),
    ("set_cart_item_quantity", Shoppers, Anywhere),
    ("remove_cart_item", Shoppers, Anywhere),
    ("clear_cart", Shoppers, Anywhere),
    ("merge_cart", Users, Anywhere),
    ("quote_cart", Visitors, Anywhere),

    ("checkout", Shoppers, Anywhere),
    ("list_orders", Users, Anywhere),
    ("get_order", Shoppers, ToOwned(&[])),
    ("cancel_order", Shoppers, ToOwned(WRITES_ORDERS)),
    ("pay_order", Shoppers, ToOwned(&[])),
    ("confirm_payment", Shoppers, ToOwned(READS_PAYMENTS)),
    ("list_payments", Shoppers, ToOwned(READS_PAYMENTS)),
    ("get_payment", Shoppers, ToOwned(READS_PAYMENTS)),
    ("admin_capture_payment", Staff(ADMINS), Anywhere),
    ("admin_void_payment", Staff(ADMINS), Anywhere),

    ("receive_webhook", Anybody, Anywhere),
    ("admin_list_webhooks", Staff(READS_PAYMENTS), Anywhere),
    ("admin_replay_webhook", Staff(ADMINS), Anywhere),

    ("create_shipment", Staff(WRITES_SHIPMENTS), Anywhere),
    ("list_shipments", Shoppers, ToOwned(READS_ORDERS)),
    ("get_shipment", Shoppers, ToOwned(READS_ORDERS)),
    ("move_shipment", Staff(WRITES_SHIPMENTS), Anywhere),
    ("add_checkpoint", Staff(WRITES_SHIPMENTS), Anywhere),

    ("look_up_order", Anybody, Anywhere),
    ("declare_withdrawal", Anybody, Anywhere),
    ("confirm_withdrawal", Anybody, Anywhere),
    ("admin_list_withdrawals", Staff(READS_ORDERS), Anywhere),
    ("request_return", Shoppers, ToOwned(&[])),
    ("list_returns", Shoppers, ToOwned(READS_ORDERS)),
    ("get_return", Shoppers, ToOwned(READS_ORDERS)),
    ("admin_list_returns", Staff(READS_ORDERS), Anywhere),
    ("admin_open_return", Staff(WRITES_RETURNS), Anywhere),
    ("admin_move_return", Staff(WRITES_RETURNS), Anywhere),

    ("admin_list_orders", Staff(READS_ORDERS), Anywhere),
    ("admin_place_order", Staff(WRITES_ORDERS), Anywhere),
    ("admin_get_order", Staff(READS_ORDERS), Anywhere),
    ("admin_list_order_events", Staff(READS_ORDERS), Anywhere),
    ("admin_export_orders", Staff(READS_ORDERS), Anywhere),
    ("admin_move_order", Staff(WRITES_ORDERS), Anywhere),
    ("admin_note_order", Staff(WRITES_ORDERS), Anywhere),

    ("admin_refund_payment", Staff(ADMINS), Anywhere),
    ("admin_refund_order", Staff(ADMINS), Anywhere),
    ("admin_record_payment", Staff(ADMINS), Anywhere),
    ("admin_create_payment_link", Staff(WRITES_ORDERS), Anywhere),
    ("admin_list_refunds", Staff(READS_PAYMENTS), Anywhere),
    ("admin_retry_refund", Staff(ADMINS), Anywhere),
    ("admin_settle_refund_by_hand", Staff(ADMINS), Anywhere),

    ("admin_list_users", Staff(READS_USERS), Anywhere),
    ("admin_get_user", Staff(READS_USERS), Anywhere),
    ("admin_update_user", Staff(ADMINS), Anywhere),
    ("admin_delete_user", Staff(ADMINS), Anywhere),
    ("admin_remove_second_factor", Staff(ADMINS), Anywhere),
    ("list_audit_log", Staff(ADMINS), Anywhere),
    ("export_audit_log", Staff(ADMINS), Anywhere),
    ("list_jobs", Staff(ADMINS), Anywhere),
    ("get_job", Staff(ADMINS), Anywhere),
    ("retry_job", Staff(ADMINS), Anywhere),
    ("cancel_job", Staff(ADMINS), Anywhere),
    ("retry_jobs", Staff(ADMINS), Anywhere),
    ("cancel_jobs", Staff(ADMINS), Anywhere),
    ("list_job_kinds", Staff(ADMINS), Anywhere),
    ("set_job_kind", Staff(ADMINS), Anywhere),
];

const STAFF: [Role; 4] = [Support, CatalogueManager, Fulfilment, Admin];

fn expected(operation: &Operation) -> (May, Leads) {
    let entry = TABLE.iter().find(|(id, ..)| *id == operation.id);
    let (_, may, leads) = entry.unwrap_or_else(|| {
        panic!("{} is not in the table of who may call it: add it to {}", operation.id, file!())
    });
    (*may, *leads)
}

/// Somebody who calls.
struct Caller {
    name: String,
    credential: Option<Credential>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Nobody,
    Guest,
    User(Role),
    /// With a credential that must not be believed.
    Impostor,
}

impl May {
    /// The status that refuses this caller, if one does.
    fn refuses(self, kind: Kind) -> Option<u16> {
        match (self, kind) {
            (Anybody, _) => None,
            (_, Kind::Impostor) => Some(401),
            (Visitors, _) | (Shoppers, Kind::Guest | Kind::User(_)) | (Users, Kind::User(_)) => None,
            (Staff(roles), Kind::User(role)) => (!roles.contains(&role)).then_some(403),
            (Shoppers | Users | Staff(_), Kind::Nobody) | (Users | Staff(_), Kind::Guest) => Some(401),
        }
    }
}

/// Tokens that look like the real one of this user.
fn forgeries(shop: &TestShop, user: UserId, session: SessionId, real: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = real.split('.').collect();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let write = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (header, claims, signature) = (read(parts[0]), read(parts[1]), parts[2]);
    let with = |value: &Value, name: &str, to: Value| {
        let mut changed = value.clone();
        changed[name] = to;
        write(&changed)
    };
    let long_ago = chrono::Utc::now() - chrono::Duration::hours(1);
    let expired = shop.state.tokens.sign(user, session, long_ago).unwrap();
    let other_keys = commerce_api::http::tokens::TokenKeys::parse(
        &base64::engine::general_purpose::STANDARD.encode([9; 32]),
        &commerce_core::accounts::SecretKey::parse(crate::shop::SECRET).unwrap(),
    );
    let other_key = other_keys.unwrap().sign(user, session, chrono::Utc::now()).unwrap();
    let unheard_of = shop.state.tokens.sign(user, SessionId::new(), chrono::Utc::now()).unwrap();
    let another_user = shop.state.tokens.sign(UserId::new(), session, chrono::Utc::now()).unwrap();
    let none = with(&header, "alg", json!("none"));
    vec![
        ("garbage", "garbage".to_owned()),
        ("garbage of three parts", "a.b.c".to_owned()),
        ("expired", expired),
        ("alg none, unsigned", format!("{none}.{}.", parts[1])),
        ("alg none, signed", format!("{none}.{}.{signature}", parts[1])),
        ("alg HS256", format!("{}.{}.{signature}", with(&header, "alg", json!("HS256")), parts[1])),
        (
            "a longer life",
            format!("{}.{}.{signature}", parts[0], with(&claims, "exp", json!(9_999_999_999i64))),
        ),
        ("no kid", format!("{}.{}.{signature}", with(&header, "kid", json!(null)), parts[1])),
        ("cut off", real[..real.len() - 2].to_owned()),
        ("another key", other_key),
        ("a session that is not there", unheard_of),
        ("another's session", another_user),
    ]
}

async fn callers(shop: &TestShop) -> Vec<Caller> {
    let mut callers = vec![Caller { name: "nobody".to_owned(), credential: None, kind: Kind::Nobody }];
    let mut add =
        |name: String, credential, kind| callers.push(Caller { name, credential: Some(credential), kind });
    add("a guest".to_owned(), ("Cart-Token", shop.state.cart_tokens.issue()), Kind::Guest);
    for role in std::iter::once(Customer).chain(STAFF) {
        let (_, token) = shop.login(role).await;
        add(format!("a user who is {role}"), bearer(&token), Kind::User(role));
    }
    let (user, token) = shop.login(Admin).await;
    let claims = shop.state.tokens.verify(&token).unwrap();
    for (name, forged) in forgeries(shop, user, claims.sid, &token) {
        add(format!("an admin's token, {name}"), bearer(&forged), Kind::Impostor);
    }
    callers
}

/// A request that is wrong beyond its credential: an id that is none, a body that does not parse.
fn malformed(operation: &Operation, world: &World, credential: Option<&Credential>) -> Ask {
    let ask = ask(operation.method.clone(), &world.path(&operation.path, credential, Some((0, "not-an-id"))));
    let ask = if operation.body.is_some() { ask.body("application/json", "{") } else { ask };
    called_by(ask, credential)
}

fn called_by(ask: Ask, credential: Option<&Credential>) -> Ask {
    match credential {
        Some((name, value)) => ask.header(name, value),
        None => ask,
    }
}

fn refused_as(got: &Got, status: u16) -> bool {
    let code = if status == 401 { "unauthenticated" } else { "permission_denied" };
    got.status == status && got.json()["code"] == code
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_every_operation() {
    let shop = TestShop::new().await;
    let surface = Surface::read();
    let world = World::new(&shop).await;
    let all = callers(&shop).await;
    let before = fingerprint(&shop).await;
    let mut faults = Vec::new();
    let mut operations = surface.operations();
    // It takes no id and no body, so it does what it says: it comes last.
    operations.sort_by_key(|operation| operation.id == "logout");
    for operation in operations {
        let (may, _) = expected(&operation);
        for Caller { name, credential, kind } in &all {
            let got = shop.send(malformed(&operation, &world, credential.as_ref())).await;
            let status = got.status.as_u16();
            let right = match may.refuses(*kind) {
                Some(refusal) => refused_as(&got, refusal),
                None => status < 500 && ![401, 403].contains(&status),
            };
            if !right {
                let text: String = got.text.chars().take(150).collect();
                faults.push(format!("{}: {name} got {status}, {text}", operation.id));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    // Emptying a cart that is empty changes nothing; nothing else was in order.
    let after = fingerprint(&shop).await;
    // Staff may read lists without an id, which the audit log records.
    let of_readers = |name: &str| ["users", "sessions", "refresh_tokens", "audit_log"].contains(&name);
    let changed: Vec<_> =
        after.iter().filter(|table| !before.contains(table) && !of_readers(&table.0)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    shop.database.finish().await;
}

#[test]
fn the_spec_says_who_may_call() {
    let surface = Surface::read();
    for operation in surface.operations() {
        let (may, _) = expected(&operation);
        let said = match (&operation.permission, operation.accepts("bearer"), operation.accepts("cart_token"))
        {
            (Some(permission), true, false) => {
                let allowed =
                    |role: &Role| role.permissions().iter().any(|known| known.as_str() == permission);
                let roles: Vec<Role> = STAFF.into_iter().filter(allowed).collect();
                assert!(matches!(may, Staff(expected) if expected == roles), "{}: {roles:?}", operation.id);
                may
            }
            (None, true, false) => Users,
            (None, true, true) if operation.is_public() => Visitors,
            (None, true, true) => Shoppers,
            (None, false, false) => Anybody,
            unheard_of => panic!("{}: {unheard_of:?}", operation.id),
        };
        assert_eq!(said, may, "{}", operation.id);
        // Whoever may come with a token may come with a cookie.
        assert_eq!(operation.accepts("session_cookie"), operation.accepts("bearer"), "{}", operation.id);
    }
    let ids: Vec<String> = surface.operations().into_iter().map(|operation| operation.id).collect();
    for (id, ..) in TABLE {
        assert!(ids.iter().any(|known| known == id), "{id} is in the table, but not in the spec");
    }
}

/// Whatever has an id below these paths is somebody's own.
#[test]
fn what_is_ones_own_is_kept_from_others() {
    let mut own = 0;
    for operation in Surface::read().operations() {
        if !["/me/", "/auth/sessions/"].iter().any(|above| operation.path.starts_with(above)) {
            continue;
        }
        if operation.path.contains('{') {
            own += 1;
            assert_eq!(expected(&operation).1, ToOwned(&[]), "{}", operation.id);
        }
    }
    assert!(own >= 5, "{own}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_is_not_found() {
    let shop = TestShop::new().await;
    let surface = Surface::read();
    let world = World::new(&shop).await;
    let (_, stranger) = shop.login(Customer).await;
    let stranger = Buyer::new(&shop, &world.variant, bearer(&stranger)).await;
    let strange_guest = ("Cart-Token", shop.state.cart_tokens.issue());
    let mut faults = Vec::new();
    let mut tried = 0;
    for operation in surface.operations() {
        let ToOwned(seen_by) = expected(&operation).1 else { continue };
        // The thing is the customer's in one round, the guest's in the other; everybody else is somebody else.
        let for_guests = operation.accepts("cart_token");
        for owner in [&world.customer, &world.guest].into_iter().take(1 + usize::from(for_guests)) {
            let request = |credential: &Credential| {
                let mut path = world.path(&operation.path, Some(&owner.credential), None);
                if operation.has_parameter("order_id") {
                    path.push_str(&format!("?order_id={}", owner.order));
                }
                let ask = ask(operation.method.clone(), &path).header(credential.0, &credential.1);
                let ask = ask.header("Idempotency-Key", &Uuid::now_v7().to_string());
                match &operation.body {
                    Some(body) => ask.json(&world.body(&body.example)),
                    None => ask,
                }
            };
            let mut others = vec![stranger.credential.clone(), strange_guest.clone()];
            others.extend(
                [&world.customer, &world.guest]
                    .into_iter()
                    .filter(|buyer| buyer.order != owner.order)
                    .map(|buyer| buyer.credential.clone()),
            );
            others.retain(|(header, _)| for_guests || *header != "Cart-Token");
            for role in STAFF.into_iter().filter(|role| !seen_by.contains(role)) {
                others.push(bearer(&shop.login(role).await.1));
            }
            let before = fingerprint(&shop).await;
            for other in &others {
                let got = shop.send(request(other)).await;
                tried += 1;
                if got.status != 404 || got.json()["code"] != "not_found" {
                    faults.push(format!("{}: {:?} got {} {}", operation.id, other, got.status, got.text));
                }
            }
            if fingerprint(&shop).await != before {
                faults.push(format!("{}: a stranger changed something", operation.id));
            }
            // The reads are open to those who may see all, and to the owner.
            if operation.method == Method::GET {
                let mut insiders = vec![owner.credential.clone()];
                for role in seen_by {
                    insiders.push(bearer(&shop.login(*role).await.1));
                }
                for insider in &insiders {
                    let got = shop.send(request(insider)).await;
                    if got.status != 200 {
                        faults.push(format!("{}: {insider:?} got {} {}", operation.id, got.status, got.text));
                    }
                }
            }
        }
    }
    assert!(tried > 50, "only {tried} requests were sent");
    assert!(faults.is_empty(), "{faults:#?}");
    shop.database.finish().await;
}
