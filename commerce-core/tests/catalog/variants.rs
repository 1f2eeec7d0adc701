use commerce_core::catalog::{
    self, NewVariant, OptionValues, ProductRefusal, UpdateProductError, VariantPatch,
};
use commerce_core::flows::{self, CreateCombinations, CreateVariant};
use commerce_core::ids::{ProductId, VariantId};
use commerce_core::money::{Currency, Money};
use commerce_core::request::Origin;
use commerce_core::testing::TestDatabase;

use super::given::{create, options_of, product, simple, usd, variant};

fn refusal<T: std::fmt::Debug>(result: Result<T, UpdateProductError>) -> ProductRefusal {
    match result.unwrap_err() {
        UpdateProductError::Refused(refusal) => refusal,
        error => panic!("{error:?}"),
    }
}

fn to_create(
    product_id: ProductId,
    if_version: Option<i32>,
    variant: NewVariant,
    stock: i64,
) -> CreateVariant {
    CreateVariant { product_id, if_version, variant, stock }
}

fn combinations(product_id: ProductId, options: &[OptionValues], price: Money) -> CreateCombinations {
    CreateCombinations { product_id, if_version: None, options: options.to_vec(), price }
}

#[tokio::test]
async fn a_variant_is_added_with_its_stock() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let sock = create(conn, product("Sock", vec![variant(&[("Size", "S")], 300)]), &[1]).await.unwrap();
    let origin = Origin::system();
    let cheaper = variant(&[("Size", "M")], 200);
    let (id, after) =
        flows::create_variant(conn, to_create(sock.id, Some(1), cheaper.clone(), 7), Currency::USD, &origin)
            .await
            .unwrap();
    let added = after.variants.iter().find(|variant| variant.id == id).unwrap();
    assert_eq!((added.title.as_str(), added.available), ("M", 7.into()));
    assert_eq!((after.price_from, after.version), (Some(usd(200)), 2));

    let again =
        flows::create_variant(conn, to_create(sock.id, None, cheaper, 7), Currency::USD, &origin).await;
    assert_eq!(refusal(again), ProductRefusal::OptionsTaken);
    let other = variant(&[("Colour", "Red")], 200);
    let wrong_option =
        flows::create_variant(conn, to_create(sock.id, None, other, 0), Currency::USD, &origin).await;
    assert!(
        matches!(refusal(wrong_option), ProductRefusal::Invalid(errors) if errors[0].pointer == "/options")
    );
    db.finish().await;
}

#[tokio::test]
async fn the_only_variant_decides_the_names_of_the_options() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let cap = simple(conn, "Cap", 900, 3).await;
    let sized = VariantPatch { options: Some(options_of(&[("Size", "S")])), ..Default::default() };
    let after =
        catalog::update_variant(conn, cap.id, cap.variants[0].id, None, sized, Currency::USD).await.unwrap();
    assert_eq!(after.option_names, ["Size"]);
    assert_eq!((after.variants[0].title.as_str(), after.variants[0].available), ("S", 3.into()));
    let (_, after) = catalog::add_variant(conn, cap.id, None, variant(&[("Size", "M")], 900), Currency::USD)
        .await
        .unwrap();
    assert_eq!(after.variants.len(), 2);
    let renamed = VariantPatch { options: Some(options_of(&[("Fit", "S")])), ..Default::default() };
    let refused =
        catalog::update_variant(conn, cap.id, cap.variants[0].id, None, renamed, Currency::USD).await;
    assert!(matches!(refusal(refused), ProductRefusal::Invalid(_)));
    db.finish().await;
}

