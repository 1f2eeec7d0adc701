//! `/cart`: what a shopper is about to buy.

pub mod quote;

use chrono::{DateTime, Utc};
use commerce_core::cart::{self, CartError, CartView, HoldLimit, Item, Owner, TokenHash, ViewCartError};
use commerce_core::ids::VariantId;
use commerce_core::inventory::Shortage;
use commerce_core::request::{Actor, Origin};
use commerce_core::settings::ReservationMode;
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{NOTHING, NoContent, Nothing, Okay};
use crate::http::auth::{Credential, Customer, Shopper, Visitor};
use crate::http::body::Body;
use crate::http::client_ip::ClientIp;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::money::Money;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Carts(pub State);

#[OpenApi(tag = "Tag::Cart")]
impl Carts {
    /// Get the cart
    ///
    /// Prices are current until checkout. A caller without a cart gets an empty one.
    #[oai(path = "/cart", method = "get", operation_id = "get_cart")]
    async fn get(&self, visitor: Visitor) -> Result<Okay<Cart>, Refused<ViewCartError>> {
        let Some(shopper) = visitor.shopper else { return Ok(Okay::new(Cart::empty(&self.0))) };
        let mut conn = self.0.conn().await?;
        let view = cart::view(&mut conn, &self.0.shop, shopper.owner()).await?;
        Ok(Okay::new(Cart::from(view)))
    }

    /// Replace the cart
    ///
    /// The cart then holds exactly the given items. A guest without a token gets one in `token`.
    #[oai(path = "/cart", method = "put", operation_id = "replace_cart")]
    async fn replace(
        &self,
        visitor: Visitor,
        body: Body<ReplaceCartRequest>,
        request: &Request,
    ) -> Result<Okay<Cart>, Refused<CartError>> {
        let caller = CartCaller::of(visitor, &self.0);
        let items: Vec<Item> = body.items.iter().map(Item::from).collect();
        self.count_held(&items, request).await?;
        let state = self.0.clone();
        let effect = async move |conn: &mut AsyncPgConnection| {
            cart::replace(conn, &state.shop, caller.owner, &items, &caller.origin).await?;
            caller.view(conn, &state).await
        };
        self.0.write("replace_cart", None, effect).await
    }

    /// Add an item
    ///
    /// Adds the quantity to what the cart already has of the variant. A guest without a token gets one in
    /// `token`, to be sent as `Cart-Token` from then on.
    #[oai(path = "/cart/items", method = "post", operation_id = "add_cart_item")]
    async fn add(
        &self,
        visitor: Visitor,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CartItemRequest>,
        request: &Request,
    ) -> Result<Okay<Cart>, Refused<CartError>> {
        self.count_held(&[Item::from(&body.value)], request).await?;
        let request = visitor.shopper.as_ref().and_then(|shopper| key.request(shopper, body.raw()));
        let (caller, item, state) =
            (CartCaller::of(visitor, &self.0), Item::from(&body.value), self.0.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            cart::add_item(conn, &state.shop, caller.owner, item, &caller.origin).await?;
            caller.view(conn, &state).await
        };
        self.0.write("add_cart_item", request, effect).await
    }

    /// Set the quantity of an item
    #[oai(path = "/cart/items/:variant_id", method = "patch", operation_id = "set_cart_item_quantity")]
    async fn set_quantity(
        &self,
        shopper: Shopper,
        variant_id: Path<Uuid>,
        body: Body<QuantityRequest>,
        request: &Request,
    ) -> Result<Okay<Cart>, Refused<CartError>> {
        let item = Item { variant_id: VariantId(variant_id.0), quantity: body.quantity };
        self.count_held(&[item], request).await?;
        let (caller, state) = (CartCaller::from(shopper), self.0.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            cart::set_quantity(conn, &state.shop, caller.owner, item, &caller.origin).await?;
            caller.view(conn, &state).await
        };
        self.0.write("set_cart_item_quantity", None, effect).await
    }

    /// Remove an item
    #[oai(path = "/cart/items/:variant_id", method = "delete", operation_id = "remove_cart_item")]
    async fn remove(
        &self,
        shopper: Shopper,
        variant_id: Path<Uuid>,
    ) -> Result<Okay<Cart>, Refused<CartError>> {
        let (caller, state, variant_id) =
            (CartCaller::from(shopper), self.0.clone(), VariantId(variant_id.0));
        let effect = async move |conn: &mut AsyncPgConnection| {
            cart::remove_item(conn, &state.shop, caller.owner, variant_id, &caller.origin).await?;
            caller.view(conn, &state).await
        };
        self.0.write("remove_cart_item", None, effect).await
    }

