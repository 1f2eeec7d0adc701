//! How good the answers are: queries over the demo catalogue, judged by hand. A query succeeds if a product that was meant
//! is among the first three, or, where nothing is meant, if nothing is found.
//!
//! `cargo xtask test -p commerce-core relevance --no-capture` prints the table.

use commerce_core::catalog::import::Layout;
use commerce_core::flows::{self, ImportOptions};
use commerce_core::money::Currency;
use commerce_core::request::Origin;
use commerce_core::search::{PostgresEngine, SearchEngine};
use commerce_core::testing::TestDatabase;

use super::given::{search, text};

const CATALOGUE: &str = include_str!("../../../commerce-api/demo/catalogue.csv");

/// What is typed, and the slugs of what is meant.
const JUDGED: &[(&str, &[&str])] = &[
    // Plain words.
    ("mug", &["stoneware-mug"]),
    ("knife", &["chef-s-knife", "paring-knife"]),
    ("sweater", &["merino-sweater", "fisherman-s-sweater"]),
    ("backpack", &["roll-top-backpack"]),
    ("umbrella", &["umbrella"]),
    ("honey", &["wildflower-honey"]),
    ("coffee", &["house-espresso", "filter-roast"]),
    ("tea", &["sencha", "earl-grey", "linen-tea-towel-set"]),
    ("lamp", &["brass-desk-lamp"]),
    ("soap", &["olive-oil-soap"]),
    ("lavender", &["bath-salts"]),
    // Two words, also out of order and over several fields.
    ("cutting board", &["oak-cutting-board"]),
    ("linen scarf", &["linen-scarf"]),
    ("oil olive", &["olive-oil", "olive-oil-soap"]),
    ("bath towel", &["waffle-bath-towel"]),
    ("walnut tray", &["desk-tray"]),
    ("merino socks", &["merino-crew-socks"]),
    ("green tea", &["sencha"]),
    ("rain coat pocket", &[]),
    ("watering can copper", &["copper-watering-can"]),
    ("brass pen", &["brass-ballpoint"]),
    ("halden vase", &["stem-vase", "floor-vase"]),
    // Plurals and other forms.
    ("mugs", &["stoneware-mug"]),
    ("knives", &["chef-s-knife", "paring-knife"]),
    ("candles", &["beeswax-candle-pair", "cedar-scented-candle"]),
    ("jackets", &["canvas-work-jacket", "rain-jacket"]),
    ("sock", &["merino-crew-socks"]),
    ("brushes", &["boar-bristle-brush"]),
    ("pencil", &["drafting-pencils"]),
    ("vases", &["stem-vase", "floor-vase"]),
    // Mistyped.
    (
        "stonware",
        &["stoneware-mug", "serving-bowl", "deep-pasta-bowl", "stem-vase", "floor-vase", "espresso-cup-pair"],
    ),
    ("espreso", &["espresso-cup-pair", "house-espresso"]),
    ("umbrela", &["umbrella"]),
    ("secatuers", &["secateurs"]),
    ("swaeter", &["merino-sweater", "fisherman-s-sweater"]),
    ("leahter bag", &["leather-messenger-bag"]),
    ("lanterm", &["paper-lantern"]),
    ("fishermans sweater", &["fisherman-s-sweater"]),
    ("noteboook", &["dot-grid-notebook"]),
    ("teracotta pot", &["terracotta-pot"]),
    ("beeswx candle", &["beeswax-candle-pair"]),
    // Still being typed.
    ("umb", &["umbrella"]),
    ("bac", &["roll-top-backpack"]),
    ("cast ir", &["cast-iron-pan"]),
    ("merino sw", &["merino-sweater"]),
    ("french p", &["french-press"]),
    // By SKU.
    ("KNIFE-20", &["chef-s-knife"]),
    ("TEA-SEN", &["sencha"]),
    ("mug350", &["stoneware-mug"]),
    // By category, by what it is called elsewhere, and for nothing.
    ("pantry honey", &["wildflower-honey"]),
    (
        "garden",
        &["monstera", "snake-plant", "terracotta-pot", "hand-trowel", "copper-watering-can", "secateurs"],
    ),
    ("blanket", &["lambswool-throw"]),
    ("pillow", &["linen-pillowcase-pair", "wool-cushion"]),
    ("the jacket for rain", &["rain-jacket"]),
    ("bicycle", &[]),
    ("xqzv", &[]),
];

pub async fn load_demo_catalogue(db: &TestDatabase) {
    let options = ImportOptions { layout: Some(Layout::Native), ..ImportOptions::default() };
    let conn = &mut db.conn().await;
    flows::import_products(
        conn,
        CATALOGUE.as_bytes(),
        options,
        Currency::USD,
        &Origin::system(),
        &mut |_| {},
    )
    .await
    .unwrap();
}

/// Prints the table and returns which part of the queries succeeded.
pub async fn success_at_3(db: &TestDatabase, engine: &dyn SearchEngine) -> f64 {
    let mut succeeded = 0;
    println!("{:<22} {:<7} {:>5}  first three by {}", "query", "", "total", engine.name());
    for (query, meant) in JUDGED {
        let page = search(db, engine, &text(query)).await;
        let first: Vec<&str> = page.found.iter().take(3).map(|found| found.product.slug.as_str()).collect();
        let success =
            if meant.is_empty() { page.total == 0 } else { first.iter().any(|slug| meant.contains(slug)) };
        succeeded += usize::from(success);
        let verdict = if success { "ok" } else { "FAILED" };
        println!("{query:<22} {verdict:<7} {:>5}  {}", page.total, first.join(", "));
    }
    let share = succeeded as f64 / JUDGED.len() as f64;
    println!("success@3 by {}: {succeeded} of {} ({:.0} %)\n", engine.name(), JUDGED.len(), share * 100.0);
    share
}

#[tokio::test]
async fn postgres_finds_what_is_meant() {
    let db = TestDatabase::new().await;
    load_demo_catalogue(&db).await;
    let share = success_at_3(&db, &PostgresEngine::new(db.pool().clone())).await;
    assert!(share >= 0.95, "{share}");
    db.finish().await;
}
