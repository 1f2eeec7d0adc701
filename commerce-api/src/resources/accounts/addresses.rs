//! `/me/addresses`: the caller's address book.

use chrono::{DateTime, Utc};
use commerce_core::accounts::{self, AddressBookError, AddressChange, SavedAddress};
use commerce_core::address::{Address, AddressError, AddressFields};
use commerce_core::ids::AddressId;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, List, NoContent, Okay, Reply};
use crate::http::auth::Customer;
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Missing, OnlyDatabase, Problem, Refusal, Refused};
use crate::http::route_table::BASE;
use crate::http::state::State;
use crate::http::tag::Tag;

pub struct Addresses(pub State);

#[OpenApi(tag = "Tag::Me")]
impl Addresses {
    /// List your addresses
    ///
    /// Returns all addresses, at most fifty: the default address first, then the others in the order they
    /// were added.
    #[oai(path = "/me/addresses", method = "get", operation_id = "list_addresses")]
    async fn list(&self, customer: Customer) -> Result<Okay<List<UserAddress>>, Problem> {
        let mut conn = self.0.conn().await?;
        let addresses = accounts::list_addresses(&mut conn, customer.user_id).await?;
        let data = addresses.into_iter().map(UserAddress::from).collect();
        Ok(Okay::new(List { data, next_cursor: None }))
    }

    /// Create an address
    #[oai(path = "/me/addresses", method = "post", operation_id = "add_address")]
    async fn add(
        &self,
        customer: Customer,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        body: Body<AddressRequest>,
    ) -> Result<Created<UserAddress>, Refused<AddressBookError>> {
        let (request, user_id) = (key.request(&customer, body.raw()), customer.user_id);
        let (address, is_default) = body.value.address().map_err(AddressBookError::from)?;
        let add = async move |conn: &mut AsyncPgConnection| {
            let added = accounts::add_address(conn, user_id, &address, is_default).await?;
            let place = format!("{BASE}/me/addresses/{}", added.id);
            Ok(Reply::from(added).location(place))
        };
        self.0.write("add_address", request, add).await
    }

    /// Get an address
    #[oai(path = "/me/addresses/:id", method = "get", operation_id = "get_address")]
    async fn get(&self, customer: Customer, id: Path<Uuid>) -> Result<Okay<UserAddress>, Refused<Missing>> {
        let mut conn = self.0.conn().await?;
        let found = accounts::find_address(&mut conn, customer.user_id, AddressId(id.0)).await?;
        Ok(Okay::new(Reply::from(found.ok_or(Missing("address"))?)))
    }

    /// Replace an address
    ///
    /// Fields that are left out become empty, except `is_default`, which keeps its value.
    #[oai(path = "/me/addresses/:id", method = "put", operation_id = "replace_address")]
    async fn replace(
        &self,
        customer: Customer,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<AddressRequest>,
    ) -> Result<Okay<UserAddress>, Refused<AddressBookError>> {
        let change = AddressChange { expected_version: expected.version(), ..body.value.replacement() };
        self.change(customer, id.0, change).await
    }

    /// Update an address
    ///
    /// Fields that are left out keep their value. An empty string removes an optional field.
    #[oai(path = "/me/addresses/:id", method = "patch", operation_id = "update_address")]
    async fn update(
        &self,
        customer: Customer,
        id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateAddressRequest>,
    ) -> Result<Okay<UserAddress>, Refused<AddressBookError>> {
        let given = body.value;
        let change = AddressChange {
            name: given.name,
            line1: given.line1,
            line2: given.line2,
            city: given.city,
            region: given.region,
            postal_code: given.postal_code,
            country: given.country,
            phone: given.phone,
            is_default: given.is_default,
            expected_version: expected.version(),
        };
        self.change(customer, id.0, change).await
    }

    /// Delete an address
    ///
    /// Orders that were sent to the address keep it.
    #[oai(path = "/me/addresses/:id", method = "delete", operation_id = "remove_address")]
    async fn remove(&self, customer: Customer, id: Path<Uuid>) -> Result<NoContent, Refused<Missing>> {
        let (user_id, id) = (customer.user_id, AddressId(id.0));
        let remove = async move |conn: &mut AsyncPgConnection| {
            Ok::<_, OnlyDatabase>(accounts::remove_address(conn, user_id, id).await?)
        };
        let removed = self.0.transaction("remove_address", remove).await?;
        if removed { Ok(NoContent::done()) } else { Err(Missing("address").into()) }
    }
}

impl Addresses {
    async fn change(
        &self,
        customer: Customer,
        id: Uuid,
        change: AddressChange,
    ) -> Result<Okay<UserAddress>, Refused<AddressBookError>> {
        let (user_id, id) = (customer.user_id, AddressId(id));
        let change = async move |conn: &mut AsyncPgConnection| {
            accounts::update_address(conn, user_id, id, &change).await
        };
        self.0.write("update_address", None, change).await
    }
}

