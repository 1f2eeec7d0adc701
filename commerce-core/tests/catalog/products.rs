use commerce_core::catalog::{
    self, Audience, NewImage, ProductKey, ProductPatch, ProductRefusal, ProductStatus, UpdateProductError,
    VariantPatch,
};
use commerce_core::flows::CreateProductError;
use commerce_core::ids::{CategoryId, ProductId};
use commerce_core::money::{Currency, Money};
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::given::{create, options_of, product, simple, usd, variant};

fn pointers(error: CreateProductError) -> Vec<String> {
    match error {
        CreateProductError::Refused(ProductRefusal::Invalid(errors)) => {
            errors.into_iter().map(|error| error.pointer).collect()
        }
        other => panic!("expected invalid fields, got {other:?}"),
    }
}

async fn find(conn: &mut AsyncPgConnection, key: &str, audience: Audience) -> Option<catalog::Product> {
    let key = ProductKey::from(key);
    catalog::find_product(conn, &key, audience).await.unwrap()
}

#[tokio::test]
async fn a_product_is_read_back_as_it_was_given() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let category =
        catalog::create_category(conn, catalog::NewCategory { title: "Shirts".into(), ..Default::default() })
            .await
            .unwrap();
    let mut new = product(
        "  Striped Shirt ",
        vec![
            variant(&[("Size", "S"), ("Color", "Blue")], 2500),
            variant(&[("Size", "M"), ("Color", "Blue")], 2000),
        ],
    );
    new.option_names = vec!["Size".into(), "Color".into()];
    new.description = "<p>Soft<script>alert(1)</script></p>".into();
    new.attributes = serde_json::from_str(r#"{"vendor":"Loom","tags":["men"]}"#).unwrap();
    new.category_ids = vec![category.id];
    new.images = vec![NewImage { url: "/demo-images/shirt.svg".into(), alt: "A striped shirt".into() }];
    new.variants[0].sku = Some(" SH-S ".into());
    new.variants[0].compare_at_price = Some(usd(3000));
    let mut made = create(conn, new, &[3, 0]).await.unwrap();
    assert_eq!(find(conn, "striped-shirt", Audience::Staff).await.unwrap(), made);

    let read = find(conn, "striped-shirt", Audience::Shoppers).await.unwrap();
    made.variants.iter_mut().for_each(|variant| variant.staff = None);
    assert_eq!(read, made);
    assert_eq!((read.title.as_str(), read.description.as_str()), ("Striped Shirt", "<p>Soft</p>"));
    assert_eq!(read.option_names, ["Size", "Color"]);
    assert_eq!(read.category_ids, [category.id]);
    assert_eq!(read.images[0].alt, "A striped shirt");
    assert_eq!(read.price_from, Some(usd(2000)));
    assert_eq!(read.attributes["tags"][0], "men");
    assert!(read.in_stock());
    let [small, medium] = read.variants.as_slice() else { panic!("{:?}", read.variants) };
    assert_eq!(
        (small.title.as_str(), small.sku.as_deref(), small.available.units()),
        ("S / Blue", Some("SH-S"), Some(3))
    );
    assert_eq!(small.compare_at_price, Some(usd(3000)));
    assert_eq!((medium.title.as_str(), medium.available.units()), ("M / Blue", Some(0)));
    assert_eq!(find(conn, &read.id.to_string(), Audience::Shoppers).await, Some(read));
    assert_eq!(find(conn, "no-such\0thing", Audience::Shoppers).await, None);
    db.finish().await;
}

