use std::time::Duration;

use commerce_core::catalog::{
    self, Audience, ListProducts, ListProductsError, NewCategory, ProductPatch, ProductSort, ProductStatus,
};
use commerce_core::money::Currency;
use commerce_core::page::Limit;
use commerce_core::testing::TestDatabase;
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};

use super::given::{create, product, reserve, simple, variant};

fn list(sort: ProductSort) -> ListProducts {
    ListProducts {
        audience: Audience::Shoppers,
        status: None,
        category: None,
        with_descendants: false,
        price_min_minor: None,
        price_max_minor: None,
        in_stock: None,
        query: None,
        sort,
        limit: Limit::default(),
        cursor: None,
    }
}

async fn titles(conn: &mut AsyncPgConnection, list: &ListProducts) -> Vec<String> {
    let page = catalog::list_products(conn, list).await.unwrap();
    page.data.into_iter().map(|product| product.title).collect()
}

/// Follows the cursors with pages of this many rows.
async fn walk(conn: &mut AsyncPgConnection, sort: ProductSort, rows: u16) -> Vec<String> {
    let mut list = ListProducts { limit: Limit::new(rows).unwrap(), ..list(sort) };
    let mut seen = Vec::new();
    loop {
        let page = catalog::list_products(conn, &list).await.unwrap();
        assert!(page.data.len() <= usize::from(rows));
        seen.extend(page.data.into_iter().map(|product| product.title));
        list.cursor = page.next_cursor;
        if list.cursor.is_none() {
            return seen;
        }
    }
}

#[tokio::test]
async fn every_sort_order_walks_all_products_once_also_those_without_a_price() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    for (title, price) in [("C", 300), ("A", 100), ("D", 200), ("B", 200)] {
        simple(conn, title, price, 1).await;
    }
    for title in ["Y", "X", "Z"] {
        create(conn, product(title, Vec::new()), &[]).await.unwrap();
    }
    let mut draft = product("Draft", vec![variant(&[], 1)]);
    draft.status = ProductStatus::Draft;
    create(conn, draft, &[1]).await.unwrap();

    for (sort, wanted) in [
        (ProductSort::CreatedAt, "CADBYXZ"),
        (ProductSort::CreatedAtDescending, "ZXYBDAC"),
        (ProductSort::Price, "ADBCYXZ"),
        (ProductSort::PriceDescending, "CBDAZXY"),
        (ProductSort::Title, "ABCDXYZ"),
        (ProductSort::TitleDescending, "ZYXDCBA"),
    ] {
        for rows in [1, 2, 3, 7, 100] {
            assert_eq!(walk(conn, sort, rows).await.concat(), wanted, "{sort} by {rows}");
        }
    }
    db.finish().await;
}

#[tokio::test]
async fn a_page_is_stable_while_products_come_and_go() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    for title in ["A", "C", "E", "G"] {
        simple(conn, title, 100, 1).await;
    }
    let mut list = ListProducts { limit: Limit::new(2).unwrap(), ..list(ProductSort::Title) };
    let first = catalog::list_products(conn, &list).await.unwrap();
    simple(conn, "B", 100, 1).await;
    simple(conn, "D", 100, 1).await;
    let archived = ProductPatch { status: Some(ProductStatus::Archived), ..Default::default() };
    catalog::update_product(conn, first.data[1].id, None, archived, Currency::USD).await.unwrap();
    list.cursor = first.next_cursor;
    assert_eq!(titles(conn, &list).await, ["D", "E"]);
    db.finish().await;
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let category =
        catalog::create_category(conn, NewCategory { title: "Red things".into(), ..Default::default() })
            .await
            .unwrap();
    let mut apple = product("Apple 100%", vec![variant(&[], 100)]);
    apple.category_ids = vec![category.id];
    apple.description = "<p>Crisp and sour</p>".into();
    apple.variants[0].sku = Some("FRUIT_1".into());
    create(conn, apple, &[4]).await.unwrap();
    simple(conn, "Brick", 250, 0).await;
    simple(conn, "Cherry", 400, 1).await;
    let mut draft = product("Draft", vec![variant(&[], 250)]);
    draft.status = ProductStatus::Draft;
    create(conn, draft, &[1]).await.unwrap();
    let base = list(ProductSort::Title);

    for (wanted, filter) in [
        (vec!["Apple 100%"], ListProducts { category: Some("red-things".into()), ..base.clone() }),
        (vec!["Apple 100%"], ListProducts { category: Some(category.id.to_string()), ..base.clone() }),
        (vec![], ListProducts { category: Some("no\0ne".into()), ..base.clone() }),
        (vec!["Brick", "Cherry"], ListProducts { price_min_minor: Some(250), ..base.clone() }),
        (vec!["Apple 100%", "Brick"], ListProducts { price_max_minor: Some(250), ..base.clone() }),
        (vec!["Apple 100%", "Cherry"], ListProducts { in_stock: Some(true), ..base.clone() }),
        (vec!["Brick"], ListProducts { in_stock: Some(false), ..base.clone() }),
        (vec!["Apple 100%"], ListProducts { query: Some(" FRUIT apple ".into()), ..base.clone() }),
        // A description is looked into by the search, which has an index for it.
        (vec![], ListProducts { query: Some("sour".into()), ..base.clone() }),
        (vec!["Apple 100%"], ListProducts { query: Some("100%".into()), ..base.clone() }),
        (vec!["Apple 100%"], ListProducts { query: Some("fruit_1".into()), ..base.clone() }),
        (vec![], ListProducts { query: Some("app_e".into()), ..base.clone() }),
        (vec![], ListProducts { query: Some("brick apple".into()), ..base.clone() }),
        (vec![], ListProducts { query: Some("bri\0ck".into()), ..base.clone() }),
        (
            vec!["Apple 100%", "Brick", "Cherry"],
            ListProducts { status: Some(ProductStatus::Draft), ..base.clone() },
        ),
        (
            vec!["Draft"],
            ListProducts { audience: Audience::Staff, status: Some(ProductStatus::Draft), ..base.clone() },
        ),
        (
            vec!["Apple 100%", "Brick", "Cherry", "Draft"],
            ListProducts { audience: Audience::Staff, ..base.clone() },
        ),
    ] {
        assert_eq!(titles(conn, &filter).await, wanted, "{filter:?}");
    }
    db.finish().await;
}

