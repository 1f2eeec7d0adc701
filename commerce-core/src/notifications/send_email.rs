//! The job `send_email`: one mail, from its row to the mailer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::render::{Rendered, render};
use super::{Mail, Mailer, SendMailError, Sender, Template, facts, order_mails, return_facts};
use crate::accounts::one_time_code::{CODE_TTL, GUESSES_MAX, derive_code};
use crate::accounts::{RESET_LINK_TTL, SecretKey, derive_reset_token};
use crate::db::{self, Pool, PoolError, Retryable};
use crate::email_address::EmailAddress;
use crate::ids::{
    CodeId, ContactMessageId, EmailId, OrderId, OrderLinkId, PaymentId, RefundId, ReturnId, ShipmentId,
    UserId, VariantId, WithdrawalId,
};
use crate::inventory;
use crate::orders;
use crate::queue::{self, Failure, Job, Lease, LeaseLost};
use crate::returns::ReturnStatus;
use crate::schema::{emails, one_time_codes};
use crate::settings::Carriers;

/// Renders and sends one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEmail {
    /// The mail that was written with the event that it tells of.
    pub email_id: EmailId,
}

impl Job for SendEmail {
    const KIND: &'static str = "send_email";
    const ATTEMPTS_MAX: i32 = 12;
}

/// What mails have in common.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Who mails come from.
    pub sender: Sender,
    /// Where the shop can be visited, for the foot of each mail.
    pub shop_url: Option<String>,
    /// The page on which a forgotten password is set anew: `#token=…` is added. Without one, the mail has the code alone.
    pub password_reset_url: Option<String>,
    /// The page on which a guest sees an order: `#order=…&token=…` is added. Without one, the mail has the token alone.
    pub order_url: Option<String>,
    /// The key that codes are derived under.
    pub secret_key: SecretKey,
    /// The carriers whose parcels can be tracked on a page of theirs.
    pub carriers: Carriers,
}

/// How [`send_email`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentEmail {
    /// The mail server took it.
    Sent,
    /// An earlier attempt had sent it, or an earlier mail told of the same event.
    AlreadySent,
    /// What it would have told is no longer so: the code has run out, the account is gone. Or its recipient, who is not
    /// known to want it, has had enough mails about unpaid orders. The row is removed.
    Pointless,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendEmailError {
    /// The mail server refused the mail or did not answer.
    #[error(transparent)]
    Mailer(#[from] SendMailError),
    /// The row cannot be made into a mail, however often that is tried.
    #[error("the mail cannot be written: {0}")]
    Unwritable(String),
    /// Another worker has the job by now, and sends the mail.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The pool had no connection.
    #[error("no database connection could be had: {0}")]
    NoConnection(#[from] PoolError),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] QueryError),
}

impl Retryable for SendEmailError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_retryable())
    }
}

impl From<SendEmailError> for Failure {
    fn from(error: SendEmailError) -> Self {
        match error {
            SendEmailError::Mailer(SendMailError::Refused(_)) | SendEmailError::Unwritable(_) => {
                Failure::Abort(error.to_string())
            }
            _ => Failure::Retry(error.to_string()),
        }
    }
}

/// Sends the mail of a leased job and completes the job. No transaction is open while the mailer works: the mail goes out
/// first, then one transaction completes the job and writes `sent_at`. A crash between the two sends it again.
pub async fn send_email(
    pool: &Pool,
    mailer: &dyn Mailer,
    settings: &MailSettings,
    lease: Lease,
    email_id: EmailId,
) -> Result<SentEmail, SendEmailError> {
    // The connection goes back before the mailer is asked.
    let written = write_mail(&mut *pool.get().await?, settings, email_id).await?;
    let outcome = match written {
        Written::Mail(mail) => {
            mailer.send(&mail).await?;
            SentEmail::Sent
        }
        Written::Done => SentEmail::AlreadySent,
        Written::Pointless => SentEmail::Pointless,
    };
    queue::complete_with(pool, "send_email", lease, async |conn: &mut AsyncPgConnection| {
        let row = emails::table.find(email_id);
        match outcome {
            SentEmail::Sent => {
                diesel::update(row).set(emails::sent_at.eq(db::clock().nullable())).execute(conn).await?
            }
            SentEmail::Pointless => diesel::delete(row).execute(conn).await?,
            SentEmail::AlreadySent => 0,
        };
        Ok(outcome)
    })
    .await
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = emails)]
struct EmailRow {
    template: String,
    recipient: EmailAddress,
    data: serde_json::Value,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
}

enum Written {
    Mail(Box<Mail>),
    Done,
    Pointless,
}

