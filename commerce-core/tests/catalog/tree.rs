use std::collections::HashMap;

use commerce_core::catalog::{
    self, Audience, Below, Category, CategoryPatch, DeleteCategoryError, ListProducts, NewCategory,
    ProductSort, WithChildren, WithProducts, WriteCategoryError,
};
use commerce_core::ids::CategoryId;
use commerce_core::page::Limit;
use commerce_core::testing::TestDatabase;
use diesel_async::AsyncPgConnection;

use super::given::{create, product, variant};

async fn made(conn: &mut AsyncPgConnection, title: &str, parent_id: Option<CategoryId>) -> Category {
    let new = NewCategory { title: title.to_owned(), parent_id, ..Default::default() };
    catalog::create_category(conn, new).await.unwrap()
}

fn below(parent: Option<CategoryId>) -> CategoryPatch {
    CategoryPatch { parent_id: Some(parent), ..Default::default() }
}

async fn filed(conn: &mut AsyncPgConnection, title: &str, ids: &[CategoryId]) {
    let mut new = product(title, vec![variant(&[], 100)]);
    new.category_ids = ids.to_vec();
    create(conn, new, &[1]).await.unwrap();
}

async fn titles_in(conn: &mut AsyncPgConnection, category: &str, with_descendants: bool) -> Vec<String> {
    let list = ListProducts {
        audience: Audience::Shoppers,
        status: None,
        category: Some(category.to_owned()),
        with_descendants,
        price_min_minor: None,
        price_max_minor: None,
        in_stock: None,
        query: None,
        sort: ProductSort::Title,
        limit: Limit::default(),
        cursor: None,
    };
    let page = catalog::list_products(conn, &list).await.unwrap();
    page.data.into_iter().map(|product| product.title).collect()
}

fn pointer(result: &Result<Category, WriteCategoryError>) -> &str {
    match result {
        Err(WriteCategoryError::Invalid(errors)) => &errors[0].pointer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_category_includes_what_is_below_it_each_product_once() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let home = made(conn, "Home", None).await;
    let kitchen = made(conn, "Kitchen", Some(home.id)).await;
    let cups = made(conn, "Cups", Some(kitchen.id)).await;
    let garden = made(conn, "Garden", None).await;
    filed(conn, "Mug", &[cups.id]).await;
    filed(conn, "Pan", &[kitchen.id, cups.id]).await;
    filed(conn, "Rug", &[home.id]).await;
    filed(conn, "Rake", &[garden.id]).await;

    assert_eq!(titles_in(conn, "home", false).await, ["Rug"]);
    assert_eq!(titles_in(conn, "home", true).await, ["Mug", "Pan", "Rug"]);
    assert_eq!(titles_in(conn, &kitchen.id.to_string(), true).await, ["Mug", "Pan"]);
    assert_eq!(titles_in(conn, "nothing", true).await, [""; 0]);

    let tree = catalog::list_tree(conn, None).await.unwrap();
    let shown: Vec<_> = tree
        .iter()
        .map(|node| (node.category.slug.as_str(), node.level, node.products, node.products_below))
        .collect();
    assert_eq!(shown, [("home", 0, 1, 3), ("kitchen", 1, 1, 2), ("cups", 2, 2, 2), ("garden", 0, 1, 1)]);
    let way = catalog::list_breadcrumbs(conn, cups.id).await.unwrap();
    assert_eq!(way, [home.clone(), kitchen.clone(), cups]);
    let limit = Limit::default();
    let top = catalog::list_categories(conn, Below::Nothing, limit, None).await.unwrap();
    assert_eq!(top.data, [home.clone(), garden]);
    let children = catalog::list_categories(conn, Below::Category(home.id), limit, None).await.unwrap();
    assert_eq!(children.data, [kitchen]);
    db.finish().await;
}

#[tokio::test]
async fn a_category_moves_with_all_below_it_and_never_below_itself() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let a = made(conn, "A", None).await;
    let b = made(conn, "B", Some(a.id)).await;
    let c = made(conn, "C", Some(b.id)).await;
    for parent in [a.id, b.id, c.id, CategoryId::new()] {
        let refused = catalog::update_category(conn, a.id, None, below(Some(parent))).await;
        assert_eq!(pointer(&refused), "/parent_id");
    }
    let other = NewCategory { title: "D".into(), parent_id: Some(CategoryId::new()), ..Default::default() };
    assert_eq!(pointer(&catalog::create_category(conn, other).await), "/parent_id");

    let moved = catalog::update_category(conn, b.id, Some(1), below(None)).await.unwrap();
    assert_eq!((moved.parent_id, moved.version), (None, 2));
    let way: Vec<_> =
        catalog::list_breadcrumbs(conn, c.id).await.unwrap().iter().map(|step| step.id).collect();
    assert_eq!(way, [b.id, c.id]);
    catalog::update_category(conn, a.id, None, below(Some(c.id))).await.unwrap();
    db.finish().await;
}

