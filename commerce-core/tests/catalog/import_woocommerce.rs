//! WooCommerce's export, and the exports of programs that are not read but recognised.

use commerce_core::catalog::import::{Layout, WarningKind};
use commerce_core::catalog::{self, CategoryKey, ProductStatus};
use commerce_core::flows::{ImportOptions, ImportReport, OnError};
use commerce_core::ids::CategoryId;
use commerce_core::testing::TestDatabase;
use diesel_async::AsyncPgConnection;

use super::given::usd;
use super::imports::{counts, find, import, set_sku, wrong_lines};

/// In the order of the exporter, which writes all variations after their parents.
const HEAD: &str = "ID,Type,SKU,Name,Published,\"Visibility in catalog\",\"Short description\",Description,\
    \"Date sale price starts\",\"Date sale price ends\",Stock,\"Sale price\",\"Regular price\",Categories,Tags,Images,\
    Parent,\"Attribute 1 name\",\"Attribute 1 value(s)\",\"Attribute 2 name\",\"Attribute 2 value(s)\"";

async fn read(conn: &mut AsyncPgConnection, rows: &str) -> ImportReport {
    import(conn, format!("{HEAD}\n{rows}"), ImportOptions::default()).await.unwrap()
}

fn total(report: &ImportReport, kind: WarningKind) -> usize {
    report.warnings.0.get(&kind).map_or(0, |noted| noted.total)
}

async fn path_of(conn: &mut AsyncPgConnection, id: CategoryId) -> String {
    let mut titles = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let category = catalog::find_category(conn, &CategoryKey::Id(id)).await.unwrap().unwrap();
        titles.insert(0, category.title);
        next = category.parent_id;
    }
    titles.join(" > ")
}

#[tokio::test]
async fn a_product_comes_with_its_variations_categories_and_images() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let rows = "\
        9,variation,tee-red-s,Tee - Red,1,visible,,,,,3,,20,,,https://x.example/red.jpg,id:10,Color,Red,Size,S\n\
        10,variable,tee,Tee,1,visible,<b>Short</b>,First\\nSecond\\n\\nThird,,,,,,\"Clothing > Tees, Sale, Clothing\",\"soft, warm\",\
        \"https://x.example/a.jpg, https://x.example/b\\,c.jpg\",,Color,\"Red, Blue\",Size,\"S, M\"\n\
        11,simple,mug,Mug,1,visible,,Plain,,,7,\"8,50\",10,Sale > Tees,,,,Glaze,\"Ink, blue\",,\n\
        12,variation,tee-blue-m,Tee - Blue,0,visible,,,,,4,18,20,,,,tee,Color,Blue,Size,M\n";
    let report = read(conn, rows).await;
    assert_eq!((report.layout, counts(&report)), (Layout::WooCommerce, [2, 0, 0, 0]), "{report}");
    let tee = find(conn, "tee").await.unwrap();
    assert_eq!((tee.title.as_str(), tee.status), ("Tee", ProductStatus::Active));
    assert_eq!(tee.description, "<p>First<br>Second</p>\n<p>Third</p>");
    assert_eq!(tee.option_names, ["Color", "Size"]);
    let shown: Vec<_> = tee
        .variants
        .iter()
        .map(|v| {
            (
                v.title.as_str(),
                v.sku.as_deref().unwrap(),
                v.price,
                v.compare_at_price,
                v.available.units().unwrap(),
                v.active,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("Red / S", "tee-red-s", usd(2000), None, 3, true),
            ("Blue / M", "tee-blue-m", usd(1800), Some(usd(2000)), 4, false),
        ]
    );
    let urls: Vec<_> = tee.images.iter().map(|image| image.url.as_str()).collect();
    assert_eq!(urls, ["https://x.example/a.jpg", "https://x.example/b,c.jpg", "https://x.example/red.jpg"]);
    assert_eq!(tee.tags, ["soft", "warm"]);
    assert_eq!(
        (&tee.attributes["short_description"], &tee.attributes["sku"]),
        (&"<b>Short</b>".into(), &"tee".into())
    );
    assert_eq!(tee.attributes.get("Color"), None);
    let mut paths = Vec::new();
    for id in &tee.category_ids {
        paths.push(path_of(conn, *id).await);
    }
    paths.sort();
    assert_eq!(paths, ["Clothing", "Clothing > Tees", "Sale"]);
    let mug = find(conn, "mug").await.unwrap();
    assert_eq!((mug.variants[0].price, mug.variants[0].compare_at_price), (usd(850), Some(usd(1000))));
    assert_eq!(mug.attributes["Glaze"], "Ink, blue");
    assert_eq!(path_of(conn, mug.category_ids[0]).await, "Sale > Tees");

    // A second time, and with another name: the ID is the key.
    assert_eq!(counts(&read(conn, rows).await), [0, 0, 2, 0]);
    let renamed = rows.replace(",Mug,", ",Beaker,");
    assert_eq!(counts(&read(conn, &renamed).await), [0, 1, 1, 0]);
    assert_eq!(find(conn, "mug").await.unwrap().title, "Beaker");
    db.finish().await;
}

