use commerce_core::catalog::import::{
    ExistingProducts, Faults, ImportedProduct, Layout, LineError, ProductReader, WarningKind,
};
use commerce_core::catalog::{self, Audience, CategoryKey, Product, ProductKey, ProductStatus};
use commerce_core::flows::{
    self, ImportError, ImportMode, ImportOptions, ImportReport, OnError, StockPolicy,
};
use commerce_core::inventory::{self, AdjustStock, Available, MAIN_LOCATION};
use commerce_core::money::Currency;
use commerce_core::request::Origin;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::given::{simple, usd};

pub(super) const APPAREL: &[u8] = include_bytes!("../data/shopify-apparel.csv");

pub(super) async fn import(
    conn: &mut AsyncPgConnection,
    csv: impl AsRef<[u8]>,
    options: ImportOptions,
) -> Result<ImportReport, ImportError> {
    let csv = csv.as_ref();
    flows::import_products(conn, csv, options, Currency::USD, &Origin::system(), &mut |_| {}).await
}

pub(super) async fn set_sku(conn: &mut AsyncPgConnection, slug: &str, sku: &str) {
    let product = find(conn, slug).await.unwrap();
    let patch = catalog::VariantPatch { sku: Some(Some(sku.into())), ..Default::default() };
    let variant_id = product.variants[0].id;
    catalog::update_variant(conn, product.id, variant_id, None, patch, Currency::USD).await.unwrap();
}

/// All there is in a file.
struct Parsed {
    products: Vec<ImportedProduct>,
    errors: Vec<LineError>,
}

fn parse(csv: &[u8], layout: Option<Layout>) -> Parsed {
    let (products, Faults { mut listed, .. }) = match ProductReader::new(csv, layout, Currency::USD) {
        Err(faults) => (vec![], faults),
        Ok(mut reader) => {
            (std::iter::from_fn(|| reader.next_product()).collect(), std::mem::take(&mut reader.faults))
        }
    };
    listed.sort_by_key(|error| error.line);
    Parsed { products, errors: listed }
}

pub(super) fn counts(report: &ImportReport) -> [usize; 4] {
    [report.created, report.updated, report.unchanged, report.skipped]
}

pub(super) async fn find(conn: &mut AsyncPgConnection, slug: &str) -> Option<Product> {
    let key = ProductKey::Slug(slug.to_owned());
    catalog::find_product(conn, &key, Audience::Staff).await.unwrap()
}

pub(super) fn wrong_lines(result: Result<ImportReport, ImportError>) -> Vec<LineError> {
    match result.unwrap_err() {
        ImportError::WrongLines(faults) => faults.listed,
        other => panic!("{other}"),
    }
}

const SKIP: ImportOptions = ImportOptions {
    layout: None,
    on_error: OnError::Skip,
    stock: StockPolicy::CreateOnly,
    mode: ImportMode::Apply,
    existing: ExistingProducts::Update,
    repeated_sku: None,
};
pub(super) const SET_STOCK: ImportOptions =
    ImportOptions { stock: StockPolicy::Set, on_error: OnError::Abort, ..SKIP };

