//! `/admin/stock-locations`: the places where stock is kept.

use chrono::{DateTime, Utc};
use commerce_core::audit_log::{self, Subject};
use commerce_core::ids::LocationId;
use commerce_core::inventory::{
    self, ListLocationsError, LocationPatch, LocationSort, MAIN_LOCATION, NewLocation, WriteLocationError,
};
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, NoContent, Okay, Reply, twenty};
use crate::http::auth::{Can, InventoryRead, InventoryWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct StockLocations(pub State);

#[OpenApi(tag = "Tag::Inventory")]
impl StockLocations {
    /// List stock locations
    #[oai(path = "/admin/stock-locations", method = "get", operation_id = "list_stock_locations")]
    async fn list(
        &self,
        _staff: Can<InventoryRead>,
        active: Query<Option<bool>>,
        /// By priority by default
        sort: Query<Option<LocationSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<StockLocation>>, Refused<ListLocationsError>> {
        let sort = sort.0.map_or(LocationSort::Priority, Into::into);
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = inventory::list_locations(&mut conn, active.0, sort, limit, cursor.0.as_deref()).await?;
        Ok(Okay::page(page.map(StockLocation::from)))
    }

    /// Create a stock location
    ///
    /// A shop has at most 200 locations.
    #[oai(path = "/admin/stock-locations", method = "post", operation_id = "create_stock_location")]
    async fn create(
        &self,
        staff: Can<InventoryWrite>,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<CreateStockLocationRequest>,
    ) -> Result<Created<StockLocation>, Refused<WriteLocationError>> {
        let request = key.request(&staff, body.raw());
        let CreateStockLocationRequest { code, name, priority, active } = body.value;
        let new = NewLocation { code, name, priority, active: active.unwrap_or(true) };
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let location = inventory::create_location(conn, &new).await?;
            let subject = Subject::StockLocation(location.id);
            audit_log::record(conn, &author, "create_stock_location", subject, None).await?;
            let path = format!("/v1/admin/stock-locations/{}", location.id);
            Ok::<_, WriteLocationError>(Reply::<StockLocation>::from(location).location(path))
        };
        self.0.write("create_stock_location", request, effect).await
    }

    /// Get a stock location
    #[oai(path = "/admin/stock-locations/:id", method = "get", operation_id = "get_stock_location")]
    async fn get(
        &self,
        _staff: Can<InventoryRead>,
        id: Path<Uuid>,
    ) -> Result<Okay<StockLocation>, Refused<Missing>> {
        let location = inventory::find_location(&mut *self.0.conn().await?, LocationId(id.0)).await?;
        Ok(Okay::new(Reply::<StockLocation>::from(location.ok_or(Missing("location"))?)))
    }

    /// Update a stock location
    ///
    /// Changes only the given fields. A location that is not active supplies no orders: its units are not for sale from
    /// that moment on, and search follows within seconds. Its units can be counted and transferred, and what is reserved
    /// there is still shipped.
    #[oai(path = "/admin/stock-locations/:id", method = "patch", operation_id = "update_stock_location")]
    async fn update(
        &self,
        staff: Can<InventoryWrite>,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateStockLocationRequest>,
    ) -> Result<Okay<StockLocation>, Refused<WriteLocationError>> {
        let UpdateStockLocationRequest { code, name, priority, active } = body.value;
        let (id, patch) = (LocationId(id.0), LocationPatch { code, name, priority, active });
        let author = staff.author();
        let update = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::StockLocation(id);
            let before = audit_log::snapshot(conn, subject).await?;
            let location = inventory::update_location(conn, id, expected.version(), &patch).await?;
            audit_log::record(conn, &author, "update_stock_location", subject, before).await?;
            Ok::<_, WriteLocationError>(location)
        };
        let location = self.0.transaction("update_stock_location", update).await?;
        Ok(Okay::new(Reply::<StockLocation>::from(location)))
    }

    /// Delete a stock location
    ///
    /// A location with units cannot be deleted. Transfer them first, or make the location inactive. The ledger keeps what
    /// happened there, and the code is free again. The main location cannot be deleted.
    #[oai(path = "/admin/stock-locations/:id", method = "delete", operation_id = "delete_stock_location")]
    async fn delete(
        &self,
        staff: Can<InventoryWrite>,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
    ) -> Result<NoContent, Refused<WriteLocationError>> {
        let (id, author) = (LocationId(id.0), staff.author());
        let delete = async move |conn: &mut AsyncPgConnection| {
            let subject = Subject::StockLocation(id);
            let before = audit_log::snapshot(conn, subject).await?;
            inventory::delete_location(conn, id, expected.version()).await?;
            audit_log::record(conn, &author, "delete_stock_location", subject, before).await?;
            Ok::<_, WriteLocationError>(())
        };
        self.0.transaction("delete_stock_location", delete).await?;
        Ok(NoContent::done())
    }
}