#[tokio::test]
async fn what_the_source_does_not_sell_is_hidden_or_left_out() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let row = |id: u32, kind: &str, published: &str, visibility: &str, price: &str| {
        format!("{id},{kind},,Thing {id},{published},{visibility},,,,,1,,{price},,,,,,,,\n")
    };
    let rows = [
        row(1, "simple", "1", "visible", "1"),
        row(2, "simple", "0", "visible", "1"),
        row(3, "simple", "-1", "visible", "1"),
        row(4, "simple", "2", "visible", "1"),
        row(5, "simple", "1", "hidden", "1"),
        row(6, "simple", "1", "search", "1"),
        row(7, "simple", "oui", "visible", "1"),
        row(8, "grouped", "1", "visible", ""),
        row(9, "external", "1", "visible", "1"),
        row(10, "simple", "1", "visible", ""),
        row(11, "variable", "1", "visible", ""),
        row(12, "\"simple, downloadable, virtual\"", "1", "visible", "1"),
    ];
    let report = read(conn, &rows.concat()).await;
    assert_eq!((counts(&report), report.hidden.total), ([8, 0, 0, 4], 5), "{report}");
    for (id, status) in
        [(1, "active"), (2, "draft"), (3, "draft"), (4, "draft"), (5, "draft"), (6, "active"), (7, "draft")]
    {
        assert_eq!(find(conn, &format!("thing-{id}")).await.unwrap().status.as_str(), status, "{id}");
    }
    let types = &report.warnings.0[&WarningKind::UnknownType];
    assert_eq!(types.examples[0].message, "\"Thing 8\" is of the type grouped");
    assert_eq!((types.total, total(&report, WarningKind::NoPrice)), (2, 2));
    assert_eq!(total(&report, WarningKind::PartlyVisible), 1);

    // Variations of a draft are written as drafts, and are for sale once the product is.
    let draft = "20,variable,d,Draft,-1,visible,,,,,,,,,,,,Size,\"S, M\",,\n\
        21,variation,,,-1,visible,,,,,parent,,5,,,,d,Size,S,,\n22,variation,,,0,visible,,,,,1,,5,,,,d,Size,M,,\n\
        23,variation,,,1,visible,,,2026-01-01,,1,4,5,,,,d,Size,,,\n24,variation,,,1,visible,,,,,1,,,,,,d,Size,XL,,\n";
    let report = read(conn, draft).await;
    let product = find(conn, "draft").await.unwrap();
    let shown: Vec<_> = product.variants.iter().map(|v| (v.title.as_str(), v.active, v.price)).collect();
    assert_eq!(shown, [("S", true, usd(500)), ("M", false, usd(500)), ("Any", true, usd(500))]);
    let kinds = [
        WarningKind::UnreadableStock,
        WarningKind::AnyValue,
        WarningKind::ScheduledSale,
        WarningKind::NoPrice,
    ];
    assert_eq!(kinds.map(|kind| total(&report, kind)), [1; 4]);
    db.finish().await;
}

