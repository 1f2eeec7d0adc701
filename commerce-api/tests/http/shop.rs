//! A shop for one test: a database, and the whole application in this process.

use std::sync::Arc;

use commerce_api::edge::cors::AllowedOrigins;
use commerce_api::edge::settings::HttpSettings;
use commerce_api::http::rate_limit::RateLimits;
use commerce_api::http::readers::Readers;
use commerce_api::http::second_factor::SecondFactorRule;
use commerce_api::http::state::{Keys, Parts, State};
use commerce_api::http::tokens::TokenKeys;
use commerce_api::program::app::app;
use commerce_api::program::operators::operators;
use commerce_core::accounts::{PasswordHasher, Role, SecretKey};
use commerce_core::catalog::image::Media;
use commerce_core::db::Pool;
use commerce_core::ids::{SessionId, UserId};
use commerce_core::payments::{MockProvider, PaymentProvider, Providers};
use commerce_core::search::PostgresEngine;
use commerce_core::settings::ShopSettings;
use commerce_core::testing::TestDatabase;
use diesel::{ExpressionMethods as _, NullableExpressionMethods as _};
use diesel_async::RunQueryDsl as _;
use object_store::memory::InMemory;
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::test::TestClient;
use poem::{EndpointExt as _, Response};
use serde_json::Value;

/// 32 times the letter k.
pub const SECRET: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

/// Where the shop is reached: the origin of its own pages.
pub const ORIGIN: &str = "https://api.shop.example";

/// A hash of argon2id that no password is known to have.
const NO_PASSWORD: &str = concat!(
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
);

pub struct TestShop {
    pub database: TestDatabase,
    pub state: State,
    client: TestClient<BoxEndpoint<'static, Response>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: poem::http::HeaderMap,
    pub text: String,
    pub bytes: Vec<u8>,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A problem document with this status and code; its pointers (or parameters) are returned.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Vec<String> {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let document = self.json();
        assert_eq!(document["code"], code, "{document:#}");
        assert_eq!(document["status"], status);
        assert_eq!(document["type"], format!("/problems/{code}"));
        assert_eq!(document["request_id"].as_str(), self.header("x-request-id"));
        assert!(document["instance"].as_str().unwrap().starts_with('/'), "{document:#}");
        assert!(
            !document["title"].as_str().unwrap().is_empty()
                && !document["detail"].as_str().unwrap().is_empty()
        );
        let errors = document["errors"].as_array().unwrap();
        let place =
            |error: &Value| error["pointer"].as_str().or(error["parameter"].as_str()).map(str::to_owned);
        errors.iter().filter_map(place).collect()
    }
}

/// A part of a form: its name, the name of its file if it is one, its content.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

pub fn ask(method: Method, path: &str) -> Ask {
    Ask { method, path: path.to_owned(), headers: Vec::new(), body: None }
}

pub fn get(path: &str) -> Ask {
    ask(Method::GET, path)
}

pub fn post(path: &str, body: &Value) -> Ask {
    ask(Method::POST, path).json(body)
}

impl Ask {
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", &body.to_string())
    }

    pub fn body(self, content_type: &str, body: &str) -> Self {
        self.untyped(body).header("Content-Type", content_type)
    }

    /// Bytes that nothing says the type of.
    pub fn untyped(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A form with these parts.
    pub fn form(self, boundary: &str, parts: &[Part<'_>]) -> Self {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            body.extend(
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"").into_bytes(),
            );
            if let Some(file) = file {
                body.extend(format!("; filename=\"{file}\"\r\nContent-Type: image/png").into_bytes());
            }
            body.extend(b"\r\n\r\n");
            body.extend(*content);
            body.extend(b"\r\n");
        }
        body.extend(format!("--{boundary}--\r\n").into_bytes());
        self.untyped(body).header("Content-Type", &format!("multipart/form-data; boundary={boundary}"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }
}

fn in_memory() -> Media {
    Media::over(Arc::new(InMemory::new()))
}

