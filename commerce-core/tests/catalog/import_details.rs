//! What a variant carries comes in with a file, in both layouts, and goes out again.

use commerce_core::catalog::import::{Layout, WarningKind};
use commerce_core::catalog::{self, ExportLayout, Product, StaffDetails, VariantDetails, VariantPatch};
use commerce_core::flows::{ImportOptions, ImportReport};
use commerce_core::inventory::Available;
use commerce_core::money::Currency;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

use super::exports::export;
use super::given::usd;
use super::imports::{counts, find, import};

/// The columns of Shopify's older exports and of its newer ones that are about a variant.
const OLD: &str = "Handle,Title,Variant Price,Variant Inventory Qty,Variant Grams,Variant Inventory Tracker,\
    Variant Inventory Policy,Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Gift Card,\
    Variant Image,Variant Weight Unit,Cost per item";
const NEW: &str = "URL handle,Title,Price,Inventory quantity,Weight value (grams),Inventory tracker,\
    Continue selling when out of stock,Requires shipping,Charge tax,Barcode,Product image URL,Gift card,\
    Variant image URL,Weight unit for display,Cost per item";
const NATIVE: &str = "slug,title,price,stock,weight_grams,track_inventory,continue_selling,requires_shipping,taxable,\
    barcode,image_url,categories,variant_image_url,description,cost";

const FRONT: &str = "https://images.example/front.jpg";
const BACK: &str = "https://images.example/back.jpg";

/// A download that is not counted, and a box that is.
fn files() -> [(Layout, String); 3] {
    let shopify = format!(
        "\ndownload,Download,10,0,0,,continue,false,false,'0012345678905,{FRONT},false,{BACK},g,4.50\n\
         box,Box,20,7,453.6,shopify,deny,TRUE,true,4006381333931,{FRONT},,,lb,\n"
    );
    let native = format!(
        "\ndownload,Download,10,0,0,false,true,false,false,0012345678905,{FRONT},,{BACK},,4.50\n\
         box,Box,20,7,454,true,false,true,true,4006381333931,{FRONT},,,,\n"
    );
    [
        (Layout::Shopify, format!("{OLD}{shopify}")),
        (
            Layout::Shopify,
            format!("{NEW}{}", shopify.replace("continue", "CONTINUE").replace("deny", "DENY")),
        ),
        (Layout::Native, format!("{NATIVE}{native}")),
    ]
}

fn download() -> (VariantDetails, Option<StaffDetails>) {
    let details = VariantDetails {
        track_inventory: false,
        weight_grams: Some(0),
        requires_shipping: false,
        taxable: false,
        barcode: Some("0012345678905".into()),
        image_url: Some(BACK.into()),
    };
    (details, Some(StaffDetails { cost: Some(usd(450)), continue_selling: true }))
}

fn details_of(product: &Product) -> (VariantDetails, Option<StaffDetails>) {
    (product.variants[0].details.clone(), product.variants[0].staff.clone())
}

fn warned(report: &ImportReport, kind: WarningKind) -> Vec<(u64, &str)> {
    let noted = report.warnings.0.get(&kind).into_iter().flat_map(|noted| &noted.examples);
    noted.map(|place| (place.line, place.column.as_str())).collect()
}

#[tokio::test]
async fn every_detail_comes_in_with_each_layout() {
    for (layout, csv) in files() {
        let db = TestDatabase::new().await;
        let conn = &mut db.conn().await;
        let report = import(conn, &csv, ImportOptions::default()).await.unwrap();
        assert_eq!((counts(&report), report.faults.total), ([2, 0, 0, 0], 0), "{layout}");
        assert_eq!(report.ignored_columns, [], "{layout}");
        let policy = csv.split(',').nth(6).unwrap();
        assert_eq!(warned(&report, WarningKind::ContinueSelling), [(2, policy)], "{layout}");
        let found = find(conn, "download").await.unwrap();
        assert_eq!(details_of(&found), download(), "{layout}");
        assert_eq!(found.variants[0].available, Available::Uncounted);
        assert_eq!(found.images.len(), 2, "the image of a variant is one of the product's");
        let found = find(conn, "box").await.unwrap();
        let barcode = Some("4006381333931".into());
        let details = VariantDetails { weight_grams: Some(454), barcode, ..VariantDetails::default() };
        assert_eq!(details_of(&found), (details, Some(StaffDetails::default())), "{layout}");
        assert_eq!(found.variants[0].available, Available::Units(7));
        let again = import(conn, &csv, ImportOptions::default()).await.unwrap();
        assert_eq!(counts(&again), [0, 0, 2, 0], "{layout}");
        db.finish().await;
    }
}

