//! `/withdrawals`: anybody withdraws from a contract, and staff see the declarations.

use chrono::{DateTime, Utc};
use commerce_core::email_address::EmailAddress;
use commerce_core::flows::{
    ConfirmWithdrawalError, DeclareWithdrawalError, confirm_withdrawal, declare_withdrawal,
};
use commerce_core::ids::{OrderId, OrderLineId, WithdrawalId};
use commerce_core::page::Limit;
use commerce_core::returns::{
    self, ListReturnsError, NamedUnits, NewWithdrawal, WithdrawalFilter, list_withdrawals,
};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::{Path, Query};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Accepted, List, Okay, twenty};
use crate::http::auth::{Can, OrdersRead};
use crate::http::body::Body;
use crate::http::language::AcceptLanguage;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::resources::accounts::password::address;

pub struct Withdrawals(pub State);

#[OpenApi(tag = "Tag::Returns")]
impl Withdrawals {
    /// Declare the withdrawal from a contract
    ///
    /// The first of two steps, for anybody and without a reason (Directive (EU) 2023/2673). The declaration counts once it
    /// is confirmed, within a day. Neither step tells whether there is such an order.
    #[oai(path = "/withdrawals", method = "post", operation_id = "declare_withdrawal")]
    async fn declare(
        &self,
        body: Body<WithdrawalRequest>,
    ) -> Result<Accepted<PendingWithdrawal>, Refused<DeclareWithdrawalError>> {
        self.0.limits.by_account("declare_withdrawal", &body.email).await?;
        let email = address(&body.email, "/email")?;
        let WithdrawalRequest { name, order_number, lines, text, .. } = body.value;
        let line = |line: WithdrawalLine| NamedUnits {
            order_line_id: OrderLineId(line.order_line_id),
            quantity: line.quantity,
        };
        let lines = lines.map(|lines| lines.into_iter().map(line).collect());
        let wish = NewWithdrawal { name, email, order_number, lines, text };
        let effect = async move |conn: &mut AsyncPgConnection| {
            let id = declare_withdrawal(conn, wish.clone()).await?;
            Ok::<_, DeclareWithdrawalError>(PendingWithdrawal { id: id.0 })
        };
        self.0.write("declare_withdrawal", None, effect).await
    }

    /// Confirm the withdrawal from a contract
    ///
    /// The second step. The declaration is kept, and a mail acknowledges it with its content, date and time, whether
    /// or not an order matches. If one does, a return of its goods is opened. Confirmed once more, it stays as it
    /// was. The mail is in the language that `Accept-Language` prefers.
    #[oai(path = "/withdrawals/:id/confirm", method = "post", operation_id = "confirm_withdrawal")]
    async fn confirm(
        &self,
        id: Path<Uuid>,
        #[oai(name = "Accept-Language")] language: AcceptLanguage,
    ) -> Result<Okay<DeclaredWithdrawal>, Refused<ConfirmWithdrawalError>> {
        let id = WithdrawalId(id.0);
        let effect = async move |conn: &mut AsyncPgConnection| {
            confirm_withdrawal(conn, id, language.0.as_ref()).await.map(DeclaredWithdrawal::from)
        };
        self.0.write("confirm_withdrawal", None, effect).await
    }

    /// List declarations of withdrawal
    ///
    /// Newest first.
    #[oai(path = "/admin/withdrawals", method = "get", operation_id = "admin_list_withdrawals")]
    #[allow(clippy::too_many_arguments)]
    async fn list(
        &self,
        staff: Can<OrdersRead>,
        /// Only those that are confirmed, or only those that are not
        confirmed: Query<Option<bool>>,
        /// Only those whose order was found, or only those without one
        matched: Query<Option<bool>>,
        order_id: Query<Option<Uuid>>,
        /// Only those with this e-mail address
        #[oai(validator(max_length = 254))]
        email: Query<Option<String>>,
        /// Only those made at this time or later
        created_from: Query<Option<DateTime<Utc>>>,
        /// Only those made before this time
        created_before: Query<Option<DateTime<Utc>>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "100")), default = "twenty")] limit: Query<u16>,
        cursor: Query<Option<String>>,
    ) -> Result<Okay<List<Withdrawal>>, Refused<ListReturnsError>> {
        let invalid = |error: commerce_core::email_address::InvalidEmailAddress| {
            let message = error.to_string();
            Problem::new(Code::InvalidParameter, format!("The email {message}."))
                .with_errors(vec![Fault::parameter("email", message)])
        };
        let email = email.0.map(|text| EmailAddress::of_account(&text)).transpose().map_err(invalid)?;
        let filter = WithdrawalFilter {
            confirmed: confirmed.0,
            matched: matched.0,
            order_id: order_id.0.map(OrderId),
            email,
            created_from: created_from.0,
            created_before: created_before.0,
        };
        let mut conn = self.0.conn().await?;
        let limit = Limit::new(limit.0).unwrap_or_default();
        let page = list_withdrawals(&mut conn, &filter, limit, cursor.0.as_deref()).await?;
        staff.note_read(&mut conn).await?;
        Ok(Okay::page(page.map(Withdrawal::from)))
    }
}

