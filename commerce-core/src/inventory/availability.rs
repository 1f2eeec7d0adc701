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
        /// Units on hand that are not reserved, over all locations. Lapsed holds of carts count as free. NULL
        /// for a variant that is not counted.
        available -> Nullable<BigInt>,
        /// Whether a unit can be bought now, counted or not.
        in_stock -> Bool,
        /// Whether units of the variant are counted.
        track_inventory -> Bool,
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

/// How much of a variant a shopper could buy now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Available {
    /// So many units.
    Units(i64),
    /// Any quantity, because units of the variant are not counted.
    Uncounted,
}

impl Available {
    /// What the view says, where NULL stands for a variant that is not counted. It never has fewer than 0
    /// units.
    pub(crate) fn of_view(available: Option<i64>) -> Self {
        available.map_or(Self::Uncounted, |units| Self::Units(units.max(0)))
    }

    /// Whether so many units could be bought.
    pub fn covers(self, quantity: i64) -> bool {
        self.units().is_none_or(|units| units >= quantity)
    }

    /// The units that could be bought. `None` if the variant is not counted.
    pub fn units(self) -> Option<i64> {
        match self {
            Self::Units(units) => Some(units),
            Self::Uncounted => None,
        }
    }
}

impl From<i64> for Available {
    fn from(units: i64) -> Self {
        Self::Units(units)
    }
}

/// Those of these variants whose units are counted.
pub(crate) async fn counted(
    conn: &mut AsyncPgConnection,
    variants: impl IntoIterator<Item = VariantId>,
) -> QueryResult<Vec<VariantId>> {
    variants::table
        .filter(variants::id.eq_any(variants))
        .filter(variants::track_inventory)
        .select(variants::id)
        .load(conn)
        .await
}

/// How much of each variant a shopper could buy now.
pub type Availability = HashMap<VariantId, Available>;

/// How much could be bought of each of these variants now. A variant that is not for sale is absent.
pub async fn available_by_variant(
    conn: &mut AsyncPgConnection,
    variants: &[VariantId],
) -> QueryResult<Availability> {
    let rows: Vec<(VariantId, Option<i64>)> = availability::table
        .filter(availability::variant_id.eq_any(variants))
        .filter(availability::for_sale)
        .select((availability::variant_id, availability::available))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(id, available)| (id, Available::of_view(available))).collect())
}
