//! What every engine must do, said once.

use std::collections::BTreeMap;

use commerce_core::page::Limit;
use commerce_core::search::{OptionFilter, SearchEngine, SearchPage, SearchProducts, SearchSort};
use commerce_core::testing::TestDatabase;

use super::given::{category, category_below, goods, search, text, titles};

/// The goods that [`conforms`] searches.
pub async fn stock_the_shop(db: &TestDatabase) {
    let conn = &mut db.conn().await;
    let home = category(conn, "Home").await;
    let kitchen = category_below(conn, &home, "Kitchen").await;
    let living = category_below(conn, &home, "Living").await;
    goods("Stoneware Mug", 1800, 5)
        .option("Glaze", &["Chalk", "Ink"])
        .description("<p>Thrown by hand &amp; glazed inside.</p>")
        .category(&kitchen)
        .create(conn)
        .await;
    // Without a unit in stock, and for sale because nobody counts it.
    goods("Serving Bowl", 4800, 0)
        .option("Glaze", &["Moss"])
        .uncounted()
        .description("<p>Salad for six, beside a mug or two.</p>")
        .category(&kitchen)
        .create(conn)
        .await;
    goods("Chef's Knife", 9600, 3).sku("KNIFE-20").category(&kitchen).create(conn).await;
    goods("Paring Knife", 4200, 0).sku("KNIFE-9").category(&kitchen).create(conn).await;
    goods("Brass Desk Lamp", 12_900, 8).category(&living).attribute("vendor", "Lumen").create(conn).await;
    goods("Café Chair", 15_900, 2).category(&living).category(&kitchen).create(conn).await;
    goods("Lambswool Blanket", 11_800, 4)
        .option("Colour", &["Oat", "Slate"])
        .category(&living)
        .create(conn)
        .await;
    goods("Lamp in the drafts", 100, 1).draft().create(conn).await;
}

type Engine<'a> = &'a dyn SearchEngine;

/// Everything, on a shop that [`stock_the_shop`] has stocked.
pub async fn conforms(db: &TestDatabase, engine: Engine<'_>) {
    words_are_found(db, engine).await;
    typing_errors_are_forgiven(db, engine).await;
    results_are_narrowed_and_sorted(db, engine).await;
    facets_count_what_another_choice_would_find(db, engine).await;
    pages_follow_each_other(db, engine).await;
    found_words_are_marked(db, engine).await;
    anything_may_be_typed(db, engine).await;
}

async fn found(db: &TestDatabase, engine: Engine<'_>, query: &str) -> Vec<String> {
    let page = search(db, engine, &text(query)).await;
    assert_eq!(page.total, i64::try_from(page.found.len()).unwrap(), "{query}");
    titles(&page).into_iter().map(str::to_owned).collect()
}

