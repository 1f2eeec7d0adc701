//! Mails: put on the way in the transaction of the event that they tell of, sent after it by a worker.
//!
//! A mail is sent at least once. It has one row per event (the dedupe key), and a Message-ID and a file name that come
//! from the row's id: only where the server's answer was lost after it took the message does a reader get it twice, and
//! then as the same message. What a mail says is read from the database when it is sent; a row holds ids, no secrets.

mod alerts;
mod dedupe;
mod enqueue;
mod facts;
mod folder;
mod mail;
mod order_mails;
mod prune;
mod render;
mod return_facts;
mod send_email;
mod smtp;
mod template;

pub use alerts::enqueue_alert;
pub(crate) use enqueue::enqueue_if_new;
pub use enqueue::{NewEmail, enqueue_email, enqueue_email_after};
pub use folder::FolderMailer;
pub use mail::{InvalidSender, Mail, Mailer, SendMailError, Sender};
pub use order_mails::Recipient;
pub use prune::{MAILS_KEPT, forget_recipient, prune};
pub use send_email::{MailSettings, SendEmail, SendEmailError, SentEmail, send_email};
pub use smtp::{InvalidSmtpUrl, SmtpMailer};
pub use template::Template;