#[tokio::test]
async fn a_real_catalogue_comes_in_whole_and_a_second_time_changes_nothing() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let report = import(conn, APPAREL, ImportOptions::default()).await.unwrap();
    assert_eq!((counts(&report), report.faults.listed), ([20, 0, 0, 0], vec![]));

    let top = find(conn, "classic-varsity-top").await.unwrap();
    assert_eq!((top.title.as_str(), top.status), ("Classic Varsity Top", ProductStatus::Active));
    assert_eq!(top.option_names, ["Size"]);
    let sizes: Vec<_> =
        top.variants.iter().map(|v| (v.title.as_str(), v.available, v.price.amount_minor)).collect();
    // Its merchant does not count them.
    assert_eq!(sizes, ["Small", "Medium", "Large"].map(|size| (size, Available::Uncounted, 6000)));
    assert_eq!(
        (top.vendor.as_deref(), top.tags.as_slice()),
        (Some("partners-demo"), &["women".to_owned()][..])
    );
    assert!(top.images[0].url.ends_with("casual-fashion-woman_925x.jpg"));
    let women = catalog::find_category(conn, &CategoryKey::from("women")).await.unwrap().unwrap();
    assert_eq!(top.category_ids, [women.id]);
    // The slug is the handle, not made from the title.
    let jacket = find(conn, "dark-winter-jacket").await.unwrap();
    assert_eq!((jacket.title.as_str(), jacket.option_names.len()), ("Soft Winter Jacket", 0));
    assert_eq!(jacket.variants[0].options.len(), 0);

    for stock in [StockPolicy::CreateOnly, StockPolicy::Set] {
        let again = import(conn, APPAREL, ImportOptions { stock, ..SKIP }).await.unwrap();
        assert_eq!((counts(&again), again.faults.listed), ([0, 0, 20, 0], vec![]));
    }
    assert_eq!(find(conn, "classic-varsity-top").await, Some(top));
    db.finish().await;
}

#[tokio::test]
async fn changes_and_new_variants_of_a_file_are_taken_over() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let first = "Handle,Title,Body (HTML),Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Variant Compare At Price,Image Src,Image Position,Image Alt Text,Status\n\
        sock,Sock,<p>Warm<script>x</script></p>,Socks,\"wool, winter\",Size,S,S-1,5,4.50,0,https://a.example/2.jpg,2,Two,active\n\
        sock,,,,,,M,S-2,0,4.50,6.00,https://a.example/1.jpg,1,One,\n\
        sock,,,,,,,,,,,https://a.example/3.jpg,3,,\n";
    import(conn, first, ImportOptions::default()).await.unwrap();
    let before = find(conn, "sock").await.unwrap();
    assert_eq!(before.description, "<p>Warm</p>");
    let urls: Vec<_> = before.images.iter().map(|image| image.url.rsplit('/').next().unwrap()).collect();
    assert_eq!(urls, ["1.jpg", "2.jpg", "3.jpg"]);
    assert_eq!(before.variants[1].compare_at_price, Some(usd(600)));

    let second = "Handle,Title,Type,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Status\n\
        sock,Wool sock,Legwear,winter,Size,Small,S-1,9,5.00,draft\n\
        sock,,,,,M,,9,4.50,\n\
        sock,,,,,L,S-3,2,4.75,\n";
    let report = import(conn, second, ImportOptions::default()).await.unwrap();
    assert_eq!((counts(&report), report.faults.listed), ([0, 1, 0, 0], vec![]));
    let after = find(conn, "sock").await.unwrap();
    assert_eq!((after.title.as_str(), after.status, after.version), ("Wool sock", ProductStatus::Draft, 2));
    assert_eq!((after.category_ids.len(), &after.images), (2, &before.images));
    assert_eq!(after.tags, ["winter"]);
    let variants: Vec<_> = after
        .variants
        .iter()
        .map(|v| {
            (
                v.title.as_str(),
                v.sku.as_deref().unwrap_or(""),
                v.price.amount_minor,
                v.available.units().unwrap(),
            )
        })
        .collect();
    assert_eq!(variants, [("Small", "S-1", 500, 5), ("M", "S-2", 450, 0), ("L", "S-3", 475, 2)]);
    assert_eq!(
        after.variants[1].compare_at_price,
        Some(usd(600)),
        "a column that is not there is left alone"
    );

    let counted = import(conn, second, SET_STOCK).await.unwrap();
    assert_eq!(counts(&counted), [0, 1, 0, 0]);
    let after = find(conn, "sock").await.unwrap();
    assert_eq!(after.variants.iter().map(|v| v.available.units().unwrap()).collect::<Vec<_>>(), [9, 9, 2]);
    db.finish().await;
}

