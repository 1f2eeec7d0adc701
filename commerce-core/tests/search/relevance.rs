//! How good the answers are: queries over the demo catalogue and over goods with names in other languages, judged by hand. A query succeeds if a product that was meant
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

const CATALOGUES: [&str; 2] =
    [include_str!("../../../commerce-api/demo/catalogue.csv"), include_str!("../data/european-goods.csv")];

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
    // In French.
    ("huile", &["savon-a-l-huile-d-argan"]),
    ("argan", &["savon-a-l-huile-d-argan"]),
    ("l’argan", &["savon-a-l-huile-d-argan"]),
    ("aurore", &["creme-l-aurore"]),
    ("laurore", &["creme-l-aurore"]),
    ("creme de jour", &["creme-l-aurore"]),
    ("eau", &["carafe-a-l-eau"]),
    ("érable", &["coeur-en-bois"]),
    ("coeur", &["coeur-en-bois"]),
    ("savon liege", &["porte-savon"]),
    // In German.
    ("flasche", &["thermos-flasche"]),
    ("strassen kreide", &["strassen-kreide"]),
    ("käse reibe", &["kaese-reibe"]),
    ("tshirt", &["bio-t-shirt"]),
    ("t-shirt baumwolle", &["bio-t-shirt"]),
    ("brett nussbaum", &["schneide-brett"]),
    // In Italian.
    ("umbria", &["olio-dell-umbria"]),
    ("dell´umbria", &["olio-dell-umbria"]),
    ("alloro", &["sapone-all-alloro"]),
    ("orzo", &["caffe-d-orzo"]),
    ("caffe", &["caffe-d-orzo"]),
    ("artigiano", &["grembiule-dell-artigiano"]),
    // In Spanish.
    ("jabon", &["jabon-de-alepo"]),
    ("lampara", &["lampara-de-pie"]),
    ("alfombra bano", &["alfombra-de-bano"]),
    ("cucharon", &["cucharon"]),
    // A name with an apostrophe that leaves nothing out.
    ("oneill", &["o-neill-windbreaker"]),
    ("o'neill", &["o-neill-windbreaker"]),
    ("O´Neill", &["o-neill-windbreaker"]),
    ("o`neill", &["o-neill-windbreaker"]),
    ("o‘neill", &["o-neill-windbreaker"]),
];

pub async fn load_judged_catalogues(db: &TestDatabase) {
    let options = ImportOptions { layout: Some(Layout::Native), ..ImportOptions::default() };
    let conn = &mut db.conn().await;
    for catalogue in CATALOGUES {
        let file = catalogue.as_bytes();
        flows::import_products(conn, file, options, Currency::USD, &Origin::system(), &mut |_| {})
            .await
            .unwrap();
    }
}

/// Prints the table and returns the queries that failed.
pub async fn failures_at_3(db: &TestDatabase, engine: &dyn SearchEngine) -> Vec<&'static str> {
    let mut failed = Vec::new();
    println!("{:<22} {:<7} {:>5}  first three by {}", "query", "", "total", engine.name());
    for (query, meant) in JUDGED {
        let page = search(db, engine, &text(query)).await;
        let first: Vec<&str> = page.found.iter().take(3).map(|found| found.product.slug.as_str()).collect();
        let success =
            if meant.is_empty() { page.total == 0 } else { first.iter().any(|slug| meant.contains(slug)) };
        if !success {
            failed.push(*query);
        }
        let verdict = if success { "ok" } else { "FAILED" };
        println!("{query:<22} {verdict:<7} {:>5}  {}", page.total, first.join(", "));
    }
    println!("success@3 by {}: all but {} of {}\n", engine.name(), failed.len(), JUDGED.len());
    failed
}

#[tokio::test]
async fn postgres_finds_what_is_meant() {
    let db = TestDatabase::new().await;
    load_judged_catalogues(&db).await;
    let failed = failures_at_3(&db, &PostgresEngine::new(db.pool().clone())).await;
    assert!(failed.is_empty(), "{failed:?}");
    db.finish().await;
}
