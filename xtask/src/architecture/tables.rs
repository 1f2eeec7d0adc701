//! Which domain owns, and alone writes, which table.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use super::source::{SourceFile, identifier};
use crate::workspace;

const OWNERS: [(&str, &[&str]); 15] = [
    (
        "accounts",
        &[
            "users",
            "sessions",
            "refresh_tokens",
            "one_time_codes",
            "addresses",
            "known_networks",
            "second_factors",
        ],
    ),
    (
        "catalog",
        &[
            "categories",
            "former_category_slugs",
            "former_category_titles",
            "former_product_slugs",
            "products",
            "product_categories",
            "product_images",
            "product_source_keys",
            "media_files",
            "variants",
        ],
    ),
    (
        "inventory",
        &["stock_locations", "stock_levels", "stock_reservations", "stock_movements", "stock_thresholds"],
    ),
    ("contact", &["contact_messages"]),
    ("search", &["product_search", "search_words", "search_indexes", "search_changes"]),
    ("cart", &["carts", "cart_items"]),
    ("orders", &["orders", "order_lines", "order_events", "order_links", "order_search"]),
    ("payments", &["payments", "refunds", "refund_lines", "inbound_webhooks"]),
    ("shipments", &["shipments", "shipment_lines", "shipment_checkpoints"]),
    ("returns", &["returns", "return_lines", "withdrawals"]),
    ("notifications", &["emails"]),
    ("queue", &["jobs", "job_pauses"]),
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
    if !tables.is_empty() {
        let owned = OWNERS.iter().flat_map(|(owner, owned)| owned.iter().map(move |table| (owner, table)));
        for (owner, table) in owned.filter(|(_, table)| !tables.contains(**table)) {
            breaches.push(format!(
                "there is no table {table}, which xtask/src/architecture/tables.rs gives to `{owner}`"
            ));
        }
    }
    for file in core {
        breaches.extend(hidden_writes(file, &tables));
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
        breaches.extend(hidden_writes(file, &tables));
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
            let named = target(file, rest, tables).unwrap_or_default();
            found.extend(named.into_iter().map(|table| (line, table)));
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

/// Writes by Diesel whose table cannot be told: they would be no breach whatever they write.
fn hidden_writes(file: &SourceFile, tables: &BTreeSet<String>) -> Vec<String> {
    let mut hidden = Vec::new();
    for call in ["diesel::insert_into(", "diesel::update(", "diesel::delete(", "diesel::replace_into("] {
        for (line, rest) in file.after(call) {
            if target(file, rest, tables).is_none_or(|found| found.is_empty()) {
                hidden.push(format!(
                    "{}:{line}: {call}…) writes a table that is not named in this file",
                    file.shown
                ));
            }
        }
    }
    hidden
}

/// The tables that the argument of a builder names: `orders::table`, `schema::orders::table`, `dsl::orders`, or a variable or
/// function that stands for one of these. None if it stands for nothing that can be found.
fn target(file: &SourceFile, argument: &str, tables: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut text = argument;
    // A row of a query of a query: more than this nobody writes.
    for _ in 0..4 {
        let start = text.trim_start().trim_start_matches('&');
        let end = start.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(start.len());
        let path = start.get(..end).unwrap_or("");
        let named: Vec<String> =
            path.split("::").filter(|part| tables.contains(*part)).map(str::to_owned).collect();
        if !named.is_empty() {
            return Some(named);
        }
        if path.contains("::") {
            return Some(Vec::new());
        }
        text = meaning(file, argument, path)?;
    }
    None
}

/// What a bare name stands for where `place` is: what the `let` before it gives it, what the function of this name begins with, or
/// the `use` that brought it.
fn meaning<'a>(file: &'a SourceFile, place: &str, name: &str) -> Option<&'a str> {
    let code = file.code.as_str();
    let before = code.get(..code.len() - place.len())?;
    let bound = [format!("let {name} = "), format!("let mut {name} = ")];
    let bound = bound.iter().filter_map(|start| Some(before.rfind(start.as_str())? + start.len())).max();
    if let Some(at) = bound {
        return code.get(at..).map(|value| value.trim_start_matches(['|', ' ', '\n']));
    }
    if let Some(at) = code.find(&format!("fn {name}(")) {
        let body = code.get(at..)?;
        return body.get(body.find('{')? + 1..);
    }
    let mut uses = before.rsplit("use ").map(|rest| rest.split(';').next().unwrap_or(rest));
    uses.find(|tree| {
        let mut words = tree.split(|c: char| !c.is_alphanumeric() && c != '_');
        tree.contains("::") && words.any(|word| word == name)
    })
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

    #[test]
    fn a_table_is_seen_behind_a_variable_and_a_function_too() {
        let tables = tables_of("diesel::table! {\n    commerce.orders (id) {\n commerce.jobs (id) {");
        let seen = |text: &str| -> (Vec<String>, usize) {
            let file = file("cart/view", text);
            let written = writes(&file, &tables).into_iter().map(|(_, table)| table).collect();
            (written, hidden_writes(&file, &tables).len())
        };
        let orders = || vec!["orders".to_owned()];
        for text in [
            "let row = orders::table.find(id);\ndiesel::update(row).set(x)",
            "let mut row = jobs::table;\nlet row =\n orders::table.find(id);\ndiesel::delete(row)",
            "let all = orders::table.find(id);\nlet row = all.filter(x);\ndiesel::delete(row.filter(y))",
            "let row = || orders::table.find(id);\ndiesel::update(row())",
            "fn f() { diesel::update(open()) }\nfn open() -> X {\n    schema::orders::table.filter(y)\n}",
            "use orders::{id, table};\nfn f(new: &str) { diesel::delete(table.find(new)) }",
            "use crate::schema::orders::dsl::{id, table};\ndiesel::insert_into(table)",
        ] {
            let text = text.replace("let row =\n", "let row = ");
            assert_eq!(seen(&text), (orders(), 0), "{text}");
        }
        assert_eq!(seen("fn f(row: Row) { diesel::update(row) }"), (Vec::new(), 1));
        assert_eq!(seen("payments::update(conn, payment); hasher.update(bytes)"), (Vec::new(), 0));
    }
}
