//! A quote is the checkout's own computation: the same totals, without locks and without a trace.

use std::time::Duration;

use commerce_core::cart::{self, ItemProblem, Quote};
use commerce_core::flows::{PlaceOrder, PlaceOrderError, place_order};
use commerce_core::ids::VariantId;
use commerce_core::money::{Currency, Money};
use commerce_core::settings::{ReservationMode, ShopSettings};
use commerce_core::testing::{TestDatabase, order_wish};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};

async fn quote(db: &TestDatabase, shop: &ShopSettings, owner: cart::Owner) -> Quote {
    cart::quote(&mut *db.conn().await, shop, owner).await.unwrap()
}

#[tokio::test]
async fn the_order_costs_what_the_quote_said_to_the_unit() {
    let db = TestDatabase::new().await;
    for reservation_mode in [ReservationMode::Checkout, ReservationMode::Cart] {
        let shop = ShopSettings { reservation_mode, ..Default::default() };
        let wanted =
            [(db.variant(333, 9).await, 3), (db.variant(1, 1).await, 1), (db.variant(99_999, 50).await, 50)];
        let owner = db.shopper(&shop, &wanted).await;
        let quote = quote(&db, &shop, owner).await;
        let expected_total = quote.expected_total();
        assert_eq!(expected_total, Some(Money::new(999 + 1 + 4_999_950, Currency::USD)));

        let view = cart::view(&mut *db.conn().await, &shop, owner).await.unwrap();
        assert_eq!(view.subtotal_minor, quote.totals.subtotal_minor);
        let wish = PlaceOrder { expected_total, ..order_wish(owner) };
        let placed = place_order(&mut *db.conn().await, &shop, wish).await.unwrap();
        let (order, totals) = (&placed.order, quote.totals);
        assert_eq!(
            [order.subtotal_minor, order.discount_minor, order.shipping_minor, order.tax_minor],
            [totals.subtotal_minor, totals.discount_minor, totals.shipping_minor, totals.tax_minor]
        );
        assert_eq!(
            (order.tax_included_minor, order.total_minor),
            (totals.tax_included_minor, totals.total_minor)
        );
        let ordered: Vec<_> = placed
            .lines
            .iter()
            .map(|line| {
                (
                    line.variant_id,
                    line.title.as_str(),
                    line.unit_price_minor,
                    line.quantity,
                    line.line_total_minor,
                )
            })
            .collect();
        let quoted: Vec<_> = quote
            .items
            .iter()
            .map(|item| {
                let (price, total) = (item.unit_price.amount_minor, item.line_total.amount_minor);
                (item.variant_id, item.title.as_str(), price, item.quantity, total)
            })
            .collect();
        assert_eq!(ordered, quoted);
    }
    db.finish().await;
}

#[tokio::test]
async fn an_item_that_cannot_be_ordered_says_why_as_the_checkout_would() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let (good, short, gone, foreign) = (
        db.variant(100, 5).await,
        db.variant(200, 5).await,
        db.variant(300, 5).await,
        db.variant(400, 5).await,
    );
    let owner = db.shopper(&shop, &[(good, 1), (short, 3), (gone, 1), (foreign, 1)]).await;
    let change = async |sql: String| db.conn().await.batch_execute(&sql).await.unwrap();
    let of = |id: VariantId| format!("WHERE id = '{id}'");
    change(format!("UPDATE commerce.variants SET currency = 'EUR' {}", of(foreign))).await;
    change(format!("UPDATE commerce.variants SET active = false {}", of(gone))).await;
    db.order(&shop, &[(short, 3)]).await;

    let quoted = quote(&db, &shop, owner).await;
    let problems: Vec<_> = quoted.items.iter().map(|item| item.problem).collect();
    let (short_of, wrong) = (Some(ItemProblem::OutOfStock), Some(ItemProblem::CurrencyMismatch));
    assert_eq!(problems, [None, short_of, Some(ItemProblem::NotForSale), wrong]);
    assert_eq!((quoted.totals.total_minor, quoted.expected_total()), (100 + 600, None));
    assert_eq!(quoted.items[1].available, 2.into());

    // One after the other, the checkout refuses for the same reasons.
    let checkout = async || place_order(&mut *db.conn().await, &shop, order_wish(owner)).await;
    assert!(
        matches!(checkout().await, Err(PlaceOrderError::CurrencyMismatch { variant_id, .. }) if variant_id == foreign)
    );
    change(format!("UPDATE commerce.variants SET currency = 'USD' {}", of(foreign))).await;
    assert!(matches!(checkout().await, Err(PlaceOrderError::NotForSale(ids)) if ids == [gone]));
    change(format!("UPDATE commerce.variants SET active = true {}", of(gone))).await;
    assert!(
        matches!(checkout().await, Err(PlaceOrderError::OutOfStock(found)) if found[0].variant_id == short)
    );
    db.restock(short, 1).await;
    let quoted = quote(&db, &shop, owner).await;
    assert_eq!(quoted.expected_total().map(|total| total.amount_minor), Some(100 + 600 + 300 + 400));
    let placed = checkout().await.unwrap();
    assert_eq!(placed.order.total_minor, 1400);
    db.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_waits_for_no_lock() {
    let db = TestDatabase::new().await;
    let shop = ShopSettings::default();
    let variant = db.variant(100, 5).await;
    let owner = db.shopper(&shop, &[(variant, 2)]).await;
    let mut conn = db.conn().await;
    let quoted = conn.transaction(async |conn| {
        conn.batch_execute(
            "SELECT FROM commerce.carts FOR UPDATE; SELECT FROM commerce.variants FOR UPDATE;
             SELECT FROM commerce.stock_levels FOR UPDATE",
        )
        .await?;
        let quoted = tokio::time::timeout(Duration::from_secs(5), quote(&db, &shop, owner)).await;
        Ok::<_, diesel::result::Error>(quoted)
    });
    let quoted = quoted.await.unwrap().expect("the quote waited for a lock");
    assert_eq!(quoted.totals.total_minor, 200);
    drop(conn);
    db.finish().await;
}