async fn write_mail(
    conn: &mut AsyncPgConnection,
    settings: &MailSettings,
    email_id: EmailId,
) -> Result<Written, SendEmailError> {
    let row = emails::table.find(email_id).select(EmailRow::as_select()).first(conn).await.optional()?;
    let Some(email) = row.filter(|row| row.sent_at.is_none()) else { return Ok(Written::Done) };
    let template: Template = email.template.parse().map_err(SendEmailError::Unwritable)?;
    let unproven = email.data.get("unproven_from").cloned();
    let mut reply_to = None;
    if template == Template::ContactMessage {
        let OfMessage { message_id } = parsed(email.data.clone())?;
        reply_to = facts::contact_message(conn, message_id).await?.map(|message| message.reply_to());
    }
    let Some(Rendered { subject, text, html }) = compose(conn, settings, template, email.data).await? else {
        return Ok(Written::Pointless);
    };
    if let Some(networks) = unproven.map(parsed::<Vec<(String, u32)>>).transpose()?
        && !order_mails::is_within_limits(conn, email_id, &email.recipient, &networks).await?
    {
        return Ok(Written::Pointless);
    }
    let (from, to) = (settings.sender.clone(), email.recipient.to_ascii().into_owned());
    Ok(Written::Mail(Box::new(Mail {
        id: email_id,
        from,
        to,
        reply_to,
        subject,
        text,
        html,
        created_at: email.created_at,
    })))
}

/// Looks up what the template tells of, and writes it out; none if there is nothing left to tell.
async fn compose(
    conn: &mut AsyncPgConnection,
    settings: &MailSettings,
    template: Template,
    data: serde_json::Value,
) -> Result<Option<Rendered>, SendEmailError> {
    let shop = context! { name => settings.sender.shop_name(), url => settings.shop_url };
    // Alerts of this kind that came after this one, before it was sent.
    let more = data.get("more").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let facts = match template {
        Template::VerifyEmailCode | Template::EmailChangeCode => {
            let OfCode { code_id } = parsed(data)?;
            let Some((user_id, created_at, _)) = find_unused_code(conn, code_id, CODE_TTL).await? else {
                return Ok(None);
            };
            let Some(user) = facts::user(conn, user_id).await? else { return Ok(None) };
            let digits = derive_code(&settings.secret_key, code_id);
            let expires_at = created_at + CODE_TTL;
            context! { shop, user, code => context! { digits, expires_at => facts::moment(expires_at) } }
        }
        Template::PasswordReset | Template::SetPassword => {
            let OfCode { code_id } = parsed(data)?;
            // As long as the link is good, even if the code in the same mail is not any more: the mail tells both times.
            let unused = find_unused_code(conn, code_id, RESET_LINK_TTL).await?;
            let Some((user_id, created_at, attempts)) = unused else {
                return Ok(None);
            };
            let Some(user) = facts::user(conn, user_id).await? else { return Ok(None) };
            let digits = (attempts < GUESSES_MAX).then(|| derive_code(&settings.secret_key, code_id));
            let expires_at = created_at + CODE_TTL;
            let token = derive_reset_token(&settings.secret_key, code_id);
            let link = settings.password_reset_url.as_ref().map(|page| format!("{page}#token={token}"));
            if digits.is_none() && link.is_none() {
                return Ok(None);
            }
            let link_expires_at = facts::moment(created_at + RESET_LINK_TTL);
            let code = context! { digits, link, link_expires_at, expires_at => facts::moment(expires_at) };
            context! { shop, user, code }
        }
        Template::AccountExists
        | Template::Welcome
        | Template::PasswordChanged
        | Template::SecondFactorSetUp
        | Template::SecondFactorRemoved
        | Template::EmailChangeRequested
        | Template::EmailChanged => {
            let OfUser { user_id } = parsed(data)?;
            let Some(user) = facts::user(conn, user_id).await? else { return Ok(None) };
            context! { shop, user }
        }
        Template::OrderReceived
        | Template::OrderAuthorized
        | Template::OrderConfirmed
        | Template::OrderCancelled => {
            let OfOrder { order_id, payment_id } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            if order_mails::is_pointless(conn, template, order_id).await? {
                return Ok(None);
            }
            let pay_link = match payment_id {
                Some(id) => facts::payment_link(conn, id).await?,
                None => None,
            };
            // A link that is no longer good is not mailed, and the mail with a link tells all that the one without does.
            let is_first = template == Template::OrderReceived && payment_id.is_none();
            if payment_id.is_some() && pay_link.is_none()
                || is_first && order_mails::has_link(conn, order_id).await?
            {
                return Ok(None);
            }
            context! { shop, order, pay_link }
        }
        Template::LatePaymentAlert => {
            let OfLatePayment { order_id, by_hand } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, by_hand, more }
        }
        Template::OrderShipped | Template::OrderDelivered => {
            let OfShipment { order_id, shipment_id } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            let parcel = facts::parcel(conn, order_id, shipment_id, &settings.carriers).await?;
            let Some(parcel) = parcel else { return Ok(None) };
            context! { shop, order, parcel }
        }
        Template::OrderLink => {
            let OfLink { order_id, link_id } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            let Some(expires_at) = orders::link_expires_at(conn, link_id).await? else { return Ok(None) };
            let token = orders::derive_order_token(&settings.secret_key, link_id);
            let page = settings.order_url.as_ref();
            let url = page.map(|page| format!("{page}#order={order_id}&token={token}"));
            let link = context! { url, token, order_id, expires_at => facts::moment(expires_at) };
            context! { shop, order, link }
        }
        Template::ReturnUpdate => {
            let OfReturn { return_id, status } = parsed(data)?;
            let Some((order_id, goods)) = return_facts::goods_back(conn, return_id).await? else {
                return Ok(None);
            };
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, goods, status }
        }
        Template::WithdrawalReceived | Template::WithdrawalAlert => {
            let OfWithdrawal { withdrawal_id } = parsed(data)?;
            let Some(withdrawal) = return_facts::withdrawal(conn, withdrawal_id).await? else {
                return Ok(None);
            };
            context! { shop, withdrawal, more }
        }
        Template::PaymentFailedAlert => {
            let OfFailure { order_id, provider, amount, code } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, provider, amount, code, more }
        }
        Template::PaymentMismatchAlert => {
            let OfMismatch { order_id, asked, captured, counted } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, asked, captured, counted, more }
        }
        Template::AuthorizationLapsesAlert => {
            let OfAuthorization { order_id, lapses_at } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, lapses_at => facts::moment(lapses_at), more }
        }
        Template::DisputeAlert => {
            let OfDispute { order_id, amount, reason, state } = parsed(data)?;
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, amount, reason, state, more }
        }
        Template::LowStockAlert => {
            let OfLowStock { variant_ids, further } = parsed(data)?;
            let variants = inventory::low_among(conn, &variant_ids).await?;
            if variants.is_empty() {
                return Ok(None);
            }
            let variants: Vec<facts::LowFacts> = variants.into_iter().map(facts::LowFacts::from).collect();
            context! { shop, variants, further }
        }
        Template::ContactMessage => {
            let OfMessage { message_id } = parsed(data)?;
            let Some(message) = facts::contact_message(conn, message_id).await? else { return Ok(None) };
            context! { shop, message }
        }
        Template::PaymentRefunded
        | Template::RefundFailedAlert
        | Template::RefundByHandAlert
        | Template::RefundMismatchAlert => {
            let OfRefund { refund_id } = parsed(data)?;
            let Some((order_id, refund)) = facts::refund(conn, refund_id).await? else { return Ok(None) };
            let Some(order) = facts::order(conn, order_id).await? else { return Ok(None) };
            context! { shop, order, refund, more }
        }
    };
    render(template, facts).map(Some).map_err(SendEmailError::Unwritable)
}

