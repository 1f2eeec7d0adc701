//! Who is calling, and whether they may. These extractors come first among a handler's arguments, so that 401
//! and 403 are decided before the path and the body are read. They also put the permission into the spec.
//!
//! - [`Can<P>`]: a logged-in user whose role includes the permission `P`
//! - [`Customer`]: any logged-in user
//! - [`Shopper`]: a logged-in user, or a guest with a `Cart-Token`
//! - [`Visitor`]: a [`Shopper`], or somebody without a cart, who gets a token with the first cart
//! - [`OrderReader`](crate::http::order_access::OrderReader): a [`Shopper`], or somebody with a mailed link to one order
//!
//! Where staff must have a second factor ([`SecondFactorRule::Staff`]), [`Can<P>`] refuses those without one.
//!
//! The user behind a token or a cookie is looked up by session and cached for two seconds. So a disabled
//! user, a changed role and a logout take effect within that time in every process.

use std::marker::PhantomData;
use std::time::Duration;

use commerce_core::accounts::{
    LiveSession, Permission, Role, SessionCookie, SessionKey, find_live_session, touch_session,
};
use commerce_core::audit_log::{self, Author, Subject};
use commerce_core::cart::{Owner, TokenHash};
use commerce_core::ids::{SessionId, UserId};
use commerce_core::request::{Actor, Origin};
use data_encoding::HEXLOWER;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use poem::http::header;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use sha2::{Digest, Sha256};

use crate::http::answer::{NOTHING, Nothing, Reply};
use crate::http::attribution::Attribution;
use crate::http::call::Call;
use crate::http::page_origin::PageOrigin;
use crate::http::problem::{Code, Fault, Problem};
use crate::http::second_factor::SecondFactorRule;
use crate::http::security_schemes::{
    BEARER, BEARER_SCHEME, CART_TOKEN, CART_TOKEN_SCHEME, SESSION_COOKIE, SESSION_COOKIE_SCHEME,
};
use crate::http::state::State;

/// Somebody who has proved who they are.
pub trait Credential {
    fn call(&self) -> &Call;

    fn actor(&self) -> Actor;

    /// Identifies the caller in the scope of an idempotency key.
    fn identity(&self) -> String;

    /// For timelines and ledgers.
    fn origin(&self) -> Origin {
        Origin { actor: self.actor(), request_id: self.call().request_id.clone() }
    }
}

/// A logged-in user.
#[derive(Debug, Clone)]
pub struct Customer {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub role: Role,
    /// Whether the caller was identified by a cookie, not by a token.
    pub by_cookie: bool,
    /// Whether the role needs a second factor in this shop, and the user has none.
    lacks_second_factor: bool,
    call: Call,
}

/// A logged-in user whose role includes the permission `P`.
#[derive(Debug, Clone)]
pub struct Can<P> {
    pub staff: Customer,
    permission: PhantomData<fn() -> P>,
}

/// The owner of a cart: a logged-in user or a guest.
#[derive(Debug, Clone)]
pub enum Shopper {
    Customer(Customer),
    Guest(Guest),
}

/// A guest with a `Cart-Token`.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The token as it was sent. The database stores its SHA-256 only.
    pub token: String,
    call: Call,
}

/// A [`Shopper`], or somebody who has no cart yet.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub shopper: Option<Shopper>,
    pub call: Call,
}

impl Credential for Customer {
    fn call(&self) -> &Call {
        &self.call
    }

    fn actor(&self) -> Actor {
        Actor::User(self.user_id)
    }

    fn identity(&self) -> String {
        format!("user:{}", self.user_id)
    }
}

impl<P> Can<P> {
    /// The author of a change, for the audit log.
    pub fn author(&self) -> Author {
        Author { origin: self.origin(), role: Some(self.staff.role.as_str()) }
    }

    /// Records that staff read data of customers: where, and by which filters, but not the values of the filters,
    /// because they may be addresses.
    pub async fn note_read(&self, conn: &mut AsyncPgConnection) -> QueryResult<()> {
        let call = &self.staff.call;
        let shown = |segment| if str::contains(segment, ['@', '%']) { "{email}" } else { segment };
        let path: Vec<&str> = call.path.split('/').map(shown).collect();
        let read = serde_json::json!({ "path": path.join("/"), "filters": call.filters });
        let subject = Subject::PersonalData;
        audit_log::record_facts(conn, &self.author(), "read", subject, None, Some(read)).await
    }
}

impl<P> Credential for Can<P> {
    fn call(&self) -> &Call {
        &self.staff.call
    }

    fn actor(&self) -> Actor {
        self.staff.actor()
    }