impl Refusal for AddressBookError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::AddressBookFull, Code::VersionMismatch];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("address"),
            Self::Full => Problem::new(Code::AddressBookFull, Code::AddressBookFull.meaning()),
            Self::VersionMismatch => Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning()),
            Self::Invalid(error) => Problem::invalid(error.at("").into_iter().map(Fault::from).collect()),
            Self::Database(error) => error.into(),
        }
    }
}

/// A new or replaced address.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
pub struct AddressRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    #[oai(validator(min_length = 1, max_length = 200))]
    line1: String,
    #[oai(validator(max_length = 200))]
    line2: Option<String>,
    /// The town. Required in most countries.
    #[oai(validator(max_length = 200))]
    city: Option<String>,
    /// The state, province or county. Required in some countries, such as the United States.
    #[oai(validator(max_length = 200))]
    region: Option<String>,
    /// The postal code. Required in most countries that have them.
    #[oai(validator(max_length = 200))]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, such as `GB`, or `XK` for Kosovo.
    #[oai(validator(pattern = "^[A-Z]{2}$"))]
    country: String,
    #[oai(validator(max_length = 200))]
    phone: Option<String>,
    /// Whether this address becomes the default one.
    is_default: Option<bool>,
}

impl AddressRequest {
    fn address(self) -> Result<(Address, bool), AddressError> {
        let Self { name, line1, line2, city, region, postal_code, country, phone, is_default } = self;
        let fields = AddressFields { name, line1, line2, city, region, postal_code, country, phone };
        Ok((Address::new(fields)?, is_default.unwrap_or(false)))
    }

    fn replacement(self) -> AddressChange {
        AddressChange {
            name: Some(self.name),
            line1: Some(self.line1),
            line2: Some(self.line2.unwrap_or_default()),
            city: Some(self.city.unwrap_or_default()),
            region: Some(self.region.unwrap_or_default()),
            postal_code: Some(self.postal_code.unwrap_or_default()),
            country: Some(self.country),
            phone: Some(self.phone.unwrap_or_default()),
            is_default: self.is_default,
            expected_version: None,
        }
    }
}

impl Example for AddressRequest {
    fn example() -> Self {
        Self {
            name: "Ada Lovelace".to_owned(),
            line1: "12 St James's Square".to_owned(),
            line2: None,
            city: Some("London".to_owned()),
            region: None,
            postal_code: Some("SW1Y 4JH".to_owned()),
            country: "GB".to_owned(),
            phone: Some("+44 20 7946 0018".to_owned()),
            is_default: Some(true),
        }
    }
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateAddressRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    name: Option<String>,
    #[oai(validator(min_length = 1, max_length = 200))]
    line1: Option<String>,
    #[oai(validator(max_length = 200))]
    line2: Option<String>,
    #[oai(validator(max_length = 200))]
    city: Option<String>,
    /// The state, province or county. Required in some countries, such as the United States.
    #[oai(validator(max_length = 200))]
    region: Option<String>,
    #[oai(validator(max_length = 200))]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, such as `GB`, or `XK` for Kosovo.
    #[oai(validator(pattern = "^[A-Z]{2}$"))]
    country: Option<String>,
    #[oai(validator(max_length = 200))]
    phone: Option<String>,
    is_default: Option<bool>,
}

impl Example for UpdateAddressRequest {
    fn example() -> Self {
        Self {
            name: None,
            line1: Some("13 St James's Square".to_owned()),
            line2: None,
            city: None,
            region: None,
            postal_code: None,
            country: None,
            phone: None,
            is_default: Some(true),
        }
    }
}

/// An address in the address book.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub struct UserAddress {
    id: Uuid,
    name: String,
    line1: String,
    line2: Option<String>,
    city: Option<String>,
    region: Option<String>,
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2, such as `GB`, or `XK` for Kosovo.
    country: String,
    phone: Option<String>,
    /// Whether this is the default address. At most one address is.
    is_default: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<SavedAddress> for UserAddress {
    fn from(saved: SavedAddress) -> Self {
        let SavedAddress { id, address, is_default, created_at, updated_at, .. } = saved;
        let AddressFields { name, line1, line2, city, region, postal_code, country, phone } =
            address.into_fields();
        Self {
            id: id.0,
            name,
            line1,
            line2,
            city,
            region,
            postal_code,
            country,
            phone,
            is_default,
            created_at,
            updated_at,
        }
    }
}

impl From<SavedAddress> for Reply<UserAddress> {
    fn from(saved: SavedAddress) -> Self {
        let version = saved.version;
        Self::new(UserAddress::from(saved)).version(version)
    }
}

impl Example for UserAddress {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b20),
            name: "Ada Lovelace".to_owned(),
            line1: "12 St James's Square".to_owned(),
            line2: None,
            city: Some("London".to_owned()),
            region: None,
            postal_code: Some("SW1Y 4JH".to_owned()),
            country: "GB".to_owned(),
            phone: Some("+44 20 7946 0018".to_owned()),
            is_default: true,
            created_at: at,
            updated_at: at,
        }
    }
}