#[tokio::test]
async fn the_same_title_gets_numbered_slugs_also_at_the_same_moment() {
    let db = TestDatabase::new().await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let pool = db.pool().clone();
            tokio::spawn(async move {
                let conn = &mut pool.get().await.unwrap();
                create(conn, product("Mug", vec![variant(&[], 900)]), &[1]).await.unwrap().slug
            })
        })
        .collect();
    let mut slugs = Vec::new();
    for task in tasks {
        slugs.push(task.await.unwrap());
    }
    slugs.sort();
    slugs.dedup();
    assert_eq!(slugs.len(), 8, "{slugs:?}");
    assert!(slugs.contains(&"mug".to_owned()));

    // One waits for the other's transaction and then takes the next number.
    let (conn, other) = (&mut db.conn().await, &mut db.conn().await);
    let (first, second) = tokio::join!(
        conn.transaction::<_, CreateProductError, _>(async |conn| {
            create(conn, product("Bowl", Vec::new()), &[]).await
        }),
        create(other, product("Bowl", Vec::new()), &[]),
    );
    let mut slugs = [first.unwrap().slug, second.unwrap().slug];
    slugs.sort();
    assert_eq!(slugs, ["bowl", "bowl-2"]);
    db.finish().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once_and_nothing_is_written() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let mut bad = product(
        &"x".repeat(256),
        vec![
            variant(&[("Size", "S")], -1),
            variant(&[("Size", "S")], 100),
            variant(&[("Colour", "Red")], 100),
            variant(&[("Size", "")], 100),
        ],
    );
    bad.slug = Some("No Slug".into());
    bad.attributes.insert("k".into(), "v\0".into());
    bad.images = vec![NewImage { url: "javascript:alert(1)".into(), alt: "x".repeat(513) }];
    bad.variants[1].sku = Some(" ".into());
    let found = pointers(create(conn, bad, &[]).await.unwrap_err());
    let wanted = [
        "/title",
        "/slug",
        "/attributes",
        "/images/0/url",
        "/images/0/alt",
        "/variants/0/price/amount",
        "/variants/1/sku",
        "/variants/1/options",
        "/variants/2/options",
        "/variants/3/options/Size",
    ];
    assert_eq!(found, wanted);

    let negative = create(conn, product("Hat", vec![variant(&[], 1)]), &[-1]).await.unwrap_err();
    assert_eq!(pointers(negative), ["/variants/0/stock"]);
    let crowd = (0..2049).map(|n| variant(&[("Size", &n.to_string())], 1)).collect();
    assert_eq!(pointers(create(conn, product("Hat", crowd), &[]).await.unwrap_err()), ["/variants"]);
    let four = variant(&[("A", "1"), ("B", "1"), ("C", "1"), ("D", "1")], 1);
    assert_eq!(pointers(create(conn, product("Hat", vec![four]), &[]).await.unwrap_err()), ["/option_names"]);
    assert_eq!(find(conn, "hat", Audience::Staff).await, None);
    db.finish().await;
}

#[tokio::test]
async fn what_only_the_shop_can_know_is_refused_too() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let refusal = |result: Result<_, CreateProductError>| match result.unwrap_err() {
        CreateProductError::Refused(refusal) => refusal,
        error => panic!("{error:?}"),
    };
    let mut euros = product("Hat", vec![variant(&[], 100)]);
    euros.variants[0].price = Money::new(100, Currency::EUR);
    assert_eq!(
        refusal(create(conn, euros, &[]).await),
        ProductRefusal::CurrencyMismatch {
            pointer: "/variants/0/price/currency".into(),
            given: Currency::EUR,
            shop: Currency::USD
        }
    );
    let mut first = product("Hat", vec![variant(&[], 100)]);
    first.variants[0].sku = Some("HAT (1)".into());
    let mut second = first.clone();
    create(conn, first, &[]).await.unwrap();
    assert_eq!(refusal(create(conn, second.clone(), &[]).await), ProductRefusal::SkuTaken("HAT (1)".into()));
    second.variants.clear();
    second.slug = Some("hat".into());
    assert_eq!(refusal(create(conn, second.clone(), &[]).await), ProductRefusal::SlugTaken("hat".into()));
    second.slug = None;
    let unknown = CategoryId::new();
    second.category_ids = vec![unknown];
    assert_eq!(
        refusal(create(conn, second, &[]).await),
        ProductRefusal::UnknownCategory(unknown.to_string())
    );
    db.finish().await;
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_counts_the_version() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let mut new = product("Lamp", vec![variant(&[], 4000)]);
    new.images = vec![
        NewImage { url: "/a.svg".into(), alt: "a".into() },
        NewImage { url: "/b.svg".into(), alt: "b".into() },
    ];
    let before = create(conn, new, &[5]).await.unwrap();
    let patch = ProductPatch {
        title: Some("Desk lamp".into()),
        images: Some(vec![
            NewImage { url: "/c.svg".into(), alt: "c".into() },
            NewImage { url: "/a.svg".into(), alt: "A".into() },
        ]),
        only_variant: Some(VariantPatch { price: Some(usd(3500)), ..Default::default() }),
        ..Default::default()
    };
    let after =
        catalog::update_product(conn, before.id, Some(1), patch.clone(), Currency::USD).await.unwrap();
    assert_eq!((after.title.as_str(), after.slug.as_str(), after.version), ("Desk lamp", "lamp", 2));
    assert_eq!(after.price_from, Some(usd(3500)));
    assert_eq!(after.variants[0].available, 5.into());
    let images: Vec<_> = after.images.iter().map(|image| (image.url.as_str(), image.alt.as_str())).collect();
    assert_eq!(images, [("/c.svg", "c"), ("/a.svg", "A")]);
    assert_eq!(after.images[1].id, before.images[0].id);

    let late = catalog::update_product(conn, before.id, Some(1), patch.clone(), Currency::USD).await;
    assert!(matches!(late, Err(UpdateProductError::VersionMismatch { current: 2 })), "{late:?}");
    let nobody = catalog::update_product(conn, ProductId::new(), None, patch, Currency::USD).await;
    assert!(matches!(nobody, Err(UpdateProductError::UnknownProduct)), "{nobody:?}");
    assert_eq!(find(conn, "lamp", Audience::Staff).await, Some(after));
    db.finish().await;
}