    fn identity(&self) -> String {
        self.staff.identity()
    }
}

impl Credential for Guest {
    fn call(&self) -> &Call {
        &self.call
    }

    fn actor(&self) -> Actor {
        Actor::Guest
    }

    fn identity(&self) -> String {
        format!("guest:{}", HEXLOWER.encode(&Sha256::digest(&self.token)))
    }
}

impl Credential for Shopper {
    fn call(&self) -> &Call {
        match self {
            Self::Customer(customer) => customer.call(),
            Self::Guest(guest) => guest.call(),
        }
    }

    fn actor(&self) -> Actor {
        match self {
            Self::Customer(customer) => customer.actor(),
            Self::Guest(guest) => guest.actor(),
        }
    }

    fn identity(&self) -> String {
        match self {
            Self::Customer(customer) => customer.identity(),
            Self::Guest(guest) => guest.identity(),
        }
    }
}

impl Shopper {
    /// The owner whose carts and orders the caller may see.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Customer(customer) => Owner::User(customer.user_id),
            Self::Guest(guest) => Owner::Guest(TokenHash::of(&guest.token)),
        }
    }
}

/// A type for each permission, so that a handler's signature can name the permission.
pub trait Grants: Send + Sync + 'static {
    const PERMISSION: Permission;
}

macro_rules! grants {
    ($($name:ident),+ $(,)?) => {$(
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Grants for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )+};
}

grants! {
    ProductsRead, ProductsWrite, CategoriesWrite, InventoryRead, InventoryWrite, OrdersRead, OrdersWrite,
    PaymentsRead, PaymentsRefund, ShipmentsWrite, ReturnsWrite, ContactRead, ContactWrite, UsersRead, UsersWrite,
    OperationsRead, OperationsWrite,
}

pub(super) fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}

/// The refusal that names the missing permission.
pub fn permission_denied(role: Option<Role>, permission: Permission) -> Problem {
    let role = role.map(|role| format!(" {role}")).unwrap_or_default();
    let detail = format!("Your role{role} does not include the permission {permission}.");
    Problem::new(Code::PermissionDenied, detail)
}

/// The text after `Bearer `, if there is an Authorization header.
fn bearer(request: &Request) -> Result<Option<&str>, Problem> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(unauthenticated("The Authorization header must be `Bearer <access token>`.")),
    }
}

/// The logged-in user, if a token was sent. An invalid token is an error. It never counts as no token.
async fn customer(request: &Request) -> Result<Option<Customer>, Problem> {
    let state =
        request.data::<State>().ok_or_else(|| Problem::internal("the state is not in the request"))?;
    // If a token is sent, it counts, and the browser's cookies do not.
    if let Some(token) = bearer(request)? {
        return by_token(state, request, token).await.map(Some);
    }
    match state.cookies.cookie_of(request) {
        Some(cookie) => by_cookie(state, request, &cookie).await.map(Some),
        None => Ok(None),
    }
}

/// The user of a cookie. An invalid cookie is removed from the browser, which would otherwise send it for
/// ever.
async fn by_cookie(state: &State, request: &Request, cookie: &SessionCookie) -> Result<Customer, Problem> {
    let found = live_session(state, SessionKey::Cookie(cookie.hash())).await?;
    let Some((_, session)) = found else {
        let problem = unauthenticated("The session has ended: log in again.");
        return Err(problem.header(header::SET_COOKIE, state.cookies.clear_cookie()));
    };
    PageOrigin::check(request)?;
    Ok(Customer::of(session, true, state, request))
}

async fn by_token(state: &State, request: &Request, token: &str) -> Result<Customer, Problem> {
    let not_good =
        || unauthenticated("The access token is invalid or expired: log in, or refresh the session.");
    let claims = state.tokens.verify(token).ok_or_else(not_good)?;
    let (age, session) = live_session(state, SessionKey::Id(claims.sid)).await?.ok_or_else(not_good)?;
    // The database's clock decides, because this machine's clock may be wrong.
    let now = session.seen_at.timestamp() + age.as_secs().cast_signed();
    if !claims.are_good_at(now) || claims.sub != session.user_id {
        return Err(not_good());
    }
    Ok(Customer::of(session, false, state, request))
}

impl Customer {
    /// The answer after a session ended. It removes the cookie from the browser.
    pub fn farewell(&self, state: &State) -> Reply<Nothing> {
        let farewell = Reply::new(NOTHING);
        if self.by_cookie { farewell.set_cookie(state.cookies.clear_cookie()) } else { farewell }
    }

