//! `/admin/users`: the accounts of customers and staff.

use chrono::{DateTime, Utc};
use commerce_core::accounts::{
    self, AdministerUserError, ListUsersError, Permission, UpdateUser, User, UserFilter, UserKey, UserSort,
};
use commerce_core::flows;
use commerce_core::page::Limit;
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{List, NOTHING, NoContent, Okay, Reply, twenty};
use crate::http::auth::{Can, UsersRead, UsersWrite, permission_denied};
use crate::http::body::Body;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Missing, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::me::AccountRole;

pub struct AdminUsers(pub State);

#[OpenApi(tag = "Tag::AdminUsers")]
impl AdminUsers {
    /// List users
    ///
    /// Deleted accounts are not listed.
    #[oai(path = "/admin/users", method = "get", operation_id = "admin_list_users")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        staff: Can<UsersRead>,
        /// Part of the name, e-mail address or phone number. One or two characters match the beginnings of
        /// words only
        #[oai(validator(max_length = 254))]
        q: Query<Option<String>>,
        role: Query<Option<AccountRole>>,
        disabled: Query<Option<bool>>,
        /// Newest first by default
        sort: Query<Option<UserSorting>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<UserAccount>>, Refused<ListUsersError>> {
        let filter = UserFilter { text: q.0, role: role.0.map(Into::into), disabled: disabled.0 };
        let sort = sort.0.map_or(UserSort::NewestFirst, Into::into);
        let limit = Limit::new(limit.0).unwrap_or_default();
        let mut conn = self.0.conn().await?;
        let page = accounts::list_users(&mut conn, &filter, sort, limit, cursor.0.as_deref()).await?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::page(page.map(UserAccount::from)))
    }

    /// Get a user
    #[oai(path = "/admin/users/:id_or_email", method = "get", operation_id = "admin_get_user")]
    async fn get(
        &self,
        staff: Can<UsersRead>,
        id_or_email: Path<String>,
    ) -> Result<Okay<UserAccount>, Refused<Missing>> {
        let key = UserKey::parse(&id_or_email.0).ok_or(Missing("user"))?;
        let mut conn = self.0.conn().await?;
        let user = accounts::find_user_by_key(&mut conn, &key).await?.ok_or(Missing("user"))?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::new(Reply::<UserAccount>::from(user)))
    }

    /// Update a user
    ///
    /// Changes only the given fields. A user who is disabled is logged out everywhere within two seconds, and
    /// a new role takes effect within two seconds. The last admin who can log in cannot be disabled and
    /// cannot get another role.
    #[oai(path = "/admin/users/:id_or_email", method = "patch", operation_id = "admin_update_user")]
    async fn update(
        &self,
        staff: Can<UsersWrite>,
        id_or_email: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateUserRequest>,
    ) -> Result<Okay<UserAccount>, Refused<AdministerUserError>> {
        let key = UserKey::parse(&id_or_email.0).ok_or(AdministerUserError::NotFound)?;
        let (change, author) = (body.value.change(expected), staff.author());
        let update = async move |conn: &mut AsyncPgConnection| {
            accounts::update_user(conn, &key, &change, &author).await
        };
        let user = self.0.transaction("admin_update_user", update).await?;
        self.0.sessions.forget_user(user.id);
        Ok(Okay::new(Reply::<UserAccount>::from(user)))
    }

    /// Delete a user
    ///
    /// Deletes all personal data of the account: name, e-mail address, phone number, password and sessions.
    /// Orders stay, with the names and addresses given for them. The e-mail address can be registered again.
    /// The last admin who can log in cannot be deleted.
    #[oai(path = "/admin/users/:id_or_email", method = "delete", operation_id = "admin_delete_user")]
    async fn delete(
        &self,
        staff: Can<UsersWrite>,
        id_or_email: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
    ) -> Result<NoContent, Refused<AdministerUserError>> {
        let key = UserKey::parse(&id_or_email.0).ok_or(AdministerUserError::NotFound)?;
        let (state, author) = (self.0.clone(), staff.author());
        let delete = async move |conn: &mut AsyncPgConnection| {
            flows::delete_account_of(conn, &state.shop, &key, expected.version(), &author).await
        };
        let id = self.0.transaction("admin_delete_user", delete).await?;
        self.0.sessions.forget_user(id);
        Ok(NoContent::new(NOTHING))
    }

    /// Remove a user's second factor
    ///
    /// For a user who has lost phone and recovery codes. Make sure that it is the user who asks. All sessions of the
    /// user end, logins ask for the password alone from now on, and a notice is mailed to the user.
    #[oai(
        path = "/admin/users/:id_or_email/second-factor",
        method = "delete",
        operation_id = "admin_remove_second_factor"
    )]
    async fn remove_second_factor(
        &self,
        staff: Can<UsersWrite>,
        id_or_email: Path<String>,
    ) -> Result<NoContent, Refused<AdministerUserError>> {
        let key = UserKey::parse(&id_or_email.0).ok_or(AdministerUserError::NotFound)?;
        let author = staff.author();
        let remove = async move |conn: &mut AsyncPgConnection| {
            flows::remove_second_factor_of(conn, &key, &author).await
        };
        let id = self.0.transaction("admin_remove_second_factor", remove).await?;
        self.0.sessions.forget_user(id);
        Ok(NoContent::done())
    }
}