#[tokio::test]
async fn one_wrong_line_aborts_all_or_skips_its_product() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    simple(conn, "Taken", 100, 1).await;
    set_sku(conn, "taken", "TAKEN").await;
    simple(conn, "Seized", 100, 1).await;
    set_sku(conn, "seized", "SEIZED").await;
    let csv = "slug,title,price,sku,stock,options\n\
        good,Good,1.00,G-1,1,\n\
        bad,Bad,1.005,,1,\n\
        worse,Worse,1.00,,-4,\n\
        ,Nameless,1.00,,1,\n\
        thief,Thief,1.00,TAKEN,1,Size=S\n\
        thief,,1.00,SEIZED,1,Size=M\n\
        best,Best,2.00,,,\n";
    let aborted = wrong_lines(import(conn, csv, ImportOptions::default()).await);
    let places: Vec<_> = aborted.iter().map(|error| (error.line, error.column.as_str())).collect();
    assert_eq!(places, [(3, "price"), (5, "slug"), (6, "sku")]);
    assert_eq!(find(conn, "good").await, None);

    let skipped = import(conn, csv, SKIP).await.unwrap();
    let places: Vec<_> =
        skipped.faults.listed.iter().map(|error| (error.line, error.column.as_str())).collect();
    assert_eq!((counts(&skipped), places), ([3, 0, 0, 3], vec![(3, "price"), (5, "slug"), (6, "sku")]));
    assert!(find(conn, "good").await.is_some() && find(conn, "best").await.is_some());
    assert_eq!(find(conn, "worse").await.unwrap().variants[0].available, 0.into());
    assert_eq!(find(conn, "thief").await, None);

    // What only the database can refuse aborts as well.
    let csv = "slug,title,price,sku,options\nnew,New,1.00,,\ngood,Good,1.00,TAKEN,\n";
    let aborted = wrong_lines(import(conn, csv, ImportOptions::default()).await);
    assert_eq!((aborted[0].line, aborted[0].column.as_str()), (3, "sku"));
    assert_eq!(find(conn, "new").await, None);
    db.finish().await;
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let dry = ImportOptions { mode: ImportMode::DryRun, ..ImportOptions::default() };
    let report = import(conn, APPAREL, dry).await.unwrap();
    assert_eq!(counts(&report), [20, 0, 0, 0]);
    assert_eq!(find(conn, "classic-varsity-top").await, None);
    assert_eq!(catalog::find_category(conn, &CategoryKey::from("women")).await.unwrap(), None);
    db.finish().await;
}

#[tokio::test]
async fn stock_is_not_set_below_what_is_reserved() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = |units: [i64; 2]| {
        format!(
            "slug,title,price,options,stock\ncap,Cap,9.00,Size=S,{}\ncap,,9.00,Size=M,{}\n",
            units[0], units[1]
        )
    };
    import(conn, csv([5, 5]), ImportOptions::default()).await.unwrap();
    let cap = find(conn, "cap").await.unwrap();
    let small = cap.variants[0].id;
    super::given::reserve(conn, small, 3).await;

    let aborted = wrong_lines(import(conn, csv([2, 8]), SET_STOCK).await);
    assert_eq!((aborted[0].line, aborted[0].column.as_str()), (2, "stock"));
    let report =
        import(conn, csv([2, 8]), ImportOptions { on_error: OnError::Skip, ..SET_STOCK }).await.unwrap();
    assert_eq!((counts(&report), report.faults.listed), ([0, 1, 0, 0], aborted));
    let available: Vec<_> =
        find(conn, "cap").await.unwrap().variants.iter().map(|v| v.available.units().unwrap()).collect();
    assert_eq!(available, [2, 8]);
    let adjustment = AdjustStock { variant_id: small, location_id: MAIN_LOCATION, delta: 0, reason: None };
    let nothing = inventory::adjust(conn, &[adjustment], &Origin::system()).await;
    assert!(matches!(nothing, Err(inventory::AdjustError::Nothing(id)) if id == small), "{nothing:?}");
    db.discard().await;
}

