//! The networks from which a user has logged in or has reset the password.
//!
//! Guesses at the password of an account are limited for all networks together. Without an exception, a stranger
//! who keeps guessing would keep the owner out. From a network that is known for the account, only the guesses
//! of that network count.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::{self, clock, time_before};
use crate::email_address::EmailAddress;
use crate::ids::UserId;
use crate::schema::{known_networks, users};

/// A network is known for so long after its last login.
pub const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Remembers the network, as text of at most 64 bytes.
pub async fn remember_network(
    conn: &mut AsyncPgConnection,
    user_id: UserId,
    network: &str,
) -> QueryResult<()> {
    diesel::insert_into(known_networks::table)
        .values((known_networks::user_id.eq(user_id), known_networks::network.eq(network)))
        .on_conflict((known_networks::user_id, known_networks::network))
        .do_update()
        .set(known_networks::seen_at.eq(clock()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the user of this address has logged in from the network.
pub async fn knows_network(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
    network: &str,
) -> QueryResult<bool> {
    let known = known_networks::table
        .inner_join(users::table)
        .filter(users::email.eq(email.as_str()))
        .filter(users::deleted_at.is_null())
        .filter(known_networks::network.eq(network))
        .filter(known_networks::seen_at.gt(time_before(KNOWN_FOR)));
    diesel::select(diesel::dsl::exists(known)).get_result(conn).await
}

/// Forgets the networks of a user whose account is deleted.
pub(super) async fn forget_networks(conn: &mut AsyncPgConnection, user_id: UserId) -> QueryResult<()> {
    diesel::delete(known_networks::table.filter(known_networks::user_id.eq(user_id))).execute(conn).await?;
    Ok(())
}

/// Deletes networks that are no longer known, `batch` at a time. Returns their number.
pub async fn prune_networks(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.known_networks WHERE (user_id, network) IN (
         SELECT user_id, network FROM commerce.known_networks
         WHERE seen_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED)";
    db::prune(conn, batch, KNOWN_FOR, delete).await
}
