//! Files as real shops have them: what is wrong in them costs as little as possible, and what their source
//! hides stays hidden.

use commerce_core::catalog::import::{LineError, RepeatedSku, WarningKind};
use commerce_core::catalog::{
    self, Audience, CategoryKey, ExportLayout, NewCategory, ProductExport, ProductKey, ProductStatus,
};
use commerce_core::flows::{ImportMode, ImportOptions, ImportReport, OnError, StockPolicy};
use commerce_core::inventory::MAIN_LOCATION;
use commerce_core::testing::TestDatabase;
use diesel_async::AsyncPgConnection;

use super::given::simple;
use super::imports::{counts, find, import, wrong_lines};

const HEAD: &str = "Handle,Title,Published,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Status";

async fn read(conn: &mut AsyncPgConnection, csv: &str) -> ImportReport {
    import(conn, csv, ImportOptions::default()).await.unwrap()
}

async fn is_for_sale(conn: &mut AsyncPgConnection, slug: &str) -> bool {
    let key = ProductKey::Slug(slug.to_owned());
    catalog::find_product(conn, &key, Audience::Shoppers).await.unwrap().is_some()
}

/// The lines and messages of the warnings of a kind.
fn warned(report: &ImportReport, kind: WarningKind) -> Vec<(u64, &str)> {
    let noted = report.warnings.0.get(&kind);
    let examples = noted.map(|noted| noted.examples.as_slice()).unwrap_or_default();
    examples.iter().map(|place| (place.line, place.message.as_str())).collect()
}

#[tokio::test]
async fn what_any_column_hides_is_hidden() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let old = "Handle,Title,Published,Variant Price,Status\n\
        staff-part,Staff part,FALSE,10.00,active\n\
        on-sale,On sale,TRUE,10.00,active\n\
        drafted,Drafted,TRUE,10.00,draft\n\
        old-hat,Old hat,TRUE,10.00,archived\n\
        silent,Silent,FALSE,10.00,\n\
        linked,Linked,TRUE,10.00,unlisted\n\
        odd-status,Odd status,TRUE,10.00,aktiv\n\
        odd-published,Odd published,maybe,10.00,active\n";
    let report = read(conn, old).await;
    assert_eq!((counts(&report), report.hidden.total), ([8, 0, 0, 0], 7));
    for slug in ["staff-part", "drafted", "old-hat", "silent", "linked", "odd-status", "odd-published"] {
        assert!(!is_for_sale(conn, slug).await, "{slug}");
    }
    assert!(is_for_sale(conn, "on-sale").await);
    assert_eq!(find(conn, "old-hat").await.unwrap().status, ProductStatus::Archived);
    let first = &report.hidden.examples[0];
    assert_eq!((first.line, first.message.as_str()), (2, "\"Staff part\" is hidden: Published is FALSE"));
    assert_eq!(warned(&report, WarningKind::UnknownStatus).len(), 2);

    // The names of newer exports, and the columns of markets.
    let new = "Title,URL handle,Published on online store,Status,Price,Included / Home,Included / Abroad\n\
        A,new-a,FALSE,Active,1.00,TRUE,TRUE\n\
        B,new-b,TRUE,Active,1.00,FALSE,FALSE\n\
        C,new-c,TRUE,Active,1.00,TRUE,FALSE\n\
        D,new-d,,Active,1.00,FALSE,FALSE\n";
    let report = read(conn, new).await;
    assert_eq!((counts(&report), report.hidden.total), ([4, 0, 0, 0], 3));
    for (slug, is_seen) in [("new-a", false), ("new-b", false), ("new-c", true), ("new-d", false)] {
        assert_eq!(is_for_sale(conn, slug).await, is_seen, "{slug}");
    }
    assert_eq!(warned(&report, WarningKind::PartlyVisible), [(4, "is FALSE")]);
    db.finish().await;
}