    /// Empty the cart
    #[oai(path = "/cart", method = "delete", operation_id = "clear_cart")]
    async fn clear(&self, shopper: Shopper) -> Result<NoContent, Refused<CartError>> {
        let (caller, state) = (CartCaller::from(shopper), self.0.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            cart::clear(conn, &state.shop, caller.owner, &caller.origin).await?;
            Ok::<Nothing, CartError>(NOTHING)
        };
        self.0.write("clear_cart", None, effect).await
    }

    /// Merge a guest's cart
    ///
    /// Moves the items of a guest's cart into the customer's cart. Quantities are added up, as far as the
    /// limits of a cart allow. Logging in with `cart_token` does the same.
    #[oai(path = "/cart/merge", method = "post", operation_id = "merge_cart")]
    async fn merge(
        &self,
        customer: Customer,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<MergeCartRequest>,
    ) -> Result<Okay<Cart>, Refused<CartError>> {
        let request = key.request(&customer, body.raw());
        let (guest, user_id, state) = (TokenHash::of(&body.cart_token), customer.user_id, self.0.clone());
        let caller = CartCaller { owner: Owner::User(user_id), origin: customer.origin(), new_token: None };
        let effect = async move |conn: &mut AsyncPgConnection| {
            cart::merge(conn, &state.shop, guest, user_id, &caller.origin).await?;
            caller.view(conn, &state).await
        };
        self.0.write("merge_cart", request, effect).await
    }
}

/// The owner of a cart, and the new token if this write creates the guest's first cart.
#[derive(Clone)]
struct CartCaller {
    owner: Owner,
    origin: Origin,
    new_token: Option<String>,
}

impl Carts {
    /// Counts what the cart will keep from other shoppers, in mode `cart`.
    async fn count_held(&self, items: &[Item], request: &Request) -> Result<(), Problem> {
        let networks = self.0.limits.networks(request.data::<ClientIp>());
        if self.0.shop.reservation_mode == ReservationMode::Checkout || networks.is_empty() {
            return Ok(());
        }
        let units = cart::count_units_of(&mut *self.0.conn().await?, items).await?;
        self.0.limits.count_units(units, &networks).await
    }
}

impl CartCaller {
    fn of(visitor: Visitor, state: &State) -> Self {
        match visitor.shopper {
            Some(shopper) => shopper.into(),
            None => {
                let token = state.cart_tokens.issue();
                let origin = Origin { actor: Actor::Guest, request_id: visitor.call.request_id };
                Self { owner: Owner::Guest(TokenHash::of(&token)), origin, new_token: Some(token) }
            }
        }
    }

    async fn view(&self, conn: &mut AsyncPgConnection, state: &State) -> Result<Cart, CartError> {
        let view = cart::view(conn, &state.shop, self.owner).await?;
        Ok(Cart { token: self.new_token.clone(), ..Cart::from(view) })
    }
}

impl From<Shopper> for CartCaller {
    fn from(shopper: Shopper) -> Self {
        Self { owner: shopper.owner(), origin: shopper.origin(), new_token: None }
    }
}

/// An item to put into the cart.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CartItemRequest {
    pub variant_id: Uuid,
    #[oai(validator(minimum(value = "1"), maximum(value = "999")))]
    pub quantity: i64,
}

impl From<&CartItemRequest> for Item {
    fn from(request: &CartItemRequest) -> Self {
        Self { variant_id: VariantId(request.variant_id), quantity: request.quantity }
    }
}

impl Example for CartItemRequest {
    fn example() -> Self {
        Self { variant_id: EXAMPLE_VARIANT, quantity: 2 }
    }
}

/// All items of the cart.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct ReplaceCartRequest {
    #[oai(validator(max_items = 100))]
    pub items: Vec<CartItemRequest>,
}

impl Example for ReplaceCartRequest {
    fn example() -> Self {
        Self { items: vec![CartItemRequest::example()] }
    }
}

/// The new quantity of an item.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct QuantityRequest {
    #[oai(validator(minimum(value = "1"), maximum(value = "999")))]
    pub quantity: i64,
}

impl Example for QuantityRequest {
    fn example() -> Self {
        Self { quantity: 3 }
    }
}

/// The guest's cart to merge.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct MergeCartRequest {
    /// The guest's token.
    #[oai(validator(min_length = 16, max_length = 128))]
    pub cart_token: String,
}

impl Example for MergeCartRequest {
    fn example() -> Self {
        Self { cart_token: "Zk1m5m2YlVbq7sJvJt0mX0nq1o1t2bO8oJ3s0H5d6rE".to_owned() }
    }
}

const EXAMPLE_VARIANT: Uuid = Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1f);