#[derive(Deserialize)]
struct OfCode {
    code_id: CodeId,
}

#[derive(Deserialize)]
struct OfUser {
    user_id: UserId,
}

#[derive(Deserialize)]
struct OfOrder {
    order_id: OrderId,
    payment_id: Option<PaymentId>,
}

/// Mails that were written before parcels had mails of their own name the order alone.
#[derive(Deserialize)]
struct OfShipment {
    order_id: OrderId,
    shipment_id: Option<ShipmentId>,
}

#[derive(Deserialize)]
struct OfLatePayment {
    order_id: OrderId,
    /// Not in mails of earlier versions.
    #[serde(default)]
    by_hand: bool,
}

#[derive(Deserialize)]
struct OfLink {
    order_id: OrderId,
    link_id: OrderLinkId,
}

#[derive(Deserialize)]
struct OfReturn {
    return_id: ReturnId,
    status: ReturnStatus,
}

#[derive(Deserialize)]
struct OfWithdrawal {
    withdrawal_id: WithdrawalId,
}

#[derive(Deserialize)]
struct OfFailure {
    order_id: OrderId,
    provider: String,
    amount: String,
    code: String,
}

#[derive(Deserialize)]
struct OfMismatch {
    order_id: OrderId,
    asked: String,
    captured: String,
    counted: bool,
}

#[derive(Deserialize)]
struct OfAuthorization {
    order_id: OrderId,
    lapses_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct OfDispute {
    order_id: OrderId,
    amount: String,
    reason: String,
    state: String,
}

#[derive(Deserialize)]
struct OfLowStock {
    variant_ids: Vec<VariantId>,
    further: usize,
}

#[derive(Deserialize)]
struct OfMessage {
    message_id: ContactMessageId,
}

#[derive(Deserialize)]
struct OfRefund {
    refund_id: RefundId,
}

fn parsed<T: for<'de> Deserialize<'de>>(data: serde_json::Value) -> Result<T, SendEmailError> {
    serde_json::from_value(data).map_err(|error| SendEmailError::Unwritable(error.to_string()))
}

/// Whose code it is, since when, and how many guesses were made, unless it was used or is too old.
async fn find_unused_code(
    conn: &mut AsyncPgConnection,
    id: CodeId,
    younger_than: Duration,
) -> QueryResult<Option<(UserId, DateTime<Utc>, i32)>> {
    one_time_codes::table
        .find(id)
        .filter(one_time_codes::consumed_at.is_null())
        .filter(one_time_codes::created_at.gt(db::time_before(younger_than)))
        .select((one_time_codes::user_id, one_time_codes::created_at, one_time_codes::attempts))
        .first(conn)
        .await
        .optional()
}
