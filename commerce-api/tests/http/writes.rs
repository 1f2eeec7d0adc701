//! `State::write` and idempotency, on a resource made for the purpose.

use commerce_api::edge::Edge;
use commerce_api::http::answer::{Created, Reply};
use commerce_api::http::auth::{Can, OrdersWrite, Shopper};
use commerce_api::http::body::Body;
use commerce_api::http::idempotency_key::{IdempotencyKey, RequiredIdempotencyKey};
use commerce_api::http::problem::{Code, Problem, Refusal, Refused};
use commerce_api::http::route_table::RouteTable;
use commerce_api::http::state::State;
use commerce_core::accounts::Role;
use commerce_core::db::Retryable;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use poem::http::Method;
use poem::{EndpointExt as _, Route};
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde_json::json;

use crate::shop::{TestShop, ask, get, post};

struct Notes(State);

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewNote {
    #[oai(validator(min_length = 1, max_length = 10))]
    text: String,
}

#[derive(Debug, Object)]
struct Note {
    number: i64,
    text: String,
}

#[derive(Debug, thiserror::Error)]
enum WriteNoteError {
    #[error("refused")]
    Refused,
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

impl Retryable for WriteNoteError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl Refusal for WriteNoteError {
    const CODES: &'static [Code] = &[Code::NotFound];

    fn problem(self) -> Problem {
        match self {
            Self::Refused => Problem::not_found("note"),
            Self::Database(error) => error.into(),
        }
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

/// Writes one note and says how many there are.
async fn write_note(conn: &mut AsyncPgConnection, text: &str) -> Result<i64, WriteNoteError> {
    let insert = "INSERT INTO notes (text) VALUES ($1)";
    diesel::sql_query(insert).bind::<diesel::sql_types::Text, _>(text).execute(conn).await?;
    if text == "slow" {
        conn.batch_execute("SELECT pg_sleep(0.3)").await?;
    }
    let count: Count = diesel::sql_query("SELECT count(*) FROM notes").get_result(conn).await?;
    if text == "refused" { Err(WriteNoteError::Refused) } else { Ok(count.count) }
}

#[OpenApi]
impl Notes {
    #[oai(path = "/notes", method = "post", operation_id = "write_note")]
    async fn write(
        &self,
        shopper: Shopper,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<NewNote>,
    ) -> Result<Created<Note>, Refused<WriteNoteError>> {
        let request = key.request(&shopper, body.raw());
        let text = body.value.text;
        self.0
            .write("write_note", request, async move |conn: &mut AsyncPgConnection| {
                let number = write_note(conn, &text).await?;
                Ok(Reply::new(Note { number, text }).location(format!("/notes/{number}")))
            })
            .await
    }

    #[oai(path = "/panic", method = "post", operation_id = "panic")]
    async fn panic(
        &self,
        staff: Can<OrdersWrite>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
    ) -> Result<Created<Note>, Refused<WriteNoteError>> {
        let request = key.request(&staff, b"");
        self.0
            .write("panic", Some(request), async move |conn: &mut AsyncPgConnection| {
                write_note(conn, "x").await?;
                if conn.batch_execute("SELECT 1").await.is_ok() {
                    panic!("on purpose");
                }
                Ok(Note { number: 0, text: String::new() })
            })
            .await
    }
}

async fn shop() -> TestShop {
    let shop = TestShop::with(|state, settings| {
        let api = OpenApiService::new(Notes(state.clone()), "notes", "0");
        Edge::new(Route::new().nest("/v1", api).data(state), RouteTable::of::<Notes>(&[]), &settings).boxed()
    })
    .await;
    shop.database.conn().await.batch_execute("CREATE TABLE notes (text text)").await.unwrap();
    shop
}

async fn notes(shop: &TestShop) -> i64 {
    let mut conn = shop.database.conn().await;
    let count: Count = diesel::sql_query("SELECT count(*) FROM notes").get_result(&mut conn).await.unwrap();
    count.count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sent_again_is_answered_again_and_done_once() {
    let shop = shop().await;
    let (_, token) = shop.login(Role::Customer).await;
    let request = post("/v1/notes", &json!({ "text": "a" })).bearer(&token).header("Idempotency-Key", "k1");
    let first = shop.send(request.clone()).await;
    let again = shop.send(request.clone().header("X-Request-Id", "second")).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201), "{}", first.text);
    assert_eq!(first.text, again.text);
    assert_eq!((first.header("location"), again.header("location")), (Some("/notes/1"), Some("/notes/1")));
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (None, Some("true"))
    );

    // Quoted is the same key; another body under it is refused; without a key it is done again.
    let quoted =
        post("/v1/notes", &json!({ "text": "a" })).bearer(&token).header("Idempotency-Key", "\"k1\"");
    assert_eq!(shop.send(quoted).await.header("idempotent-replayed"), Some("true"));
    let other = post("/v1/notes", &json!({ "text": "b" })).bearer(&token).header("Idempotency-Key", "k1");
    shop.send(other).await.problem(422, "idempotency_key_reused");
    assert_eq!(shop.send(post("/v1/notes", &json!({ "text": "a" })).bearer(&token)).await.status, 201);
    assert_eq!(notes(&shop).await, 2);

