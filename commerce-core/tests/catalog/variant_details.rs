//! What a variant carries: it is kept, changed field by field, and what only staff may know is read by staff alone.

use commerce_core::catalog::{
    self, Audience, ListProducts, NewImage, Product, ProductKey, ProductPatch, ProductRefusal, ProductSort,
    StaffDetails, UpdateProductError, VariantDetails, VariantPatch,
};
use commerce_core::inventory::Available;
use commerce_core::money::{Currency, Money};
use commerce_core::page::Limit;
use commerce_core::testing::TestDatabase;
use diesel_async::AsyncPgConnection;

use super::given::{create, product, simple, usd, variant};

const FRONT: &str = "https://images.example/front.jpg";
const BACK: &str = "https://images.example/back.jpg";

pub fn every_detail() -> (VariantDetails, StaffDetails) {
    let details = VariantDetails {
        track_inventory: false,
        weight_grams: Some(340),
        requires_shipping: false,
        taxable: false,
        barcode: Some("4006381333931".into()),
        image_url: Some(BACK.into()),
    };
    (details, StaffDetails { cost: Some(usd(450)), continue_selling: true })
}

fn images() -> Vec<NewImage> {
    [FRONT, BACK].map(|url| NewImage { url: url.into(), alt: String::new() }).into()
}

async fn find(conn: &mut AsyncPgConnection, product: &Product, audience: Audience) -> Product {
    catalog::find_product(conn, &ProductKey::Id(product.id), audience).await.unwrap().unwrap()
}

async fn patch(
    conn: &mut AsyncPgConnection,
    product: &Product,
    patch: VariantPatch,
) -> Result<Product, UpdateProductError> {
    catalog::update_variant(conn, product.id, product.variants[0].id, None, patch, Currency::USD).await
}

/// A product with one variant that carries everything.
async fn with_everything(conn: &mut AsyncPgConnection) -> Product {
    let (details, staff) = every_detail();
    let mut new = product("Poster", vec![variant(&[], 1000)]);
    new.images = images();
    new.variants[0].details = VariantDetails { barcode: Some(" 4006381333931 ".into()), ..details };
    new.variants[0].staff = staff;
    create(conn, new, &[0]).await.unwrap()
}

#[tokio::test]
async fn everything_is_kept_and_shoppers_do_not_read_what_is_the_staffs() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let (details, staff) = every_detail();
    let made = with_everything(conn).await;
    for read in [&made, &find(conn, &made, Audience::Staff).await] {
        assert_eq!((&read.variants[0].details, &read.variants[0].staff), (&details, &Some(staff.clone())));
    }
    let shown = find(conn, &made, Audience::Shoppers).await;
    assert_eq!((&shown.variants[0].details, &shown.variants[0].staff), (&details, &None));

    let plain = simple(conn, "Cup", 500, 1).await;
    assert_eq!(plain.variants[0].details, VariantDetails::default());
    assert_eq!(plain.variants[0].staff, Some(StaffDetails::default()));
    db.finish().await;
}

