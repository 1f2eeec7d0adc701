//! Orders that staff enter for a customer: the same prices, stock and mails as at checkout, without a cart and without
//! the limits of shoppers.

use std::time::Duration;

use commerce_core::accounts::Role;
use commerce_core::audit_log::{self, AuditFilter, Author};
use commerce_core::cart::{Item, Owner};
use commerce_core::flows::{
    ManualPayment, PlaceOrderError, STAFF_ORDER_WAITS_MAX, StaffOrder, StaffOrderError, StaffPayment,
    begin_staff_payment, place_order, place_staff_order, record_manual_payment, settle_staff_payment,
};
use commerce_core::ids::{UserId, VariantId};
use commerce_core::money::{Currency, Money};
use commerce_core::orders::{OrderFilter, OrderSort, OrderSource, OrderStatus, events, find_owned, list};
use commerce_core::page::Limit;
use commerce_core::payments::{CaptureMethod, Outcome, ProviderName, RequiredAction};
use commerce_core::request::{Actor, Origin};
use commerce_core::schema::{emails, jobs, users};
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, address, email, guest_origin, order_wish};
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};
use serde_json::json;

use crate::payments::{order, timeline};

fn author() -> Author {
    let origin = Origin { actor: Actor::User(UserId::new()), request_id: Some("a call".into()) };
    Author { origin, role: Some(Role::Support.as_str()) }
}

fn by_phone(items: &[(VariantId, i64)]) -> StaffOrder {
    let item = |&(variant_id, quantity): &(VariantId, i64)| Item { variant_id, quantity };
    StaffOrder {
        customer_id: None,
        email: Some(email("bea@example.com")),
        locale: None,
        shipping_address: address(),
        billing_address: None,
        items: items.iter().map(item).collect(),
        expected_total: None,
        waits: Duration::from_secs(3 * 24 * 3600),
        author: author(),
    }
}

async fn customer(db: &TestDatabase) -> UserId {
    let id = UserId::new();
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::email.eq("cyd@example.com"),
            users::display_name.eq("Cyd"),
            users::password_hash.eq("none"),
            users::email_verified_at.eq(chrono::Utc::now()),
        ))
        .execute(&mut db.conn().await)
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn an_order_by_phone_has_prices_stock_a_timeline_and_a_mail() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (cup, plate) = (db.variant(1000, 5).await, db.variant(250, 5).await);
    let mut conn = db.conn().await;
    let wish = by_phone(&[(cup, 1), (plate, 2), (cup, 1)]);
    let staff = wish.author.origin.actor;
    let placed = place_staff_order(&mut conn, &shop, wish).await.unwrap();
    let id = placed.order.id;
    let lines: Vec<(VariantId, i64, i64)> =
        placed.lines.iter().map(|line| (line.variant_id, line.quantity, line.line_total_minor)).collect();
    assert_eq!(lines, [(cup, 2, 2000), (plate, 2, 500)]);
    assert_eq!((placed.order.source, placed.order.total_minor), (OrderSource::Staff, 2500));
    assert_eq!((db.stock(cup).await, db.stock(plate).await), ((5, 2), (5, 2)));
    // It waits as long as staff said.
    let waits = placed.order.expires_at.unwrap() - placed.order.placed_at;
    assert!((waits - chrono::Duration::days(3)).num_seconds().abs() < 60, "{waits}");

    let told = events(&mut conn, id).await.unwrap();
    let [event] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((event.kind.as_str(), &event.data["source"]), ("placed", &json!("staff")));
    assert_eq!(
        (event.actor.as_str(), event.request_id.as_deref()),
        (staff.to_string().as_str(), Some("a call"))
    );
    let log = audit_log::list(&mut conn, &AuditFilter::default(), Limit::default(), None).await.unwrap();
    assert_eq!(log.data[0].action, "admin_place_order");
    assert_eq!(log.data[0].after.as_ref().unwrap()["total_minor"], 2500);

    // The mail is sent to the customer, and not counted as one to an address that a stranger names.
    let mail: (String, String, serde_json::Value) = emails::table
        .select((emails::template, emails::recipient, emails::data))
        .first(&mut conn)
        .await
        .unwrap();
    assert_eq!(mail, ("order_received".into(), "bea@example.com".into(), json!({ "order_id": id })));

    // It is paid by hand.
    let transfer = ManualPayment {
        order_id: id,
        amount: None,
        reference: "Transfer".into(),
        received_at: None,
        author: author(),
    };
    record_manual_payment(&mut conn, &shop, transfer).await.unwrap();
    drop(conn);
    assert_eq!(order(&db, id).await.status, OrderStatus::Paid);
    db.finish().await;
}

