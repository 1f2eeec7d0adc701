//! Who makes a product, and its tags.

use commerce_core::catalog::import::WarningKind;
use commerce_core::catalog::{self, ExportLayout, ProductPatch, ProductRefusal, UpdateProductError};
use commerce_core::flows::ImportOptions;
use commerce_core::money::Currency;
use commerce_core::testing::TestDatabase;

use super::exports::export;
use super::given::{create, product, variant};
use super::imports::{counts, find, import};

#[tokio::test]
async fn vendor_and_tags_are_kept_changed_and_checked() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let mut new = product("Mug", vec![variant(&[], 100)]);
    new.vendor = Some(" Dunmore ".into());
    new.tags = ["kitchen", " gift", "kitchen "].map(str::to_owned).into();
    let made = create(conn, new, &[]).await.unwrap();
    assert_eq!(
        (made.vendor.as_deref(), made.tags.as_slice()),
        (Some("Dunmore"), &["kitchen", "gift"].map(str::to_owned)[..])
    );

    let mut update =
        async |patch: ProductPatch| catalog::update_product(conn, made.id, None, patch, Currency::USD).await;
    let title = ProductPatch { title: Some("Cup".into()), ..ProductPatch::default() };
    let after = update(title).await.unwrap();
    assert_eq!((&after.vendor, &after.tags), (&made.vendor, &made.tags));
    for (wrong, pointer) in [
        (ProductPatch { vendor: Some(Some(" ".into())), ..Default::default() }, "/vendor"),
        (ProductPatch { vendor: Some(Some("x".repeat(256))), ..Default::default() }, "/vendor"),
        (ProductPatch { tags: Some(vec!["a".into(), "b,c".into()]), ..Default::default() }, "/tags/1"),
        (ProductPatch { tags: Some(vec![String::new()]), ..Default::default() }, "/tags/0"),
        (ProductPatch { tags: Some(vec!["x".repeat(256)]), ..Default::default() }, "/tags/0"),
        (
            ProductPatch { tags: Some((0..251).map(|n| n.to_string()).collect()), ..Default::default() },
            "/tags",
        ),
    ] {
        let refused = update(wrong).await.unwrap_err();
        let UpdateProductError::Refused(ProductRefusal::Invalid(errors)) = refused else {
            panic!("{refused}")
        };
        assert_eq!(errors[0].pointer, pointer);
    }
    let bare = ProductPatch { vendor: Some(None), tags: Some(Vec::new()), ..ProductPatch::default() };
    let after = update(bare).await.unwrap();
    assert_eq!((after.vendor, after.tags), (None, Vec::new()));
    db.finish().await;
}

#[tokio::test]
async fn files_bring_vendor_and_tags_and_take_them_out_again() {
    let shopify = "Handle,Title,Vendor,Type,Tags,Variant Price\nmug,Mug,Dunmore,Mugs,\"kitchen, gift\",10\n";
    let native = "slug,title,vendor,tags,price\nmug,Mug,Dunmore,\"kitchen,gift\",10\n";
    for (layout, csv) in [(ExportLayout::Shopify, shopify), (ExportLayout::Native, native)] {
        let db = TestDatabase::new().await;
        let conn = &mut db.conn().await;
        assert_eq!(counts(&import(conn, csv, ImportOptions::default()).await.unwrap()), [1, 0, 0, 0]);
        let mug = find(conn, "mug").await.unwrap();
        assert_eq!(
            (mug.vendor.as_deref(), mug.tags.as_slice()),
            (Some("Dunmore"), &["kitchen", "gift"].map(str::to_owned)[..])
        );
        assert!(
            ["vendor", "tags"].iter().all(|name| !mug.attributes.contains_key(*name)),
            "{:?}",
            mug.attributes
        );
        let exported = export(conn, layout).await;
        for csv in [csv, exported.as_str(), "slug,title,price\nmug,Mug,10\n"] {
            let report = import(conn, csv, ImportOptions::default()).await.unwrap();
            assert_eq!(counts(&report), [0, 0, 1, 0], "{csv}");
        }
        let long = csv.replace("Dunmore", &"D".repeat(256)).replace("gift", &"g".repeat(256));
        let report = import(conn, &long, ImportOptions::default()).await.unwrap();
        assert_eq!(report.warnings.0[&WarningKind::UnusableAttributes].total, 2);
        let mug = find(conn, "mug").await.unwrap();
        assert_eq!(
            (mug.vendor.as_deref(), mug.tags.as_slice()),
            (Some("Dunmore"), &["kitchen".to_owned()][..])
        );
        drop(db);

        let other = TestDatabase::new().await;
        let conn = &mut other.conn().await;
        import(conn, &exported, ImportOptions::default()).await.unwrap();
        assert_eq!(export(conn, layout).await, exported);
        other.finish().await;
    }
}
