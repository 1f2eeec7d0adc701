//! How often somebody may knock: by account in one process, by address in several, and a crowd that logs in at once.

use std::time::{Duration, Instant};

use commerce_core::accounts::SecretKey;
use commerce_core::ids::VariantId;
use commerce_core::jobs::kinds::SendEmail;
use commerce_core::jobs::{self, Job as _};
use commerce_core::notifications::{MailSettings, SmtpMailer, send_email};
use commerce_core::testing::{ReceivedMail, SmtpPeer, TestDatabase};
use diesel_async::RunQueryDsl as _;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use poem::http::Method;
use serde_json::json;

use crate::processes::{commerce_api, serve};
use crate::shop::{Ask, TestShop, ask, post};
use crate::webdriver::http_client;

fn login(email: &str, password: &str) -> Ask {
    post("/v1/auth/login", &json!({ "email": email, "password": password }))
}

/// An account that can log in with this password.
async fn account(shop: &TestShop, email: &str, password: &str) {
    use commerce_core::accounts::{NewPassword, NewUser, Role, create_confirmed};
    let hash = shop.state.hasher.hash(NewPassword::parse(password, email).unwrap()).await.unwrap();
    let user = NewUser {
        email: email.parse().unwrap(),
        password: hash,
        display_name: "Ada".to_owned(),
        locale: None,
    };
    create_confirmed(&mut *shop.database.conn().await, &user, Role::Customer).await.unwrap();
}

const PASSWORD: &str = "correct horse battery";