#[tokio::test]
async fn handles_that_read_alike_are_several_products() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let row = |handle: &str, title: &str, price: &str| {
        format!("{HEAD}\n{handle},{title},true,Title,Default Title,,3,{price},active\n")
    };
    // These are spoken alike, and so make the same slug.
    read(conn, &row("插花", "Arranged flowers", "10.00")).await;
    let second = read(conn, &row("茶花", "Camellia", "99.00")).await;
    assert_eq!(counts(&second), [1, 0, 0, 0]);
    assert_eq!(warned(&second, WarningKind::MadeSlug), [(2, "\"茶花\" has the slug cha-hua-2")]);
    let (first, other) = (find(conn, "cha-hua").await.unwrap(), find(conn, "cha-hua-2").await.unwrap());
    assert_eq!((first.title.as_str(), other.title.as_str()), ("Arranged flowers", "Camellia"));

    // In one file, and a second time: accents, case, hyphens, width, and no letter at all.
    let csv = format!(
        "{HEAD}\n\
        thé,Thé,true,,,,1,1.00,active\n\
        the,The,true,,,,1,2.00,active\n\
        Mug,Big mug,true,,,,1,3.00,active\n\
        mug,Mug,true,,,,1,4.00,active\n\
        a_b,Underscore,true,,,,1,5.00,active\n\
        a-b,Hyphen,true,,,,1,6.00,active\n\
        Ａ,Wide,true,,,,1,7.00,active\n\
        a,Narrow,true,,,,1,8.00,active\n\
        !!!,Attention,true,,,,1,9.00,active\n\
        search,Search,true,,,,1,9.00,active\n"
    );
    assert_eq!(counts(&read(conn, &csv).await), [10, 0, 0, 0]);
    assert_eq!(counts(&read(conn, &csv).await), [0, 0, 10, 0]);
    for (slug, title) in [("the", "The"), ("mug", "Mug"), ("a-b", "Hyphen"), ("a", "Narrow")] {
        assert_eq!(find(conn, slug).await.unwrap().title, title);
        assert!(find(conn, &format!("{slug}-2")).await.is_some(), "{slug}");
    }
    assert_eq!(find(conn, "attention").await.unwrap().title, "Attention");
    assert_eq!(find(conn, "search-2").await.unwrap().title, "Search");

    // What the shop made itself is meant by its own slug only.
    simple(conn, "Crème", 100, 1).await;
    assert_eq!(counts(&read(conn, &row("crème", "Another", "1.00")).await), [1, 0, 0, 0]);
    assert_eq!(find(conn, "creme").await.unwrap().title, "Crème");
    assert_eq!(counts(&read(conn, &row("creme", "Crème fraîche", "1.00")).await), [0, 1, 0, 0]);
    assert_eq!(find(conn, "creme").await.unwrap().title, "Crème fraîche");

    // A slug that was made from one handle is not the other handle, also after it was renamed.
    read(conn, &row("pâté", "Pâté", "1.00")).await;
    let product = find(conn, "pate").await.unwrap();
    let patch = catalog::ProductPatch { slug: Some("terrine".into()), ..Default::default() };
    let usd = commerce_core::money::Currency::USD;
    catalog::update_product(conn, product.id, None, patch, usd).await.unwrap();
    assert_eq!(counts(&read(conn, &row("pate", "Pate", "2.00")).await), [1, 0, 0, 0]);
    assert_eq!(find(conn, "terrine").await.unwrap().title, "Pâté");
    assert_eq!(counts(&read(conn, &row("pâté", "Pâté", "1.00")).await), [0, 0, 1, 0]);

    // Shopify's layout comes back with its own handles.
    let shopify = export(conn, ExportLayout::Shopify).await;
    assert!(shopify.contains("\n茶花,") && shopify.contains("\nthé,"), "{shopify}");
    let again = read(conn, &shopify).await;
    assert_eq!((again.created, again.skipped, again.faults.total), (0, 0, 0));
    db.finish().await;
}

