//! What shoppers can buy now, as the view `commerce.availability` tells it. For showing and for refusing early: a checkout
//! decides under the lock, by [`LockedStock::available`](super::LockedStock::available).

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::VariantId;
use crate::schema::{cart_items, products, variants};

diesel::table! {
    /// Of each variant: whether it is for sale, and how many units could be reserved now. A view.
    commerce.availability (variant_id) {
        variant_id -> Uuid,
        product_id -> Uuid,
        /// The variant is active, whatever its product is.
        active -> Bool,
        /// The variant and its product are active.
        for_sale -> Bool,
        /// Units on hand that nobody has reserved, over all locations. Lapsed holds of carts count as free.
        available -> BigInt,
    }
}
diesel::allow_tables_to_appear_in_same_query!(availability, cart_items);
diesel::allow_tables_to_appear_in_same_query!(availability, products);
diesel::allow_tables_to_appear_in_same_query!(availability, variants);

/// Units of each variant that a shopper could buy now.
pub type Availability = HashMap<VariantId, i64>;

/// What could be bought of each of these variants now. One that is not for sale is absent.
pub async fn available_by_variant(
    conn: &mut AsyncPgConnection,
    variants: &[VariantId],
) -> QueryResult<Availability> {
    let rows: Vec<(VariantId, i64)> = availability::table
        .filter(availability::variant_id.eq_any(variants))
        .filter(availability::for_sale)
        .select((availability::variant_id, availability::available))
        .load(conn)
        .await?;
    Ok(rows.into_iter().collect())
}