#[tokio::test]
async fn a_variant_is_patched_only_in_its_own_product_and_in_the_shops_currency() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let (cap, mug) = (simple(conn, "Cap", 900, 3).await, simple(conn, "Mug", 800, 3).await);
    let patch = VariantPatch { sku: Some(Some("CAP".into())), ..Default::default() };
    let after = catalog::update_variant(conn, cap.id, cap.variants[0].id, None, patch.clone(), Currency::USD)
        .await
        .unwrap();
    assert_eq!(after.variants[0].sku.as_deref(), Some("CAP"));
    let stolen =
        catalog::update_variant(conn, mug.id, mug.variants[0].id, None, patch.clone(), Currency::USD).await;
    assert_eq!(refusal(stolen), ProductRefusal::SkuTaken("CAP".into()));
    for unknown in [mug.variants[0].id, VariantId::new()] {
        let result = catalog::update_variant(conn, cap.id, unknown, None, patch.clone(), Currency::USD).await;
        assert!(matches!(result, Err(UpdateProductError::UnknownVariant(id)) if id == unknown), "{result:?}");
    }
    let yen = VariantPatch { price: Some(Money::new(5, Currency::JPY)), ..Default::default() };
    let result = catalog::update_variant(conn, cap.id, cap.variants[0].id, None, yen, Currency::USD).await;
    assert!(
        matches!(refusal(result), ProductRefusal::CurrencyMismatch { pointer, .. } if pointer == "/price/currency")
    );
    let free =
        VariantPatch { sku: Some(None), compare_at_price: Some(Some(usd(1000))), ..Default::default() };
    let after =
        catalog::update_variant(conn, cap.id, cap.variants[0].id, None, free, Currency::USD).await.unwrap();
    assert_eq!((after.variants[0].sku.clone(), after.variants[0].compare_at_price), (None, Some(usd(1000))));
    db.finish().await;
}

#[tokio::test]
async fn concurrent_writes_to_a_product_are_all_counted() {
    let db = TestDatabase::new().await;
    let sock = {
        let conn = &mut db.conn().await;
        create(conn, product("Sock", vec![variant(&[("Size", "0")], 300)]), &[1]).await.unwrap()
    };
    let tasks: Vec<_> = (1..=10)
        .map(|size: i64| {
            let (pool, id) = (db.pool().clone(), sock.id);
            tokio::spawn(async move {
                let conn = &mut pool.get().await.unwrap();
                let new = variant(&[("Size", &size.to_string())], 300 - size);
                catalog::add_variant(conn, id, None, new, Currency::USD).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let conn = &mut db.conn().await;
    let key = catalog::ProductKey::Id(sock.id);
    let after = catalog::find_product(conn, &key, catalog::Audience::Staff).await.unwrap().unwrap();
    assert_eq!((after.variants.len(), after.version, after.price_from), (11, 11, Some(usd(290))));
    db.finish().await;
}

#[tokio::test]
async fn a_matrix_adds_what_is_missing_and_nothing_twice() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let option = |name: &str, values: &[&str]| OptionValues {
        name: name.into(),
        values: values.iter().map(|value| (*value).into()).collect(),
    };
    let shirt = create(conn, product("Shirt", vec![]), &[]).await.unwrap();
    let options = [option("Size", &["S", "M"]), option(" Color", &["Red", "Blue "])];
    let origin = Origin::system();
    let (added, made) =
        flows::create_combinations(conn, combinations(shirt.id, &options, usd(1500)), Currency::USD, &origin)
            .await
            .unwrap();
    let titles: Vec<_> =
        made.variants.iter().map(|variant| (variant.title.as_str(), variant.price)).collect();
    let price = usd(1500);
    assert_eq!(titles, [("S / Red", price), ("S / Blue", price), ("M / Red", price), ("M / Blue", price)]);
    assert_eq!((added, made.option_names.as_slice()), (4, &["Size".to_owned(), "Color".to_owned()][..]));

    let more = [option("Color", &["Blue", "Green"]), option("Size", &["M"])];
    let (added, more) =
        flows::create_combinations(conn, combinations(shirt.id, &more, usd(1600)), Currency::USD, &origin)
            .await
            .unwrap();
    assert_eq!((added, more.variants.len(), more.variants[4].title.as_str()), (1, 5, "M / Green"));
    let (added, again) =
        flows::create_combinations(conn, combinations(shirt.id, &options, usd(1)), Currency::USD, &origin)
            .await
            .unwrap();
    assert_eq!((added, again.version), (0, more.version));
    let levels = commerce_core::inventory::available_by_variant(conn, &[more.variants[4].id]).await.unwrap();
    assert_eq!(levels.get(&more.variants[4].id), Some(&0.into()));

    let other = [option("Material", &["Wool"])];
    let refused =
        flows::create_combinations(conn, combinations(shirt.id, &other, usd(1)), Currency::USD, &origin)
            .await
            .unwrap_err();
    assert!(refused.to_string().contains("invalid"), "{refused}");
    db.finish().await;
}