/// A cart.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Cart {
    /// Absent until something was added to the cart.
    pub id: Option<Uuid>,
    /// Set when a guest adds the first item. Send it as `Cart-Token` from then on.
    pub token: Option<String>,
    pub currency: String,
    pub items: Vec<CartLine>,
    pub subtotal: Money,
    /// When the first of the cart's stock holds expires. Only in a shop that reserves stock from add-to-cart
    /// on.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A variant in a cart, with its current price.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct CartLine {
    pub variant_id: Uuid,
    pub product_id: Uuid,
    pub title: String,
    pub sku: Option<String>,
    pub quantity: i64,
    pub unit_price: Money,
    pub line_total: Money,
    /// Units that this shopper could order now. 0 if the variant is no longer for sale. Absent if its units
    /// are not counted, so that any quantity can be ordered.
    pub available: Option<i64>,
}

impl Cart {
    fn empty(state: &State) -> Self {
        let currency = state.shop.currency;
        let (items, subtotal) = (Vec::new(), Money::new(0, currency));
        Self { id: None, token: None, currency: currency.to_string(), items, subtotal, expires_at: None }
    }
}

impl From<CartView> for Cart {
    fn from(view: CartView) -> Self {
        let currency = view.currency;
        let line = |line: cart::CartLine| CartLine {
            variant_id: line.variant_id.0,
            product_id: line.product_id.0,
            title: line.title,
            sku: line.sku,
            quantity: line.quantity,
            unit_price: Money::new(line.unit_price_minor, currency),
            line_total: Money::new(line.line_total_minor, currency),
            available: line.available.units(),
        };
        Self {
            id: view.id.map(|id| id.0),
            token: None,
            currency: currency.to_string(),
            items: view.lines.into_iter().map(line).collect(),
            subtotal: Money::new(view.subtotal_minor, currency),
            expires_at: view.expires_at,
        }
    }
}

impl Example for CartLine {
    fn example() -> Self {
        Self {
            variant_id: EXAMPLE_VARIANT,
            product_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b20),
            title: "Classic Varsity Top – Small".to_owned(),
            sku: Some("CVT-S".to_owned()),
            quantity: 2,
            unit_price: Money { amount: 6000, currency: "USD".to_owned() },
            line_total: Money { amount: 12000, currency: "USD".to_owned() },
            available: Some(14),
        }
    }
}

impl Example for Cart {
    fn example() -> Self {
        Self {
            id: Some(Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b21)),
            token: None,
            currency: "USD".to_owned(),
            items: vec![CartLine::example()],
            subtotal: Money { amount: 12000, currency: "USD".to_owned() },
            expires_at: None,
        }
    }
}

/// 409, with the limit in `detail`.
pub fn hold_limit(limit: HoldLimit) -> Problem {
    let mut detail = limit.to_string();
    detail.get_mut(..1).map(str::make_ascii_uppercase);
    Problem::new(Code::HoldLimit, format!("{detail}."))
}

/// 409, with each line that is short of stock in `lines`.
pub fn out_of_stock(shortages: Vec<Shortage>) -> Problem {
    let lines: Vec<_> = shortages
        .iter()
        .map(|Shortage { variant_id, requested, available }| {
            serde_json::json!({ "variant_id": variant_id, "requested": requested, "available": available })
        })
        .collect();
    let detail = match shortages.as_slice() {
        [only] => format!("{} were requested, {} are available.", only.requested, only.available),
        more => format!("{} items are short of stock.", more.len()),
    };
    Problem::new(Code::OutOfStock, detail).with("lines", lines)
}

impl Refusal for CartError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::ValidationFailed,
        Code::OutOfStock,
        Code::NotForSale,
        Code::CartFull,
        Code::HoldLimit,
        Code::CurrencyMismatch,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::NotForSale(id) => {
                Problem::new(Code::NotForSale, self.to_string()).with("variant_ids", vec![id])
            }
            Self::NotInCart(_) => Problem::not_found("item in the cart"),
            Self::QuantityOutOfRange { .. } => {
                Problem::invalid(vec![Fault::at("/quantity", self.to_string())])
            }
            Self::TooManyItems => Problem::new(Code::CartFull, self.to_string()),
            Self::OutOfStock(shortages) => out_of_stock(shortages),
            Self::CurrencyMismatch { .. } => Problem::new(Code::CurrencyMismatch, self.to_string()),
            Self::HoldLimit(limit) => hold_limit(limit),
            Self::Pricing(_) => Problem::invalid(vec![Fault::at("/quantity", self.to_string())]),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ViewCartError {
    const CODES: &'static [Code] = &[];

    fn problem(self) -> Problem {
        match self {
            Self::Pricing(error) => Problem::internal(error),
            Self::Database(error) => error.into(),
        }
    }
}
