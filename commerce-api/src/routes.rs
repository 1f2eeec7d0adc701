//! The whole surface on one page, and how to write a resource.
//!
//! A resource is one file with a struct over the [`State`], `#[OpenApi]` handlers and their request and
//! response types:
//!
//! ```ignore
//! pub struct Inventory(pub State);
//!
//! #[OpenApi(tag = "Tag::Inventory")]
//! impl Inventory {
//!     /// Adjust stock                                    ← the summary; the text after it is the description
//!     ///
//!     /// Adds units to what is on hand, or takes units away.
//!     #[oai(path = "/admin/inventory/:variant_id/adjustments", method = "post", operation_id = "adjust_stock")]
//!     async fn adjust(
//!         &self,
//!         staff: Can<InventoryWrite>,                   // first: 401 and 403 come before 400, 404 and 422
//!         variant_id: Path<Uuid>,
//!         #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
//!         body: Body<AdjustStockRequest>,
//!     ) -> Result<Created<Movement>, Refused<AdjustStockError>> {
//!         let request = key.request(&staff, body.raw());
//!         let command = AdjustStock { variant_id: VariantId(variant_id.0), delta: body.delta, origin: staff.origin() };
//!         self.0
//!             .write("adjust_stock", request, async move |conn: &mut AsyncPgConnection| {
//!                 inventory::adjust(conn, &command).await.map(Movement::from)
//!             })
//!             .await
//!     }
//! }
//!
//! impl Refusal for AdjustStockError {
//!     const CODES: &'static [Code] = &[Code::NotFound, Code::ValidationFailed];
//!
//!     fn problem(self) -> Problem {
//!         match self {                                   // exhaustive: a new variant does not compile
//!             Self::UnknownVariant => Problem::not_found("variant"),
//!             Self::BelowReserved { .. } => Problem::invalid(vec![Fault::at("/delta", self.to_string())]),
//!             Self::Database(error) => error.into(),
//!         }
//!     }
//! }
//! ```
//!
//! - **Who may call**: put [`Can<P>`](crate::http::auth::Can), [`Customer`](crate::http::auth::Customer),
//!   [`Shopper`](crate::http::auth::Shopper) or [`Visitor`](crate::http::auth::Visitor) first. Without any of
//!   them, everybody may call.
//! - **Bodies**: use [`Body<T>`](crate::http::body::Body) with `#[derive(Object)] #[oai(deny_unknown_fields,
//!   example)]`. The body is checked against the schema of `T` in the spec, so give every field its
//!   `#[oai(validator(…))]`. Wrong types, lengths, ranges, enums, formats and unknown fields are then
//!   refused, each with a pointer. What a schema cannot express is an error of the use case. An optional body
//!   is an [`OptionalBody<T>`](crate::http::body::OptionalBody).
//! - **Reads** take `self.0.conn().await?`, or `self.0.reader().await?` for the catalogue, and return [`Okay<T>`](crate::http::answer::Okay):
//!   `Ok(Okay::new(Reply::new(body).version(row.version)))`. The edge handles `If-None-Match`. A list returns
//!   `Okay<List<T>>` by `Okay::page(page.map(T::from))`, and the edge adds its `Link`.
//! - **Writes** go through [`State::write`](crate::http::state::State::write): one transaction in a task of
//!   its own. With `key.request(…)` the answer is stored for a replay; with `None` it is not. Every POST with
//!   a credential that changes something takes an
//!   [`IdempotencyKey`](crate::http::idempotency_key::IdempotencyKey). Checkout, pay and refund take a
//!   `RequiredIdempotencyKey`. If a provider is called between two transactions, use
//!   [`db::in_transaction`](commerce_core::db) and `commerce_core::idempotency` directly, inside one
//!   `tokio::spawn`.
//! - **Changes with a version** take `#[oai(name = "If-Match")] expected: IfMatch`, and pass
//!   `expected.version()` to the use case.
//! - **Errors**: new codes go into `http/problem_code.rs`. The spec gets the common codes by itself (401,
//!   403, 413, 415, 400 for parameters, idempotency, 500, 503). `CODES` lists what the use case adds.
//! - **Spec**: `operation_id` is snake_case. Every request and response type has an `Example`. All methods of
//!   a path are in the same struct. Closed sets of core become API enums by `#[derive(Enum)] #[oai(remote =
//!   "core::Type")]`.
//!
//! After adding a resource, list it in [`Surface`] and [`surface`], give it a [`Tag`](crate::http::tag::Tag),
//! and run `commerce-api openapi > openapi.yaml`.

use std::sync::{Arc, LazyLock};