/// See [`TestShop::beside`].
pub struct Beside(TestClient<BoxEndpoint<'static, Response>>);

impl Beside {
    pub async fn send(&self, ask: Ask) -> Got {
        send(&self.0, ask).await
    }
}

async fn send(client: &TestClient<BoxEndpoint<'static, Response>>, ask: Ask) -> Got {
    let mut request = client.request(ask.method, ask.path);
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    if let Some(body) = ask.body {
        request = request.body(body);
    }
    let mut response = request.send().await.0;
    let bytes = response.take_body().into_vec().await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Got { status: response.status(), headers: response.headers().clone(), text, bytes }
}

fn settings() -> HttpSettings {
    HttpSettings {
        http_addr: ([127, 0, 0, 1], 0).into(),
        public_url: Some(ORIGIN.to_owned()),
        rate_limits: RateLimits::Off,
        cors_origins: AllowedOrigins::These(vec!["https://shop.example".to_owned()]),
        ..HttpSettings::default()
    }
}

/// A server without providers, by the usual rules.
fn parts(pool: Pool, tokens: TokenKeys) -> Parts {
    Parts {
        shop: ShopSettings::default(),
        providers: Providers::new([]),
        media: in_memory(),
        keys: Keys { tokens, secret: SecretKey::parse(SECRET).unwrap() },
        hasher: PasswordHasher::default(),
        cookies: settings().session_cookies(),
        second_factors: settings().second_factors(),
        search: Arc::new(PostgresEngine::new(pool.clone())),
        rate_limits: RateLimits::Off,
        units_per_hour: 1000,
        readers: Readers { always: pool.clone(), spare: pool.clone() },
        pool,
    }
}

/// The application behind a socket, until it is dropped.
pub struct Listening {
    pub url: String,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Another server over the same shop, which clients reach over HTTP.
pub async fn listen(shop: &TestShop) -> Listening {
    use poem::listener::{Acceptor as _, Listener as _, TcpListener};
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let app = app(shop.state.clone(), &settings());
    let server = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(app));
    Listening { url: format!("http://{address}"), server }
}

/// Signs the webhooks of the mock provider.
pub const WEBHOOK_SECRET: &[u8] = b"whsec";

impl TestShop {
    pub async fn new() -> Self {
        Self::with(|state, settings| app(state, &settings).boxed()).await
    }

    /// The product with other rules than the usual.
    pub async fn ruled(shop: ShopSettings) -> Self {
        Self::build(shop, in_memory(), |state, settings| app(state, &settings).boxed()).await
    }

    /// With these payment providers.
    pub async fn paid_by(providers: impl IntoIterator<Item = Arc<dyn PaymentProvider>>) -> Self {
        Self::ruled_and_paid_by(ShopSettings::default(), providers).await
    }

    /// With other rules than the usual and these payment providers.
    pub async fn ruled_and_paid_by(
        shop: ShopSettings,
        providers: impl IntoIterator<Item = Arc<dyn PaymentProvider>>,
    ) -> Self {
        let database = TestDatabase::new().await;
        let tokens = TokenKeys::derive(&SecretKey::parse(SECRET).unwrap()).unwrap();
        let parts = parts(database.pool().clone(), tokens);
        let state = State::new(Parts { shop, providers: Providers::new(providers), ..parts });
        let client = TestClient::new(app(state.clone(), &settings()).boxed());
        Self { database, state, client }
    }

    /// With another place for files than memory.
    pub async fn storing(media: Media) -> Self {
        Self::build(ShopSettings::default(), media, |state, settings| app(state, &settings).boxed()).await
    }

    /// With other routes than the product's.
    pub async fn with(build: impl FnOnce(State, HttpSettings) -> BoxEndpoint<'static, Response>) -> Self {
        Self::build(ShopSettings::default(), in_memory(), build).await
    }

    async fn build(
        shop: ShopSettings,
        media: Media,
        build: impl FnOnce(State, HttpSettings) -> BoxEndpoint<'static, Response>,
    ) -> Self {
        let database = TestDatabase::new().await;
        let mock: Arc<dyn PaymentProvider> =
            Arc::new(MockProvider::new("http://localhost").with_webhook_secret(WEBHOOK_SECRET));
        let tokens = TokenKeys::derive(&SecretKey::parse(SECRET).unwrap()).unwrap();
        let parts = parts(database.pool().clone(), tokens);
        let state = State::new(Parts { shop, providers: Providers::new([mock]), media, ..parts });
        let client = TestClient::new(build(state.clone(), settings()));
        Self { database, state, client }
    }

    /// Another process over the same database, which reads the catalogue over these pools.
    pub fn reading_over(&self, readers: Readers) -> Beside {
        let tokens = TokenKeys::derive(&SecretKey::parse(SECRET).unwrap()).unwrap();
        let state = State::new(Parts { readers, ..parts(self.database.pool().clone(), tokens) });
        Beside(TestClient::new(app(state, &settings()).boxed()))
    }

    /// Another process over the same database, which has other rules and these connections.
    pub fn with_rules_over(&self, pool: Pool, shop: ShopSettings) -> Beside {
        let tokens = TokenKeys::derive(&SecretKey::parse(SECRET).unwrap()).unwrap();
        let (providers, media) = (self.state.providers.clone(), self.state.media.clone());
        let state = State::new(Parts { shop, providers, media, ..parts(pool, tokens) });
        Beside(TestClient::new(app(state, &settings()).boxed()))
    }

    /// Another process over the same database, which demands second factors of staff.
    pub fn with_second_factors_for_staff(&self) -> Beside {
        let tokens = TokenKeys::derive(&SecretKey::parse(SECRET).unwrap()).unwrap();
        let settings = HttpSettings { second_factor: SecondFactorRule::Staff, ..settings() };
        let second_factors = settings.second_factors();
        let state = State::new(Parts { second_factors, ..parts(self.database.pool().clone(), tokens) });
        Beside(TestClient::new(app(state, &settings).boxed()))
    }

    /// Another process over the same database, with these keys of access tokens.
    pub fn beside(&self, tokens: TokenKeys) -> Beside {
        let state = State::new(parts(self.database.pool().clone(), tokens));
        Beside(TestClient::new(app(state, &settings()).boxed()))
    }

    pub async fn send(&self, ask: Ask) -> Got {
        send(&self.client, ask).await
    }

    /// What operators read at an address of its own.
    pub async fn as_operator(&self, path: &str) -> Got {
        send(&TestClient::new(operators(self.state.clone()).boxed()), get(path)).await
    }

    /// A logged-in user of this role, without the detours of registration.
    pub async fn login(&self, role: Role) -> (UserId, String) {
        use commerce_core::schema::users;
        let user_id = UserId::new();
        let mut conn = self.database.conn().await;
        diesel::insert_into(users::table)
            .values((
                users::id.eq(user_id),
                users::email.eq(format!("{user_id}@example.com")),
                users::password_hash.eq(NO_PASSWORD),
                users::display_name.eq("Ada"),
                users::role.eq(role),
                users::email_verified_at.eq(commerce_core::db::clock().nullable()),
            ))
            .execute(&mut conn)
            .await
            .unwrap();
        let session_id = self.session(user_id).await;
        let now = commerce_core::db::current_time(&mut conn).await.unwrap();
        (user_id, self.state.tokens.sign(user_id, session_id, now).unwrap())
    }
    /// A session of this user, as if they had logged in somewhere.
    pub async fn session(&self, user_id: UserId) -> SessionId {
        use commerce_core::schema::sessions;
        let session_id = SessionId::new();
        diesel::insert_into(sessions::table)
            .values((
                sessions::id.eq(session_id),
                sessions::user_id.eq(user_id),
                sessions::expires_at.eq(commerce_core::db::time_after(std::time::Duration::from_secs(3600))),
            ))
            .execute(&mut self.database.conn().await)
            .await
            .unwrap();
        session_id
    }
}
