//! Which domain owns, and alone writes, which table.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use super::source::{SourceFile, identifier};
use crate::workspace;

const OWNERS: [(&str, &[&str]); 15] = [
    ("accounts", &["users", "sessions", "refresh_tokens", "one_time_codes", "addresses"]),
    (
        "catalog",
        &[
            "categories",
            "former_category_slugs",
            "former_product_slugs",
            "products",
            "product_categories",
            "product_images",
            "media_files",
            "variants",
        ],
    ),
    ("inventory", &["stock_locations", "stock_levels", "stock_reservations", "stock_movements"]),
    ("search", &["product_search", "search_words", "search_indexes", "search_changes"]),
    ("cart", &["carts", "cart_items"]),
    ("orders", &["orders", "order_lines", "order_events"]),
    ("payments", &["payments", "refunds", "inbound_webhooks"]),
    ("shipments", &["shipments", "shipment_lines", "shipment_checkpoints"]),
    ("returns", &["returns", "return_lines"]),
    ("contact", &["contact_messages"]),
    ("notifications", &["emails"]),
    ("queue", &["jobs"]),
    ("audit_log", &["audit_log"]),
    ("rate_limit", &["rate_limits"]),
    ("idempotency", &["idempotency_keys"]),
];

/// These may write anything: repairing and arranging test data is their purpose.
const MAY_WRITE_ALL: [&str; 2] = ["audit", "testing"];

/// Every write to a table of another domain, or by the programs themselves, and every table that nobody owns.
pub fn breaches(core: &[SourceFile], programs: &[SourceFile]) -> Result<Vec<String>> {
    let schema = workspace::root().join("commerce-core/src/schema.rs");
    let tables = match fs::read_to_string(&schema) {
        Ok(text) => tables_of(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => return Err(error).with_context(|| schema.display().to_string()),
    };
    let mut breaches = Vec::new();
    for table in tables.iter().filter(|table| owner(table).is_none()) {
        breaches.push(format!("table {table} has no owner; name one in xtask/src/architecture/tables.rs"));
    }
    for file in core {
        let writer = file.module();
        for (line, table) in writes(file, &tables) {
            let owner = owner(&table).unwrap_or(writer);
            if owner != writer && !MAY_WRITE_ALL.contains(&writer) {
                breaches.push(format!(
                    "{}:{line}: `{writer}` writes table {table}, which only `{owner}` does",
                    file.shown
                ));
            }
        }
    }
    for file in programs {
        for (line, table) in writes(file, &tables) {
            breaches.push(format!(
                "{}:{line}: writes table {table}; a function of commerce-core does that",
                file.shown
            ));
        }
    }
    Ok(breaches)
}

fn owner(table: &str) -> Option<&'static str> {
    OWNERS.iter().find(|(_, tables)| tables.contains(&table)).map(|(owner, _)| *owner)
}

/// The tables of `schema.rs`.
fn tables_of(schema: &str) -> BTreeSet<String> {
    let lines = schema.lines().filter_map(|line| line.trim().strip_prefix("commerce."));
    lines.map(|rest| identifier(rest).0.to_owned()).collect()
}

/// The tables a file writes, through Diesel's builders or in SQL text.
fn writes(file: &SourceFile, tables: &BTreeSet<String>) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for call in ["insert_into(", "update(", "delete(", "replace_into("] {
        for (line, rest) in file.after(call) {
            // The path of the table: `orders::table`, `schema::orders::table`, `dsl::orders`.
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
            let path = rest.get(..end).unwrap_or("").split("::");
            found.extend(path.filter(|part| tables.contains(*part)).map(|table| (line, table.to_owned())));
        }
    }
    // SQL may be written in any case and broken over lines, so it is compared in one spelling.
    let sql = SourceFile { shown: String::new(), path: Vec::new(), code: file.code.to_lowercase() };
    for statement in ["insert", "update", "delete"] {
        for (line, rest) in sql.after(statement) {
            let gap = |c: char| c.is_whitespace() || c == '\\';
            let rest = rest.trim_start_matches(gap);
            let words = ["into", "from", "only"];
            let rest = words.iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
            if let Some(name) = rest.trim_start_matches(gap).strip_prefix("commerce.") {
                found.push((line, identifier(name).0.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::file;
    use super::*;

    #[test]
    fn writes_are_seen_in_builders_and_in_sql() {
        let tables = tables_of("diesel::table! {\n    commerce.orders (id) {\n commerce.jobs (id) {");
        let written = |text: &str| -> Vec<String> {
            writes(&file("cart/view", text), &tables).into_iter().map(|(_, table)| table).collect()
        };
        assert_eq!(written("diesel::update(orders::table.find(id))"), ["orders"]);
        assert_eq!(written("insert_into(schema::jobs::table)"), ["jobs"]);
        assert_eq!(written("sql_query(\"WITH x AS (Delete FROM\n commerce.orders)\")"), ["orders"]);
        assert_eq!(written("sql_query(\"INSERT INTO commerce.jobs\")"), ["jobs"]);
        assert_eq!(written("orders::table.select(jobs::id) // SELECT … FOR UPDATE"), Vec::<String>::new());
        assert_eq!(written("hasher.update(bytes); do_update(); cart.delete(item)"), Vec::<String>::new());
    }
}