#[tokio::test]
async fn what_cannot_be_sold_is_refused_and_nothing_is_written() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 2).await;
    let mut conn = db.conn().await;
    let unknown = VariantId::new();
    let wish = || by_phone(&[(variant, 1)]);
    let cases = [
        ("unknown", by_phone(&[(variant, 1), (unknown, 1)])),
        ("nothing", by_phone(&[])),
        ("no units", by_phone(&[(variant, 0)])),
        ("too many", by_phone(&[(variant, 1), (variant, 2)])),
        ("overflow", by_phone(&[(variant, i64::MAX), (variant, i64::MAX)])),
        ("another total", StaffOrder { expected_total: Some(Money::new(999, Currency::USD)), ..wish() }),
        ("no address", StaffOrder { email: None, ..wish() }),
        ("nobody", StaffOrder { customer_id: Some(UserId::new()), ..wish() }),
        ("too long", StaffOrder { waits: STAFF_ORDER_WAITS_MAX + Duration::from_secs(1), ..wish() }),
    ];
    for (what, wish) in cases {
        let refused = place_staff_order(&mut conn, &shop, wish).await.unwrap_err();
        use PlaceOrderError::*;
        let right = match what {
            "unknown" => matches!(&refused, StaffOrderError::UnknownVariants(ids) if *ids == [unknown]),
            "nothing" => matches!(refused, StaffOrderError::Place(CartEmpty)),
            "no units" => matches!(refused, StaffOrderError::NoUnits(_)),
            "too many" => matches!(&refused, StaffOrderError::Place(OutOfStock(short)) if short.len() == 1),
            "overflow" => matches!(refused, StaffOrderError::Place(Pricing(_))),
            "another total" => matches!(refused, StaffOrderError::Place(PriceChanged { .. })),
            "no address" => matches!(refused, StaffOrderError::NoEmail),
            "nobody" => matches!(refused, StaffOrderError::UnknownCustomer),
            _ => matches!(refused, StaffOrderError::WaitsTooLong),
        };
        assert!(right, "{what}: {refused:?}");
    }
    conn.batch_execute("UPDATE commerce.products SET status = 'draft'").await.unwrap();
    let draft = place_staff_order(&mut conn, &shop, wish()).await;
    assert!(matches!(draft, Err(StaffOrderError::Place(PlaceOrderError::NotForSale(_)))), "{draft:?}");
    let all = list(&mut conn, &OrderFilter::default(), OrderSort::NewestFirst, Limit::default(), None).await;
    assert!(all.unwrap().data.is_empty());
    assert_eq!(jobs::table.count().get_result::<i64>(&mut conn).await.unwrap(), 0);
    let log = audit_log::list(&mut conn, &AuditFilter::default(), Limit::default(), None).await.unwrap();
    assert!(log.data.is_empty());
    drop(conn);
    assert_eq!(db.stock(variant).await, (2, 0));
    db.finish().await;
}