/// Each move alone is fine, both together would be a circle.
#[tokio::test(flavor = "multi_thread")]
async fn two_moves_at_once_close_no_circle() {
    let db = TestDatabase::new().await;
    for _ in 0..20 {
        let mut conn = db.conn().await;
        let (a, b) = (made(&mut conn, "A", None).await, made(&mut conn, "B", None).await);
        drop(conn);
        let moves = [(a.id, b.id), (b.id, a.id)].map(|(moved, parent)| {
            let pool = db.pool().clone();
            tokio::spawn(async move {
                let mut conn = pool.get().await.unwrap();
                catalog::update_category(&mut conn, moved, None, below(Some(parent))).await
            })
        });
        let mut done = Vec::new();
        for moving in moves {
            done.push(moving.await.unwrap());
        }
        let (moved, refused): (Vec<_>, Vec<_>) = done.iter().partition(|result| result.is_ok());
        assert_eq!((moved.len(), refused.len()), (1, 1), "{done:?}");
        assert_eq!(pointer(refused[0]), "/parent_id");
    }
    let mut conn = db.conn().await;
    let tree = catalog::list_tree(&mut conn, None).await.unwrap();
    assert_eq!(tree.len(), 40);
    drop(conn);
    db.finish().await;
}

#[tokio::test]
async fn siblings_are_put_in_order() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let top = made(conn, "Top", None).await;
    let (a, b) = (made(conn, "A", Some(top.id)).await, made(conn, "B", Some(top.id)).await);
    let ordered = catalog::reorder_categories(conn, Some(top.id), &[b.id, a.id]).await.unwrap();
    let shown: Vec<_> = ordered.iter().map(|category| (category.id, category.position)).collect();
    assert_eq!(shown, [(b.id, 0), (a.id, 1)]);
    for order in [vec![a.id], vec![a.id, b.id, top.id], vec![a.id, a.id, b.id]] {
        let refused = catalog::reorder_categories(conn, Some(top.id), &order).await;
        assert!(matches!(refused, Err(WriteCategoryError::Invalid(_))), "{refused:?}");
    }
    let unknown = catalog::reorder_categories(conn, Some(CategoryId::new()), &[]).await;
    assert!(matches!(unknown, Err(WriteCategoryError::UnknownCategory)), "{unknown:?}");
    db.finish().await;
}

#[tokio::test]
async fn a_deletion_says_what_it_would_orphan() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let top = made(conn, "Top", None).await;
    let middle = made(conn, "Middle", Some(top.id)).await;
    let low = made(conn, "Low", Some(middle.id)).await;
    filed(conn, "Mug", &[middle.id]).await;
    for (products, children) in
        [(WithProducts::Refuse, WithChildren::MoveUp), (WithProducts::Detach, WithChildren::Refuse)]
    {
        let refused = catalog::delete_category(conn, middle.id, products, children).await;
        match refused {
            Err(DeleteCategoryError::InUse { products: 1, children }) => {
                assert_eq!(children, std::slice::from_ref(&low))
            }
            other => panic!("{other:?}"),
        }
    }
    catalog::delete_category(conn, middle.id, WithProducts::Detach, WithChildren::MoveUp).await.unwrap();
    let tree = catalog::list_tree(conn, None).await.unwrap();
    let parents: HashMap<_, _> =
        tree.iter().map(|node| (node.category.id, node.category.parent_id)).collect();
    assert_eq!(parents, HashMap::from([(top.id, None), (low.id, Some(top.id))]));
    db.finish().await;
}

#[tokio::test]
async fn a_changed_slug_leads_to_the_new_one_until_another_has_it() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let category = made(conn, "Mugs", None).await;
    for slug in ["cups", "beakers"] {
        let patch = CategoryPatch { slug: Some(slug.into()), ..Default::default() };
        catalog::update_category(conn, category.id, None, patch).await.unwrap();
    }
    for former in ["mugs", "cups"] {
        let now = catalog::find_moved_category(conn, former).await.unwrap();
        assert_eq!(now.as_deref(), Some("beakers"));
    }
    assert_eq!(catalog::find_moved_category(conn, "beakers").await.unwrap(), None);
    // Back again: no slug leads in a circle.
    let patch = CategoryPatch { slug: Some("mugs".into()), ..Default::default() };
    catalog::update_category(conn, category.id, None, patch).await.unwrap();
    assert_eq!(catalog::find_moved_category(conn, "mugs").await.unwrap(), None);
    assert_eq!(catalog::find_moved_category(conn, "cups").await.unwrap().as_deref(), Some("mugs"));
    // What has the slug now takes it over for good when it leaves it.
    let newer = NewCategory { title: "Cups".into(), slug: Some("cups".into()), ..Default::default() };
    let newer = catalog::create_category(conn, newer).await.unwrap();
    let patch = CategoryPatch { slug: Some("glasses".into()), ..Default::default() };
    catalog::update_category(conn, newer.id, None, patch).await.unwrap();
    assert_eq!(catalog::find_moved_category(conn, "cups").await.unwrap().as_deref(), Some("glasses"));
    db.finish().await;
}
