//! `/orders`: checkout, and what a shopper sees and does afterwards.

use chrono::{DateTime, Utc};
use commerce_core::cart;
use commerce_core::flows::{CancelLinesError, PlaceOrderError, cancel_lines, place_order_and_answer};
use commerce_core::ids::OrderId;
use commerce_core::orders::{self, ListOrdersError, OrderFilter, OrderSort};
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem::Request;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, twenty};
use crate::http::auth::{Customer, Shopper};
use crate::http::body::{Body, OptionalBody};
use crate::http::client_ip::ClientIp;
use crate::http::idempotency_key::{IdempotencyKey, RequiredIdempotencyKey};
use crate::http::language::AcceptLanguage;
use crate::http::order_access::OrderReader;
use crate::http::problem::{Missing, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::orders::cancellation::{CancelRequest, canceller};
use crate::resources::orders::checkout::CheckoutRequest;
use crate::resources::orders::shapes::{Order, OrderSorting, OrderStatus, with_lines};

pub struct Orders(pub State);

#[OpenApi(tag = "Tag::Orders")]
impl Orders {
    /// Check out
    ///
    /// Creates an order from the cart and reserves stock for all of it, or does nothing. The order can be
    /// paid until `expires_at`.
    ///
    /// A mail tells of an order that is not paid within a minute. Mails to addresses that the shopper has not proven
    /// are limited; the mail about the payment is sent in any case.
    ///
    /// Mails are in the language of `locale`, or else of the customer's account, or else in the one that
    /// `Accept-Language` prefers.
    #[oai(path = "/orders/checkout", method = "post", operation_id = "checkout")]
    async fn checkout(
        &self,
        shopper: Shopper,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        #[oai(name = "Accept-Language")] language: AcceptLanguage,
        body: Body<CheckoutRequest>,
        request: &Request,
    ) -> Result<Created<Order>, Refused<PlaceOrderError>> {
        let networks = self.0.limits.networks(request.data::<ClientIp>());
        let request = key.request(&shopper, body.raw());
        let wish = body.wish(&self.0, &shopper, language, networks.clone()).await?;
        if !networks.is_empty() {
            // A request that is sent again finds its cart ordered, and counts nothing.
            let units = cart::count_units(&mut *self.0.conn().await?, shopper.owner()).await?;
            self.0.limits.count_units(units, &networks).await?;
        }
        let (state, kept) = (self.0.clone(), request.clone());
        let effect = async move |conn: &mut AsyncPgConnection| {
            // The transaction is rolled back on any error.
            place_order_and_answer(conn, &state.shop, wish.clone(), &kept, |placed| {
                Created::new(Order::reply(placed.order.clone(), placed.lines.clone()))
            })
            .await
        };
        self.0.write_and_store("checkout", request, effect).await
    }

    /// List your orders
    #[oai(path = "/orders", method = "get", operation_id = "list_orders")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        customer: Customer,
        status: Query<Option<OrderStatus>>,
        /// Only orders placed at this time or later
        placed_from: Query<Option<DateTime<Utc>>>,
        /// Only orders placed before this time
        placed_before: Query<Option<DateTime<Utc>>>,
        /// Newest first by default
        sort: Query<Option<OrderSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Order>>, Refused<ListOrdersError>> {
        let filter = OrderFilter {
            user_id: Some(customer.user_id),
            status: status.0.map(Into::into),
            placed_from: placed_from.0,
            placed_before: placed_before.0,
            ..Default::default()
        };
        let mut conn = self.0.conn().await?;
        let sort = sort.0.map_or(OrderSort::NewestFirst, Into::into);
        let page = orders::list(
            &mut conn,
            &filter,
            sort,
            Limit::new(limit.0).unwrap_or_default(),
            cursor.0.as_deref(),
        )
        .await?;
        Ok(Okay::page(with_lines(&mut conn, page).await?))
    }

    /// Get an order
    ///
    /// A guest can get an order for 30 days with the `Cart-Token` that placed it. Without it, `POST /orders/lookup` mails an
    /// `Order-Token`.
    #[oai(path = "/orders/:id", method = "get", operation_id = "get_order")]
    async fn get(&self, reader: OrderReader, id: Path<Uuid>) -> Result<Okay<Order>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let order = orders::find_accessible(&mut conn, OrderId(id.0), reader.access()).await?;
        let order = order.ok_or(Missing("order"))?;
        let lines = orders::lines(&mut conn, &[order.id]).await?;
        Ok(Okay::new(Order::reply(order, lines)))
    }

    /// Cancel an order
    ///
    /// Shoppers can cancel an order until the shop begins to process it. Its stock is released, and what was paid is
    /// refunded.
    ///
    /// With `lines`, only these units are cancelled. The order's lines and totals stay as they were at checkout;
    /// `cancelled_quantity` and `cancelled_total` say what is cancelled of them. Less is due, or what was paid for the
    /// units is refunded, with their part of discounts and taxes. An order whose money covers the rest becomes paid. If
    /// nothing would be left, the whole order is cancelled.
    ///
    /// Staff with the permission `orders.write` can cancel whatever was not shipped or packed, of any order. They also
    /// need `payments.refund` if money has come in and goes back, and choose what becomes of money and units.
    #[oai(path = "/orders/:id/cancel", method = "post", operation_id = "cancel_order")]
    async fn cancel(
        &self,
        reader: OrderReader,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: OptionalBody<CancelRequest>,
    ) -> Result<Okay<Order>, Refused<CancelLinesError>> {
        let request = key.request(&reader, body.raw());
        let id = OrderId(id.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            let by = canceller(conn, &reader, id).await?;
            let order = cancel_lines(conn, body.value.clone().wish(id, by)).await?;
            let lines = orders::lines(conn, &[order.id]).await?;
            Ok::<_, CancelLinesError>(Order::reply(order, lines))
        };
        self.0.write("cancel_order", request, effect).await
    }
}