#[tokio::test]
async fn one_import_runs_at_a_time() {
    let db = TestDatabase::new().await;
    let (first, second) = (&mut db.conn().await, &mut db.conn().await);
    first
        .transaction::<_, ImportError, _>(async |first| {
            import(first, APPAREL, SKIP).await?;
            let dry = ImportOptions { mode: ImportMode::DryRun, ..SKIP };
            for options in [SKIP, dry] {
                let refused = import(second, APPAREL, options).await.unwrap_err();
                assert!(matches!(refused, ImportError::AnotherRuns), "{refused}");
            }
            Ok(())
        })
        .await
        .unwrap();
    let again = import(second, APPAREL, ImportOptions::default()).await.unwrap();
    assert_eq!(counts(&again), [0, 0, 20, 0]);
    db.finish().await;
}

#[tokio::test]
async fn the_native_layout_says_everything_a_product_has() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = "\u{feff}slug,title,description,status,categories,options,sku,price,compare_at_price,currency,stock,active,image_url,image_alt,attribute:Material\r\n\
        tea,Green tea,\"<p>Two lines,\nand a \"\"quote\"\"</p>\",active,Tea | Gifts,Weight=100 g; Grind=Leaf,T-1,7.5,9,USD,3,true,/demo-images/tea.svg,A tin,Leaves\r\n\
        tea,,,,,Weight=250 g; Grind=Leaf,T-2,15,,USD,0,false,,,\r\n\r\n";
    let report = import(conn, csv, ImportOptions::default()).await.unwrap();
    assert_eq!((counts(&report), report.faults.listed), ([1, 0, 0, 0], vec![]));
    let tea = find(conn, "tea").await.unwrap();
    assert_eq!(tea.description, "<p>Two lines,\nand a \"quote\"</p>");
    assert_eq!(
        (tea.option_names.as_slice(), tea.category_ids.len()),
        (&["Weight".to_owned(), "Grind".into()][..], 2)
    );
    assert_eq!(tea.attributes["Material"], "Leaves");
    assert_eq!((tea.variants[0].title.as_str(), tea.variants[0].available), ("100 g / Leaf", 3.into()));
    assert!(!tea.variants[1].active);
    assert_eq!(tea.images[0].alt, "A tin");
    assert_eq!(counts(&import(conn, csv, SET_STOCK).await.unwrap()), [0, 0, 1, 0]);

    let renamed = "slug,title,price,options\ntea,Green tea,7.5,Size=100 g\n";
    let errors = wrong_lines(import(conn, renamed, ImportOptions::default()).await);
    assert_eq!((errors[0].line, errors[0].column.as_str()), (2, "options"));
    db.finish().await;
}