#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_passwords_are_heard_whether_or_not_there_is_an_account() {
    let shop = TestShop::new().await;
    account(&shop, "ada@example.com", PASSWORD).await;
    account(&shop, "grace@example.com", PASSWORD).await;
    let mut answers = Vec::new();
    for email in ["ada@example.com", "nobody@example.com"] {
        let guesses = (0..30).map(|n| shop.send(login(email, &format!("wrong guess {n}"))));
        let got = join_all(guesses).await;
        let count = |status: u16| got.iter().filter(|got| got.status == status).count();
        // A guess more becomes free every ninety seconds.
        assert!((10..=11).contains(&count(401)) && count(401) + count(429) == 30, "{email}: {got:#?}");
        let refused = shop.send(login(email, PASSWORD)).await;
        refused.problem(429, "rate_limited");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=90).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit-policy"), Some("\"login-account\";q=10;w=900"));
        assert!(refused.header("ratelimit").unwrap().starts_with("\"login-account\";r=0;t="), "{refused:?}");
        answers.push((refused.json()["code"].clone(), refused.json()["title"].clone()));
    }
    assert_eq!(answers[0], answers[1]);
    // Others are not locked out, and who knows the password is not counted.
    for _ in 0..12 {
        assert_eq!(shop.send(login("GRACE@example.com", PASSWORD)).await.status, 200);
    }
    shop.database.shift_clock(Duration::from_secs(15 * 60)).await;
    assert_eq!(shop.send(login("ada@example.com", PASSWORD)).await.status, 200);
    assert!(commerce_core::rate_limit::prune(&mut *shop.database.conn().await, 100).await.unwrap() > 0);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_from_elsewhere_does_not_lock_the_owner_out() {
    let database = TestDatabase::new().await;
    let mut command = commerce_api(database.url());
    command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8,::1");
    let created = commerce_api(database.url())
        .args(["create-admin", "--email", "ada@example.com", "--password", PASSWORD])
        .output()
        .await
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let (_server, url) = serve(command).await;
    let client = http_client();
    let login = async |password: &str, from: &str| {
        let body = json!({ "email": "ada@example.com", "password": password });
        let request = client.post(format!("{url}/v1/auth/login")).header("X-Forwarded-For", from);
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    for _ in 0..10 {
        assert_eq!(login("wrong guess", "203.0.113.9").await, 401);
    }
    assert_eq!(login(PASSWORD, "203.0.113.9").await, 429);
    assert_eq!(login(PASSWORD, "198.51.100.7").await, 200);
    // From a hundred networks together it is enough.
    for n in 0..100 {
        let status = login("wrong guess", &format!("192.0.2.{n}")).await;
        if status == 429 {
            assert!(n >= 89, "after {n}");
            break;
        }
        assert!(status == 401 && n < 99, "{status} after {n}");
    }
    // But not from where the owner has logged in before.
    assert_eq!(login(PASSWORD, "192.0.2.200").await, 429);
    assert_eq!(login(PASSWORD, "198.51.100.7").await, 200);
    database.finish().await;
}

/// An operator finds out who guesses: the network, and the account that is guessed at, but no address or password.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_guesses() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let database = TestDatabase::new().await;
    let created = commerce_api(database.url())
        .args(["create-admin", "--email", "ada@example.com", "--password", PASSWORD])
        .output()
        .await
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let mut command = commerce_api(database.url());
    command.arg("serve").env("COMMERCE_HTTP_ADDR", "127.0.0.1:0").env("COMMERCE_LOG_FORMAT", "json");
    command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8").stderr(std::process::Stdio::piped());
    let mut server = command.kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let mut event = async |has: &str| loop {
        let line = lines.next_line().await.unwrap().expect("the server logs");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event.get(has).is_some() {
            break event;
        }
    };
    let address =
        event("address").await["address"].as_str().unwrap().trim_start_matches("socket://").to_owned();
    let body = json!({ "email": "ada@example.com", "password": "a wrong guess" });
    let guess = http_client().post(format!("http://{address}/v1/auth/login")).json(&body);
    assert_eq!(guess.header("X-Forwarded-For", "203.0.113.9").send().await.unwrap().status(), 401);
    let told = event("refusal").await;
    assert_eq!(
        (&told["operation"], &told["client"], &told["refusal"]),
        (&json!("login"), &json!("203.0.113.9"), &json!("invalid_credentials"))
    );
    let admin =
        format!("SELECT 1 FROM commerce.users WHERE id::text = '{}'", told["account"].as_str().unwrap());
    assert_eq!(diesel::sql_query(admin).execute(&mut database.conn().await).await.unwrap(), 1);
    assert!(!told.to_string().contains("ada@") && !told.to_string().contains("guess"), "{told}");
    drop(server);
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_who_has_a_stolen_session_are_counted() {
    let shop = TestShop::new().await;
    account(&shop, "ada@example.com", PASSWORD).await;
    let answer = shop.send(login("ada@example.com", PASSWORD)).await.json();
    let token = answer["access_token"].as_str().unwrap();
    let guess = |n: usize| match n % 3 {
        0 => ask(Method::DELETE, "/v1/me").json(&json!({ "password": "wrong guess" })),
        1 => post(
            "/v1/auth/password/change",
            &json!({ "old_password": "wrong guess", "new_password": "staple battery correct" }),
        ),
        _ => post(
            "/v1/auth/email/change",
            &json!({ "password": "wrong guess", "new_email": "eve@example.com" }),
        ),
    };
    let got = join_all((0..30).map(|n| shop.send(guess(n).bearer(token)))).await;
    let count = |code: &str| got.iter().filter(|got| got.json()["code"] == code).count();
    assert!((10..=11).contains(&count("wrong_password")), "{got:#?}");
    assert_eq!(count("wrong_password") + count("rate_limited"), 30, "{got:#?}");
    let right = json!({ "password": PASSWORD });
    let delete = || ask(Method::DELETE, "/v1/me").json(&right).bearer(token);
    shop.send(delete()).await.problem(429, "rate_limited");
    shop.database.shift_clock(Duration::from_secs(100)).await;
    assert_eq!(shop.send(delete()).await.status, 204);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_counted_by_all_processes_together_and_cannot_be_made_up() {
    let database = TestDatabase::new().await;
    let behind_proxy = || {
        let mut command = commerce_api(database.url());
        command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8,::1");
        command
    };
    let (_one, first) = serve(behind_proxy()).await;
    let (_two, second) = serve(behind_proxy()).await;
    let (_three, exposed) = serve(commerce_api(database.url())).await;
    let client = http_client();
    let ask = async |url: &str, n: usize, from: &str| {
        let body = json!({ "email": format!("person{n}@example.com") });
        let request = client.post(format!("{url}/v1/auth/resend-code")).header("X-Forwarded-For", from);
        request.json(&body).send().await.unwrap()
    };
    // Twenty in ten minutes; one more becomes free every thirty seconds.
    let started = Instant::now();
    let both = [&first, &second];
    let got = join_all((0..60).map(|n| ask(both[n % 2], n, "1.1.1.1, 203.0.113.9"))).await;
    let more = usize::try_from(started.elapsed().as_secs() / 30).unwrap();
    let through = got.iter().filter(|got| got.status() == 202).count();
    assert!((20..=20 + more).contains(&through), "{through} of 60 came through");
    assert_eq!(through + got.iter().filter(|got| got.status() == 429).count(), 60);
    let header = |got: &reqwest::Response, name: &str| got.headers()[name].to_str().unwrap().to_owned();
    let refused = got.iter().find(|got| got.status() == 429).unwrap();
    assert!((1..=30).contains(&header(refused, "retry-after").parse::<u64>().unwrap()));
    for got in &got {
        assert_eq!(header(got, "ratelimit-policy"), "\"resend-ip\";q=20;w=600");
        assert!(header(got, "ratelimit").starts_with("\"resend-ip\";r="));
    }
    // What the client writes itself, on the left, changes nothing; another client is another.
    for spoofed in ["8.8.8.8, 203.0.113.9", "203.0.113.9", "x, 203.0.113.9"] {
        assert_eq!(ask(&first, 100, spoofed).await.status(), 429, "{spoofed}");
    }
    assert_eq!(ask(&second, 101, "203.0.113.9, 203.0.113.10").await.status(), 202);
    // Without a proxy that is trusted the header is nothing, however often it changes.
    let got = join_all((0..30).map(|n| {
        let exposed = &exposed;
        let ask = &ask;
        async move { ask(exposed, 200 + n, &format!("198.51.100.{n}")).await }
    }))
    .await;
    assert!(got.iter().filter(|got| got.status() == 429).count() >= 8, "made-up addresses are believed");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_that_needs_no_login_is_limited_by_address_and_by_account() {
    let database = TestDatabase::new().await;
    let mut command = commerce_api(database.url());
    command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8,::1");
    let (_server, url) = serve(command).await;
    let client = http_client();
    let ask = async |path: &str, body: &serde_json::Value, from: String| {
        let request = client.post(format!("{url}/v1/auth/{path}")).header("X-Forwarded-For", from);
        request.json(body).send().await.unwrap().status().as_u16()
    };
    // So many at once by address and by account; what is sent goes no further than it must to be counted.
    for (at, (path, by_address, by_account, fields)) in [
        ("register", 20, 6, json!({ "password": "Password123", "display_name": "Ada" })),
        ("verify-email", 30, 60, json!({ "code": "123456" })),
        ("resend-code", 20, 10, json!({})),
        ("login", 60, 10, json!({ "password": "wrong guess" })),
        ("password/forgot", 20, 10, json!({})),
        ("password/reset", 30, 60, json!({ "code": "123456", "new_password": "Password123" })),
    ]
    .into_iter()
    .enumerate()
    {
        let empty = json!({});
        let from_one = (0..by_address + 5).map(|_| ask(path, &empty, format!("203.0.113.{at}")));
        let answers = join_all(from_one).await;
        let through = answers.iter().filter(|status| **status == 422).count();
        // One or two more may have become free meanwhile.
        assert!((by_address..=by_address + 2).contains(&through), "{path}: {answers:?}");
        assert_eq!(through + answers.iter().filter(|status| **status == 429).count(), by_address + 5);

        let mut body = fields;
        body["email"] = json!(format!("person{at}@example.com"));
        // Passwords are counted by network too, the others from everywhere together.
        let from = |n: usize| if path == "login" { 0 } else { n };
        let about_one = (0..by_account + 5).map(|n| ask(path, &body, format!("198.51.{at}.{}", from(n))));
        // One client has few places to check passwords in. On a busy machine many logins at once are refused with 503.
        let at_once = if path == "login" { 1 } else { by_account + 5 };
        let answers: Vec<u16> = stream::iter(about_one).buffered(at_once).collect().await;
        let refused = answers.iter().filter(|status| **status == 429).count();
        assert!((3..=5).contains(&refused), "{path}: {refused} refused of {answers:?}");
    }
    database.finish().await;
}

/// A new guest orders. The status of the answer, and whether it says when to try again.
async fn order_as_guest(
    client: &reqwest::Client,
    url: &str,
    (variant, units): (VariantId, u32),
    from: &str,
    email: &str,
) -> (u16, bool) {
    let cart = json!({ "items": [{ "variant_id": variant.0, "quantity": units }] });
    let filled = client.put(format!("{url}/v1/cart")).header("X-Forwarded-For", from).json(&cart);
    let filled: serde_json::Value = filled.send().await.unwrap().json().await.unwrap();
    let address = json!({
        "name": "Ada", "line1": "1 High St", "city": "Ely", "postal_code": "CB7 4AA", "country": "GB",
    });
    let wish = json!({ "email": email, "shipping_address": address });
    let checkout = client.post(format!("{url}/v1/orders/checkout")).header("X-Forwarded-For", from);
    let checkout = checkout.header("Cart-Token", filled["token"].as_str().unwrap_or_default());
    let checkout = checkout.header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
    let got = checkout.json(&wish).send().await.unwrap();
    (got.status().as_u16(), got.headers().get("retry-after").is_some())
}

/// Sends all mails that are due, and tells how many about new orders went to such addresses.
async fn send_mails(database: &TestDatabase, like: &str) -> usize {
    let settings = MailSettings {
        sender: "Corner Shop <hello@shop.example>".parse().unwrap(),
        shop_url: None,
        password_reset_url: None,
        order_url: None,
        secret_key: SecretKey::parse("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap(),
        carriers: Default::default(),
        templates: Default::default(),
    };
    let peer = SmtpPeer::start().await.unwrap();
    let mailer = SmtpMailer::new(&peer.url()).unwrap();
    let kinds = [SendEmail::KIND];
    let mut due = jobs::claim(&mut *database.conn().await, "tester", &kinds, 100, Duration::from_secs(60))
        .await
        .unwrap();
    while let Some(job) = due.pop() {
        let SendEmail { email_id } = serde_json::from_value(job.payload.clone()).unwrap();
        let _sent = send_email(database.pool(), &mailer, &settings, job.lease(), email_id).await.unwrap();
    }
    let query = format!(
        "SELECT 1 FROM commerce.emails WHERE template = 'order_received' AND recipient LIKE '{like}'
             AND sent_at IS NOT NULL"
    );
    let sent = diesel::sql_query(query).execute(&mut database.conn().await).await.unwrap();
    let received = |mail: &ReceivedMail| mail.recipients[0].starts_with(like.trim_end_matches('%'));
    assert_eq!(sent, peer.mails().iter().filter(|mail| received(mail)).count());
    sent
}

/// Anybody can order in the name of any address. Orders beyond the limits are taken, but not told of.
#[tokio::test(flavor = "multi_thread")]
async fn few_unpaid_orders_are_mailed_about_to_one_address_and_from_one_network() {
    let database = TestDatabase::new().await;
    let variant = database.variant(1250, 10_000).await;
    let client = http_client();
    let mut command = commerce_api(database.url());
    command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8").env("COMMERCE_RATE_LIMITS", "off");
    command.env("COMMERCE_ORDER_MAIL_DELAY", "0s");
    let (server, url) = serve(command).await;
    for n in 0..8 {
        let from = format!("192.0.2.{n}");
        let ordered = order_as_guest(&client, &url, (variant, 1), &from, "Victim@example.com").await;
        assert_eq!(ordered, (201, false));
    }
    assert_eq!(send_mails(&database, "victim%").await, 5, "whatever is said of other limits");
    drop(server);
    let mut command = commerce_api(database.url());
    command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8").env("COMMERCE_ORDER_MAIL_DELAY", "0s");
    let (_server, url) = serve(command).await;
    for n in 0..24 {
        let to = format!("many{n}@example.com");
        assert_eq!(order_as_guest(&client, &url, (variant, 1), "192.0.2.1", &to).await, (201, false));
    }
    let sent = send_mails(&database, "many%").await;
    assert!((20..=21).contains(&sent), "{sent}");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_line_cannot_order_the_shop_empty() {
    let database = TestDatabase::new().await;
    let variant = database.variant(1250, 10_000).await;
    let mut command = commerce_api(database.url());
    command.env("COMMERCE_TRUSTED_PROXIES", "127.0.0.0/8,::1").env("COMMERCE_UNITS_PER_HOUR", "100");
    let (_server, url) = serve(command).await;
    let client = http_client();
    let order = async |units, from: &str| {
        order_as_guest(&client, &url, (variant, units), from, "ada@example.com").await
    };
    assert_eq!(order(101, "192.0.2.1").await, (429, false), "waiting would not help");
    assert_eq!(order(60, "192.0.2.1").await, (201, false));
    assert_eq!(order(60, "192.0.2.1").await, (429, true));
    assert_eq!(order(40, "192.0.2.1").await, (201, false));
    // A /56 has 256 networks of this size, and may order as much as four of them.
    let mut ordered = 0;
    for n in 0..12 {
        if order(50, &format!("2001:db8:0:10{n:x}::1")).await.0 == 201 {
            ordered += 50;
        }
    }
    assert_eq!(ordered, 400);
    assert_eq!(order(50, "2001:db8:0:200::1").await.0, 201, "the next home line");
    // Thirty checkouts in ten minutes, whatever is in them.
    let mut answers = Vec::new();
    for _ in 0..33 {
        answers.push(order(1, "192.0.2.9").await.0);
    }
    let through = answers.iter().filter(|status| **status == 201).count();
    assert!((30..=31).contains(&through) && answers.contains(&429), "{answers:?}");
    database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_want_the_same_new_address_are_limited_together() {
    let shop = TestShop::new().await;
    let (_server, url) = serve(commerce_api(shop.database.url())).await;
    let client = http_client();
    let mut statuses = Vec::new();
    for n in 0..12 {
        let email = format!("person{n}@example.com");
        account(&shop, &email, PASSWORD).await;
        let body = json!({ "email": email, "password": PASSWORD });
        let login = client.post(format!("{url}/v1/auth/login")).json(&body).send().await.unwrap();
        let tokens: serde_json::Value = login.json().await.unwrap();
        let body = json!({ "new_email": "Eve@example.com", "password": PASSWORD });
        let change = client.post(format!("{url}/v1/auth/email/change")).json(&body);
        let change = change.bearer_auth(tokens["access_token"].as_str().unwrap()).send().await.unwrap();
        statuses.push(change.status().as_u16());
    }
    assert_eq!(statuses[..10], [202; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_logins_at_once_leave_product_pages_fast() {
    let database = TestDatabase::new().await;
    let variant = database.variant(1250, 10).await;
    let mut command = commerce_api(database.url());
    command.env("COMMERCE_RATE_LIMITS", "off").env("RUST_LOG", "warn,commerce_api::program::serve=info");
    let (_server, url) = serve(command).await;
    let client = http_client();
    let page = async || {
        let started = Instant::now();
        let got = client.get(format!("{url}/v1/products/thing-{}", variant.0.simple())).send().await.unwrap();
        assert_eq!(got.status(), 200);
        started.elapsed()
    };
    let told = |mut times: Vec<Duration>| {
        times.sort();
        let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        (at(50), at(95), times.len())
    };
    let mut before = Vec::new();
    for _ in 0..100 {
        before.push(page().await);
    }
    let crowd = {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            let started = Instant::now();
            let logins = (0..1000).map(|n| {
                let body = json!({ "email": format!("person{n}@example.com"), "password": "a wrong guess" });
                let asked = client.post(format!("{url}/v1/auth/login")).json(&body).send();
                async { (asked.await.unwrap(), started.elapsed()) }
            });
            join_all(logins).await
        })
    };
    let mut during = Vec::new();
    while !crowd.is_finished() {
        during.push(page().await);
    }
    let answered = crowd.await.unwrap();
    let count = |status: u16| answered.iter().filter(|(got, _)| got.status() == status).count();
    let longest = answered.iter().map(|(_, took)| *took).max().unwrap();
    let (before, during) = (told(before), told(during));
    println!(
        "product page: median {:?}, 95 % within {:?} before; median {:?}, 95 % within {:?} during 1,000 logins at once \
         ({} pages read); {} passwords were checked, {} answered 503 with Retry-After; the last answer came after {longest:?}",
        before.0,
        before.1,
        during.0,
        during.1,
        during.2,
        count(401),
        count(503)
    );
    assert_eq!(count(401) + count(503), 1000);
    assert!(count(401) > 0 && longest < Duration::from_secs(50), "{longest:?}");
    let turned_away = answered.iter().find(|(got, _)| got.status() == 503);
    assert!(turned_away.is_none_or(|(got, _)| got.headers().contains_key("retry-after")));
    assert!(during.1 < Duration::from_secs(1), "95 % of the pages took up to {:?}", during.1);
    database.finish().await;
}
