//! Whether an address has an account shows neither in an answer nor in how long it takes. Known and unknown addresses are asked
//! about in turn, and the times are compared by rank (Mann-Whitney): a difference that is there at each request, however
//! small beside the noise of the machine, gives a large z.

use std::time::{Duration, Instant};

use commerce_core::schema::users;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use serde_json::json;

use crate::members::{PASSWORD, forgot, login, register};
use crate::shop::{Ask, TestShop, post};

const ROUNDS: usize = 24;

/// By chance alone, |z| passes this once in fifteen thousand times; of 24 and 24 that differ each time it is 5.9.
const Z_MAX: f64 = 4.0;

/// What is known of the addresses `known0@…`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    Verified,
    /// Registered, and the code was never entered.
    Unverified,
    Disabled,
    /// Verified, and registered once more by somebody in vain.
    Refused,
}

/// Accounts `known0@…`; the password is [`PASSWORD`].
async fn accounts(shop: &TestShop, known: Known) {
    use commerce_core::accounts::NewPassword;
    use commerce_core::ids::UserId;
    let hash =
        async |password| shop.state.hasher.hash(NewPassword::parse(password, "").unwrap()).await.unwrap();
    let (own, refused) = (hash(PASSWORD).await, hash("the password of a stranger").await);
    let mut conn = shop.database.conn().await;
    for n in 0..=ROUNDS {
        diesel::insert_into(users::table)
            .values((
                users::id.eq(UserId::new()),
                users::email.eq(format!("known{n}@example.com")),
                users::password_hash.eq(&own),
                users::display_name.eq("Ada"),
                users::email_verified_at.eq((known != Known::Unverified).then(chrono::Utc::now)),
                users::disabled_at.eq((known == Known::Disabled).then(chrono::Utc::now)),
                users::refused_password_hash.eq((known == Known::Refused).then_some(&refused)),
            ))
            .execute(&mut conn)
            .await
            .unwrap();
    }
}

