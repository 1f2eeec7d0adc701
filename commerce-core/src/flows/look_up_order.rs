//! Guests find their order again: by its number and address they get a mail with a link to it.
//!
//! Order numbers can be guessed, so the request says nothing about the order. It writes a job, whether or not there is
//! such an order, and the job looks for it. So neither the answer nor its time tells which orders exist.

use data_encoding::HEXLOWER;
use diesel::result::Error as QueryError;
use diesel_async::AsyncPgConnection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::JobError;
use crate::accounts::SecretKey;
use crate::db::Pool;
use crate::email_address::EmailAddress;
use crate::notifications::{NewEmail, enqueue_email};
use crate::orders;
use crate::queue::{self, Job, Lease};
use crate::rate_limit::{self, Policy};

/// Looks for an order, and mails a link to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUpOrder {
    /// The number, as it was typed.
    pub number: String,
    /// The address that the order should have.
    pub email: String,
}

impl Job for LookUpOrder {
    const KIND: &'static str = "look_up_order";
    const ATTEMPTS_MAX: i32 = 12;
}

/// Mails with links to one address in an hour. They are counted only if there is an order, so that nobody uses them up
/// without knowing its number.
const LINKS: Policy = Policy::new("order-link-recipient", 5, 60);

/// Asks for a link to the order with this number and address. The same is written whether or not there is one.
pub async fn look_up_order(
    conn: &mut AsyncPgConnection,
    number: &str,
    email: &EmailAddress,
) -> Result<(), QueryError> {
    let job = LookUpOrder { number: number.to_owned(), email: email.to_string() };
    queue::enqueue(conn, &job).await?;
    Ok(())
}

/// Does the job: makes a link, and enqueues the mail with it.
pub async fn run_lookup(
    pool: &Pool,
    key: &SecretKey,
    job: &LookUpOrder,
    lease: Lease,
) -> Result<(), JobError> {
    let order = match EmailAddress::of_account(&job.email) {
        Ok(email) => {
            let mut conn = pool.get().await?;
            match orders::find_by_number(&mut conn, &job.number, &email).await? {
                Some(order) if is_within_limit(&conn, &email).await? => Some(order),
                _ => None,
            }
        }
        Err(_) => None,
    };
    queue::complete_with(pool, "look_up_order", lease, async |conn: &mut AsyncPgConnection| {
        if let Some(order) = &order {
            let link_id = orders::issue_link(conn, key, order.id).await?;
            enqueue_email(conn, NewEmail::with_order_link(order.id, link_id, &order.email)).await?;
        }
        Ok(())
    })
    .await
}

async fn is_within_limit(conn: &AsyncPgConnection, email: &EmailAddress) -> Result<bool, QueryError> {
    let recipient = HEXLOWER.encode(&Sha256::digest(email.as_str()));
    Ok(rate_limit::take(conn, &LINKS, &recipient).await?.allowed)
}
