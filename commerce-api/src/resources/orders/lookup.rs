//! `/orders/lookup`: guests get a link to an order that they have lost.

use commerce_core::flows;
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::http::answer::Accepted;
use crate::http::body::Body;
use crate::http::problem::{OnlyDatabase, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::password::known_address;

pub struct OrderLookups(pub State);

#[OpenApi(tag = "Tag::Orders")]
impl OrderLookups {
    /// Request a link to an order
    ///
    /// If there is an order with this number, and mails about it go to this address, a mail brings a link to it: at most
    /// five an hour to one address. The answer and its time are the same whether or not there is one.
    ///
    /// The token of the link is sent as `Order-Token`. For 30 days it allows to see this one order, to cancel it, and to
    /// return its goods.
    #[oai(path = "/orders/lookup", method = "post", operation_id = "look_up_order")]
    async fn look_up(
        &self,
        body: Body<OrderLookupRequest>,
    ) -> Result<Accepted<LookupAccepted>, Refused<OnlyDatabase>> {
        self.0.limits.by_account("look_up_order", &body.email).await?;
        let email = known_address(&body.email, "/email")?;
        let number = body.value.number;
        let effect = async move |conn: &mut AsyncPgConnection| {
            flows::look_up_order(conn, &number, &email).await?;
            Ok(LookupAccepted::example())
        };
        self.0.write("look_up_order", None, effect).await
    }
}

/// An order, as its mails name it.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
struct OrderLookupRequest {
    /// The order number.
    #[oai(validator(min_length = 1, max_length = 40))]
    number: String,
    /// The address that mails about the order go to.
    #[oai(validator(min_length = 3, max_length = 254))]
    email: String,
}

impl Example for OrderLookupRequest {
    fn example() -> Self {
        Self { number: "1001".to_owned(), email: "ada@example.com".to_owned() }
    }
}

/// Says what happens next. The text is the same for every order and address.
#[derive(Object)]
#[oai(example)]
struct LookupAccepted {
    message: String,
}

impl Example for LookupAccepted {
    fn example() -> Self {
        Self {
            message: "If there is such an order, a mail with a link is on its way to this address."
                .to_owned(),
        }
    }
}
