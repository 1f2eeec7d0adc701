//! `/me`: the caller's own account.

use chrono::{DateTime, Utc};
use commerce_core::accounts::{self, Role, UpdateProfile, UpdateProfileError, User};
use commerce_core::flows::{DeleteAccountError, delete_account};
use diesel_async::AsyncPgConnection;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{NoContent, Okay, Reply};
use crate::http::auth::{Credential as _, Customer};
use crate::http::body::Body;
use crate::http::if_match::IfMatch;
use crate::http::language::checked_locale;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::password::prove_password;

pub struct Me(pub State);

#[OpenApi(tag = "Tag::Me")]
impl Me {
    /// Get your account
    #[oai(path = "/me", method = "get", operation_id = "get_me")]
    async fn get(&self, customer: Customer) -> Result<Okay<Account>, Problem> {
        let mut conn = self.0.conn().await?;
        let user = accounts::find_user(&mut conn, customer.user_id).await?;
        let user = user.ok_or_else(|| Problem::not_found("account"))?;
        Ok(Okay::new(Reply::from(user)))
    }

    /// Update your account
    #[oai(path = "/me", method = "patch", operation_id = "update_me")]
    async fn update(
        &self,
        customer: Customer,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateMeRequest>,
    ) -> Result<Okay<Account>, Refused<UpdateProfileError>> {
        let id = customer.user_id;
        let locale = checked_locale(&body.value.locale).map_err(|fault| Problem::invalid(vec![fault]))?;
        let change = UpdateProfile {
            display_name: body.value.display_name,
            locale,
            expected_version: expected.version(),
        };
        let update =
            async move |conn: &mut AsyncPgConnection| accounts::update_profile(conn, id, &change).await;
        self.0.write("update_profile", None, update).await
    }

    /// Delete your account
    ///
    /// Deletes the account at once and for good: name, e-mail address, password, sessions, address book,
    /// cart, and messages to the shop with this address. The e-mail address can be registered again. Orders stay, with
    /// the addresses given for them, because they are the shop's sales records and are needed for pending deliveries
    /// and refunds, and so do confirmed declarations of withdrawal. The last admin cannot be deleted.
    #[oai(path = "/me", method = "delete", operation_id = "delete_me")]
    async fn delete(
        &self,
        customer: Customer,
        body: Body<DeleteMeRequest>,
    ) -> Result<NoContent, Refused<DeleteAccountError>> {
        let proven = prove_password(&self.0, &customer, body.value.password).await;
        let proven = proven.map_err(Refusal::problem)?;
        let (state, origin, farewell) = (self.0.clone(), customer.origin(), customer.farewell(&self.0));
        let delete = async move |conn: &mut AsyncPgConnection| {
            delete_account(conn, &state.shop, &proven, &origin).await?;
            Ok(farewell)
        };
        let answer = self.0.write("delete_account", None, delete).await;
        self.0.sessions.forget_user(customer.user_id);
        answer
    }
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateMeRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    display_name: Option<String>,
    /// The language of mails, such as `de` or `en-GB`.
    #[oai(validator(max_length = 35))]
    locale: Option<String>,
}

impl Example for UpdateMeRequest {
    fn example() -> Self {
        Self { display_name: Some("Ada King".to_owned()), locale: Some("en-GB".to_owned()) }
    }
}

/// Asks for the password, so that nobody can delete the account from an unattended device.
#[derive(Object)]
#[oai(deny_unknown_fields, example)]
pub struct DeleteMeRequest {
    #[oai(validator(min_length = 1, max_length = 128))]
    password: String,
}

impl Example for DeleteMeRequest {
    fn example() -> Self {
        Self { password: "correct horse battery".to_owned() }
    }
}

impl Refusal for DeleteAccountError {
    const CODES: &'static [Code] = &[Code::WrongPassword, Code::LastAdmin];

    fn problem(self) -> Problem {
        let as_meant = |code: Code| Problem::new(code, code.meaning());
        match self {
            Self::PasswordChanged => as_meant(Code::WrongPassword),
            Self::LastAdmin => as_meant(Code::LastAdmin),
            Self::Database(error) => error.into(),
        }
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

/// What a user may do in the shop. `customer` is everybody who is not staff.
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
#[oai(skip_serializing_if_is_none, example)]
pub struct Account {
    pub id: Uuid,
    pub email: String,
    pub display_name: String,
    /// The language of mails, unless it is the shop's.
    pub locale: Option<String>,
    pub role: AccountRole,
    /// The permissions of the role.
    pub permissions: Vec<String>,
    /// Whether logins ask for a second factor.
    pub second_factor: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email.to_string(),
            display_name: user.display_name,
            locale: user.locale.map(String::from),
            role: user.role.into(),
            permissions: user.role.permissions().iter().map(ToString::to_string).collect(),
            second_factor: user.second_factor,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

impl From<User> for Reply<Account> {
    fn from(user: User) -> Self {
        let version = user.version;
        // Two users of the same browser may have accounts with the same version, so the tag covers all that
        // is shown.
        Self::new(Account::from(user)).version_as_shown(version)
    }
}

impl Example for Account {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1e),
            email: "ada@example.com".to_owned(),
            display_name: "Ada Lovelace".to_owned(),
            locale: Some("en-GB".to_owned()),
            role: AccountRole::Customer,
            permissions: Vec::new(),
            second_factor: false,
            created_at: at,
            updated_at: at,
        }
    }
}
