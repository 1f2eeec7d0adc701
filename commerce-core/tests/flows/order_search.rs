//! Staff find an order by what they know of it.

use commerce_core::flows::{Dispatch, place_order, ship_order};
use commerce_core::ids::OrderId;
use commerce_core::orders::{OrderFilter, OrderSort, list};
use commerce_core::page::Limit;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::{TestDatabase, address, email, guest_origin, order_wish};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::payments::{begin, settle, success};

async fn found(db: &TestDatabase, text: &str) -> Vec<OrderId> {
    let filter = OrderFilter { text: Some(text.to_owned()), ..Default::default() };
    let page = list(&mut *db.conn().await, &filter, OrderSort::OldestFirst, Limit::default(), None).await;
    page.unwrap().data.into_iter().map(|order| order.id).collect()
}

#[tokio::test]
async fn an_order_is_found_by_number_address_name_sku_and_tracking_number() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(1000, 5).await;
    let other = db.variant(1000, 5).await;
    let name = format!("UPDATE commerce.variants SET sku = 'CVT-S/7' WHERE id = '{variant}'");
    db.conn().await.batch_execute(&name).await.unwrap();
    let owner = db.shopper(&shop, &[(variant, 1)]).await;
    let mut fields = address().into_fields();
    fields.name = "Zo\u{eb} O'Brien".into();
    let billing = commerce_core::address::Address::new(fields).unwrap();
    let wish = commerce_core::flows::PlaceOrder {
        email: email("dee.dum@shop.example"),
        billing_address: Some(billing),
        ..order_wish(owner)
    };
    let placed = place_order(&mut *db.conn().await, &shop, wish).await.unwrap();
    let id = placed.order.id;
    let (_, second) = db.order(&shop, &[(other, 1)]).await;
    let second = second.order.id;
    let number = placed.order.number;

    let payment = begin(&db, id, owner, None).await;
    settle(&db, &shop, payment.id, success(&payment)).await;
    let dispatch = Dispatch { carrier: None, tracking_number: Some("1Z-999.AA 10".into()) };
    ship_order(&mut *db.conn().await, id, &dispatch, &guest_origin()).await.unwrap();

    for text in [
        number.to_string().as_str(),
        &format!("#{number}"),
        &format!("  {number} "),
        "dee.dum@shop.example",
        "DEE",
        "shop.example",
        "zoe",
        "Zo\u{eb}",
        "o'brien lovelace",
        "cvt-s/7",
        "CVTS7",
        "cvt",
        "1z-999.aa 10",
        "1Z999AA",
    ] {
        assert_eq!(found(&db, text).await, [id], "{text:?}");
    }
    // What the program writes is what the database would.
    #[derive(diesel::QueryableByName)]
    struct Same {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        same: bool,
    }
    let same = "SELECT bool_and(s.document = commerce.order_document(
            concat_ws(' ', o.number, o.email, o.shipping_address ->> 'name', o.billing_address ->> 'name'),
            coalesce((SELECT array_agg(l.sku) FROM commerce.order_lines l WHERE l.order_id = o.id AND l.sku IS NOT NULL), '{}')
            || coalesce((SELECT array_agg(p.tracking_number) FROM commerce.shipments p WHERE p.order_id = o.id), '{}'))) AS same
        FROM commerce.order_search s JOIN commerce.orders o ON o.id = s.order_id";
    let same: Same = diesel::sql_query(same).get_result(&mut db.conn().await).await.unwrap();
    assert!(same.same);
    // Both have this name; a number is a whole number; all words must match.
    assert_eq!(found(&db, "lovelace ada").await, [id, second]);
    for text in
        [&number.to_string()[..3], "ovelace", "zoe ada@example.com", "---", "' | ''x", "%", "\\", ":*"]
    {
        assert!(found(&db, text).await.is_empty(), "{text:?}");
    }
    db.finish().await;
}