#[tokio::test]
async fn a_variation_without_its_product_is_an_error_and_a_wrong_one_costs_its_product() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let rows = "1,variable,a,A,1,visible,,,,,,,,,,,,Size,\"S, M\",,\n2,variation,,,1,visible,,,,,1,,5,,,,a,Size,S,,\n\
        3,variation,,,1,visible,,,,,1,,five,,,,id:1,Size,M,,\n4,variation,,,1,visible,,,,,1,,5,,,,id:99,Size,M,,\n\
        5,simple,,E,1,visible,,,,,1,,5,,,,,,,,\n";
    let csv = format!("{HEAD}\n{rows}");
    let errors = wrong_lines(import(conn, &csv, ImportOptions::default()).await);
    let places: Vec<_> = errors.iter().map(|error| (error.line, error.column.as_str())).collect();
    assert_eq!(places, [(4, "Regular price"), (5, "Parent")]);
    let skip = ImportOptions { on_error: OnError::Skip, ..ImportOptions::default() };
    assert_eq!(counts(&import(conn, &csv, skip).await.unwrap()), [1, 0, 0, 2]);
    assert!(find(conn, "a").await.is_none() && find(conn, "e").await.is_some());
    db.finish().await;
}

#[tokio::test]
async fn variants_carry_what_the_columns_say() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = "ID,Type,SKU,Name,Regular price,In stock?,Stock,Backorders allowed?,Tax status,Weight (kg),\"GTIN, UPC, EAN, or ISBN\",\
        Cost of goods,Tags,Images,Parent,Attribute 1 name,Attribute 1 value(s)\n\
        1,simple,,Counted,1,1,3,notify,taxable,\"1,25\",'0012,0.40,\"a, b\",,,,\n\
        2,\"simple, virtual\",,Uncounted,1,1,,0,none,,,,,,,,\n\
        3,simple,,Sold out,1,0,,0,shipping,heavy,,,,,,,\n\
        4,variable,tee,Tee,,1,,0,taxable,0.2,,,,https://x.example/tee.jpg,,Size,\"S, M\"\n\
        5,variation,,,2,1,2,0,taxable,,,,,https://x.example/s.jpg,tee,Size,S\n\
        6,variation,,,2,1,2,0,taxable,0.3,,,,,tee,Size,M\n";
    let report = import(conn, csv, ImportOptions::default()).await.unwrap();
    assert_eq!(
        (counts(&report), total(&report, WarningKind::UnreadableDetail)),
        ([4, 0, 0, 0], 1),
        "{report}"
    );
    let counted = find(conn, "counted").await.unwrap();
    let (carried, staff) = (&counted.variants[0].details, counted.variants[0].staff.as_ref().unwrap());
    assert!(
        carried.track_inventory && carried.taxable && carried.requires_shipping && staff.continue_selling
    );
    assert_eq!(
        (carried.weight_grams, carried.barcode.as_deref(), staff.cost),
        (Some(1250), Some("0012"), Some(usd(40)))
    );
    assert_eq!(counted.tags, ["a", "b"]);
    let uncounted = find(conn, "uncounted").await.unwrap().variants.remove(0).details;
    assert!(!uncounted.track_inventory && !uncounted.requires_shipping && !uncounted.taxable);
    assert!(find(conn, "sold-out").await.unwrap().variants[0].details.track_inventory);
    let tee = find(conn, "tee").await.unwrap();
    assert_eq!(
        [tee.variants[0].details.weight_grams, tee.variants[1].details.weight_grams],
        [Some(200), Some(300)]
    );
    assert_eq!(tee.variants[0].details.image_url.as_deref(), Some("https://x.example/s.jpg"));
    assert_eq!(counts(&import(conn, csv, ImportOptions::default()).await.unwrap()), [0, 0, 4, 0]);
    db.finish().await;
}

