//! What shoppers can buy now, from the view `commerce.availability`. It is for display and for early
//! refusals. A checkout decides under the lock, with
//! [`LockedStock::available`](super::LockedStock::available).

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::ids::VariantId;
use crate::schema::{cart_items, products, variants};

diesel::table! {
    /// A view with, for each variant, whether it is for sale and how many units could be reserved now.
    commerce.availability (variant_id) {
        variant_id -> Uuid,
        product_id -> Uuid,
        /// Whether the variant is active, regardless of its product.
        active -> Bool,
        /// Whether the variant and its product are active.
        for_sale -> Bool,
        /// Units on hand that are not reserved, over all locations. Lapsed holds of carts count as free.
        available -> BigInt,
    }
}
diesel::allow_tables_to_appear_in_same_query!(availability, cart_items);
diesel::allow_tables_to_appear_in_same_query!(availability, products);
diesel::allow_tables_to_appear_in_same_query!(availability, variants);

#[diesel::declare_sql_function]
extern "SQL" {
    /// Whether a variant is for sale, by its flag and its product's status. The view has it as `for_sale`.
    #[sql_name = "commerce.is_for_sale"]
    fn is_for_sale(variant_active: Bool, product_status: Text) -> Bool;
}

/// Units of each variant that a shopper could buy now.
pub type Availability = HashMap<VariantId, i64>;

/// The units that could be bought of each of these variants now. A variant that is not for sale is absent.
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