/// Files that cannot be read as they are: each names the line and the column.
#[test]
fn nasty_files_are_refused_by_line_and_column() {
    let shopify = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Image Src";
    type Places = Vec<(u64, &'static str)>;
    let cases: Vec<(Vec<u8>, Places)> = vec![
        (b"".to_vec(), vec![(1, "")]),
        (b"\n\n".to_vec(), vec![(1, "")]),
        (
            b"just,some,thing\n1,2,3\n".to_vec(),
            vec![(1, "just"), (1, "some"), (1, "thing"), (1, "slug"), (1, "title"), (1, "price")],
        ),
        (b"Handle,Title\na,A\n".to_vec(), vec![(1, "Variant Price")]),
        (b"slug,title,price,colour\na,A,1,red\n".to_vec(), vec![(1, "colour")]),
        (b"slug,title,price\na,A,1,2\n".to_vec(), vec![(2, "")]),
        (b"slug,title,price\na,A\n".to_vec(), vec![(2, "")]),
        (b"slug,title,price\na,A,\"1\nb,B,2\n".to_vec(), vec![(2, "")]),
        (b"slug,title,price\na,\xff\xfe,1\n".to_vec(), vec![(2, "title")]),
        (b"slug,title,price\na,A\0,1\n".to_vec(), vec![(2, "title")]),
        (b"slug,title,price\na,,1\n".to_vec(), vec![(2, "title")]),
        (b"slug,title,price,currency\na,A,1,EUR\n".to_vec(), vec![(2, "currency")]),
        (b"slug,title,price,status\na,A,1,gone\n".to_vec(), vec![(2, "status")]),
        (b"slug,title,price,active\na,A,1,maybe\n".to_vec(), vec![(2, "active")]),
        (b"slug,title,price,options\na,A,1,red\n".to_vec(), vec![(2, "options")]),
        (b"slug,title,price,options\na,A,1,S=1\na,,1,S=1\n".to_vec(), vec![(3, "options")]),
        (b"slug,title,price,sku\na,A,1,X\nb,B,1,X\n".to_vec(), vec![(3, "sku")]),
        (format!("{shopify}\na,A,,,,12.345,\n").into_bytes(), vec![(2, "Variant Price")]),
        (format!("{shopify}\na,A,,,,,\n").into_bytes(), vec![(2, "Variant Price")]),
        (format!("{shopify}\na,A,,,,\"1,299.00\",\n").into_bytes(), vec![(2, "Variant Price")]),
        (format!("{shopify}\na,A,,,,-1,\n").into_bytes(), vec![(2, "Variant Price")]),
        (format!("{shopify}\na,A,Size,S,,1,\n\"a\",,,,X,1,\n").into_bytes(), vec![(3, "Option1 Value")]),
        (format!("{shopify}\na,A,,Blue,,1,\n").into_bytes(), vec![(2, "Option1 Name")]),
        (format!("{shopify}\na,,Size,S,,1,\n").into_bytes(), vec![(2, "Title")]),
        (format!("{shopify}\n,A,,,,1,\n").into_bytes(), vec![(2, "Handle")]),
        (format!("{shopify}\na,\"19\" rack\",,,,1,\n").into_bytes(), vec![(2, "")]),
        (format!("{shopify}\na,\"A\n\nB\",,,,1,\nb,B,,,,x,\n").into_bytes(), vec![(5, "Variant Price")]),
    ];
    for (csv, wanted) in cases {
        let parsed = parse(&csv, None);
        let found: Vec<_> = parsed.errors.iter().map(|error| (error.line, error.column.as_str())).collect();
        assert_eq!(found, wanted, "{}: {:?}", String::from_utf8_lossy(&csv), parsed.errors);
    }
    let header_only = parse(b"slug,title,price\n", None);
    assert!(header_only.errors.is_empty() && header_only.products.is_empty());
    let forced = parse(APPAREL, Some(Layout::Native));
    assert!(forced.errors.iter().all(|error| error.line == 1) && forced.products.is_empty());
}

/// Damaged files are read as far as they go: no panic, and every fault is on a line that exists.
#[test]
fn damaged_files_are_read_without_a_panic() {
    use rand::{RngExt as _, SeedableRng as _};
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    let pieces: [&[u8]; 9] =
        [b"\"", b",", b"\n", b"\r\n", b"\0", b"\xff", b"\"\n\"", b"-1", b"9999999999999999999999"];
    for _ in 0..200 {
        let mut csv = APPAREL.to_vec();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..csv.len());
            let end = (at + random.random_range(0..40)).min(csv.len());
            let piece = pieces[random.random_range(0..pieces.len())];
            csv.splice(at..end, piece.iter().copied());
        }
        let lines = csv.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let parsed = parse(&csv, None);
        for error in &parsed.errors {
            assert!(
                (1..=lines).contains(&error.line),
                "{error:?} of {lines}: {:?}",
                String::from_utf8_lossy(&csv)
            );
        }
        assert!(parsed.products.len() <= 60);
    }
}

