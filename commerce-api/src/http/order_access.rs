//! Who may see one order: its shopper, or whoever has the token of a link to it.
//!
//! An `Order-Token` is good for one order only, and for what [`OrderReader`] guards: to see the order, to cancel it, and
//! to return its goods. It is no cart and no login. If it is sent, it counts, whoever is logged in.

use commerce_core::cart::TokenHash;
use commerce_core::orders::Access;
use commerce_core::request::Actor;
use data_encoding::HEXLOWER;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use sha2::{Digest as _, Sha256};

use crate::http::auth::{Credential, Shopper, shopper, unauthenticated};
use crate::http::call::Call;
use crate::http::security_schemes::{
    BEARER, BEARER_SCHEME, CART_TOKEN, CART_TOKEN_SCHEME, ORDER_TOKEN, ORDER_TOKEN_SCHEME, SESSION_COOKIE,
    SESSION_COOKIE_SCHEME,
};

const HEADER: &str = "Order-Token";

/// Somebody who may see an order: a shopper, or the holder of a link.
#[derive(Debug, Clone)]
pub enum OrderReader {
    Shopper(Shopper),
    Link(LinkHolder),
}

/// Somebody with the token of a link. Whether it is good is seen when the order is looked for.
#[derive(Debug, Clone)]
pub struct LinkHolder {
    token: String,
    call: Call,
}

impl OrderReader {
    /// What lets the caller see orders.
    pub fn access(&self) -> Access {
        match self {
            Self::Shopper(shopper) => Access::Owner(shopper.owner()),
            Self::Link(holder) => Access::Link(TokenHash::of(&holder.token)),
        }
    }
}

impl Credential for OrderReader {
    fn call(&self) -> &Call {
        match self {
            Self::Shopper(shopper) => shopper.call(),
            Self::Link(holder) => &holder.call,
        }
    }

    fn actor(&self) -> Actor {
        match self {
            Self::Shopper(shopper) => shopper.actor(),
            Self::Link(_) => Actor::Guest,
        }
    }

    fn identity(&self) -> String {
        match self {
            Self::Shopper(shopper) => shopper.identity(),
            Self::Link(holder) => format!("link:{}", HEXLOWER.encode(&Sha256::digest(&holder.token))),
        }
    }
}

impl<'a> ApiExtractor<'a> for OrderReader {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        registry.create_security_scheme(BEARER_SCHEME, BEARER);
        registry.create_security_scheme(SESSION_COOKIE_SCHEME, SESSION_COOKIE);
        registry.create_security_scheme(CART_TOKEN_SCHEME, CART_TOKEN);
        registry.create_security_scheme(ORDER_TOKEN_SCHEME, ORDER_TOKEN);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER_SCHEME, SESSION_COOKIE_SCHEME, CART_TOKEN_SCHEME, ORDER_TOKEN_SCHEME]
    }

    fn has_security_fallback() -> bool {
        false
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        if let Some(value) = request.headers().get(HEADER) {
            // Text that is no token leads to no order, as one that has run out does.
            let token = value.to_str().unwrap_or_default().to_owned();
            return Ok(Self::Link(LinkHolder { token, call: Call::of(request) }));
        }
        let nobody = || {
            unauthenticated("Log in, or send the Cart-Token of a guest, or the Order-Token of a mailed link.")
        };
        Ok(Self::Shopper(shopper(request).await?.ok_or_else(nobody)?))
    }
}
