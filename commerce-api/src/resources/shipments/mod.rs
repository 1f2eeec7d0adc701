//! `/shipments`: staff send parcels and follow them, and shoppers see where theirs are.

pub mod shapes;

use commerce_core::accounts::Permission;
use commerce_core::audit_log::Author;
use commerce_core::cart::Owner;
use commerce_core::flows::{
    CapturePaymentError, CreateShipment, CreateShipmentError, MoveShipmentError, add_checkpoint,
    capture_order, check_move, check_shipment, create_shipment, move_shipment,
};
use commerce_core::ids::OrderId;
use commerce_core::orders;
use commerce_core::page::{Limit, Page};
use commerce_core::settings::CapturePolicy;
use commerce_core::shipments::{
    self, FindShipmentError, ListShipmentsError, ShipmentAddress, ShipmentFilter,
};
use diesel_async::AsyncPgConnection;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use crate::http::answer::{Created, List, Okay, Reply, twenty};
use crate::http::auth::{Can, ShipmentsWrite, Shopper};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::cart::out_of_stock;
use crate::resources::shipments::shapes::{
    Checkpoint, CheckpointRequest, MoveShipmentRequest, Shipment, ShipmentRequest,
};

pub struct Shipments(pub State);

#[OpenApi(tag = "Tag::Shipments")]
impl Shipments {
    /// Create a shipment
    ///
    /// A parcel with some units of an order's lines, or with everything that is in no parcel yet. Its units stay
    /// reserved until it is `shipped`; then they leave the stock, and the shopper gets a mail. Without a tracking
    /// number the parcel gets a number of the shop's own. A carrier has one parcel with a number; two carriers may use
    /// the same.
    ///
    /// A parcel that was lost or came back can be sent again with `replaces`. Its units are taken from the stock anew.
    ///
    /// If the shop takes money when it ships (`COMMERCE_CAPTURE=on_shipping`), the first parcel that leaves takes all
    /// that is due, because payment providers let go of the rest with the first capture.
    #[oai(path = "/shipments", method = "post", operation_id = "create_shipment")]
    async fn create(
        &self,
        staff: Can<ShipmentsWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<ShipmentRequest>,
    ) -> Result<Created<Shipment>, Refused<CreateShipmentError>> {
        let request = key.request(&staff, body.raw());
        let wish = body.value.wish(staff.author());
        if wish.shipped && self.0.shop.capture == CapturePolicy::OnShipping {
            // No money is taken for a parcel that cannot leave, or twice for one request.
            let checked = wish.clone();
            let check = async move |conn: &mut AsyncPgConnection| check_shipment(conn, &checked).await;
            if let Some(answered) = self.0.begin("create_shipment", request.clone(), check).await? {
                return Ok(answered);
            }
            let CreateShipment { order_id, ref author, .. } = wish;
            self.capture(order_id, author.clone()).await?.map_err(CreateShipmentError::from)?;
        }
        let state = self.0.clone();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let shipment = create_shipment(conn, wish.clone()).await?;
            Ok::<_, CreateShipmentError>(reply(conn, &state, shipment).await?)
        };
        self.0.write("create_shipment", request, effect).await
    }

    /// List shipments
    ///
    /// Newest first. Of your own orders, or of all orders with the permission `orders.read`.
    #[oai(path = "/shipments", method = "get", operation_id = "list_shipments")]
    async fn list(
        &self,
        shopper: Shopper,
        order_id: Query<Option<Uuid>>,
        /// The number, of any carrier
        #[oai(validator(max_length = 100))]
        tracking_number: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Shipment>>, Refused<ListShipmentsError>> {
        let mut conn = self.0.conn().await?;
        let (owner, order_id) = (only_of(&shopper), order_id.0.map(OrderId));
        if let (Some(id), Some(owner)) = (order_id, owner) {
            let own = orders::find_owned(&mut conn, id, owner).await?;
            own.ok_or_else(|| Problem::not_found("order"))?;
        }
        let filter = ShipmentFilter { owner, order_id, tracking_number: tracking_number.0 };
        let limit = Limit::new(limit.0).unwrap_or_default();
        let Page { data, next_cursor } =
            shipments::list(&mut conn, &filter, limit, cursor.0.as_deref()).await?;
        let data = Shipment::read(&mut conn, &self.0.shop.carriers, data).await?;
        Ok(Okay::page(Page { data, next_cursor }))
    }

    /// Get a shipment
    ///
    /// By its tracking number or its id. Of your own order, or of any order with the permission `orders.read`. If
    /// several carriers use the number, name the `carrier`.
    #[oai(path = "/shipments/:tracking_number", method = "get", operation_id = "get_shipment")]
    async fn get(
        &self,
        shopper: Shopper,
        #[oai(validator(max_length = 100))] tracking_number: Path<String>,
        #[oai(validator(max_length = 100))] carrier: Query<Option<String>>,
    ) -> Result<Okay<Shipment>, Refused<FindShipmentError>> {
        let mut conn = self.0.conn().await?;
        let address = ShipmentAddress { number: tracking_number.0, carrier: carrier.0 };
        let shipment = shipments::find(&mut conn, &address, only_of(&shopper)).await?;
        Ok(Okay::new(reply(&mut conn, &self.0, shipment).await?))
    }

    /// Update the status of a shipment
    ///
    /// - `shipped`: the carrier has it. Its units leave the stock, and the shopper gets a mail.
    /// - `in_transit`, `out_for_delivery`, `failed_attempt`: it is on its way.
    /// - `delivered`: it has arrived, and the shopper gets a mail.
    /// - `returned`: it came back to the shop. Its units are back in stock unless `restock` is false.
    /// - `lost`: the carrier has lost it. It can be sent again with `replaces`, or its units can be refunded.
    /// - `cancelled`: it is not sent. Only a `pending` shipment can be cancelled, and its units can be packed anew.
    ///
    /// From `shipped` on, each step is also a checkpoint. The status of the order follows its shipments. A shipment
    /// that has the status already stays as it is.
    #[oai(path = "/shipments/:tracking_number/status", method = "patch", operation_id = "move_shipment")]
    async fn move_on(
        &self,
        staff: Can<ShipmentsWrite>,
        #[oai(validator(max_length = 100))] tracking_number: Path<String>,
        #[oai(validator(max_length = 100))] carrier: Query<Option<String>>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<MoveShipmentRequest>,
    ) -> Result<Okay<Shipment>, Refused<MoveShipmentError>> {
        let address = ShipmentAddress { number: tracking_number.0, carrier: carrier.0 };
        let wish = body.value.wish(address, expected.version(), staff.author())?;
        let takes_money = self.0.shop.capture == CapturePolicy::OnShipping;
        if takes_money && wish.to == shipments::ShipmentStatus::Shipped {
            let checked = wish.clone();
            let check = async move |conn: &mut AsyncPgConnection| check_move(conn, &checked).await;
            let shipment = self.0.transaction("check_move", check).await?;
            let author = wish.author.clone();
            self.capture(shipment.order_id, author).await?.map_err(MoveShipmentError::from)?;
        }
        let state = self.0.clone();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let shipment = move_shipment(conn, wish.clone()).await?;
            Ok::<_, MoveShipmentError>(reply(conn, &state, shipment).await?)
        };
        self.0.write("move_shipment", None, effect).await
    }

    /// Add a checkpoint to a shipment
    ///
    /// What the carrier reports, in any order. An event of the carrier is added once: one with an `event_id` that is
    /// known, or, without one, with the same status, time and place, answers with the checkpoint that is there.
    ///
    /// The newest checkpoint moves the shipment on to `in_transit`, `out_for_delivery` or `failed_attempt`, and
    /// `delivered` always does. Staff decide when a shipment is `returned` or `lost`.
    #[oai(path = "/shipments/:tracking_number/checkpoints", method = "post", operation_id = "add_checkpoint")]
    async fn add_checkpoint(
        &self,
        staff: Can<ShipmentsWrite>,
        #[oai(validator(max_length = 100))] tracking_number: Path<String>,
        #[oai(validator(max_length = 100))] carrier: Query<Option<String>>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CheckpointRequest>,
    ) -> Result<Created<Checkpoint>, Refused<MoveShipmentError>> {
        let request = key.request(&staff, body.raw());
        let address = ShipmentAddress { number: tracking_number.0, carrier: carrier.0 };
        let wish = body.value.wish(address, staff.author());
        let effect = async move |conn: &mut AsyncPgConnection| {
            add_checkpoint(conn, wish.clone()).await.map(Checkpoint::from)
        };
        self.0.write("add_checkpoint", request, effect).await
    }
}