#[tokio::test]
async fn categories_that_read_alike_are_several() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = "slug,title,price,categories\nbook-a,Book A,1.00,F#\nbook-b,Book B,1.00,F\nbook-c,Book C,1.00,F!\n\
        tea,Tea,1.00,茶\nflower,Flower,1.00,插\n";
    assert_eq!(counts(&read(conn, csv).await), [5, 0, 0, 0]);
    assert_eq!(counts(&read(conn, csv).await), [0, 0, 5, 0]);
    let mut ids = Vec::new();
    for (product, title) in
        [("book-a", "F#"), ("book-b", "F"), ("book-c", "F!"), ("tea", "茶"), ("flower", "插")]
    {
        let category_id = find(conn, product).await.unwrap().category_ids[0];
        let category = catalog::find_category(conn, &CategoryKey::Id(category_id)).await.unwrap().unwrap();
        assert_eq!(category.title, title);
        ids.push(category_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);

    // An existing category with exactly this title is meant, whatever its slug.
    let new = |title: &str, slug: &str| NewCategory {
        title: title.into(),
        slug: Some(slug.into()),
        ..Default::default()
    };
    catalog::create_category(conn, new("C++", "c")).await.unwrap();
    let sharp = catalog::create_category(conn, new("C#", "c-2")).await.unwrap();
    read(conn, "Handle,Title,Type,Variant Price\nnet,Net,C#,1.00\n").await;
    assert_eq!(find(conn, "net").await.unwrap().category_ids, [sharp.id]);
    // A new title does not make it another category.
    let patch = catalog::CategoryPatch { title: Some("C sharp".into()), ..Default::default() };
    catalog::update_category(conn, sharp.id, None, patch).await.unwrap();
    read(conn, "Handle,Title,Type,Variant Price\nmono,Mono,C#,1.00\n").await;
    assert_eq!(find(conn, "mono").await.unwrap().category_ids, [sharp.id]);
    db.finish().await;
}

#[tokio::test]
async fn counts_that_cannot_be_cost_the_count() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = |price: &str| {
        format!(
            "{HEAD}\noversold,Oversold,true,,,,-3,{price},active\nfloat,Float,true,,,,10.0,{price},active\n\
            grouped,Grouped,true,,,,\"1,000\",{price},active\nhalf,Half,true,,,,1.5,{price},active\n\
            huge,Huge,true,,,,99999999999,{price},active\n"
        )
    };
    let report = read(conn, &csv("10.00")).await;
    assert_eq!((counts(&report), report.faults.total), ([5, 0, 0, 0], 0));
    assert_eq!(warned(&report, WarningKind::NegativeStock), [(2, "-3 is taken as 0")]);
    assert_eq!(warned(&report, WarningKind::UnreadableStock).len(), 2);
    for (slug, units) in [("oversold", 0), ("float", 10), ("grouped", 1000), ("half", 0), ("huge", 0)] {
        assert_eq!(find(conn, slug).await.unwrap().variants[0].available, units.into(), "{slug}");
    }
    // A count that is not used costs nothing either.
    let options = ImportOptions { stock: StockPolicy::CreateOnly, ..ImportOptions::default() };
    assert_eq!(counts(&import(conn, csv("11.00"), options).await.unwrap()), [0, 5, 0, 0]);
    assert_eq!(find(conn, "oversold").await.unwrap().variants[0].price.amount_minor, 1100);
    db.finish().await;
}