/// Units of a line that a declaration names.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
struct WithdrawalLine {
    order_line_id: Uuid,
    #[oai(validator(minimum(value = "1")))]
    quantity: i64,
}

impl From<NamedUnits> for WithdrawalLine {
    fn from(units: NamedUnits) -> Self {
        Self { order_line_id: units.order_line_id.0, quantity: units.quantity }
    }
}

impl Example for WithdrawalLine {
    fn example() -> Self {
        Self { order_line_id: Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b31), quantity: 1 }
    }
}

/// A declaration of withdrawal.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
struct WithdrawalRequest {
    /// The name of who declares it.
    #[oai(validator(min_length = 1, max_length = 200))]
    name: String,
    /// Where it is acknowledged. It should be the address that was given for the order.
    #[oai(validator(min_length = 3, max_length = 254))]
    email: String,
    /// The number of the order.
    #[oai(validator(min_length = 1, max_length = 40))]
    order_number: String,
    /// The goods, if it is not about the whole order.
    #[oai(validator(min_items = 1, max_items = 100))]
    lines: Option<Vec<WithdrawalLine>>,
    /// What else should be said.
    #[oai(validator(max_length = 2000))]
    text: Option<String>,
}

impl Example for WithdrawalRequest {
    fn example() -> Self {
        Self {
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            order_number: "1001".to_owned(),
            lines: None,
            text: Some("I withdraw from my contract for the cups.".to_owned()),
        }
    }
}

const EXAMPLE_ID: Uuid = Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b71);

/// The declaration that waits for its confirmation.
#[derive(Debug, Clone, Object)]
#[oai(rename = "UnconfirmedWithdrawal", example)]
struct PendingWithdrawal {
    /// Confirm it with `POST /withdrawals/{id}/confirm`.
    id: Uuid,
}

impl Example for PendingWithdrawal {
    fn example() -> Self {
        Self { id: EXAMPLE_ID }
    }
}

/// A declaration of withdrawal as it was received.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
struct DeclaredWithdrawal {
    id: Uuid,
    name: String,
    email: String,
    order_number: String,
    lines: Option<Vec<WithdrawalLine>>,
    text: Option<String>,
    confirmed_at: Option<DateTime<Utc>>,
}

impl From<returns::Withdrawal> for DeclaredWithdrawal {
    fn from(declared: returns::Withdrawal) -> Self {
        let lines = declared.lines();
        Self {
            id: declared.id.0,
            name: declared.name,
            email: declared.email.to_string(),
            order_number: declared.order_number,
            lines: lines.map(|lines| lines.into_iter().map(Into::into).collect()),
            text: declared.text,
            confirmed_at: declared.confirmed_at,
        }
    }
}

impl Example for DeclaredWithdrawal {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            order_number: "1001".to_owned(),
            lines: None,
            text: None,
            confirmed_at: DateTime::from_timestamp(1_764_590_400, 0),
        }
    }
}

/// A declaration of withdrawal, for staff.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
struct Withdrawal {
    id: Uuid,
    name: String,
    email: String,
    /// As it was typed.
    order_number: String,
    lines: Option<Vec<WithdrawalLine>>,
    text: Option<String>,
    created_at: DateTime<Utc>,
    /// When it was confirmed. Only then it counts.
    confirmed_at: Option<DateTime<Utc>>,
    /// The order with this number and address, if there is one.
    order_id: Option<Uuid>,
}

impl From<returns::Withdrawal> for Withdrawal {
    fn from(row: returns::Withdrawal) -> Self {
        let (created_at, order_id) = (row.created_at, row.order_id.map(|id| id.0));
        let DeclaredWithdrawal { id, name, email, order_number, lines, text, confirmed_at } = row.into();
        Self { id, name, email, order_number, lines, text, created_at, confirmed_at, order_id }
    }
}

impl Example for Withdrawal {
    fn example() -> Self {
        let DeclaredWithdrawal { id, name, email, order_number, lines, text, confirmed_at } =
            DeclaredWithdrawal::example();
        let created_at = confirmed_at.unwrap_or_default();
        let order_id = Some(Uuid::from_u128(0x0193_9f5c_7e2b_7c4a_9a55_0d8a_6a4f_4b21));
        Self { id, name, email, order_number, lines, text, created_at, confirmed_at, order_id }
    }
}

impl Refusal for DeclareWithdrawalError {
    const CODES: &'static [Code] = &[Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::Database(error) => error.into(),
        }
    }
}

impl Refusal for ConfirmWithdrawalError {
    const CODES: &'static [Code] = &[Code::NotFound];

    fn problem(self) -> Problem {
        match self {
            Self::NotFound => Problem::not_found("withdrawal"),
            Self::Database(error) => error.into(),
        }
    }
}
