//! `/auth`: logging in, refreshing a session and logging out.
//!
//! Neither the answers nor the time they take tell whether an e-mail address has an account.

use commerce_core::accounts::{
    self, Device, HashError, LoginError, OpenedSession, RefreshToken, Refreshed, SessionCookie,
    StoredCredentials, User, is_app_code,
};
use commerce_core::cart::{self, CartError, TokenHash};
use commerce_core::email_address::EmailAddress;
use commerce_core::request::{Actor, Origin};
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};

use crate::http::answer::{NoContent, Okay, Reply};
use crate::http::attribution::Attribution;
use crate::http::auth::Customer;
use crate::http::body::Body;
use crate::http::call::Call;
use crate::http::client_ip::{ClientIp, network_of};
use crate::http::page_origin::PageOrigin;
use crate::http::problem::{Code, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::http::tokens::ACCESS_TOKEN_TTL;
use crate::resources::accounts::me::Account;

pub struct Accounts(pub State);

#[OpenApi(tag = "Tag::Auth")]
impl Accounts {
    /// Log in
    ///
    /// Send the access token as `Authorization: Bearer …`. Before it expires, `POST /auth/refresh` exchanges
    /// the refresh token for new tokens.
    ///
    /// With `"mode": "cookie"` the answer has no tokens. It sets an HttpOnly cookie instead, which the
    /// browser then sends by itself. This mode needs an allowed `Origin` (otherwise 403 `cross_origin`).
    ///
    /// If the account has a second factor, send a code of the authenticator app, or a recovery code, as
    /// `second_factor`. Only whoever has the password learns that it is needed (401 `second_factor_required`). Each
    /// code can be used once.
    ///
    /// With `cart_token` the guest's cart is merged into the user's.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(
        &self,
        body: Body<LoginRequest>,
        request: &Request,
    ) -> Result<Okay<LoggedIn>, Refused<LoginError>> {
        let LoginRequest { email, password, mode, cart_token, second_factor } = body.value;
        let by_cookie = mode == Some(LoginMode::Cookie);
        if by_cookie {
            PageOrigin::check(request)?;
        }
        let from = request.data::<ClientIp>().copied();
        let guess = self.0.limits.count_guess(&email, from).await?;
        let credentials = match EmailAddress::of_account(&email) {
            Ok(email) => accounts::find_credentials(&mut *self.0.conn().await?, &email).await?,
            Err(_) => StoredCredentials::of_nobody(),
        };
        if let Some(account) = credentials.account() {
            Attribution::note(request, account);
        }
        let proven = match credentials.check(&self.0.hasher_for(from.as_ref()), password).await {
            Ok(proven) => proven,
            Err(error) => {
                if !matches!(error, LoginError::InvalidCredentials) {
                    self.0.limits.give_back_guess(guess).await?;
                }
                return Err(error.into());
            }
        };
        let mut guesses = vec![guess];
        if second_factor.as_deref().is_some_and(is_app_code) {
            guesses.push(self.0.limits.count_code_guess(proven.id()).await?);
        }
        let (state, device, call) = (self.0.clone(), device(request), Call::of(request));
        // The browser keeps one cookie only. The session of the replaced cookie must end, because nobody
        // could end it later.
        let former = self.0.cookies.cookie_of(request);
        let open = async move |conn: &mut AsyncPgConnection| {
            let (key, code) = (&state.secret, second_factor.as_deref());
            let (user, opened) = if by_cookie {
                let (user, cookie) = accounts::open_cookie_session(conn, &proven, key, code, &device).await?;
                if let Some(former) = &former {
                    accounts::revoke_cookie_session(conn, former).await?;
                }
                (user, Carried::Cookie(cookie))
            } else {
                let (user, opened) = accounts::open_session(conn, &proven, key, code, &device).await?;
                (user, Carried::Tokens(opened))
            };
            if let Some(ClientIp(ip)) = from {
                accounts::remember_network(conn, user.id, &network_of(ip)).await?;
            }
            if let Some(token) = cart_token {
                let origin = Origin { actor: Actor::User(user.id), request_id: call.request_id };
                merge_cart(conn, &state, &token, &user, &origin).await?;
            }
            Ok::<_, LoginError>((user, opened))
        };
        let opened = self.0.transaction("login", open).await;
        if !matches!(&opened, Err(problem) if problem.code == Code::InvalidSecondFactor) {
            for guess in guesses {
                self.0.limits.give_back_guess(guess).await?;
            }
        }
        match opened? {
            (user, Carried::Tokens(opened)) => Ok(Okay::new(LoggedIn::from(self.tokens(user, &opened)?))),
            (user, Carried::Cookie(cookie)) => {
                Ok(Okay::new(Reply::new(LoggedIn::of(user)).set_cookie(self.0.cookies.set_cookie(&cookie))))
            }
        }
    }

    /// Refresh a session
    ///
    /// Exchanges a refresh token for new tokens. A refresh token can be used once. If it is used again within
    /// ten seconds, as by two tabs, it gives new tokens again. If it is used again later, the whole session
    /// ends, because somebody else may have a copy of the token.
    #[oai(path = "/auth/refresh", method = "post", operation_id = "refresh_session")]
    async fn refresh(&self, body: Body<RefreshRequest>) -> Result<Okay<Tokens>, Refused<RefreshRefusal>> {
        let token = RefreshToken::received(&body.refresh_token);
        let refresh = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(accounts::refresh_session(conn, &token).await?)
        };
        match self.0.transaction("refresh_session", refresh).await? {
            Refreshed::Continued(user, opened) => Ok(Okay::new(self.tokens(user, &opened)?)),
            Refreshed::Refused => Err(RefreshRefusal.into()),
            Refreshed::Reused(session_id) => {
                self.0.sessions.forget(session_id);
                tracing::warn!(%session_id, "a refresh token was used again: its session was revoked");
                Err(RefreshRefusal.into())
            }
        }
    }

    /// Log out
    ///
    /// Ends the session. Its refresh token stops working at once, its access tokens or its cookie within two
    /// seconds. The cookie is removed from the browser.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, customer: Customer) -> Result<NoContent, Refused<OnlyDatabase>> {
        let (session_id, farewell) = (customer.session_id, customer.farewell(&self.0));
        let end = async move |conn: &mut AsyncPgConnection| {
            accounts::logout(conn, session_id).await?;
            Ok(farewell)
        };
        let answer = self.0.write("logout", None, end).await;
        self.0.sessions.forget(session_id);
        answer
    }
}