#[tokio::test]
async fn a_strangers_cursor_is_refused() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    simple(conn, "A", 1, 1).await;
    simple(conn, "B", 1, 1).await;
    let forged = |key: &str| {
        use base64::Engine as _;
        let json =
            format!(r#"{{"sort":"-created_at","key":{key},"id":"00000000-0000-7000-8000-000000000001"}}"#);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
    };
    let price_page = ListProducts { limit: Limit::new(1).unwrap(), ..list(ProductSort::Price) };
    let of_price = catalog::list_products(conn, &price_page).await.unwrap().next_cursor.unwrap();
    for cursor in [of_price, "x".into(), forged("null"), forged(r#""-200000-01-01T00:00:00Z""#)] {
        let list = ListProducts { cursor: Some(cursor), ..list(ProductSort::CreatedAtDescending) };
        let result = catalog::list_products(conn, &list).await;
        assert!(matches!(result, Err(ListProductsError::Cursor(_))), "{list:?}: {result:?}");
    }
    db.finish().await;
}

#[tokio::test]
async fn a_lapsed_hold_of_a_cart_counts_as_available() {
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    let cap = simple(conn, "Cap", 900, 1).await;
    let variant_id = cap.variants[0].id;
    reserve(conn, variant_id, 1).await;

    let sold_out = ListProducts { in_stock: Some(true), ..list(ProductSort::Title) };
    assert_eq!(titles(conn, &sold_out).await, Vec::<String>::new());
    db.shift_clock(Duration::from_secs(120)).await;
    assert_eq!(titles(conn, &sold_out).await, ["Cap"]);
    let page = catalog::list_products(conn, &sold_out).await.unwrap();
    assert_eq!(page.data[0].variants[0].available, 1.into());
    // The hold is past its time, and sweeping it is not what is tested here.
    db.discard().await;
}

/// Rows of products that this connection's statements have looked at.
async fn rows_read(conn: &mut AsyncPgConnection) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Read {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        rows: i64,
    }
    let read = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
                WHERE schemaname = 'commerce' AND relname = 'products'";
    diesel_async::RunQueryDsl::get_result::<Read>(diesel::sql_query(read), conn).await.unwrap().rows
}

/// However deep it is: it begins at its place in the index of its order.
#[tokio::test]
async fn a_page_reads_its_own_rows_only() {
    const PRODUCTS: usize = 5000;
    const ROWS: u16 = 100;
    let db = TestDatabase::new().await;
    let conn = &mut db.conn().await;
    // Many of one price, and some without.
    let products = format!(
        "INSERT INTO commerce.products (id, slug, title, status, price_from_minor)
         SELECT gen_random_uuid(), 'thing-' || n, 'Thing ' || n % 1000, 'active',
                CASE WHEN n % 10 > 0 THEN n % 700 / 100 * 100 END
         FROM generate_series(1, {PRODUCTS}) n;"
    );
    conn.batch_execute(&products).await.unwrap();
    conn.batch_execute("VACUUM ANALYZE commerce.products").await.unwrap();
    for sort in [
        ProductSort::Price,
        ProductSort::PriceDescending,
        ProductSort::CreatedAt,
        ProductSort::CreatedAtDescending,
        ProductSort::Title,
        ProductSort::TitleDescending,
    ] {
        let mut list = ListProducts { limit: Limit::new(ROWS).unwrap(), ..list(sort) };
        let (mut seen, mut most) = (0, 0);
        loop {
            let page = conn
                .transaction::<_, ListProductsError, _>(async |conn| {
                    let before = rows_read(conn).await;
                    let page = catalog::list_products(conn, &list).await?;
                    most = most.max(rows_read(conn).await - before);
                    Ok(page)
                })
                .await
                .unwrap();
            seen += page.data.len();
            list.cursor = page.next_cursor;
            if list.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, PRODUCTS, "{sort:?}");
        assert!(
            (100..=4 * i64::from(ROWS)).contains(&most),
            "{sort:?}: {most} rows were read for a page of {ROWS}"
        );
    }
    db.discard().await;
}
