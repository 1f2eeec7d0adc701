//! Deleting carts that their guests have left.

use std::time::Duration;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use crate::db;

/// How long a guest's cart is kept after its last change.
pub const GUEST_CARTS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Deletes open carts of guests that were not changed for [`GUEST_CARTS_KEPT`], with their items and ended
/// holds, `batch` at a time. A cart that still holds stock stays until the holds are released. Returns the
/// number of carts.
pub async fn prune_guest_carts(conn: &mut AsyncPgConnection, batch: i64) -> QueryResult<usize> {
    let delete = "DELETE FROM commerce.carts WHERE id = ANY (ARRAY(
         SELECT c.id FROM commerce.carts c
         WHERE c.status = 'open' AND c.token_hash IS NOT NULL
           AND c.updated_at < commerce.clock() - make_interval(secs => $2)
           AND NOT EXISTS (SELECT FROM commerce.orders o WHERE o.cart_id = c.id)
           AND NOT EXISTS (SELECT FROM commerce.stock_reservations r
                           WHERE r.cart_id = c.id AND r.status IN ('held', 'committed'))
         LIMIT $1 FOR UPDATE OF c SKIP LOCKED))";
    db::prune(conn, batch, GUEST_CARTS_KEPT, delete).await
}