#[tokio::test]
async fn a_sku_for_all_sizes_stays_with_the_first() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv = format!(
        "{HEAD}\nshirt,Shirt,true,Size,S,STYLE-7,2,10.00,active\nshirt,,,,M,STYLE-7,3,10.00,\n\
        shirt,,,,L,STYLE-7,4,11.00,\nskirt,Skirt,true,Size,S,STYLE-7,1,9.00,active\n"
    );
    let report = read(conn, &csv).await;
    assert_eq!(counts(&report), [2, 0, 0, 0]);
    let wanted = ["\"STYLE-7\" is already on line 2"; 3];
    assert_eq!(warned(&report, WarningKind::RepeatedSku), [3, 4, 5].map(|line| (line, wanted[0])));
    let skus = |product: catalog::Product| product.variants.into_iter().map(|v| v.sku).collect::<Vec<_>>();
    assert_eq!(skus(find(conn, "shirt").await.unwrap()), [Some("STYLE-7".to_owned()), None, None]);
    assert_eq!(skus(find(conn, "skirt").await.unwrap()), [None]);
    assert_eq!(counts(&read(conn, &csv).await), [0, 0, 2, 0]);

    // In a file of its own the second product is not the first one, whose SKU it has.
    let other = format!("{HEAD}\ndress,Dress,true,Size,S,STYLE-7,1,9.00,active\n");
    let report = read(conn, &other).await;
    assert_eq!((counts(&report), find(conn, "shirt").await.unwrap().title.as_str()), ([1, 0, 0, 0], "Shirt"));
    let wanted = "\"STYLE-7\" belongs to a variant of another product";
    assert_eq!(warned(&report, WarningKind::ForeignSku), [(2, wanted)]);
    assert_eq!(counts(&read(conn, &other).await), [0, 0, 1, 0]);

    // The option decides, in any layout, and each line is told once.
    let strict = ImportOptions { repeated_sku: Some(RepeatedSku::Refuse), ..ImportOptions::default() };
    let errors = wrong_lines(import(conn, &csv, strict).await);
    assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [3, 4, 5]);
    let native = "slug,title,price,sku\ncap,Cap,1.00,C\nhat,Hat,1.00,C\n";
    assert_eq!(wrong_lines(import(conn, native, ImportOptions::default()).await).len(), 1);
    let lenient = ImportOptions { repeated_sku: Some(RepeatedSku::Drop), ..ImportOptions::default() };
    assert_eq!(counts(&import(conn, native, lenient).await.unwrap()), [2, 0, 0, 0]);
    db.finish().await;
}

#[tokio::test]
async fn what_follows_from_an_error_is_no_error() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let places = |errors: Vec<LineError>| {
        errors.into_iter().map(|error| (error.line, error.column)).collect::<Vec<_>>()
    };
    for first in ["hook,Hook,true,Color,Gold,,1,ten,active", "hook,Hook,true,Color,,,1,10.00,active"] {
        let csv = format!("{HEAD}\n{first}\nhook,,,,Silver,,4,10.00,\nhook,,,,Black,,5,10.00,\n");
        let errors = wrong_lines(import(conn, csv, ImportOptions::default()).await);
        assert_eq!((errors.len(), errors[0].line), (1, 2), "{errors:?}");
    }
    // A row that is cut short, and a name that nobody gives.
    let csv = format!("{HEAD}\nhook,Hook,true,Color\nhook,,,,Silver,,4,10.00,\n");
    assert_eq!(places(wrong_lines(import(conn, csv, ImportOptions::default()).await)), [(2, String::new())]);
    let csv = format!("{HEAD}\nhook,Hook,true,,Gold,,4,10.00,active\nhook,,,,Silver,,4,10.00,\n");
    let errors = places(wrong_lines(import(conn, csv, ImportOptions::default()).await));
    assert_eq!(errors, [2, 3].map(|line| (line, "Option1 Name".to_owned())));
    db.finish().await;
}

#[tokio::test]
async fn quotation_marks_in_quoted_cells_are_doubled_or_refused() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    for title in ["\"7\" plate\"", "\"Say \"cheese\" poster\"", "\"7\" plate x\""] {
        let csv = format!("{HEAD}\ngood,Good,true,,,,1,1.00,active\nbad,{title},true,,,,3,10.00,active\n");
        let errors = wrong_lines(import(conn, &csv, ImportOptions::default()).await);
        assert_eq!((errors.len(), errors[0].line, errors[0].column.as_str()), (1, 3, ""), "{errors:?}");
        assert!(errors[0].message.contains("must be doubled"), "{errors:?}");
    }
    let csv =
        format!("{HEAD}\nplate,\"7\"\" plate\",true,,,,3,10.00,active\nrod,5\" rod,true,,,,3,1.00,active\n");
    read(conn, &csv).await;
    assert_eq!(find(conn, "plate").await.unwrap().title, "7\" plate");
    assert_eq!(find(conn, "rod").await.unwrap().title, "5\" rod");
    db.finish().await;
}

