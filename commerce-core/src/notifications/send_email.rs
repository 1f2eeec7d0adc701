//! The job `send_email`: one mail, from its row to the mailer.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as QueryError;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use minijinja::Value;
use serde::{Deserialize, Serialize};

use super::contents::Contents;
use super::look_up::{LookUpError, look_up};
use super::mail_templates::Rendered;
use super::reader::reader_locale;
use super::{Mail, MailSettings, Mailer, SendMailError, Template, order_mails};
use crate::db::{self, Pool, PoolError, Retryable};
use crate::email_address::EmailAddress;
use crate::ids::EmailId;
use crate::queue::{self, Failure, Job, Lease, LeaseLost};
use crate::schema::emails;

/// Renders and sends one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEmail {
    /// The mail that was written with the event that it tells of.
    pub email_id: EmailId,
}

impl Job for SendEmail {
    const KIND: &'static str = "send_email";
    /// About a day: twelve attempts in the first hour, and then one an hour.
    const ATTEMPTS_MAX: i32 = 36;
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

impl From<LookUpError> for SendEmailError {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Data(error) => Self::Unwritable(error.to_string()),
            LookUpError::Database(error) => Self::Database(error),
        }
    }
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
    let wanted = reader_locale(conn, template, &email.data).await?;
    let set = settings.templates.for_reader(template, wanted.as_ref());
    let set = set.ok_or_else(|| SendEmailError::Unwritable(format!("{template} has no template")))?;
    let contents = look_up(conn, settings, &set.language, template, email.data).await?;
    let Some(contents) = contents else { return Ok(Written::Pointless) };
    let reply_to = match &contents {
        Contents::Message { message } => Some(message.reply_to()),
        _ => None,
    };
    let shop = set.shop(settings.sender.shop_name(), settings.shop_url.as_deref());
    let written = set.render(template, &set.values(&shop, Value::from_serialize(contents)));
    let Rendered { subject, text, html } =
        written.map_err(|error| SendEmailError::Unwritable(error.to_string()))?;
    if let Some(networks) =
        unproven.map(serde_json::from_value::<Vec<(String, u32)>>).transpose().map_err(LookUpError::from)?
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