impl Accounts {
    fn tokens(&self, user: User, opened: &OpenedSession) -> Result<Tokens, Problem> {
        let session = &opened.session;
        let access_token = self.0.tokens.sign(session.user_id, session.session_id, session.seen_at);
        Ok(Tokens {
            access_token: access_token.map_err(Problem::internal)?,
            token_type: TokenType::Bearer,
            expires_in: ACCESS_TOKEN_TTL.as_secs(),
            refresh_token: opened.refresh_token.expose().to_owned(),
            user: Account::from(user),
        })
    }
}

/// A cart that cannot be merged does not stop the login. It stays with the guest.
async fn merge_cart(
    conn: &mut AsyncPgConnection,
    state: &State,
    token: &str,
    user: &User,
    origin: &Origin,
) -> Result<(), LoginError> {
    match cart::merge(conn, &state.shop, TokenHash::of(token), user.id, origin).await {
        Ok(()) => Ok(()),
        Err(CartError::Database(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, user_id = %user.id, "a guest's cart could not be merged at login");
            Ok(())
        }
    }
}

fn device(request: &Request) -> Device {
    Device {
        user_agent: request.header("user-agent").map(str::to_owned),
        ip: request.data::<ClientIp>().map(|client| client.0.to_string()),
    }
}

/// How the client carries the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum LoginMode {
    /// By tokens in the answer, which the client keeps.
    Token,
    /// By a cookie, which the browser keeps and scripts cannot read.
    Cookie,
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct LoginRequest {
    #[oai(validator(min_length = 1, max_length = 254))]
    email: String,
    #[oai(validator(min_length = 1, max_length = 128))]
    password: String,
    /// `token` by default.
    mode: Option<LoginMode>,
    /// The `Cart-Token` of the cart that the shopper filled as a guest.
    #[oai(validator(min_length = 16, max_length = 128))]
    cart_token: Option<String>,
    /// The six digits that the authenticator app shows, or a recovery code.
    #[oai(validator(min_length = 6, max_length = 40))]
    second_factor: Option<String>,
}