#[tokio::test]
async fn lengths_and_numbers_are_those_of_shopify() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let wide = |letter: &str| letter.repeat(255);
    let csv = format!(
        "{HEAD},Option2 Name,Option2 Value,Option3 Name,Option3 Value\n\
        long,Long,true,{},{},{},3,10.00,active,{},{},{},{}\n",
        wide("尺"),
        wide("大"),
        wide("S"),
        wide("色"),
        wide("赤"),
        wide("材"),
        wide("木")
    );
    assert_eq!(counts(&read(conn, &csv).await), [1, 0, 0, 0]);
    assert_eq!(counts(&read(conn, &csv).await), [0, 0, 1, 0]);
    let sku = find(conn, "long").await.unwrap().variants[0].sku.clone().unwrap();
    assert_eq!(sku.len(), 255);
    // One character more costs the SKU, or the product.
    let longer = format!("{HEAD}\nmore,More,true,,,{}S,3,10.00,active\n", wide("S"));
    let report = read(conn, &longer).await;
    assert_eq!((counts(&report), warned(&report, WarningKind::UnusableSku).len()), ([1, 0, 0, 0], 1));
    let longer = format!("{HEAD}\neven,Even more,true,Size,{}L,,3,10.00,active\n", wide("L"));
    assert_eq!(wrong_lines(import(conn, &longer, ImportOptions::default()).await)[0].column, "Option1 Value");

    let mut many = format!("{HEAD},Image Src\n");
    for number in 0..2049 {
        let title = if number == 0 { "Many" } else { "" };
        let image = if number < 252 { format!("https://x.example/{number}.jpg") } else { String::new() };
        many += &format!("many,{title},true,Size,S {number},M-{number:04},1,10.00,active,{image}\n");
    }
    let errors = wrong_lines(import(conn, &many, ImportOptions::default()).await);
    assert!(errors[0].message.contains("at most 2048 variants"), "{errors:?}");
    let fitting = many.rsplit_once("many,").unwrap().0;
    let begun = std::time::Instant::now();
    let report = read(conn, fitting).await;
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    assert_eq!(
        warned(&report, WarningKind::UnusableImage),
        [(2, "only the first 250 of 252 images are imported")]
    );
    let product = find(conn, "many").await.unwrap();
    assert_eq!((product.variants.len(), product.images.len()), (2048, 250));
    assert_eq!(counts(&read(conn, &fitting.replace(",10.00,", ",11.00,")).await), [0, 1, 0, 0]);
    assert_eq!(counts(&read(conn, &fitting.replace(",10.00,", ",11.00,")).await), [0, 0, 1, 0]);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    db.finish().await;
}

#[tokio::test]
async fn a_fault_in_a_lesser_column_costs_that_column() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let head = "Handle,Title,Body (HTML),Type,Variant Price,Variant Compare At Price,Image Src,Image Alt Text,Option1 Name,Option1 Value";
    let csv = format!(
        "{head}\n\
        a,A,<p>a</p>,{},10.00,ten,//cdn.example/a b.jpg,{},Size,S\n\
        a,,,,10.00,,ftp://x.example/b.jpg,,,S\n\
        b,B,{},B,10.00,,javascript:alert(1),,,\n",
        "T".repeat(201),
        "t".repeat(513),
        "x".repeat(70_000)
    );
    let report = read(conn, &csv).await;
    assert_eq!((counts(&report), report.faults.total), ([2, 0, 0, 0], 0), "{report}");
    let a = find(conn, "a").await.unwrap();
    assert_eq!((a.images.len(), a.images[0].url.as_str()), (1, "https://cdn.example/a%20b.jpg"));
    assert_eq!((a.images[0].alt.len(), a.variants.len(), a.category_ids.len()), (512, 1, 0));
    assert_eq!(a.variants[0].compare_at_price, None);
    let b = find(conn, "b").await.unwrap();
    assert_eq!((b.images.len(), b.description.as_str(), b.category_ids.len()), (0, "", 1));
    let kinds: Vec<_> = report.warnings.0.iter().map(|(kind, noted)| (kind.as_str(), noted.total)).collect();
    assert_eq!(
        kinds,
        [
            ("repeated_options", 1),
            ("unreadable_compare_at_price", 1),
            ("mended_image", 1),
            ("unusable_image", 2),
            ("cut_alternative_text", 1),
            ("unusable_description", 1),
            ("unusable_categories", 1),
        ]
    );
    db.finish().await;
}

