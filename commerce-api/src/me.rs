//! `/me`: the caller's own account.

use chrono::{DateTime, Utc};
use commerce_core::accounts::{self, Role, UpdateProfile, UpdateProfileError, User};
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::answer::{Okay, Reply};
use crate::auth::Customer;
use crate::body::Body;
use crate::edge::IfMatch;
use crate::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::routes::Tag;
use crate::state::State;

pub struct Me(pub State);

#[OpenApi(tag = "Tag::Me")]
impl Me {
    /// Read the own account
    #[oai(path = "/me", method = "get", operation_id = "get_me")]
    async fn get(&self, customer: Customer) -> Result<Okay<Account>, Problem> {
        let mut conn = self.0.conn().await?;
        let user = accounts::find_user(&mut conn, customer.user_id).await?;
        let user = user.ok_or_else(|| Problem::not_found("account"))?;
        Ok(Okay::new(Reply::from(user)))
    }

    /// Change the own account
    #[oai(path = "/me", method = "patch", operation_id = "update_me")]
    async fn update(
        &self,
        customer: Customer,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateMeRequest>,
    ) -> Result<Okay<Account>, Refused<UpdateProfileError>> {
        let id = customer.user_id;
        let change =
            UpdateProfile { display_name: body.value.display_name, expected_version: expected.version() };
        let update =
            async move |conn: &mut AsyncPgConnection| accounts::update_profile(conn, id, &change).await;
        self.0.write("update_profile", None, update).await
    }
}

/// What is to change; what is left out stays.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateMeRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    display_name: Option<String>,
}

impl Example for UpdateMeRequest {
    fn example() -> Self {
        Self { display_name: Some("Ada King".to_owned()) }
    }
}

impl Refusal for UpdateProfileError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::VersionMismatch];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("account"),
            Self::VersionMismatch => Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning()),
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::Database(error) => error.into(),
        }
    }
}

/// What a person is to the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "Role", rename_all = "snake_case", remote = "Role")]
pub enum AccountRole {
    Customer,
    Support,
    CatalogueManager,
    Fulfilment,
    Admin,
}

/// An account, as its owner sees it.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub struct Account {
    pub id: Uuid,
    pub email: String,
    pub display_name: String,
    pub role: AccountRole,
    /// What the role allows.
    pub permissions: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email,
            display_name: user.display_name,
            role: user.role.into(),
            permissions: user.role.permissions().iter().map(ToString::to_string).collect(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

impl From<User> for Reply<Account> {
    fn from(user: User) -> Self {
        let version = user.version;
        Self::new(Account::from(user)).version(version)
    }
}

impl Example for Account {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1e),
            email: "ada@example.com".to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            role: AccountRole::Customer,
            permissions: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    }
}