/// The sort order of locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "StockLocationSort", rename_all = "snake_case", remote = "LocationSort")]
pub enum LocationSorting {
    Priority,
    Code,
    Name,
}

/// A location to create.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct CreateStockLocationRequest {
    /// A short word for files: lower-case letters and digits in words joined by hyphens.
    #[oai(validator(min_length = 1, max_length = 50, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub code: String,
    #[oai(validator(min_length = 1, max_length = 200))]
    pub name: String,
    /// Lower supplies first. After all others by default.
    pub priority: Option<i32>,
    /// Whether it supplies orders. True by default.
    pub active: Option<bool>,
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateStockLocationRequest {
    /// A short word for files: lower-case letters and digits in words joined by hyphens.
    #[oai(validator(min_length = 1, max_length = 50, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub code: Option<String>,
    #[oai(validator(min_length = 1, max_length = 200))]
    pub name: Option<String>,
    /// Lower supplies first.
    pub priority: Option<i32>,
    /// Whether it supplies orders.
    pub active: Option<bool>,
}

/// A place where stock is kept.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct StockLocation {
    pub id: Uuid,
    pub code: String,
    pub name: String,
    /// Lower supplies first. Of two with the same priority, the older one does.
    pub priority: i32,
    /// Whether it supplies orders.
    pub active: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<inventory::Location> for StockLocation {
    fn from(location: inventory::Location) -> Self {
        Self {
            id: location.id.0,
            code: location.code,
            name: location.name,
            priority: location.priority,
            active: location.active,
            created_at: location.created_at,
            updated_at: location.updated_at,
        }
    }
}

impl From<inventory::Location> for Reply<StockLocation> {
    fn from(location: inventory::Location) -> Self {
        let version = location.version;
        Self::new(StockLocation::from(location)).version(version)
    }
}

impl Refusal for ListLocationsError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for WriteLocationError {
    const CODES: &'static [Code] = &[
        Code::NotFound,
        Code::VersionMismatch,
        Code::LocationCodeTaken,
        Code::LocationInUse,
        Code::TooManyLocations,
        Code::ValidationFailed,
    ];

    fn problem(self) -> Problem {
        match self {
            Self::Unknown => Problem::not_found("location"),
            Self::VersionMismatch { .. } => {
                Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning())
            }
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::CodeTaken => Problem::new(Code::LocationCodeTaken, Code::LocationCodeTaken.meaning()),
            Self::TooMany => Problem::new(Code::TooManyLocations, self.to_string()),
            Self::InUse { .. } | Self::Main => Problem::new(Code::LocationInUse, self.to_string()),
            Self::Database(error) => error.into(),
        }
    }
}

impl Example for CreateStockLocationRequest {
    fn example() -> Self {
        Self {
            code: "berlin-2".to_owned(),
            name: "Berlin, second floor".to_owned(),
            priority: None,
            active: None,
        }
    }
}

impl Example for UpdateStockLocationRequest {
    fn example() -> Self {
        Self {
            code: None,
            name: Some("Berlin, ground floor".to_owned()),
            priority: Some(2),
            active: Some(false),
        }
    }
}

impl Example for StockLocation {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: MAIN_LOCATION.0,
            code: "main".to_owned(),
            name: "Main location".to_owned(),
            priority: 1,
            active: true,
            created_at: at,
            updated_at: at,
        }
    }
}
