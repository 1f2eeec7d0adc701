//! Putting mails on the way.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::try_join;
use serde_json::json;

use super::{SendEmail, Template};
use crate::db::Prepared;
use crate::email_address::EmailAddress;
use crate::ids::{CodeId, EmailId, OrderId, RefundId, UserId};
use crate::queue;
use crate::schema::emails;

/// A mail to one recipient. Use the constructors: they set the key by which an event is told only once.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEmail {
    /// Names the event: a second mail with this key is not sent.
    pub dedupe_key: String,
    /// What it says.
    pub template: Template,
    /// Where it goes.
    pub recipient: EmailAddress,
    /// The ids that the template asks for; never a secret.
    pub data: serde_json::Value,
}

impl NewEmail {
    /// A mail with a one-time code of a user; each code is mailed once.
    pub fn with_code(template: Template, code_id: CodeId, user_id: UserId, recipient: &EmailAddress) -> Self {
        Self::new(template, code_id, recipient, json!({ "code_id": code_id, "user_id": user_id }))
    }

    /// A mail to a user; one a template, unless another dedupe key is set.
    pub fn to_user(template: Template, user_id: UserId, recipient: &EmailAddress) -> Self {
        Self::new(template, user_id, recipient, json!({ "user_id": user_id }))
    }

    /// A mail about an order; one a template.
    pub fn about_order(template: Template, order_id: OrderId, recipient: &EmailAddress) -> Self {
        Self::new(template, order_id, recipient, json!({ "order_id": order_id }))
    }

    /// Tells of money that goes back.
    pub fn about_refund(refund_id: RefundId, recipient: &EmailAddress) -> Self {
        Self::new(Template::PaymentRefunded, refund_id, recipient, json!({ "refund_id": refund_id }))
    }

    fn new(
        template: Template,
        subject: impl std::fmt::Display,
        to: &EmailAddress,
        data: serde_json::Value,
    ) -> Self {
        Self { dedupe_key: format!("{template}:{subject}"), template, recipient: to.clone(), data }
    }
}

#[derive(Insertable)]
#[diesel(table_name = emails)]
struct EmailRow {
    id: EmailId,
    dedupe_key: String,
    template: Template,
    recipient: EmailAddress,
    data: serde_json::Value,
}

/// Inserts the mail and the job that sends it, in two statements sent together. Both take effect when the caller's
/// transaction commits; nothing is sent if a mail with this dedupe key exists. A shared borrow of the connection is
/// enough, so that other writes can be pipelined with these.
pub async fn enqueue_email(conn: &AsyncPgConnection, email: NewEmail) -> QueryResult<()> {
    let NewEmail { dedupe_key, template, recipient, data } = email;
    let row = EmailRow { id: EmailId::new(), dedupe_key, template, recipient, data };
    // Not waiting to see whether the row was new saves a round trip: a job that finds no mail has nothing to do, and ends.
    let job = SendEmail { email_id: row.id };
    let mut for_mail = conn;
    let insert_mail =
        diesel::insert_into(emails::table).values(row).on_conflict(emails::dedupe_key).do_nothing();
    let insert_mail = Prepared(insert_mail).execute(&mut for_mail);
    try_join(insert_mail, queue::enqueue(conn, &job)).await?;
    Ok(())
}
