//! Enqueues mails.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::future::try_join;
use serde_json::json;

use super::dedupe::{once_each, once_for};
use super::{Recipient, SendEmail, Template};
use crate::db::Prepared;
use crate::email_address::EmailAddress;
use crate::ids::{
    CodeId, ContactMessageId, EmailId, OrderId, OrderLineId, OrderLinkId, PaymentId, RefundId, ReturnId,
    ShipmentId, UserId, VariantId, WithdrawalId,
};
use crate::locale::Locale;
use crate::money::Money;
use crate::queue;
use crate::returns::ReturnStatus;
use crate::schema::emails;

/// A mail to one recipient. Use the constructors, because they set the dedupe key. A mail that may be sent
/// several times about the same subject extends the key, such as with
/// [`once_a_version`](Self::once_a_version).
#[derive(Debug, Clone, PartialEq)]
pub struct NewEmail {
    /// Identifies the event. A second mail with this key is not sent.
    pub dedupe_key: String,
    /// The template of its text.
    pub template: Template,
    /// The address that it is sent to.
    pub recipient: EmailAddress,
    /// The ids that the template needs. Never a secret.
    pub data: serde_json::Value,
}

impl NewEmail {
    /// A mail with a one-time code of a user. Each code is mailed once.
    pub fn with_code(template: Template, code_id: CodeId, user_id: UserId, recipient: &EmailAddress) -> Self {
        Self::new(template, code_id, recipient, json!({ "code_id": code_id, "user_id": user_id }))
    }

    /// A mail to a user, once for each template.
    pub fn to_user(template: Template, user_id: UserId, recipient: &EmailAddress) -> Self {
        Self::new(template, user_id, recipient, json!({ "user_id": user_id }))
    }

    /// A mail about an order, once for each template.
    pub fn about_order(template: Template, order_id: OrderId, recipient: &EmailAddress) -> Self {
        Self::new(template, order_id, recipient, json!({ "order_id": order_id }))
    }

    /// The mail that tells of a new order before it is paid.
    pub fn about_new_order(order_id: OrderId, to: &EmailAddress, recipient: &Recipient) -> Self {
        Self::about_order(Template::OrderReceived, order_id, to).limited_for(recipient)
    }

    /// The mail that tells that units of an order were cancelled, once for each version of the order. `refund` is what
    /// goes back for them.
    pub fn about_cancelled_units(
        order_id: OrderId,
        version: i32,
        units: &[(OrderLineId, i64)],
        refund: Option<Money>,
        by_customer: bool,
        recipient: &EmailAddress,
    ) -> Self {
        let data =
            json!({ "order_id": order_id, "units": units, "refund": refund, "by_customer": by_customer });
        Self::new(Template::OrderPartCancelled, order_id, recipient, data).once_each(version)
    }

    /// A mail about a parcel of an order, once for each template.
    pub fn about_shipment(
        template: Template,
        shipment_id: ShipmentId,
        order_id: OrderId,
        recipient: &EmailAddress,
    ) -> Self {
        let data = json!({ "order_id": order_id, "shipment_id": shipment_id });
        Self::new(template, shipment_id, recipient, data)
    }

    /// The mail that tells of an order and brings a link to pay it.
    pub fn with_payment_link(order_id: OrderId, payment_id: PaymentId, to: &EmailAddress) -> Self {
        let data = json!({ "order_id": order_id, "payment_id": payment_id });
        Self::new(Template::OrderReceived, payment_id, to, data)
    }

    /// The mail with a link to an order.
    pub fn with_order_link(order_id: OrderId, link_id: OrderLinkId, recipient: &EmailAddress) -> Self {
        let data = json!({ "order_id": order_id, "link_id": link_id });
        Self::new(Template::OrderLink, link_id, recipient, data)
    }

    /// The mail that tells that a return has this status now, once for each version of the return.
    pub fn about_return(id: ReturnId, status: ReturnStatus, version: i32, recipient: &EmailAddress) -> Self {
        let data = json!({ "return_id": id, "status": status });
        Self::new(Template::ReturnUpdate, id, recipient, data).once_each(version)
    }

    /// The mail that acknowledges a declaration of withdrawal.
    pub fn about_withdrawal(id: WithdrawalId, recipient: &EmailAddress) -> Self {
        Self::new(Template::WithdrawalReceived, id, recipient, json!({ "withdrawal_id": id }))
    }

    /// A mail about a refund.
    pub fn about_refund(refund_id: RefundId, recipient: &EmailAddress) -> Self {
        Self::new(Template::PaymentRefunded, refund_id, recipient, json!({ "refund_id": refund_id }))
    }