/// The sort order of users. `-` means descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "UserSort", remote = "UserSort")]
pub enum UserSorting {
    #[oai(rename = "created_at")]
    OldestFirst,
    #[oai(rename = "-created_at")]
    NewestFirst,
    #[oai(rename = "email")]
    Email,
    #[oai(rename = "-email")]
    EmailDescending,
    #[oai(rename = "display_name")]
    Name,
    #[oai(rename = "-display_name")]
    NameDescending,
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateUserRequest {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub display_name: Option<String>,
    /// Null removes the number.
    #[oai(validator(min_length = 3, max_length = 40))]
    pub phone: MaybeUndefined<String>,
    pub role: Option<AccountRole>,
    /// Whether the user is locked out.
    pub disabled: Option<bool>,
}

impl UpdateUserRequest {
    fn change(self, expected: IfMatch) -> UpdateUser {
        UpdateUser {
            display_name: self.display_name,
            phone: self.phone.into(),
            role: self.role.map(Into::into),
            disabled: self.disabled,
            expected_version: expected.version(),
        }
    }
}

impl Example for UpdateUserRequest {
    fn example() -> Self {
        Self {
            display_name: Some("Ada King".to_owned()),
            phone: MaybeUndefined::Value("+44 20 7946 0018".to_owned()),
            role: Some(AccountRole::Support),
            disabled: Some(false),
        }
    }
}

/// An account, as staff see it.
#[derive(Debug, Clone, Object)]
#[oai(rename = "User", skip_serializing_if_is_none, example)]
pub struct UserAccount {
    pub id: Uuid,
    pub email: String,
    /// Whether the e-mail address was verified. Users cannot log in before that.
    pub email_verified: bool,
    pub display_name: String,
    /// Digits, with an optional `+` in front.
    pub phone: Option<String>,
    /// The language of mails, unless it is the shop's.
    pub locale: Option<String>,
    pub role: AccountRole,
    /// Whether logins ask for a second factor.
    pub second_factor: bool,
    pub disabled: bool,
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<User> for UserAccount {
    fn from(user: User) -> Self {
        Self {
            id: user.id.0,
            email: user.email.to_string(),
            email_verified: user.email_verified_at.is_some(),
            display_name: user.display_name,
            phone: user.phone,
            locale: user.locale.map(String::from),
            role: user.role.into(),
            second_factor: user.second_factor,
            disabled: user.disabled_at.is_some(),
            disabled_at: user.disabled_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

impl From<User> for Reply<UserAccount> {
    fn from(user: User) -> Self {
        let version = user.version;
        Self::new(UserAccount::from(user)).version(version)
    }
}

impl Example for UserAccount {
    fn example() -> Self {
        let at = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b1e),
            email: "ada@example.com".to_owned(),
            email_verified: true,
            display_name: "Ada Lovelace".to_owned(),
            phone: Some("+442079460018".to_owned()),
            locale: Some("en-GB".to_owned()),
            role: AccountRole::Customer,
            second_factor: true,
            disabled: false,
            disabled_at: None,
            created_at: at,
            updated_at: at,
        }
    }
}

impl Refusal for ListUsersError {
    const CODES: &'static [Code] = &[Code::InvalidCursor];

    fn problem(self) -> Problem {
        match self {
            Self::InvalidCursor(error) => error.into(),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for AdministerUserError {
    const CODES: &'static [Code] =
        &[Code::NotFound, Code::VersionMismatch, Code::LastAdmin, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::AuthorGone => Problem::new(Code::Unauthenticated, "Your account can no longer be used."),
            Self::AuthorMayNot => permission_denied(None, Permission::UsersWrite),
            Self::NotFound => Problem::not_found("user"),
            Self::NoSecondFactor => Problem::not_found("second factor"),
            Self::VersionMismatch => Problem::new(Code::VersionMismatch, Code::VersionMismatch.meaning()),
            Self::LastAdmin => Problem::new(Code::LastAdmin, Code::LastAdmin.meaning()),
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::Database(error) => error.into(),
        }
    }
}