    /// Whether the user may do this now: the role includes the permission, and a second factor is not missing.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission) && !self.lacks_second_factor
    }

    fn of(session: LiveSession, by_cookie: bool, state: &State, request: &Request) -> Self {
        let LiveSession { session_id, user_id, role, second_factor, .. } = session;
        Attribution::note(request, user_id);
        let is_needed = state.second_factors.rule == SecondFactorRule::Staff && role.may_change();
        let lacks_second_factor = is_needed && !second_factor;
        Self { user_id, session_id, role, by_cookie, lacks_second_factor, call: Call::of(request) }
    }
}

/// The session in the database, and the age of that information. `None` if the session has ended.
async fn live_session(state: &State, key: SessionKey) -> Result<Option<(Duration, LiveSession)>, Problem> {
    let forgotten = match state.sessions.get(key) {
        Ok(known) => return Ok(Some(known)),
        Err(forgotten) => forgotten,
    };
    let mut conn = state.conn().await?;
    let Some(session) = find_live_session(&mut conn, key).await? else { return Ok(None) };
    if session.is_to_be_touched()
        && let Err(error) = touch_session(&mut conn, session.session_id).await
    {
        // This is no reason to refuse a request.
        tracing::warn!(%error, "the last use of a session could not be recorded");
    }
    state.sessions.put(key, session.clone(), forgotten);
    Ok(Some((Duration::ZERO, session)))
}

fn guest(request: &Request) -> Result<Option<Guest>, Problem> {
    const HEADER: &str = "Cart-Token";
    let Some(value) = request.headers().get(HEADER) else { return Ok(None) };
    let state =
        request.data::<State>().ok_or_else(|| Problem::internal("the state is not in the request"))?;
    let token = value.to_str().ok().filter(|token| state.cart_tokens.has_issued(token));
    let Some(token) = token else {
        let message = "must be the token that came with the cart";
        return Err(Problem::new(Code::InvalidParameter, format!("The {HEADER} {message}."))
            .with_errors(vec![Fault::parameter(HEADER, message)]));
    };
    Ok(Some(Guest { token: token.to_owned(), call: Call::of(request) }))
}

pub(super) async fn shopper(request: &Request) -> Result<Option<Shopper>, Problem> {
    match customer(request).await? {
        Some(customer) => Ok(Some(Shopper::Customer(customer))),
        None => Ok(guest(request)?.map(Shopper::Guest)),
    }
}

macro_rules! security {
    (
        [$($generics:tt)*] $name:ty, schemes = [$($scheme:expr => $meta:expr),+], optional = $optional:literal,
        |$request:ident| $extract:expr
    ) => {
        impl<'a, $($generics)*> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                $(registry.create_security_scheme($scheme, $meta);)+
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![$($scheme),+]
            }

            fn has_security_fallback() -> bool {
                $optional
            }

            async fn from_request(
                $request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> Result<Self> {
                $extract
            }
        }
    };
}

security!([] Customer, schemes = [BEARER_SCHEME => BEARER, SESSION_COOKIE_SCHEME => SESSION_COOKIE], optional = false, |request| {
    Ok(customer(request).await?.ok_or_else(|| unauthenticated("Log in first."))?)
});

// The scheme is named after the permission. Later the spec changes it to `bearer` and puts the permission
// beside it.
security!([P: Grants] Can<P>, schemes = [P::PERMISSION.as_str() => BEARER, SESSION_COOKIE_SCHEME => SESSION_COOKIE], optional = false, |request| {
    let staff = customer(request).await?.ok_or_else(|| unauthenticated("Log in first."))?;
    if !staff.role.may(P::PERMISSION) {
        return Err(permission_denied(Some(staff.role), P::PERMISSION).into());
    }
    if !staff.may(P::PERMISSION) {
        let code = Code::SecondFactorNotSetUp;
        return Err(Problem::new(code, code.meaning()).into());
    }
    Ok(Self { staff, permission: PhantomData })
});

security!(
    [] Shopper,
    schemes = [BEARER_SCHEME => BEARER, SESSION_COOKIE_SCHEME => SESSION_COOKIE, CART_TOKEN_SCHEME => CART_TOKEN],
    optional = false,
    |request| {
        let nobody = || unauthenticated("Log in, or send the Cart-Token of a guest.");
        Ok(shopper(request).await?.ok_or_else(nobody)?)
    }
);

security!(
    [] Visitor,
    schemes = [BEARER_SCHEME => BEARER, SESSION_COOKIE_SCHEME => SESSION_COOKIE, CART_TOKEN_SCHEME => CART_TOKEN],
    optional = true,
    |request| Ok(Self { shopper: shopper(request).await?, call: Call::of(request) })
);