#[tokio::test]
async fn fields_are_changed_one_by_one_and_removed() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let made = with_everything(conn).await;
    let (details, staff) = every_detail();
    let heavier = VariantPatch { weight_grams: Some(Some(400)), ..Default::default() };
    let after = patch(conn, &made, heavier).await.unwrap();
    assert_eq!(after.variants[0].details, VariantDetails { weight_grams: Some(400), ..details });
    assert_eq!(after.variants[0].staff, Some(staff));

    let all = VariantPatch {
        track_inventory: Some(true),
        weight_grams: Some(None),
        requires_shipping: Some(true),
        taxable: Some(true),
        barcode: Some(None),
        image_url: Some(None),
        cost: Some(None),
        continue_selling: Some(false),
        ..Default::default()
    };
    let after = patch(conn, &made, all).await.unwrap();
    assert_eq!(after.variants[0].details, VariantDetails::default());
    assert_eq!(after.variants[0].staff, Some(StaffDetails::default()));
    db.finish().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_place() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let made = with_everything(conn).await;
    let elsewhere = || Some(Some("https://images.example/other.jpg".to_owned()));
    for (wrong, pointer) in [
        (VariantPatch { weight_grams: Some(Some(-1)), ..Default::default() }, "/weight_grams"),
        (VariantPatch { weight_grams: Some(Some(100_000_001)), ..Default::default() }, "/weight_grams"),
        (VariantPatch { barcode: Some(Some(" ".into())), ..Default::default() }, "/barcode"),
        (VariantPatch { barcode: Some(Some("9".repeat(256))), ..Default::default() }, "/barcode"),
        (VariantPatch { image_url: elsewhere(), ..Default::default() }, "/image_url"),
        (VariantPatch { cost: Some(Some(usd(-1))), ..Default::default() }, "/cost/amount"),
    ] {
        let refused = patch(conn, &made, wrong.clone()).await.unwrap_err();
        let UpdateProductError::Refused(ProductRefusal::Invalid(errors)) = refused else {
            panic!("{refused}")
        };
        assert_eq!(errors[0].pointer, pointer, "{errors:?}");
        let mut new = product("Flag", vec![variant(&[], 1000)]);
        let details = &mut new.variants[0].details;
        details.weight_grams = wrong.weight_grams.flatten();
        details.barcode = wrong.barcode.flatten();
        details.image_url = wrong.image_url.flatten();
        new.variants[0].staff.cost = wrong.cost.flatten();
        assert!(create(conn, new, &[]).await.is_err(), "{pointer}");
    }
    let yen = VariantPatch { cost: Some(Some(Money::new(5, Currency::JPY))), ..Default::default() };
    let refused = patch(conn, &made, yen).await.unwrap_err();
    let UpdateProductError::Refused(ProductRefusal::CurrencyMismatch { pointer, .. }) = refused else {
        panic!("{refused}")
    };
    assert_eq!(pointer, "/cost/currency");
    db.finish().await;
}

#[tokio::test]
async fn a_variant_loses_its_image_with_the_product_and_keeps_it_in_another_order() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let made = with_everything(conn).await;
    let turned = ProductPatch { images: Some(images().into_iter().rev().collect()), ..Default::default() };
    let after = catalog::update_product(conn, made.id, None, turned, Currency::USD).await.unwrap();
    assert_eq!(after.variants[0].details.image_url.as_deref(), Some(BACK));
    // A new image and its variant, in one request.
    let new = "https://images.example/new.jpg";
    let linked = vec![NewImage { url: new.into(), alt: String::new() }];
    let only_variant = VariantPatch { image_url: Some(Some(new.into())), ..Default::default() };
    let other = ProductPatch { images: Some(linked), only_variant: Some(only_variant), ..Default::default() };
    let after = catalog::update_product(conn, made.id, None, other, Currency::USD).await.unwrap();
    assert_eq!(after.variants[0].details.image_url.as_deref(), Some(new));
    let bare = ProductPatch { images: Some(Vec::new()), ..Default::default() };
    let after = catalog::update_product(conn, made.id, None, bare, Currency::USD).await.unwrap();
    assert_eq!(after.variants[0].details.image_url, None);
    db.finish().await;
}

#[tokio::test]
async fn a_variant_that_is_not_counted_is_in_stock_in_product_and_list() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let made = with_everything(conn).await;
    simple(conn, "Cup", 500, 0).await;
    assert_eq!((made.variants[0].available, made.in_stock()), (Available::Uncounted, true));
    let list = |in_stock| ListProducts {
        audience: Audience::Shoppers,
        status: None,
        category: None,
        with_descendants: false,
        price_min_minor: None,
        price_max_minor: None,
        in_stock: Some(in_stock),
        query: None,
        sort: ProductSort::CreatedAt,
        limit: Limit::default(),
        cursor: None,
    };
    let mut titles = Vec::new();
    for in_stock in [true, false] {
        let page = catalog::list_products(conn, &list(in_stock)).await.unwrap();
        titles.extend(page.data.into_iter().map(|product| product.title));
    }
    assert_eq!(titles, ["Poster", "Cup"]);
    patch(conn, &made, VariantPatch { track_inventory: Some(true), ..Default::default() }).await.unwrap();
    let page = catalog::list_products(conn, &list(true)).await.unwrap();
    assert_eq!(page.data.len(), 0);
    let off = VariantPatch { track_inventory: Some(false), active: Some(false), ..Default::default() };
    patch(conn, &made, off).await.unwrap();
    let page = catalog::list_products(conn, &list(true)).await.unwrap();
    assert_eq!(page.data.len(), 0, "an inactive variant is not for sale");
    db.finish().await;
}
