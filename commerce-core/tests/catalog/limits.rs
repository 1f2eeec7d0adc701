//! What the catalogue's tables accept at most is what `catalog::limits` says.

use std::collections::BTreeMap;

use commerce_core::catalog::limits;
use commerce_core::testing::TestDatabase;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

#[derive(QueryableByName)]
struct Check {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

/// The number behind `<=` in a CHECK, if it has one.
fn upper_bound(definition: &str) -> Option<i64> {
    let (_, bound) = definition.rsplit_once("<= ")?;
    let digits: String =
        bound.trim_start_matches('\'').chars().take_while(|sign| sign.is_ascii_digit()).collect();
    digits.parse().ok()
}

#[tokio::test]
async fn the_database_checks_the_same_limits() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let checks: Vec<Check> = diesel::sql_query(
        "SELECT conname::text AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
         WHERE contype = 'c' AND conrelid = ANY ('{commerce.categories, commerce.products,
             commerce.product_images, commerce.variants}'::regclass[])",
    )
    .load(conn)
    .await
    .unwrap();
    let mut found: BTreeMap<String, i64> =
        checks.into_iter().filter_map(|check| Some((check.name, upper_bound(&check.definition)?))).collect();

    // The title of a variant is made of the values of its options.
    let longest_title = limits::OPTIONS_PER_PRODUCT_MAX * limits::OPTION_VALUE_CHARS_MAX
        + (limits::OPTIONS_PER_PRODUCT_MAX - 1) * " / ".len();
    let title = found.remove("variants_title_check").unwrap();
    assert!(i64::try_from(longest_title).unwrap() <= title, "{longest_title} > {title}");

    let chars = |max: usize| i64::try_from(max).unwrap();
    let expected = [
        ("categories_slug_check", chars(limits::CATEGORY_SLUG_CHARS_MAX)),
        ("categories_title_check", chars(limits::CATEGORY_TITLE_CHARS_MAX)),
        ("product_images_url_check", chars(limits::IMAGE_URL_BYTES_MAX)),
        ("products_slug_check", chars(limits::PRODUCT_SLUG_CHARS_MAX)),
        ("products_tags_check", chars(limits::TAGS_PER_PRODUCT_MAX * limits::TAG_CHARS_MAX)),
        ("products_title_check", chars(limits::TITLE_CHARS_MAX)),
        ("products_vendor_check", chars(limits::VENDOR_CHARS_MAX)),
        ("variants_barcode_check", chars(limits::BARCODE_CHARS_MAX)),
        ("variants_compare_at_minor_check", limits::PRICE_MINOR_MAX),
        ("variants_cost_minor_check", limits::PRICE_MINOR_MAX),
        ("variants_price_minor_check", limits::PRICE_MINOR_MAX),
        ("variants_sku_check", chars(limits::SKU_CHARS_MAX)),
        ("variants_weight_grams_check", limits::WEIGHT_GRAMS_MAX.into()),
    ];
    assert_eq!(found, expected.map(|(name, max)| (name.to_owned(), max)).into());
    db.finish().await;
}