#[tokio::test]
async fn a_dry_run_reports_errors_and_all_else() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let csv =
        format!("{HEAD},Metafield\ngood,Good,false,,,,-1,1.00,active,x\nbad,Bad,true,,,,1,one,active,\n");
    let dry = ImportOptions { mode: ImportMode::DryRun, ..ImportOptions::default() };
    let report = import(conn, &csv, dry).await.unwrap();
    assert!(report.is_refused());
    assert_eq!((counts(&report), report.faults.total, report.hidden.total), ([1, 0, 0, 1], 1, 1));
    assert_eq!(report.ignored_columns[0].column, "Metafield");
    assert_eq!(find(conn, "good").await, None);
    let skip = ImportOptions { on_error: OnError::Skip, ..dry };
    assert!(!import(conn, &csv, skip).await.unwrap().is_refused());
    db.finish().await;
}

async fn export(conn: &mut AsyncPgConnection, layout: ExportLayout) -> String {
    let mut export = ProductExport::begin(conn, layout, MAIN_LOCATION).await.unwrap();
    let mut csv = export.header();
    while let Some(rows) = export.next_rows(conn).await.unwrap() {
        csv += &rows;
    }
    csv
}

/// Formulas, blanks that only some programs trim, and categories whose slugs are not those of their titles.
#[tokio::test]
async fn a_native_export_makes_the_same_shop_byte_for_byte() {
    let (first, second) = (TestDatabase::new().await, TestDatabase::new().await);
    let (conn, other) = (&mut first.conn().await, &mut second.conn().await);
    let csv = "slug,title,description,status,categories,options,sku,price,stock,image_url,image_alt,attribute:vendor,attribute:note\n\
        formula,=1+1,\" \n<script>x</script> <p>- five</p> \n\",active,+Plus|'=quoted,Size='-1,@sku,1.00,3,https://x.example/a.jpg,-alt,'=vendor,\u{a0}blank\n\
        formula,,,,,Size=+2,-2,1.00,0,,,,\n\
        plain,\u{a0}Käsereibe 🧀,,draft,\"[[\"\"Sale\"\",\"\"winter-sale\"\"],[\"\"A|B\"\",\"\"a-b-2\"\"],[\"\"[x]\"\",\"\"x\"\"]]\",,,2.00,1,,,\"two\nlines\",\n\
        third,Third,,archived,Sale,,,2.00,1,,,,\n";
    assert_eq!(counts(&read(conn, csv).await), [3, 0, 0, 0]);
    let native = export(conn, ExportLayout::Native).await;
    for cell in native.split([',', '\n']) {
        assert!(!cell.trim_start_matches('"').starts_with(['=', '+', '-', '@']), "{cell}: {native}");
    }
    assert_eq!(find(conn, "formula").await.unwrap().title, "=1+1");
    assert_eq!(counts(&read(conn, &native).await), [0, 0, 3, 0]);
    assert_eq!(counts(&read(other, &native).await), [3, 0, 0, 0]);
    assert_eq!(export(other, ExportLayout::Native).await, native);
    assert_eq!(counts(&read(other, &format!("\u{feff}{native}")).await), [0, 0, 3, 0]);
    for (slug, title) in [("winter-sale", "Sale"), ("sale", "Sale"), ("a-b-2", "A|B"), ("x", "[x]")] {
        let category = catalog::find_category(other, &CategoryKey::from(slug)).await.unwrap().unwrap();
        assert_eq!(category.title, title, "{slug}");
    }
    let shopify = export(conn, ExportLayout::Shopify).await;
    assert!(shopify.contains(",'=1+1,") && shopify.contains("'@sku"), "{shopify}");
    first.finish().await;
    second.finish().await;
}