    /// The mail to the shop about variants that are low, once a day. Of further ones it has the number.
    pub fn low_stock(day: NaiveDate, variants: &[VariantId], further: usize, to: &EmailAddress) -> Self {
        Self::new(Template::LowStockAlert, day, to, json!({ "variant_ids": variants, "further": further }))
    }

    /// The mail to the shop with the message of a visitor.
    pub fn contact_message(id: ContactMessageId, to: &EmailAddress) -> Self {
        Self::new(Template::ContactMessage, id, to, json!({ "message_id": id }))
    }

    /// Limits the mail as one about an unpaid order, if its recipient has not proven the address.
    pub fn limited_for(mut self, recipient: &Recipient) -> Self {
        if let (Recipient::Unproven { networks }, Some(data)) = (recipient, self.data.as_object_mut()) {
            data.insert("unproven_from".to_owned(), json!(networks));
        }
        self
    }

    /// Writes the mail in this language, if one is given. Without it, the language of its order or account counts.
    pub fn in_locale(mut self, locale: Option<&Locale>) -> Self {
        if let (Some(locale), Some(data)) = (locale, self.data.as_object_mut()) {
            data.insert("locale".to_owned(), json!(locale));
        }
        self
    }

    /// Sends the mail once for each version of its account or order.
    pub fn once_a_version(self, version: i32) -> Self {
        self.once_each(version)
    }

    /// Sends the mail once an hour for its account.
    pub fn once_an_hour(self, now: DateTime<Utc>) -> Self {
        self.once_each(now.timestamp() / 3600)
    }

    /// Sends the mail once for each code that is mailed to another address.
    pub fn once_a_code(self, code: CodeId) -> Self {
        self.once_each(code)
    }

    fn once_each(self, part: impl std::fmt::Display) -> Self {
        Self { dedupe_key: once_each(&self.dedupe_key, part), ..self }
    }

    fn new(
        template: Template,
        subject: impl std::fmt::Display,
        to: &EmailAddress,
        data: serde_json::Value,
    ) -> Self {
        Self { dedupe_key: once_for(template, subject), template, recipient: to.clone(), data }
    }
}

#[derive(Insertable)]
#[diesel(table_name = emails)]
pub(super) struct EmailRow {
    pub id: EmailId,
    pub dedupe_key: String,
    pub template: Template,
    pub recipient: EmailAddress,
    pub data: serde_json::Value,
}

/// Inserts the mail and the job that sends it, in two pipelined statements. Both take effect when the
/// caller's transaction commits. Nothing is sent if a mail with this dedupe key exists. A shared borrow of
/// the connection is enough, so that other writes can be pipelined with these.
pub async fn enqueue_email(conn: &AsyncPgConnection, email: NewEmail) -> QueryResult<()> {
    enqueue_email_after(conn, Duration::ZERO, email).await
}

/// Like [`enqueue_email`], for a mail that is sent after this time.
pub async fn enqueue_email_after(
    conn: &AsyncPgConnection,
    delay: Duration,
    email: NewEmail,
) -> QueryResult<()> {
    let NewEmail { dedupe_key, template, recipient, data } = email;
    let row = EmailRow { id: EmailId::new(), dedupe_key, template, recipient, data };
    // The job is enqueued without waiting for the insertion's result, which saves a round trip. A job that
    // finds no mail ends.
    let job = SendEmail { email_id: row.id };
    let mut for_mail = conn;
    let insert_mail =
        diesel::insert_into(emails::table).values(row).on_conflict(emails::dedupe_key).do_nothing();
    let insert_mail = Prepared(insert_mail).execute(&mut for_mail);
    try_join(insert_mail, queue::enqueue_after(conn, delay, &job)).await?;
    Ok(())
}

/// Like [`enqueue_email`], and tells whether the mail is new. It waits for a transaction that is writing a mail with
/// this dedupe key.
pub(crate) async fn enqueue_if_new(conn: &mut AsyncPgConnection, email: NewEmail) -> QueryResult<bool> {
    let NewEmail { dedupe_key, template, recipient, data } = email;
    let row = EmailRow { id: EmailId::new(), dedupe_key, template, recipient, data };
    let job = SendEmail { email_id: row.id };
    let insert = diesel::insert_into(emails::table).values(row).on_conflict(emails::dedupe_key).do_nothing();
    if insert.execute(conn).await? == 0 {
        return Ok(false);
    }
    queue::enqueue(conn, &job).await?;
    Ok(true)
}