/// An endless product, and rows that are all wrong: both come to an end, with the fault told.
#[tokio::test]
async fn a_file_cannot_fill_the_memory_with_one_product() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let mut csv = String::from("slug,title,price,image_url\none,One,1.00,\n");
    for number in 0..30_000 {
        csv += &format!("one,,,https://x.example/{number}.jpg\n");
    }
    let report = import(conn, &csv, ImportOptions::default()).await.unwrap();
    assert_eq!((counts(&report), find(conn, "one").await.unwrap().images.len()), ([1, 0, 0, 0], 250));
    let left_out = &report.warnings.0[&WarningKind::UnusableImage].examples[0];
    assert_eq!(left_out.message, "only the first 250 of 30000 images are imported");
    let mut csv = String::from("slug,title,price\n");
    for number in 0..5_000 {
        csv += &format!("s-{number},Title,x\n");
    }
    csv += "good,Good,1.00\n";
    let report = import(conn, &csv, SKIP).await.unwrap();
    assert_eq!((counts(&report), report.faults.total), ([1, 0, 0, 5_000], 5_000));
    assert_eq!(report.faults.listed.len(), Faults::LISTED_MAX);
    db.finish().await;
}

/// Each in one pass: none of them makes the others be tried again.
#[tokio::test]
async fn every_count_below_what_is_reserved_is_named() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = |units: i64| {
        let row = |n: usize| format!("cap-{n},Cap {n},9.00,{units}\n");
        "slug,title,price,stock\n".to_owned() + &(0..60).map(row).collect::<String>()
    };
    import(conn, csv(5), ImportOptions::default()).await.unwrap();
    for n in (0..60).step_by(2) {
        let cap = find(conn, &format!("cap-{n}")).await.unwrap();
        super::given::reserve(conn, cap.variants[0].id, 3).await;
    }
    let report = import(conn, csv(1), ImportOptions { on_error: OnError::Skip, ..SET_STOCK }).await.unwrap();
    assert_eq!(counts(&report), [0, 30, 30, 0]);
    let lines: Vec<u64> = report.faults.listed.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, (0..30).map(|n| 2 + 2 * n).collect::<Vec<_>>());
    assert!(report.faults.listed.iter().all(|fault| fault.message.contains("3 units that are reserved")));
    let available = find(conn, "cap-1").await.unwrap().variants[0].available.units().unwrap();
    assert_eq!(available, 1);
    db.discard().await;
}

#[tokio::test]
async fn words_of_addresses_are_no_slugs() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = "slug,title,categories,price\nSearch,Search,None,1.00\n";
    for created in [1, 0] {
        assert_eq!(import(conn, csv, ImportOptions::default()).await.unwrap().created, created);
    }
    let none = catalog::find_category(conn, &CategoryKey::from("none-2")).await.unwrap().unwrap();
    assert_eq!(find(conn, "search-2").await.unwrap().category_ids, [none.id]);
    let given = "slug,title,price\nsearch,Search,1.00\n";
    let errors = wrong_lines(import(conn, given, ImportOptions::default()).await);
    assert_eq!((errors[0].line, errors[0].column.as_str()), (2, "slug"));
    db.finish().await;
}

/// A title that fills its field makes the address that a file calls the product by.
#[tokio::test]
async fn a_product_with_a_long_title_is_found_again_by_its_handle() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    for length in [235, 236, 255] {
        let title = "long ".repeat(60).chars().take(length - 1).collect::<String>() + "x";
        let made = simple(conn, &title, 900, 1).await;
        assert_eq!(made.slug.len(), length);
        let csv = format!("slug,title,price\n{},{title},9.00\n", title.replace(' ', "-"));
        let report = import(conn, csv, ImportOptions::default()).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 1, 0], "{length}");
        // The next one of this title gives up as much of it as its number needs.
        let second = simple(conn, &title, 900, 1).await;
        assert!(second.slug.ends_with("-2") && second.slug.len() <= 255, "{}", second.slug);
        assert_eq!(made.slug[..230], second.slug[..230]);
    }
    db.finish().await;
}