/// WooCommerce counts products from 1 in each shop.
#[tokio::test]
async fn the_same_id_of_another_shop_overwrites_nothing() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let row = |sku: &str, name: &str| format!("44,simple,{sku},{name},1,visible,,,,,1,,5,,,,,,,,\n");
    read(conn, &row("tea-1", "Green tea")).await;
    let other = format!("{HEAD}\n{}", row("rope-1", "Rope"));
    let errors = wrong_lines(import(conn, &other, ImportOptions::default()).await);
    assert!(errors[0].column == "ID" && errors[0].message.contains("another shop"), "{errors:?}");
    assert_eq!(counts(&read(conn, &row("tea-1", "Sencha")).await), [0, 1, 0, 0]);
    assert_eq!(counts(&read(conn, &row("tea-2", "Sencha")).await), [0, 1, 0, 0]);

    // What the shop already has is found by SKU and title.
    super::given::simple(conn, "Kettle", 100, 1).await;
    set_sku(conn, "kettle", "K-1").await;
    let kettle = "50,simple,K-1,Kettle,1,visible,,,,,1,,7,,,,,,,,\n";
    assert_eq!(counts(&read(conn, kettle).await), [0, 1, 0, 0]);
    assert_eq!(counts(&read(conn, &kettle.replace("K-1", "K-2")).await), [0, 1, 0, 0]);
    assert_eq!(find(conn, "kettle").await.unwrap().variants[0].sku.as_deref(), Some("K-2"));
    db.finish().await;
}

#[tokio::test]
async fn other_programs_are_recognised_and_the_columns_to_rename_are_named() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let cases = [
        (
            "Magento",
            "sku,store_view_code,attribute_set_code,product_type,categories,name,url_key,price,qty",
            "url_key",
            "Handle",
        ),
        (
            "PrestaShop",
            "ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Reference #;Quantity",
            "Name *",
            "Title",
        ),
        (
            "Squarespace",
            "Product ID [Non Editable],Variant ID [Non Editable],Product URL,Title,Description,SKU,Option Name 1,Option Value 1,Price,Stock,Visible,Hosted Image URLs",
            "Product URL",
            "Handle",
        ),
    ];
    for (program, header, own, other) in cases {
        let errors = wrong_lines(import(conn, format!("{header}\n"), ImportOptions::default()).await);
        assert!(errors[0].message.contains(&format!("this is {program}'s product export")), "{errors:?}");
        let rename = errors.iter().find(|error| error.column == own).unwrap();
        assert_eq!((rename.line, &rename.message), (1, &format!("is to be renamed to {other:?}")));
        // What the answer says makes a file that is read.
        let mut renamed = header.to_owned();
        for error in errors.iter().skip(1) {
            let new = error.message.trim_start_matches("is to be renamed to ").trim_matches('"');
            renamed = renamed.replacen(&error.column, new, 1);
        }
        if program == "PrestaShop" {
            renamed = renamed.replace("ID;", "Handle;");
        }
        let read = import(conn, format!("{renamed}\n"), ImportOptions::default()).await;
        assert_eq!(read.map(|report| report.layout).ok(), Some(Layout::Shopify), "{renamed}");
    }

    let german = "ID,Typ,Artikelnummer,Name,Veröffentlicht,\"Ist hervorgehoben?\",\"Sichtbarkeit im Katalog\",Kurzbeschreibung,Beschreibung,\
        \"Regulärer Preis\",Kategorien,Schlagwörter,Versandklasse,Bilder,Übergeordnet,Vorrätig?,Bestand,\"Gewicht (kg)\",\"Länge (cm)\",\"Breite (cm)\",\"Meta: _x\"";
    let errors = wrong_lines(import(conn, format!("{german}\n"), ImportOptions::default()).await);
    assert!(errors.len() == 1 && errors[0].message.contains("in another language"), "{errors:?}");
    let forced = ImportOptions { layout: Some(Layout::WooCommerce), ..ImportOptions::default() };
    let errors = wrong_lines(import(conn, format!("{german}\n"), forced).await);
    assert_eq!(errors[0].column, "Regular price");
    db.finish().await;
}