/// The normal approximation of the Mann-Whitney statistic; ties count half.
fn z(known: &[Duration], unknown: &[Duration]) -> f64 {
    let half_points = |a: &Duration, b: &Duration| match a.cmp(b) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let u: f64 = known.iter().flat_map(|a| unknown.iter().map(move |b| half_points(a, b))).sum();
    let (n, m) = (known.len() as f64, unknown.len() as f64);
    (u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// Asks about a known and an unknown address in turn; the answers must be the same to the byte but for the request's id.
async fn compare(shop: &TestShop, what: &str, request: impl Fn(&str) -> Ask) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut answers = std::collections::HashSet::new();
    for n in 0..=ROUNDS {
        // Who comes first takes turns too.
        let mut both =
            [(format!("known{n}@example.com"), &mut known), (format!("other{n}@example.com"), &mut unknown)];
        if n % 2 == 1 {
            both.reverse();
        }
        for (email, times) in both {
            let ask = request(&email).header("X-Request-Id", "same");
            let begun = Instant::now();
            let got = shop.send(ask).await;
            // The first round warms up connections and caches.
            if n > 0 {
                times.push(begun.elapsed());
            }
            answers.insert((got.status.as_u16(), got.text));
        }
    }
    assert_eq!(answers.len(), 1, "{what} answers differently: {answers:?}");
    let z = z(&known, &unknown);
    known.sort();
    unknown.sort();
    let (known, unknown) = (known[ROUNDS / 2], unknown[ROUNDS / 2]);
    println!("{what}: median {known:?} for known addresses, {unknown:?} for unknown ones, z = {z:.1}");
    assert!(
        z.abs() < Z_MAX,
        "{what} takes {known:?} for known addresses, {unknown:?} for unknown ones, z = {z:.1}"
    );
}

#[test]
fn times_that_differ_each_time_are_told_apart_and_noise_is_not() {
    let times =
        |offset: u64| (0..24).map(|n| Duration::from_micros(n * 37 % 24 + offset)).collect::<Vec<_>>();
    assert!(z(&times(24), &times(0)) > 5.0 && z(&times(0), &times(24)) < -5.0);
    assert!(z(&times(0), &times(0)).abs() < 0.1);
    assert!(z(&times(20), &times(0)) > Z_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_takes_as_long_for_an_address_that_is_taken() {
    let shop = TestShop::new().await;
    accounts(&shop, Known::Verified).await;
    compare(&shop, "register", |email| register(email, PASSWORD)).await;
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_takes_as_long_for_an_address_that_is_disabled_or_not_verified() {
    for known in [Known::Disabled, Known::Unverified] {
        let shop = TestShop::new().await;
        accounts(&shop, known).await;
        compare(&shop, "register", |email| register(email, "the words of a stranger")).await;
        shop.database.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_login_takes_as_long_for_an_address_that_nobody_has() {
    for known in [Known::Verified, Known::Unverified, Known::Disabled, Known::Refused] {
        println!("{known:?}");
        let shop = TestShop::new().await;
        accounts(&shop, known).await;
        compare(&shop, "login", |email| login(email, "another password")).await;
        shop.database.finish().await;
    }
}

/// Who registers an address and logs in with the password that they gave must not learn whether it was free.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_after_registering_takes_as_long_for_an_address_that_was_taken() {
    for known in [Known::Verified, Known::Unverified, Known::Disabled] {
        println!("{known:?}");
        let shop = TestShop::new().await;
        accounts(&shop, known).await;
        let strangers = "the words of a stranger";
        for n in 0..=ROUNDS {
            for who in ["known", "other"] {
                let got = shop.send(register(&format!("{who}{n}@example.com"), strangers)).await;
                assert_eq!(got.status, 202, "{}", got.text);
            }
        }
        compare(&shop, "login after register", |email| login(email, strangers)).await;
        shop.send(login("known0@example.com", strangers)).await.problem(403, "email_not_verified");
        shop.send(login("other0@example.com", strangers)).await.problem(403, "email_not_verified");
        shop.database.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_code_takes_as_long_for_an_address_that_nobody_has() {
    let shop = TestShop::new().await;
    accounts(&shop, Known::Unverified).await;
    compare(&shop, "resend-code", |email| post("/v1/auth/resend-code", &json!({ "email": email }))).await;
    shop.database.finish().await;
}

/// Order numbers can be guessed. Whether one is an order of this address shows neither in the answer nor in its time.
#[tokio::test(flavor = "multi_thread")]
async fn looking_up_an_order_takes_as_long_for_an_address_that_has_none() {
    use commerce_core::schema::orders;
    let shop = TestShop::new().await;
    let variant = shop.database.variant(100, 100).await;
    for n in 0..=ROUNDS {
        let (_, placed) = shop.database.order(&Default::default(), &[(variant, 1)]).await;
        diesel::update(orders::table.find(placed.order.id))
            .set((orders::email.eq(format!("known{n}@example.com")), orders::number.eq(7000 + n as i64)))
            .execute(&mut shop.database.conn().await)
            .await
            .unwrap();
    }
    let number_of = |email: &str| {
        let digits: String = email.chars().filter(char::is_ascii_digit).collect();
        (7000 + digits.parse::<i64>().unwrap()).to_string()
    };
    let look_up =
        |email: &str| post("/v1/orders/lookup", &json!({ "number": number_of(email), "email": email }));
    compare(&shop, "lookup", look_up).await;
    let withdraw = |email: &str| {
        let body = json!({ "name": "Ada", "email": email, "order_number": number_of(email) });
        post("/v1/withdrawals", &body)
    };
    let got = shop.send(withdraw("known0@example.com")).await;
    assert_eq!((got.status.as_u16(), got.json().as_object().unwrap().len()), (202, 1));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_takes_as_long_for_an_address_that_nobody_has() {
    let shop = TestShop::new().await;
    accounts(&shop, Known::Verified).await;
    compare(&shop, "forgot", forgot).await;
    shop.database.finish().await;
}
