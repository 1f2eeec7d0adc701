//! What every request meets before and after its handler.

use commerce_core::accounts::Role;
use poem::http::Method;

use crate::shop::{Got, TestShop, ask, get};

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems() {
    let shop = TestShop::new().await;
    shop.send(get("/nowhere")).await.problem(404, "not_found");
    shop.send(get("/v1/nowhere")).await.problem(404, "not_found");
    let wrong = shop.send(ask(Method::DELETE, "/healthz")).await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET, HEAD"));
    let wrong = shop.send(ask(Method::PUT, "/v1/me")).await;
    wrong.problem(405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("DELETE, GET, HEAD, PATCH"));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_given_back_if_it_is_sane() {
    let shop = TestShop::new().await;
    let id = |got: &crate::shop::Got| got.header("x-request-id").unwrap().to_owned();
    assert_eq!(id(&shop.send(get("/healthz").header("X-Request-Id", "abc-1")).await), "abc-1");
    let longest = "x-_.9".repeat(13)[..64].to_owned();
    assert_eq!(id(&shop.send(get("/healthz").header("X-Request-Id", &longest)).await), longest);
    for insane in ["", "a b", "<script>", "a/b", "a:b", "a+b", "a=", &"x".repeat(65)] {
        let given = id(&shop.send(get("/healthz").header("X-Request-Id", insane)).await);
        assert_eq!(uuid::Uuid::parse_str(&given).unwrap().get_version_num(), 7, "{insane}");
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_origins_may_call_from_a_browser() {
    let shop = TestShop::new().await;
    let preflight = |origin: &str| {
        ask(Method::OPTIONS, "/v1/me")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "PATCH")
    };
    let allowed = shop.send(preflight("https://shop.example")).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("Idempotency-Key"));
    let other = shop.send(preflight("https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    let page = shop.send(get("/healthz").header("Origin", "https://shop.example")).await;
    assert_eq!(page.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let exposed: Vec<&str> = page.header("access-control-expose-headers").unwrap().split(", ").collect();
    for name in ["ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"] {
        assert!(exposed.contains(&name), "{name} is kept from pages: {exposed:?}");
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_carries_the_headers_that_keep_browsers_safe() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::Customer).await;
    let tag = shop.send(get("/v1/me").bearer(&token)).await.header("etag").unwrap().to_owned();
    let preflight = ask(Method::OPTIONS, "/v1/me")
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "PATCH");
    let too_large = ask(Method::POST, "/v1/auth/login")
        .body("application/json", &format!("\"{}\"", "x".repeat(commerce_api::http::body::JSON_BYTES_MAX)));
    let asks = [
        (200, get("/healthz")),
        (200, get("/docs")),
        (200, get("/reset-password")),
        (200, get("/openapi.json")),
        (200, get("/.well-known/jwks.json")),
        (200, get("/v1/products")),
        (200, get("/v1/me").bearer(&token)),
        (304, get("/v1/me").bearer(&token).header("If-None-Match", &tag)),
        (204, preflight),
        (400, get("/v1/products?limit=0")),
        (401, get("/v1/me")),
        (403, get("/v1/admin/orders").bearer(&token)),
        (404, get("/nowhere")),
        (404, get("/media/nothing.png")),
        (405, ask(Method::DELETE, "/healthz")),
        (413, too_large),
    ];
    for (status, ask) in asks {
        let what = format!("{ask:?}");
        let got = shop.send(ask).await;
        let what: String = what.chars().take(120).collect();
        assert_eq!(got.status.as_u16(), status, "{what}: {}", got.text);
        let headers = [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000"),
        ];
        for (name, value) in headers {
            assert_eq!(got.header(name), Some(value), "{what}");
        }
        let readers = if what.contains("/media/") { "cross-origin" } else { "same-origin" };
        assert_eq!(got.header("cross-origin-resource-policy"), Some(readers), "{what}");
        let policy = got.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src") && policy.contains("frame-ancestors 'none'"),
            "{what}: {policy}"
        );
        assert!(got.header("cache-control").is_some(), "{what}");
    }
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_it_already_gets_304() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::Customer).await;
    let first = shop.send(get("/v1/me").bearer(&token)).await;
    let tag = first.header("etag").unwrap();
    assert!(first.status == 200 && tag.starts_with("\"1-"), "{tag}");
    let known = format!("\"0\", {tag}");
    let second = shop.send(get("/v1/me").bearer(&token).header("If-None-Match", &known)).await;
    assert_eq!((second.status.as_u16(), second.text.as_str()), (304, ""));
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics_are_told() {
    let shop = TestShop::new().await;
    assert_eq!(shop.send(get("/healthz")).await.status, 200);
    // A stranger reads no more than whether the shop is open.
    let ready = shop.send(get("/readyz")).await;
    assert_eq!((ready.status.as_u16(), ready.text.as_str()), (200, r#"{"status":"ready"}"#));
    shop.send(get("/metrics")).await.problem(404, "not_found");
    let ready = shop.as_operator("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["database"]), (200, &"ok".into()), "{}", ready.text);
    let metrics = shop.as_operator("/metrics").await.text;
    assert!(metrics.contains("commerce_database_connections_max 16"), "{metrics}");
    // A worker that does nothing is told, a database without its tables is a reason not to serve.
    use diesel_async::SimpleAsyncConnection as _;
    let mut conn = shop.database.conn().await;
    let overdue = "INSERT INTO commerce.jobs (id, kind, payload, attempts_max, run_at)
                   VALUES (gen_random_uuid(), 'send_email', '{}', 3, now() - interval '2 minutes')";
    conn.batch_execute(overdue).await.unwrap();
    let degraded = shop.as_operator("/readyz").await;
    assert_eq!((degraded.status.as_u16(), &degraded.json()["status"]), (200, &"degraded".into()));
    assert_eq!(degraded.json()["mail"], "ok");
    // So is a mail that could not be sent.
    let failed =
        "UPDATE commerce.jobs SET run_at = now() + interval '1 minute', attempt = 1, last_error = 'refused'";
    conn.batch_execute(failed).await.unwrap();
    let degraded = shop.as_operator("/readyz").await.json();
    assert_eq!((&degraded["status"], &degraded["worker"]), (&"degraded".into(), &"ok".into()), "{degraded}");
    assert!(degraded["mail"].as_str().unwrap().contains("tried again"), "{degraded}");
    conn.batch_execute("DELETE FROM commerce.__diesel_schema_migrations").await.unwrap();
    let unavailable = shop.send(get("/readyz")).await;
    assert_eq!(shop.as_operator("/readyz").await.status, 503);
    assert_eq!((unavailable.status.as_u16(), &unavailable.json()["status"]), (503, &"unavailable".into()));
    drop(conn);
    shop.database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_a_503_with_retry_after() {
    let shop = TestShop::new().await;
    let (_, token) = shop.login(Role::Customer).await;
    shop.state.pool.close();
    let got = shop.send(get("/v1/me").bearer(&token)).await;
    got.problem(503, "unavailable");
    assert_eq!(got.header("retry-after"), Some("1"));
    assert_eq!(shop.send(get("/readyz")).await.status, 503);
    shop.database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_code_is_explained() {
    let shop = TestShop::new().await;
    assert!(shop.send(get("/problems/validation_failed")).await.text.contains("422"));
    shop.send(get("/problems/unheard_of")).await.problem(404, "not_found");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_unread() {
    let shop = TestShop::new().await;
    // Seventy megabytes of spaces as gzip would be as small; nothing of it is looked at.
    let bomb = || {
        ask(Method::POST, "/v1/cart/items")
            .untyped(vec![0x1f, 0x8b, 8, 0])
            .header("Content-Type", "application/json")
    };
    for coding in ["br", "gzip", "deflate", "zstd", "gzip, identity", "unknown"] {
        let refused = shop.send(bomb().header("Content-Encoding", coding)).await;
        refused.problem(415, "unsupported_media_type");
        assert_eq!(refused.header("accept-encoding"), Some("identity"), "{coding}");
    }
    shop.send(bomb().header("Content-Encoding", "identity")).await.problem(400, "malformed_body");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_compressed_for_those_who_take_gzip() {
    let shop = TestShop::new().await;
    let plain = shop.send(get("/openapi.json")).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
    let small = shop.send(get("/openapi.json").header("Accept-Encoding", "gzip, br")).await;
    assert_eq!((small.header("content-encoding"), small.header("content-length")), (Some("gzip"), None));
    assert!(small.bytes.starts_with(&[0x1f, 0x8b]), "gzip begins with its magic number");
    assert!(small.bytes.len() * 3 < plain.bytes.len(), "{} of {}", small.bytes.len(), plain.bytes.len());
    let refused = shop.send(get("/openapi.json").header("Accept-Encoding", "gzip;q=0, br")).await;
    assert_eq!(refused.bytes, plain.bytes);
    let token = shop.login(Role::Customer).await.1;
    let tag = |got: &Got| got.header("etag").unwrap().to_owned();
    let (whole, packed) = {
        let me = get("/v1/me").bearer(&token);
        (me.clone(), me.header("Accept-Encoding", "gzip"))
    };
    let (plain, small) = (tag(&shop.send(whole.clone()).await), tag(&shop.send(packed.clone()).await));
    assert_ne!(plain, small, "a strong tag is that of the bytes");
    let known = shop.send(packed.clone().header("If-None-Match", &small)).await;
    assert_eq!(
        (known.status.as_u16(), known.header("content-encoding"), tag(&known)),
        (304, None, small.clone())
    );
    assert_eq!(shop.send(packed.header("If-None-Match", &plain)).await.status, 200);
    let problem = shop.send(get("/nowhere").header("Accept-Encoding", "gzip")).await;
    assert_eq!((problem.status.as_u16(), problem.header("content-encoding")), (404, Some("gzip")));
    shop.database.finish().await;
}
