//! The status of a cart.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::sql_types::Bool;

use crate::text_enum::text_enum;

text_enum! {
    /// The status of a cart. An owner has at most one open cart.
    pub enum CartStatus {
        /// The owner can change it.
        Open = "open",
        /// It became an order.
        Ordered = "ordered",
        /// It became part of another cart.
        Merged = "merged",
    }
}

/// SQL for whether the cart of the row is open. The status is written out: with a parameter in its place, Postgres could not
/// use the indexes of open carts in a plan that it keeps, and would plan the statement for every checkout.
pub(super) fn is_open() -> SqlLiteral<Bool> {
    sql("carts.status = 'open'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_in_sql_is_that_of_the_table() {
        let sql = diesel::debug_query::<diesel::pg::Pg, _>(&is_open()).to_string();
        assert!(sql.starts_with(&format!("carts.status = '{}'", CartStatus::Open)), "{sql}");
    }
}