impl Shipments {
    /// Takes what is due of the authorized money of an order, before a parcel leaves.
    async fn capture(&self, id: OrderId, author: Author) -> Result<Result<(), CapturePaymentError>, Problem> {
        let state = self.0.clone();
        let capture =
            async move { capture_order(&state.pool, &state.shop, &state.providers, id, &author).await };
        self.0.to_its_end(capture).await
    }
}

/// The owner whose shipments the caller may see. `None` if the caller may see all.
fn only_of(shopper: &Shopper) -> Option<Owner> {
    match shopper {
        Shopper::Customer(customer) if customer.may(Permission::OrdersRead) => None,
        other => Some(other.owner()),
    }
}

/// The shipment with its `Location` and `ETag`.
async fn reply(
    conn: &mut AsyncPgConnection,
    state: &State,
    shipment: shipments::Shipment,
) -> Result<Reply<Shipment>, diesel::result::Error> {
    let (location, version) = (format!("/v1/shipments/{}", shipment.id), shipment.version);
    let shown = Shipment::read(conn, &state.shop.carriers, vec![shipment]).await?.pop();
    let shipment = shown.ok_or(diesel::NotFound)?;
    Ok(Reply::new(shipment).version_as_shown(version).location(location))
}

impl Refusal for FindShipmentError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::TrackingNumberAmbiguous];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::NotFound => Problem::not_found("shipment"),
            Self::Ambiguous(found) => {
                let each = |(id, carrier)| serde_json::json!({ "id": id, "carrier": carrier });
                let found: Vec<_> = found.into_iter().map(each).collect();
                Problem::new(Code::TrackingNumberAmbiguous, text).with("shipments", found)
            }
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ListShipmentsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor, Code::NotFound];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for CreateShipmentError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::OrderState,
        Code::ShipmentState,
        Code::OutOfStock,
        Code::TrackingNumberTaken,
        Code::ValidationFailed,
        Code::PaymentState,
        Code::ProviderRefused,
        Code::ProviderUnavailable,
    ];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::OrderNotFound => Problem::not_found("order"),
            Self::OrderState(status) => Problem::new(Code::OrderState, text).with("status", status),
            Self::UnknownLine(_) => Problem::invalid(vec![Fault::at("/lines", text)]),
            Self::TooManyUnits { order_line_id, left, .. } => {
                let problem = Problem::new(Code::OrderState, text);
                problem.with("order_line_id", order_line_id).with("units_left", left)
            }
            Self::NothingLeft => Problem::new(Code::OrderState, text),
            Self::UnknownReplaced(_) => Problem::invalid(vec![Fault::at("/replaces", text)]),
            Self::NotUndeliverable(status) => Problem::new(Code::ShipmentState, text).with("status", status),
            Self::TrackingNumberTaken(_) => Problem::new(Code::TrackingNumberTaken, text),
            Self::OutOfStock(shortages) => out_of_stock(shortages),
            Self::Capture(error) => error.problem(),
            Self::Stock(_) => Problem::internal(text),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for MoveShipmentError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::TrackingNumberAmbiguous,
        Code::VersionMismatch,
        Code::ShipmentState,
        Code::OrderState,
        Code::ValidationFailed,
        Code::PaymentState,
        Code::ProviderRefused,
        Code::ProviderUnavailable,
    ];

    fn problem(self) -> Problem {
        let text = self.to_string();
        match self {
            Self::Address(error) => error.problem(),
            Self::VersionMismatch => Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning()),
            Self::Transition(error) => Problem::new(Code::ShipmentState, text).with("status", error.from),
            Self::NotShipped(status) => Problem::new(Code::ShipmentState, text).with("status", status),
            Self::Replaced | Self::TooManyCheckpoints => Problem::new(Code::ShipmentState, text),
            Self::OrderState(status) => Problem::new(Code::OrderState, text).with("status", status),
            Self::InFuture => Problem::invalid(vec![Fault::at("/occurred_at", text)]),
            Self::Capture(error) => error.problem(),
            Self::Stock(_) => Problem::internal(text),
            Self::Return(_) => Problem::new(Code::ShipmentState, text),
            Self::Database(error) => error.into(),
        }
    }
}