async fn words_are_found(db: &TestDatabase, engine: Engine<'_>) {
    let mut wrong = Vec::new();
    for (query, wanted) in [
        ("stoneware", vec!["Stoneware Mug"]),
        ("STONEWARE mug", vec!["Stoneware Mug"]),
        ("mug stoneware", vec!["Stoneware Mug"]),
        // The title counts more than the description.
        ("mug", vec!["Stoneware Mug", "Serving Bowl"]),
        // In stock comes before sold out.
        ("knife", vec!["Chef's Knife", "Paring Knife"]),
        ("knives", vec!["Chef's Knife", "Paring Knife"]),
        ("bowls", vec!["Serving Bowl"]),
        ("chefs", vec!["Chef's Knife"]),
        ("cafe", vec!["Café Chair"]),
        ("CAFÉ", vec!["Café Chair"]),
        // The last word may be unfinished.
        ("stonew", vec!["Stoneware Mug"]),
        ("desk la", vec!["Brass Desk Lamp"]),
        // By SKU, attribute, option, category.
        ("KNIFE-20", vec!["Chef's Knife"]),
        ("lumen", vec!["Brass Desk Lamp"]),
        ("slate", vec!["Lambswool Blanket"]),
        ("living desk", vec!["Brass Desk Lamp"]),
        // Words that say little, and words that say the same.
        ("the knife of the chef", vec!["Chef's Knife"]),
        ("cup", vec!["Stoneware Mug", "Serving Bowl"]),
        ("mug lamp", vec![]),
        ("zeppelin", vec![]),
        ("drafts", vec![]),
    ] {
        let found = found(db, engine, query).await;
        if found != wanted {
            wrong.push(format!("{query}: {found:?} instead of {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", engine.name());
}

async fn typing_errors_are_forgiven(db: &TestDatabase, engine: Engine<'_>) {
    let mut wrong = Vec::new();
    for (query, wanted) in [
        ("stonwear", vec!["Stoneware Mug"]),
        ("blnaket", vec!["Lambswool Blanket"]),
        ("lampswool blanket", vec!["Lambswool Blanket"]),
        ("chiar", vec!["Café Chair"]),
        ("servign bowl", vec!["Serving Bowl"]),
        ("brsas lamp", vec!["Brass Desk Lamp"]),
        // Too short to guess at, or too far away.
        ("mgu", vec![]),
        ("prass lamp", vec![]),
        ("blnkte", vec![]),
    ] {
        let found = found(db, engine, query).await;
        if found != wanted {
            wrong.push(format!("{query}: {found:?} instead of {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", engine.name());
}

fn option(name: &str, value: &str) -> OptionFilter {
    OptionFilter { name: name.to_owned(), value: value.to_owned() }
}

async fn results_are_narrowed_and_sorted(db: &TestDatabase, engine: Engine<'_>) {
    let all = || SearchProducts { sort: SearchSort::Price, ..text("") };
    let by_price = [
        "Stoneware Mug",
        "Paring Knife",
        "Serving Bowl",
        "Chef's Knife",
        "Lambswool Blanket",
        "Brass Desk Lamp",
        "Café Chair",
    ];
    let dearest_first: Vec<&str> = by_price.into_iter().rev().collect();
    for (query, wanted) in [
        (all(), by_price.to_vec()),
        (SearchProducts { sort: SearchSort::PriceDescending, ..text("") }, dearest_first),
        (SearchProducts { sort: SearchSort::Newest, ..text("knife") }, vec!["Paring Knife", "Chef's Knife"]),
        (
            SearchProducts { categories: vec!["living".into()], ..all() },
            vec!["Lambswool Blanket", "Brass Desk Lamp", "Café Chair"],
        ),
        (SearchProducts { categories: vec!["living".into(), "kitchen".into()], ..all() }, by_price.to_vec()),
        (SearchProducts { categories: vec!["nowhere".into()], ..all() }, vec![]),
        (
            SearchProducts { price_min_minor: Some(4200), price_max_minor: Some(9600), ..all() },
            vec!["Paring Knife", "Serving Bowl", "Chef's Knife"],
        ),
        (SearchProducts { in_stock: Some(false), ..all() }, vec!["Paring Knife"]),
        (SearchProducts { in_stock: Some(true), ..text("knife") }, vec!["Chef's Knife"]),
        (SearchProducts { options: vec![option("Glaze", "Ink")], ..all() }, vec!["Stoneware Mug"]),
        (
            SearchProducts { options: vec![option("Glaze", "Ink"), option("Glaze", "Moss")], ..all() },
            vec!["Stoneware Mug", "Serving Bowl"],
        ),
        (SearchProducts { options: vec![option("Glaze", "Ink"), option("Colour", "Oat")], ..all() }, vec![]),
        (SearchProducts { options: vec![option("Glaze", "Ink' OR \"1\" = \"1")], ..all() }, vec![]),
    ] {
        let page = search(db, engine, &query).await;
        assert_eq!(titles(&page), wanted, "{}: {query:?}", engine.name());
        assert_eq!(page.total, i64::try_from(wanted.len()).unwrap(), "{}: {query:?}", engine.name());
    }
}

/// `value: count` by field, in the order in which they come.
fn counts(page: &SearchPage) -> BTreeMap<&str, Vec<String>> {
    let shown = |facet: &Vec<commerce_core::search::FacetValue>| {
        facet.iter().map(|value| format!("{}: {}", value.value, value.count)).collect()
    };
    page.facets.iter().map(|(field, facet)| (field.as_str(), shown(facet))).collect()
}

async fn facets_count_what_another_choice_would_find(db: &TestDatabase, engine: Engine<'_>) {
    let name = engine.name();
    let page = search(db, engine, &text("")).await;
    let facets = counts(&page);
    // What is in two categories below one counts there once.
    assert_eq!(facets["category"], ["home: 7", "kitchen: 5", "living: 3"], "{name}");
    assert_eq!(page.facets["category"][1].label.as_deref(), Some("Kitchen"), "{name}");
    for (slug, count) in [("home", 7), ("kitchen", 5), ("living", 3)] {
        let chosen = SearchProducts { categories: vec![slug.to_owned()], ..text("") };
        assert_eq!(search(db, engine, &chosen).await.total, count, "{name}: {slug}");
    }
    assert_eq!(facets["price"], ["1000-2499: 1", "2500-4999: 2", "5000-9999: 1", "10000-24999: 3"], "{name}");
    assert_eq!(facets["in_stock"], ["true: 6", "false: 1"], "{name}");
    assert_eq!(facets["options.Glaze"], ["Chalk: 1", "Ink: 1", "Moss: 1"], "{name}");
    assert_eq!(facets["options.Colour"], ["Oat: 1", "Slate: 1"], "{name}");

    // Not only this page counts.
    let small = SearchProducts { per_page: Limit::new(1).unwrap(), ..text("") };
    assert_eq!(counts(&search(db, engine, &small).await), facets, "{name}");

    // A chosen value leaves the others of its facet as they are, and narrows the other facets.
    let ink = SearchProducts { options: vec![option("Glaze", "Ink")], ..text("") };
    let page = search(db, engine, &ink).await;
    let facets = counts(&page);
    assert_eq!(page.total, 1, "{name}");
    assert_eq!(facets["options.Glaze"], ["Chalk: 1", "Ink: 1", "Moss: 1"], "{name}");
    assert_eq!(facets["category"], ["home: 1", "kitchen: 1"], "{name}");
    assert!(!facets.contains_key("options.Colour"), "{name}: {facets:?}");

    let dear = SearchProducts {
        price_min_minor: Some(10_000),
        categories: vec!["kitchen".into()],
        in_stock: Some(true),
        ..text("")
    };
    let facets = search(db, engine, &dear).await;
    let facets = counts(&facets);
    assert_eq!(facets["category"], ["home: 3", "living: 3", "kitchen: 1"], "{name}");
    assert_eq!(facets["price"], ["1000-2499: 1", "2500-4999: 1", "5000-9999: 1", "10000-24999: 1"], "{name}");
    assert_eq!(facets["in_stock"], ["true: 1"], "{name}");

    let facets = search(db, engine, &text("knife")).await;
    assert_eq!(counts(&facets)["in_stock"], ["true: 1", "false: 1"], "{name}");

    // A facet that is filtered by is there even where it has no values.
    let nothing = SearchProducts { options: vec![option("Glaze", "Ink")], ..text("zeppelin") };
    assert_eq!(counts(&search(db, engine, &nothing).await)["options.Glaze"], Vec::<String>::new(), "{name}");
}

async fn pages_follow_each_other(db: &TestDatabase, engine: Engine<'_>) {
    let mut seen = Vec::new();
    for page in 1..=4 {
        let query = SearchProducts { page, per_page: Limit::new(3).unwrap(), ..text("") };
        let query = SearchProducts { sort: SearchSort::Newest, ..query };
        let found = search(db, engine, &query).await;
        assert_eq!((found.total, found.page, found.per_page), (7, page, 3), "{}", engine.name());
        seen.extend(found.found.into_iter().map(|found| found.product.title));
    }
    let newest = [
        "Lambswool Blanket",
        "Café Chair",
        "Brass Desk Lamp",
        "Paring Knife",
        "Chef's Knife",
        "Serving Bowl",
        "Stoneware Mug",
    ];
    assert_eq!(seen, newest, "{}", engine.name());
}

async fn found_words_are_marked(db: &TestDatabase, engine: Engine<'_>) {
    let page = search(db, engine, &text("chefs kni")).await;
    assert_eq!(
        page.found[0].highlights.title,
        "<mark>Chef&#39;s</mark> <mark>Knife</mark>",
        "{}",
        engine.name()
    );
    let page = search(db, engine, &text("glazed mug")).await;
    let highlights = &page.found[0].highlights;
    assert_eq!(highlights.title, "Stoneware <mark>Mug</mark>", "{}", engine.name());
    assert_eq!(
        highlights.description.as_deref(),
        Some("Thrown by hand &amp; <mark>glazed</mark> inside."),
        "{}",
        engine.name()
    );
    // A typing error, one in each word, one in a word that is still being typed, another form, a synonym.
    for (typed, title) in [
        ("blnaket", "Lambswool <mark>Blanket</mark>"),
        ("lambswol blnaket", "<mark>Lambswool</mark> <mark>Blanket</mark>"),
        ("stonw", "<mark>Stoneware</mark> Mug"),
        ("stoneware mugs", "<mark>Stoneware</mark> <mark>Mug</mark>"),
        ("throw", "Lambswool <mark>Blanket</mark>"),
        ("cup", "Stoneware <mark>Mug</mark>"),
    ] {
        let page = search(db, engine, &text(typed)).await;
        assert_eq!(page.found[0].highlights.title, title, "{typed} {}", engine.name());
    }
    let page = search(db, engine, &text("")).await;
    assert!(page.found.iter().all(|found| !found.highlights.title.contains("<mark>")), "{}", engine.name());
}

async fn anything_may_be_typed(db: &TestDatabase, engine: Engine<'_>) {
    for query in [
        "'",
        "\"",
        "&|!():*",
        "<->",
        "\\",
        "mug:*",
        "a'b\\'c",
        "-mug",
        "\"stoneware mug\"",
        "\u{1f}",
        "🦀",
        "%_",
    ] {
        search(db, engine, &text(query)).await;
    }
    let long = "mug ".repeat(50);
    search(db, engine, &text(&long)).await;
    search(db, engine, &text(&"m".repeat(200))).await;
}
