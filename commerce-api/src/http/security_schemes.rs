//! The credentials of the API, as the spec describes them.

use poem_openapi::registry::MetaSecurityScheme;

use crate::http::session_cookie::COOKIE;

pub const BEARER: MetaSecurityScheme = MetaSecurityScheme {
    ty: "http",
    description: Some("The access token that `POST /auth/login` answers with."),
    name: None,
    key_in: None,
    scheme: Some("bearer"),
    bearer_format: Some("JWT"),
    flows: None,
    openid_connect_url: None,
};

pub const CART_TOKEN: MetaSecurityScheme = MetaSecurityScheme {
    ty: "apiKey",
    description: Some("The token of a guest: it comes with the first cart and names its owner from then on."),
    name: Some("Cart-Token"),
    key_in: Some("header"),
    scheme: None,
    bearer_format: None,
    flows: None,
    openid_connect_url: None,
};

pub const SESSION_COOKIE: MetaSecurityScheme = MetaSecurityScheme {
    ty: "apiKey",
    description: Some(
        "The cookie that `POST /auth/login` sets in mode `cookie` (on http://localhost it is called `commerce_session`). A request \
         that changes something must come from the shop's own origin or one of `COMMERCE_CORS_ORIGINS`, as its `Origin` or \
         `Sec-Fetch-Site` says.",
    ),
    name: Some(COOKIE),
    key_in: Some("cookie"),
    scheme: None,
    bearer_format: None,
    flows: None,
    openid_connect_url: None,
};

/// Name of the scheme of logged-in users of a browser in the spec.
pub const SESSION_COOKIE_SCHEME: &str = "session_cookie";
/// Name of the scheme of logged-in users in the spec.
pub const BEARER_SCHEME: &str = "bearer";
/// Name of the scheme of guests in the spec.
pub const CART_TOKEN_SCHEME: &str = "cart_token";
