//! The credentials of the API, as the spec describes them.

use poem_openapi::registry::MetaSecurityScheme;

use crate::http::session_cookie::COOKIE;

pub const BEARER: MetaSecurityScheme = MetaSecurityScheme {
    ty: "http",
    description: Some("The access token that `POST /auth/login` returns."),
    name: None,
    key_in: None,
    scheme: Some("bearer"),
    bearer_format: Some("JWT"),
    flows: None,
    openid_connect_url: None,
};

pub const CART_TOKEN: MetaSecurityScheme = MetaSecurityScheme {
    ty: "apiKey",
    description: Some("The token of a guest. It comes with the first cart, and then identifies the guest."),
    name: Some("Cart-Token"),
    key_in: Some("header"),
    scheme: None,
    bearer_format: None,
    flows: None,
    openid_connect_url: None,
};

pub const ORDER_TOKEN: MetaSecurityScheme = MetaSecurityScheme {
    ty: "apiKey",
    description: Some(
        "The token of a link to one order, which `POST /orders/lookup` mails. For 30 days it allows to see this order, to \
         cancel it, and to return its goods.",
    ),
    name: Some("Order-Token"),
    key_in: Some("header"),
    scheme: None,
    bearer_format: None,
    flows: None,
    openid_connect_url: None,
};

pub const SESSION_COOKIE: MetaSecurityScheme = MetaSecurityScheme {
    ty: "apiKey",
    description: Some(
        "The cookie that `POST /auth/login` sets in mode `cookie`. On http://localhost it is called \
         `commerce_session`. A request that changes something must come from a page of the shop or of \
         `COMMERCE_CORS_ORIGINS`. The headers `Origin` and `Sec-Fetch-Site` show where it comes from.",
    ),
    name: Some(COOKIE),
    key_in: Some("cookie"),
    scheme: None,
    bearer_format: None,
    flows: None,
    openid_connect_url: None,
};

/// Name of the scheme for users who are logged in with a cookie.
pub const SESSION_COOKIE_SCHEME: &str = "session_cookie";
/// Name of the scheme for users who are logged in with a token.
pub const BEARER_SCHEME: &str = "bearer";
/// Name of the scheme for holders of a link to an order.
pub const ORDER_TOKEN_SCHEME: &str = "order_token";
/// Name of the scheme for guests.
pub const CART_TOKEN_SCHEME: &str = "cart_token";
