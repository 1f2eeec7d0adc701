//! Links to one order, for guests who have lost their Cart-Token. A link is mailed to the order's address, so that
//! whoever has it has the mailbox. The token is derived from the link's id and the server's secret when the mail is
//! written. Only its hash is stored.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::accounts::SecretKey;
use crate::cart::TokenHash;
use crate::db::{self, time_before};
use crate::ids::{OrderId, OrderLinkId};
use crate::schema::order_links;

/// How long a link can be used.
pub const ORDER_LINK_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The token of a link, in base64url.
pub fn derive_order_token(key: &SecretKey, id: OrderLinkId) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive("order links"))
        .unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(id.0.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Makes a link to an order. Links that were made before stay good.
pub(crate) async fn issue_link(
    conn: &mut AsyncPgConnection,
    key: &SecretKey,
    order_id: OrderId,
) -> QueryResult<OrderLinkId> {
    let id = OrderLinkId::new();
    let hash = TokenHash::of(&derive_order_token(key, id));
    diesel::insert_into(order_links::table)
        .values((
            order_links::id.eq(id),
            order_links::order_id.eq(order_id),
            order_links::token_hash.eq(hash.as_bytes()),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

/// The id of the order that the link with this token leads to, as a subquery. It has no row after
/// [`ORDER_LINK_TTL`].
pub(super) fn order_of_link(hash: TokenHash) -> order_links::BoxedQuery<'static, Pg, SqlUuid> {
    order_links::table
        .filter(order_links::token_hash.eq(hash.as_bytes().to_vec()))
        .filter(order_links::created_at.gt(time_before(ORDER_LINK_TTL)))
        .select(order_links::order_id)
        .into_boxed()
}

/// When a link stops being good. `None` if it has, or is not there.
pub(crate) async fn link_expires_at(
    conn: &mut AsyncPgConnection,
    id: OrderLinkId,
) -> QueryResult<Option<DateTime<Utc>>> {
    let good = order_links::table.find(id).filter(order_links::created_at.gt(time_before(ORDER_LINK_TTL)));
    let created_at = good.select(order_links::created_at).first::<DateTime<Utc>>(conn).await.optional()?;
    Ok(created_at.map(|at| at + ORDER_LINK_TTL))
}

/// Deletes links that are no longer good, `batch` at a time. Returns their number.
pub async fn prune_links(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.order_links WHERE id = ANY (ARRAY(
         SELECT id FROM commerce.order_links WHERE created_at < commerce.clock() - make_interval(secs => $2)
         LIMIT $1 FOR UPDATE SKIP LOCKED))";
    db::prune(conn, batch, ORDER_LINK_TTL, delete).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_follows_from_key_and_id() {
        let key = |byte: char| SecretKey::parse(&format!("{}=", byte.to_string().repeat(43))).unwrap();
        let (one, other) = (OrderLinkId::new(), OrderLinkId::new());
        let token = derive_order_token(&key('A'), one);
        assert_eq!(token.len(), 43);
        assert_eq!(token, derive_order_token(&key('A'), one));
        assert_ne!(token, derive_order_token(&key('A'), other));
        assert_ne!(token, derive_order_token(&key('E'), one));
    }
}