#[tokio::test]
async fn an_export_brings_every_detail_into_an_empty_shop_and_changes_nothing_in_its_own() {
    for layout in [ExportLayout::Shopify, ExportLayout::Native] {
        let db = TestDatabase::new().await;
        let conn = &mut db.conn().await;
        import(conn, &files()[0].1, ImportOptions::default()).await.unwrap();
        let csv = export(conn, layout).await;
        let again = import(conn, &csv, ImportOptions::default()).await.unwrap();
        assert_eq!(counts(&again), [0, 0, 2, 0], "{layout}: {csv}");
        drop(db);

        let other = TestDatabase::new().await;
        let conn = &mut other.conn().await;
        import(conn, &csv, ImportOptions::default()).await.unwrap();
        assert_eq!(details_of(&find(conn, "download").await.unwrap()), download(), "{layout}: {csv}");
        assert_eq!(find(conn, "box").await.unwrap().variants[0].details.weight_grams, Some(454), "{layout}");
        assert_eq!(export(conn, layout).await, csv);
        other.finish().await;
    }
}

#[tokio::test]
async fn columns_and_cells_that_are_missing_change_nothing_and_others_change_what_they_say() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    import(conn, &files()[0].1, ImportOptions::default()).await.unwrap();
    for csv in [
        "slug,title,price\ndownload,Download,10\n".to_owned(),
        format!("{NATIVE}\ndownload,Download,10,,,,,,,,,,,,\n"),
        "Handle,Title,Variant Price\ndownload,Download,10\n".to_owned(),
    ] {
        let report = import(conn, &csv, ImportOptions::default()).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 1, 0], "{csv}");
    }
    let csv = "slug,title,price,weight_grams,variant_image_url,track_inventory\n\
        download,Download,10,12,https://images.example/front.jpg,true\n";
    let report = import(conn, csv, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&report), [0, 1, 0, 0]);
    let (before, staff) = download();
    let details = VariantDetails {
        weight_grams: Some(12),
        image_url: Some(FRONT.into()),
        track_inventory: true,
        ..before
    };
    let after = find(conn, "download").await.unwrap();
    assert_eq!((details_of(&after), after.variants[0].available), ((details, staff), Available::Units(0)));
    db.finish().await;
}

/// Only the first row of a product says it.
#[tokio::test]
async fn a_gift_card_is_left_out_by_name_and_the_rest_is_imported() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = format!(
        "{OLD}\ngift,Gift Card,25,,0,,deny,false,false,,,TRUE,,,\ngift,,50,,0,,deny,false,false,,,,,,\n\
         mug,Mug,10,3,300,shopify,deny,true,true,,,false,,,\n"
    );
    let report = import(conn, &csv, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 1]);
    let gift_cards = &report.warnings.0[&WarningKind::GiftCard];
    let place = &gift_cards.examples[0];
    assert_eq!((gift_cards.total, place.line, place.column.as_str()), (1, 2, "Gift Card"));
    assert_eq!(place.message, "is TRUE");
    assert_eq!(find(conn, "gift").await, None);
    assert!(find(conn, "mug").await.is_some());
    db.finish().await;
}

#[tokio::test]
async fn a_detail_that_cannot_be_read_is_left_out_with_a_warning() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = format!(
        "{OLD}\nmug,Mug,10,3,heavy,shopify,maybe,perhaps,often,{},javascript:x,no idea,javascript:x,stone,-1\n",
        "9".repeat(256)
    );
    let report = import(conn, &csv, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0], "{:?}", report.faults);
    assert_eq!(report.warnings.0[&WarningKind::UnreadableDetail].total, 6, "{:?}", report.warnings);
    let mug = find(conn, "mug").await.unwrap();
    assert_eq!(details_of(&mug), (VariantDetails::default(), Some(StaffDetails::default())));
    db.finish().await;
}

/// An uploaded image belongs to this shop alone. A file cannot name it, and leaves it where it is.
#[tokio::test]
async fn an_uploaded_image_of_a_variant_stays_with_its_variant() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    import(conn, &files()[0].1, ImportOptions::default()).await.unwrap();
    let product = find(conn, "download").await.unwrap();
    let uploaded = "/media/01939f5c-7e2b-7c4a-9a55-0d8a6a4f0010.jpg";
    upload(conn, &product, uploaded).await;
    let patch = VariantPatch { image_url: Some(Some(uploaded.into())), ..VariantPatch::default() };
    let variant_id = product.variants[0].id;
    catalog::update_variant(conn, product.id, variant_id, None, patch, Currency::USD).await.unwrap();
    for layout in [ExportLayout::Shopify, ExportLayout::Native] {
        let csv = export(conn, layout).await;
        assert!(!csv.contains(uploaded));
        let report = import(conn, &csv, ImportOptions::default()).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 2, 0], "{layout}: {csv}");
        let after = find(conn, "download").await.unwrap();
        assert_eq!(after.variants[0].details.image_url.as_deref(), Some(uploaded), "{layout}");
    }
    db.discard().await;
}

/// The row of an uploaded image, without its file.
async fn upload(conn: &mut AsyncPgConnection, product: &Product, url: &str) {
    let key = url.trim_start_matches("/media/");
    let row = format!(
        "INSERT INTO commerce.product_images (id, product_id, url, position, storage_key, width, height)
         VALUES (gen_random_uuid(), '{}', '{url}', 2, '{key}', 10, 10)",
        product.id
    );
    conn.batch_execute(&row).await.unwrap();
}
