use commerce_core::catalog::{
    self, Below, CategoryKey, CategoryPatch, DeleteCategoryError, NewCategory, WithChildren, WithProducts,
    WriteCategoryError,
};
use commerce_core::page::Limit;
use commerce_core::testing::TestDatabase;

use super::given::{create, product};

fn titled(title: &str) -> NewCategory {
    NewCategory { title: title.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn categories_are_made_found_changed_and_listed_by_position() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let shoes = catalog::create_category(conn, titled("Shoes & Boots")).await.unwrap();
    let twin = catalog::create_category(conn, titled("Shoes & Boots")).await.unwrap();
    assert_eq!((shoes.slug.as_str(), twin.slug.as_str()), ("shoes-boots", "shoes-boots-2"));
    let found = catalog::find_category(conn, &CategoryKey::from("shoes-boots-2")).await.unwrap();
    assert_eq!(found, Some(twin.clone()));

    let patch = CategoryPatch {
        title: Some("Boots".into()),
        description: Some("<b onclick=x>warm</b>".into()),
        position: Some(-1),
        slug: None,
        parent_id: None,
    };
    let after = catalog::update_category(conn, twin.id, Some(1), patch.clone()).await.unwrap();
    assert_eq!(
        (after.title.as_str(), after.description.as_str(), after.version),
        ("Boots", "<b>warm</b>", 2)
    );
    let late = catalog::update_category(conn, twin.id, Some(1), patch).await;
    assert!(matches!(late, Err(WriteCategoryError::VersionMismatch { current: 2 })), "{late:?}");

    let limit = Limit::new(1).unwrap();
    let first = catalog::list_categories(conn, Below::Anything, limit, None).await.unwrap();
    let second =
        catalog::list_categories(conn, Below::Anything, limit, first.next_cursor.as_deref()).await.unwrap();
    assert_eq!((first.data, second.data, second.next_cursor), (vec![after], vec![shoes], None));
    db.finish().await;
}

#[tokio::test]
async fn a_wrong_category_is_refused() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let long = "x".repeat(201);
    for title in ["", "  ", "\0\u{202e}", &long] {
        let result = catalog::create_category(conn, titled(title)).await;
        assert!(
            matches!(&result, Err(WriteCategoryError::Invalid(errors)) if errors[0].pointer == "/title"),
            "{result:?}"
        );
    }
    catalog::create_category(conn, titled("Hats")).await.unwrap();
    let taken = NewCategory { slug: Some("hats".into()), ..titled("Caps") };
    let result = catalog::create_category(conn, taken).await;
    assert!(matches!(result, Err(WriteCategoryError::SlugTaken)), "{result:?}");
    db.finish().await;
}

#[tokio::test]
async fn deleting_a_category_never_loses_a_product() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let hats = catalog::create_category(conn, titled("Hats")).await.unwrap();
    let mut cap = product("Cap", Vec::new());
    cap.category_ids = vec![hats.id];
    let cap = create(conn, cap, &[]).await.unwrap();

    let refused = catalog::delete_category(conn, hats.id, WithProducts::Refuse, WithChildren::Refuse).await;
    assert!(matches!(refused, Err(DeleteCategoryError::InUse { products: 1, .. })), "{refused:?}");
    catalog::delete_category(conn, hats.id, WithProducts::Detach, WithChildren::Refuse).await.unwrap();
    let key = catalog::ProductKey::Id(cap.id);
    let after = catalog::find_product(conn, &key, catalog::Audience::Staff).await.unwrap().unwrap();
    assert_eq!((after.category_ids, after.version), (vec![], 2));
    let gone = catalog::delete_category(conn, hats.id, WithProducts::Refuse, WithChildren::Refuse).await;
    assert!(matches!(gone, Err(DeleteCategoryError::UnknownCategory)), "{gone:?}");
    db.finish().await;
}