#[tokio::test]
async fn a_price_given_to_a_product_is_for_its_only_variant() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let two = vec![variant(&[("Size", "S")], 100), variant(&[("Size", "M")], 100)];
    let made = create(conn, product("Sock", two), &[]).await.unwrap();
    let patch = ProductPatch {
        title: Some("Socks".into()),
        only_variant: Some(VariantPatch { price: Some(usd(1)), ..Default::default() }),
        ..Default::default()
    };
    let refused = catalog::update_product(conn, made.id, None, patch, Currency::USD).await;
    assert!(
        matches!(&refused, Err(UpdateProductError::Refused(ProductRefusal::Invalid(errors))) if errors[0].pointer == "/price"),
        "{refused:?}"
    );
    assert_eq!(find(conn, "sock", Audience::Staff).await, Some(made));
    db.finish().await;
}

#[tokio::test]
async fn shoppers_see_active_products_and_variants_only() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let made = create(
        conn,
        product("Sock", vec![variant(&[("Size", "S")], 100), variant(&[("Size", "M")], 200)]),
        &[1, 1],
    )
    .await
    .unwrap();
    let off = VariantPatch { active: Some(false), ..Default::default() };
    let small = made.variants.iter().find(|variant| variant.options == options_of(&[("Size", "S")])).unwrap();
    catalog::update_variant(conn, made.id, small.id, None, off, Currency::USD).await.unwrap();
    let shown = find(conn, "sock", Audience::Shoppers).await.unwrap();
    assert_eq!(shown.variants.len(), 1);
    assert_eq!(shown.price_from, Some(usd(200)));
    assert_eq!(find(conn, "sock", Audience::Staff).await.unwrap().variants.len(), 2);

    let archived = ProductPatch { status: Some(ProductStatus::Archived), ..Default::default() };
    catalog::update_product(conn, made.id, None, archived, Currency::USD).await.unwrap();
    assert_eq!(find(conn, "sock", Audience::Shoppers).await, None);
    assert!(find(conn, "sock", Audience::Staff).await.is_some());
    db.finish().await;
}

#[tokio::test]
async fn a_refused_product_leaves_the_callers_transaction_usable() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    simple(conn, "Cup", 500, 1).await;
    conn.transaction::<_, diesel::result::Error, _>(async |conn| {
        let mut taken = product("Another", Vec::new());
        taken.slug = Some("cup".into());
        assert!(create(conn, taken, &[]).await.is_err());
        simple(conn, "Saucer", 300, 1).await;
        Ok(())
    })
    .await
    .unwrap();
    assert!(find(conn, "saucer", Audience::Shoppers).await.is_some());
    db.finish().await;
}