impl Example for LoginRequest {
    fn example() -> Self {
        Self {
            email: "ada@example.com".to_owned(),
            password: "correct horse battery".to_owned(),
            mode: Some(LoginMode::Token),
            cart_token: None,
            second_factor: None,
        }
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct RefreshRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    refresh_token: String,
}

impl Example for RefreshRequest {
    fn example() -> Self {
        Self { refresh_token: "q2vYk3Yb0m6Vd5n9h0zP4m8c1T7r2x5u8w1a4d7g0j3".to_owned() }
    }
}

/// The scheme of the `Authorization` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum TokenType {
    Bearer,
}

/// The tokens of a session.
#[derive(Object)]
#[oai(example)]
struct Tokens {
    /// A JWT (EdDSA). `/.well-known/jwks.json` has the key to verify it.
    access_token: String,
    token_type: TokenType,
    /// Seconds until the access token expires.
    expires_in: u64,
    /// For `POST /auth/refresh`. It can be used once.
    refresh_token: String,
    user: Account,
}

impl Example for Tokens {
    fn example() -> Self {
        Self {
            access_token: "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSIsImtpZCI6IuKApiJ9.….…".to_owned(),
            token_type: TokenType::Bearer,
            expires_in: ACCESS_TOKEN_TTL.as_secs(),
            refresh_token: RefreshRequest::example().refresh_token,
            user: Account::example(),
        }
    }
}

/// A new session. In mode `cookie` the session is in the cookie, and the token fields are absent.
#[derive(Object)]
#[oai(skip_serializing_if_is_none, example)]
struct LoggedIn {
    /// A JWT (EdDSA). `/.well-known/jwks.json` has the key to verify it.
    access_token: Option<String>,
    token_type: Option<TokenType>,
    /// Seconds until the access token expires.
    expires_in: Option<u64>,
    /// For `POST /auth/refresh`. It can be used once.
    refresh_token: Option<String>,
    user: Account,
}

impl LoggedIn {
    fn of(user: User) -> Self {
        let user = Account::from(user);
        Self { access_token: None, token_type: None, expires_in: None, refresh_token: None, user }
    }
}

impl From<Tokens> for LoggedIn {
    fn from(tokens: Tokens) -> Self {
        let Tokens { access_token, token_type, expires_in, refresh_token, user } = tokens;
        Self {
            access_token: Some(access_token),
            token_type: Some(token_type),
            expires_in: Some(expires_in),
            refresh_token: Some(refresh_token),
            user,
        }
    }
}

impl Example for LoggedIn {
    fn example() -> Self {
        Tokens::example().into()
    }
}

/// How a new session is carried.
enum Carried {
    Tokens(OpenedSession),
    Cookie(SessionCookie),
}

/// The refresh token is not valid.
struct RefreshRefusal;

impl Refusal for RefreshRefusal {
    const CODES: &'static [Code] = &[Code::InvalidRefreshToken];

    fn problem(self) -> Problem {
        Problem::new(Code::InvalidRefreshToken, Code::InvalidRefreshToken.meaning().trim())
    }
}

impl Refusal for LoginError {
    const CODES: &'static [Code] = &[
        Code::InvalidCredentials,
        Code::SecondFactorRequired,
        Code::InvalidSecondFactor,
        Code::EmailNotVerified,
        Code::AccountDisabled,
        Code::CrossOrigin,
    ];

    fn problem(self) -> Problem {
        let as_meant = |code: Code| Problem::new(code, code.meaning().trim());
        match self {
            Self::InvalidCredentials => as_meant(Code::InvalidCredentials),
            Self::EmailNotVerified => as_meant(Code::EmailNotVerified),
            Self::Disabled => as_meant(Code::AccountDisabled),
            Self::SecondFactorRequired => as_meant(Code::SecondFactorRequired),
            Self::InvalidSecondFactor => as_meant(Code::InvalidSecondFactor),
            Self::Hash(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Problem::unavailable(error),
            HashError::Failed(_) => Problem::internal(error),
        }
    }
}
