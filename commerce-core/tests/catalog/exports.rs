//! Files of the whole catalogue: they go back in and change nothing.

use commerce_core::catalog::{self, ExportLayout, ProductExport};
use commerce_core::flows::ImportOptions;
use commerce_core::inventory::MAIN_LOCATION;
use commerce_core::money::Currency;
use commerce_core::testing::TestDatabase;
use diesel_async::AsyncPgConnection;

use super::given::{create, product, variant};
use super::imports::{APPAREL, SET_STOCK, counts, find, import};

pub(super) async fn export(conn: &mut AsyncPgConnection, layout: ExportLayout) -> String {
    let mut export = ProductExport::begin(conn, layout, MAIN_LOCATION).await.unwrap();
    let mut csv = export.header();
    while let Some(rows) = export.next_rows(conn).await.unwrap() {
        csv += &rows;
    }
    csv
}

/// Names and values that a cell cannot hold as they are.
const AWKWARD: &str = "slug,title,description,status,categories,options,sku,price,compare_at_price,stock,active,\
    image_url,image_alt,attribute:vendor,attributes\n\
    plain,Plain,<p>Fine</p>,draft,Hats|Caps & Co,,P-1,1.50,2.00,7,true,https://x.example/a.jpg,A hat,Ada,\n\
    odd,\"Odd, \"\"quoted\"\"\",,active,,\"[[\"\"Size\"\",\"\"S;M\"\"],[\"\"a=b\"\",\"\"[x]\"\"]]\",,3,,0,true,,,,\"{\"\"tags\"\":[\"\"a\"\",\"\"b\"\"],\"\"n\"\":1}\"\n\
    odd,,,,,\"[[\"\"Size\"\",\"\"L\"\"],[\"\"a=b\"\",\"\"y\"\"]]\",ODD-L,4,,2,false,https://x.example/b.jpg,,,\n\
    odd,,,,,,,,,,,https://x.example/c.jpg,third,,\n";

#[tokio::test]
async fn an_export_goes_back_in_and_out_again() {
    let (first, second) = (TestDatabase::new().await, TestDatabase::new().await);
    let (conn, other) = (&mut first.conn().await, &mut second.conn().await);
    import(conn, APPAREL, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&import(conn, AWKWARD, ImportOptions::default()).await.unwrap()), [2, 0, 0, 0]);

    let native = export(conn, ExportLayout::Native).await;
    let again = import(conn, &native, SET_STOCK).await.unwrap();
    assert_eq!(counts(&again), [0, 0, 22, 0]);
    assert_eq!(counts(&import(other, &native, ImportOptions::default()).await.unwrap()), [22, 0, 0, 0]);
    assert_eq!(export(other, ExportLayout::Native).await, native);
    let odd = find(other, "odd").await.unwrap();
    assert_eq!(odd.variants[0].options["Size"], "S;M");
    assert_eq!((odd.images.len(), &odd.attributes["tags"]), (2, &serde_json::json!(["a", "b"])));

    // Shopify's columns hold less, but the sample comes out as it went in, and what they cannot hold stays in the shop. (The odd
    // product gets a category from its first tag, as any import from Shopify would give it.)
    let shopify = export(conn, ExportLayout::Shopify).await;
    let again = import(conn, &shopify, SET_STOCK).await.unwrap();
    assert_eq!((again.created, again.skipped, again.faults.total), (0, 0, 0));
    let without_odd =
        |csv: &str| csv.lines().filter(|line| !line.starts_with("odd,")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_odd(&export(conn, ExportLayout::Shopify).await), without_odd(&shopify));
    assert_eq!(find(conn, "odd").await.unwrap().attributes["n"], serde_json::json!(1));
    first.finish().await;
    second.finish().await;
}

#[tokio::test]
async fn what_an_export_trims_was_trimmed_before() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let mut spaced = product("Tea", vec![variant(&[], 900)]);
    let image = |alt: &str| catalog::NewImage { url: "https://x.example/a.jpg".into(), alt: alt.into() };
    spaced.images = vec![image(" A tin ")];
    create(conn, spaced, &[1]).await.unwrap();
    assert_eq!(find(conn, "tea").await.unwrap().images[0].alt, "A tin");
    let patch = catalog::ProductPatch { images: Some(vec![image("\tA box\n")]), ..Default::default() };
    let id = find(conn, "tea").await.unwrap().id;
    catalog::update_product(conn, id, None, patch, Currency::USD).await.unwrap();
    let image_id = find(conn, "tea").await.unwrap().images[0].id;
    let patch = catalog::image::ImagePatch { alt: Some(" A jar ".into()), position: None };
    catalog::image::update_image(conn, id, image_id, None, &patch).await.unwrap();
    assert_eq!(find(conn, "tea").await.unwrap().images[0].alt, "A jar");
    let native = export(conn, ExportLayout::Native).await;
    assert_eq!(counts(&import(conn, &native, SET_STOCK).await.unwrap()), [0, 0, 1, 0]);

    // Pairs in JSON bring their blanks with them.
    let csv = "slug,title,price,options\ncup,Cup,1.00,\"[[\"\"Size \"\",\"\" S\"\"]]\"\n";
    import(conn, csv, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&import(conn, csv, ImportOptions::default()).await.unwrap()), [0, 0, 1, 0]);
    db.finish().await;
}