use crate::http::openapi::{self, Document};
use crate::http::route_table::RouteTable;
use crate::http::state::State;
use crate::resources::accounts::addresses::Addresses;
use crate::resources::accounts::admin_users::AdminUsers;
use crate::resources::accounts::email::EmailChanges;
use crate::resources::accounts::login::Accounts;
use crate::resources::accounts::me::Me;
use crate::resources::accounts::password::Passwords;
use crate::resources::accounts::registration::Registrations;
use crate::resources::accounts::second_factor::SecondFactor;
use crate::resources::accounts::sessions::Sessions;
use crate::resources::audit_log::{AuditLog, AuditLogFile};
use crate::resources::cart::Carts;
use crate::resources::cart::quote::CartQuotes;
use crate::resources::catalog::categories::Categories;
use crate::resources::catalog::export::ProductsExport;
use crate::resources::catalog::images::ProductImages;
use crate::resources::catalog::import::ProductImport;
use crate::resources::catalog::products::Products;
use crate::resources::contact::ContactMessages;
use crate::resources::inventory::export::LedgerFile;
use crate::resources::inventory::import::StockImport;
use crate::resources::inventory::levels::Inventory;
use crate::resources::inventory::locations::StockLocations;
use crate::resources::inventory::low_stock::LowStocks;
use crate::resources::inventory::movements::Movements;
use crate::resources::inventory::transfers::Transfers;
use crate::resources::inventory::variant_stock::VariantStocks;
use crate::resources::jobs::board::Jobs;
use crate::resources::jobs::kinds::JobKinds;
use crate::resources::orders::admin_orders::AdminOrders;
use crate::resources::orders::export::OrdersExport;
use crate::resources::orders::lookup::OrderLookups;
use crate::resources::orders::shopper_orders::Orders;
use crate::resources::payments::captures::Captures;
use crate::resources::payments::manual_payments::ManualPayments;
use crate::resources::payments::payment_links::PaymentLinks;
use crate::resources::payments::refunds::Refunds;
use crate::resources::payments::shopper_payments::Payments;
use crate::resources::payments::staff_refunds::StaffRefunds;
use crate::resources::payments::webhooks::Webhooks;
use crate::resources::returns::admin_returns::AdminReturns;
use crate::resources::returns::shopper_returns::Returns;
use crate::resources::returns::withdrawals::Withdrawals;
use crate::resources::search::Search;
use crate::resources::shipments::Shipments;

/// Every resource under `/v1`, in groups, because the framework takes at most sixteen at a time.
pub type Surface = (
    (Registrations, Accounts, Passwords, EmailChanges),
    (Me, SecondFactor, Sessions, Addresses),
    Products,
    Search,
    ProductImages,
    ProductImport,
    ProductsExport,
    Categories,
    (Inventory, LowStocks, VariantStocks, Movements, LedgerFile, StockImport, Transfers, StockLocations),
    (Carts, CartQuotes),
    Orders,
    AdminOrders,
    OrdersExport,
    (Payments, PaymentLinks, Captures, Refunds, StaffRefunds, ManualPayments, Webhooks),
    (Shipments, OrderLookups, Returns, AdminReturns, Withdrawals, ContactMessages),
    (AdminUsers, AuditLog, AuditLogFile, Jobs, JobKinds),
);

pub fn surface(state: &State) -> Surface {
    let state = || state.clone();
    (
        (Registrations(state()), Accounts(state()), Passwords(state()), EmailChanges(state())),
        (Me(state()), SecondFactor(state()), Sessions(state()), Addresses(state())),
        Products(state()),
        Search(state()),
        ProductImages(state()),
        ProductImport(state()),
        ProductsExport(state()),
        Categories(state()),
        (
            Inventory(state()),
            LowStocks(state()),
            VariantStocks(state()),
            Movements(state()),
            LedgerFile(state()),
            StockImport(state()),
            Transfers(state()),
            StockLocations(state()),
        ),
        (Carts(state()), CartQuotes(state())),
        Orders(state()),
        AdminOrders(state()),
        OrdersExport(state()),
        (
            Payments(state()),
            PaymentLinks(state()),
            Captures(state()),
            Refunds(state()),
            StaffRefunds(state()),
            ManualPayments(state()),
            Webhooks(state()),
        ),
        (
            Shipments(state()),
            OrderLookups(state()),
            Returns(state()),
            AdminReturns(state()),
            Withdrawals(state()),
            ContactMessages(state()),
        ),
        (AdminUsers(state()), AuditLog(state()), AuditLogFile(state()), Jobs(state()), JobKinds(state())),
    )
}

/// The paths that are served beside the API.
pub const OTHER_PATHS: [&str; 12] = [
    "/docs",
    "/docs/",
    "/openapi.yaml",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/problems/{code}",
    "/demo-images/{name}",
    "/media/{name}",
    "/reset-password",
    "/order",
    "/.well-known/jwks.json",
];

/// What edge and checks ask of the surface. It follows from types alone, so it is made once in a process,
/// however many applications it serves.
pub fn table() -> Arc<RouteTable> {
    static TABLE: LazyLock<Arc<RouteTable>> =
        LazyLock::new(|| Arc::new(RouteTable::of::<Surface>(&OTHER_PATHS)));
    Arc::clone(&TABLE)
}

/// The spec of the surface, made once in a process.
pub fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(openapi::document::<Surface>);
    &DOCUMENT
}
