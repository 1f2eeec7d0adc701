//! Registrations by a program that links the library. Hashing, comparing and the transaction are one call.

use commerce_core::accounts::{NewPassword, PasswordHasher};
use commerce_core::flows::{Register, RegisterError, register};
use commerce_core::schema::users;
use commerce_core::testing::{TestDatabase, email};
use diesel::QueryDsl as _;
use diesel_async::RunQueryDsl as _;
use futures_util::future::join_all;

fn wish(password: &str) -> Register {
    Register {
        email: email("ada@example.com"),
        password: NewPassword::parse(password, "").unwrap(),
        display_name: "Ada".to_owned(),
        locale: None,
    }
}

const FIRST: &str = "correct horse battery";

async fn is_contested(database: &TestDatabase) -> bool {
    users::table.select(users::contested).first(&mut *database.conn().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_with_another_password_contests_the_address_and_a_double_click_does_not() {
    let database = TestDatabase::new().await;
    let hasher = PasswordHasher::with_slots(2);
    let clicks = join_all((0..3).map(|_| register(database.pool(), &hasher, wish(FIRST)))).await;
    assert!(clicks.iter().all(Result::is_ok), "{clicks:?}");
    assert!(!is_contested(&database).await);
    register(database.pool(), &hasher, wish("the password of a stranger")).await.unwrap();
    assert!(is_contested(&database).await);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registration_that_finds_the_hasher_busy_contests_the_address() {
    let database = TestDatabase::new().await;
    let hasher = PasswordHasher::with_slots(1);
    register(database.pool(), &hasher, wish(FIRST)).await.unwrap();
    let crowd = join_all((0..40).map(|_| hasher.hash(NewPassword::parse(FIRST, "").unwrap())));
    let (_, refused) = futures_util::join!(crowd, register(database.pool(), &hasher, wish(FIRST)));
    assert!(matches!(refused, Err(RegisterError::Hash(_))), "{refused:?}");
    assert!(is_contested(&database).await);
    database.finish().await;
}