    // Another caller's key is another key, also a guest's.
    let guest = post("/v1/notes", &json!({ "text": "a" }))
        .header("Cart-Token", "0123456789abcdef")
        .header("Idempotency-Key", "k1");
    assert_eq!(shop.send(guest).await.header("idempotent-replayed"), None);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_not_stored_and_leaves_nothing_behind() {
    let shop = shop().await;
    let (_, token) = shop.login(Role::Customer).await;
    let refused = |text: &str| {
        post("/v1/notes", &json!({ "text": text })).bearer(&token).header("Idempotency-Key", "k")
    };
    shop.send(refused("refused")).await.problem(404, "not_found");
    assert_eq!(notes(&shop).await, 0);
    assert_eq!(shop.send(refused("fine")).await.status, 201);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_many_times_at_once_is_done_once() {
    let shop = shop().await;
    let (_, token) = shop.login(Role::Customer).await;
    let request = post("/v1/notes", &json!({ "text": "slow" })).bearer(&token).header("Idempotency-Key", "k");
    let answers = futures_util::future::join_all((0..20).map(|_| shop.send(request.clone()))).await;
    for answer in &answers {
        match answer.status.as_u16() {
            201 => assert_eq!(answer.json()["number"], 1),
            _ => {
                answer.problem(409, "idempotency_key_in_use");
                assert!(answer.header("retry-after").is_some());
            }
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert_eq!(notes(&shop).await, 1);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_cut_the_transaction() {
    let shop = shop().await;
    let (_, token) = shop.login(Role::Customer).await;
    // Another transaction holds the table, so that the request is surely in the middle of its own when it is dropped.
    let mut blocker = shop.database.conn().await;
    blocker.batch_execute("BEGIN; LOCK TABLE notes").await.unwrap();
    let request = shop.send(post("/v1/notes", &json!({ "text": "a" })).bearer(&token));
    let waits = async {
        let mut conn = shop.database.conn().await;
        let query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'notes'::regclass";
        while diesel::sql_query(query).get_result::<Count>(&mut conn).await.unwrap().count == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = request => panic!("answered while the table was locked: {answer:?}"),
        () = waits => {}
    }
    blocker.batch_execute("COMMIT").await.unwrap();
    while notes(&shop).await == 0 {
        tokio::task::yield_now().await;
    }
    drop(blocker);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_transaction_is_a_500_that_tells_nothing_and_changes_nothing() {
    let shop = shop().await;
    let (_, admin) = shop.login(Role::Admin).await;
    let (_, customer) = shop.login(Role::Customer).await;
    let panic = || ask(Method::POST, "/v1/panic");
    shop.send(panic()).await.problem(401, "unauthenticated");
    shop.send(panic().bearer(&customer)).await.problem(403, "permission_denied");
    shop.send(panic().bearer(&admin)).await.problem(400, "idempotency_key_required");
    let too_long = "k".repeat(256);
    for key in ["", "\"\"", &too_long] {
        let wrong = shop.send(panic().bearer(&admin).header("Idempotency-Key", key)).await;
        assert_eq!(wrong.problem(400, "invalid_parameter"), ["Idempotency-Key"], "{key}");
    }
    let answer = shop.send(panic().bearer(&admin).header("Idempotency-Key", "k")).await;
    answer.problem(500, "internal");
    assert!(!answer.text.contains("purpose"), "{}", answer.text);
    assert_eq!(notes(&shop).await, 0);
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_comes_before_the_body_and_every_wrong_field_is_named() {
    let shop = shop().await;
    let (_, token) = shop.login(Role::Customer).await;
    let garbage = ask(Method::POST, "/v1/notes").body("application/json", "{");
    shop.send(garbage.clone()).await.problem(401, "unauthenticated");
    shop.send(garbage.bearer(&token)).await.problem(400, "malformed_body");
    let send = async |body: serde_json::Value| {
        shop.send(post("/v1/notes", &body).bearer(&token)).await.problem(422, "validation_failed")
    };
    assert_eq!(send(json!({})).await, ["/text"]);
    assert_eq!(send(json!({ "text": 1, "a/b~c": true })).await, ["/a~1b~0c", "/text"]);
    assert_eq!(send(json!({ "text": "" })).await, ["/text"]);
    assert_eq!(send(json!({ "text": "elf letters" })).await, ["/text"]);
    assert_eq!(send(json!({ "text": "\0" })).await, ["/text"]);
    assert_eq!(send(json!([])).await, [""]);
    assert_eq!(send(json!(null)).await, [""]);
    let no_type = ask(Method::POST, "/v1/notes").bearer(&token);
    shop.send(no_type.clone()).await.problem(415, "unsupported_media_type");
    shop.send(no_type.body("text/plain", "{}")).await.problem(415, "unsupported_media_type");
    let huge = format!("{{\"text\": \"{}\"}}", "x".repeat(1024 * 1024));
    let huge = ask(Method::POST, "/v1/notes").bearer(&token).body("application/json", &huge);
    shop.send(huge).await.problem(413, "body_too_large");
    shop.send(get("/v1/notes").bearer(&token)).await.problem(405, "method_not_allowed");
    assert_eq!(notes(&shop).await, 0);
    shop.database.finish().await;
}
