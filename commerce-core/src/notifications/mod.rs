//! Mails: put on the way in the transaction of the event that they tell of, sent after it by a worker.
//!
//! A mail is sent at least once. It has one row per event (the dedupe key), and a Message-ID and a file name that come
//! from the row's id: only where the server's answer was lost after it took the message does a reader get it twice, and
//! then as the same message. What a mail says is read from the database when it is sent; a row holds ids, no secrets.

mod alerts;
mod brand;
mod check;
mod contents;
mod dedupe;
mod enqueue;
mod facts;
mod folder;
mod language;
mod look_up;
mod mail;
mod mail_settings;
mod mail_templates;
mod order_mails;
mod preview;
mod prune;
mod reader;
mod return_facts;
mod samples;
mod send_email;
mod shipped;
mod smtp;
mod smtp_address;
mod template;
mod undelivered;

pub use alerts::enqueue_alert;
pub use check::InvalidTemplates;
pub(crate) use enqueue::enqueue_if_new;
pub use enqueue::{NewEmail, enqueue_email, enqueue_email_after};
pub use folder::FolderMailer;
pub use mail::{InvalidSender, Mail, Mailer, SendMailError, Sender};
pub use mail_settings::MailSettings;
pub use mail_templates::MailTemplates;
pub use order_mails::Recipient;
pub(crate) use order_mails::recipient_of;
pub use preview::SampleMail;
pub use prune::{MAILS_KEPT, forget_errors_about, forget_recipient, prune};
pub use send_email::{SendEmail, SendEmailError, SentEmail, send_email};
pub use smtp::SmtpMailer;
pub use smtp_address::InvalidSmtpUrl;
pub use template::Template;
pub use undelivered::{UndeliveredMail, undelivered_mails};