#[tokio::test]
async fn an_order_for_an_account_is_its_own_and_no_limit_of_shoppers_counts_it() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings { open_orders_max: 1, held_units_max: 3, ..ShopSettings::default() };
    let variant = db.variant(1000, 100).await;
    let user = customer(&db).await;
    let owner = Owner::User(user);
    let mut conn = db.conn().await;
    for _ in 0..3 {
        let wish = StaffOrder { customer_id: Some(user), email: None, ..by_phone(&[(variant, 10)]) };
        let placed = place_staff_order(&mut conn, &shop, wish).await.unwrap();
        assert_eq!(placed.order.email, email("cyd@example.com"));
        assert!(find_owned(&mut conn, placed.order.id, owner).await.unwrap().is_some());
    }
    // The customer may still order as if there were none.
    let item = Item { variant_id: variant, quantity: 3 };
    commerce_core::cart::add_item(&mut conn, &shop, owner, item, &guest_origin()).await.unwrap();
    place_order(&mut conn, &shop, order_wish(owner)).await.unwrap();
    commerce_core::cart::add_item(&mut conn, &shop, owner, Item { quantity: 1, ..item }, &guest_origin())
        .await
        .unwrap();
    let refused = place_order(&mut conn, &shop, order_wish(owner)).await;
    assert!(matches!(refused, Err(PlaceOrderError::HoldLimit(_))), "{refused:?}");
    // Nobody orders for an account that is disabled.
    conn.batch_execute("UPDATE commerce.users SET disabled_at = commerce.clock()").await.unwrap();
    let wish = StaffOrder { customer_id: Some(user), ..by_phone(&[(variant, 1)]) };
    let refused = place_staff_order(&mut conn, &shop, wish).await;
    assert!(matches!(refused, Err(StaffOrderError::UnknownCustomer)), "{refused:?}");
    drop(conn);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_and_shoppers_never_sell_more_than_there_is() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (one, other) = (db.variant(1000, 6).await, db.variant(1000, 6).await);
    let wanted = |number| if number % 2 == 0 { [(one, 1), (other, 1)] } else { [(other, 1), (one, 1)] };
    // The carts are full before anybody orders.
    let mut shoppers = Vec::new();
    for number in 0..12 {
        let shopper = if number % 3 == 0 { Some(db.shopper(&shop, &wanted(number)).await) } else { None };
        shoppers.push((wanted(number), shopper));
    }
    let mut tasks = Vec::new();
    for (wanted, shopper) in shoppers {
        let (pool, shop) = (db.pool().clone(), shop.clone());
        tasks.push(tokio::spawn(async move {
            let mut conn = pool.get().await.unwrap();
            match shopper {
                Some(owner) => place_order(&mut conn, &shop, order_wish(owner)).await.map(|_| ()),
                None => match place_staff_order(&mut conn, &shop, by_phone(&wanted)).await {
                    Ok(_) => Ok(()),
                    Err(StaffOrderError::Place(error)) => Err(error),
                    Err(error) => panic!("{error:?}"),
                },
            }
        }));
    }
    let mut placed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => placed += 1,
            Err(PlaceOrderError::OutOfStock(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(placed, 6);
    assert_eq!((db.stock(one).await, db.stock(other).await), ((6, 6), (6, 6)));
    db.finish().await;
}

fn link_wish(order_id: commerce_core::ids::OrderId) -> StaffPayment {
    StaffPayment {
        order_id,
        provider: ProviderName::MOCK,
        amount: None,
        capture_method: CaptureMethod::Automatic,
        request: json!({}),
        request_key: rand::random(),
        author: author(),
    }
}

/// The answer of a provider with a page of its own.
fn page(url: &str) -> Outcome {
    let action = RequiredAction::Redirect { url: url.into() };
    Outcome::RequiresAction { reference: url.into(), action }
}

#[tokio::test]
async fn a_link_is_begun_once_for_a_request_and_mailed_once() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let mut conn = db.conn().await;
    let placed = place_staff_order(&mut conn, &shop, by_phone(&[(variant, 1)])).await.unwrap();
    let id = placed.order.id;
    let wish = link_wish(id);
    let first = begin_staff_payment(&mut conn, wish.clone()).await.unwrap();
    let again = begin_staff_payment(&mut conn, wish.clone()).await.unwrap();
    assert_eq!((first.id, first.amount_minor), (again.id, 1000));
    for _ in 0..2 {
        let settled =
            settle_staff_payment(&mut conn, &shop, first.id, page("https://pay/1"), &author()).await;
        assert_eq!(settled.unwrap().link().as_deref(), Some("https://pay/1"));
    }
    let mails: Vec<serde_json::Value> = emails::table
        .filter(emails::template.eq("order_received"))
        .order(emails::created_at)
        .select(emails::data)
        .load(&mut conn)
        .await
        .unwrap();
    assert_eq!(mails, [json!({ "order_id": id }), json!({ "order_id": id, "payment_id": first.id })]);
    let log = audit_log::list(&mut conn, &AuditFilter::default(), Limit::default(), None).await.unwrap();
    let actions: Vec<&str> = log.data.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["admin_create_payment_link", "admin_place_order"]);
    drop(conn);
    assert_eq!(timeline(&db, id).await, ["placed", "payment_started"]);
    db.finish().await;
}
