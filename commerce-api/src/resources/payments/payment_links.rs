//! `/admin/orders/{id}/payment-link`: staff send a customer the page of a provider on which an order is paid.

use commerce_core::flows::{BeginPaymentError, StaffPayment};
use commerce_core::ids::OrderId;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use uuid::Uuid;

use crate::http::answer::Created;
use crate::http::auth::{Can, OrdersWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::RequiredIdempotencyKey;
use crate::http::problem::Refused;
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::payments::shapes::{PayRequest, Payment};
use crate::resources::payments::shopper_payments::{Paying, capture_method, pay_to_its_end};

pub struct PaymentLinks(pub State);

#[OpenApi(tag = "Tag::Payments")]
impl PaymentLinks {
    /// Create a payment link
    ///
    /// Starts a payment of an order for its customer, with a provider that has a page of its own, such as `stripe`. The
    /// answer has the link in `action`, and a mail about the order brings it to the customer. An earlier payment that is
    /// still open is ended first. A link is good for as long as the provider says; afterwards another one can be made
    /// while the order waits for its payment.
    ///
    /// If the provider cannot be reached, send the same request again to resume the payment.
    #[oai(
        path = "/admin/orders/:id/payment-link",
        method = "post",
        operation_id = "admin_create_payment_link"
    )]
    async fn create(
        &self,
        staff: Can<OrdersWrite>,
        id: Path<Uuid>,
        #[oai(name = "Idempotency-Key")] key: RequiredIdempotencyKey,
        body: Body<PayRequest>,
    ) -> Result<Created<Payment>, Refused<BeginPaymentError>> {
        let request = key.request(&staff, body.raw());
        let (provider, for_provider) = body.checked(&self.0.providers)?;
        let wish = StaffPayment {
            order_id: OrderId(id.0),
            provider,
            amount: body.amount.as_ref().map(|amount| amount.checked("/amount")).transpose()?,
            capture_method: capture_method(self.0.shop.capture),
            request: for_provider,
            request_key: *request.scope(),
            author: staff.author(),
        };
        pay_to_its_end(&self.0, request, Paying::Staff(wish)).await
    }
}
