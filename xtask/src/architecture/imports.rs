//! Who may import whom inside commerce-core.

use super::source::{SourceFile, identifier};

/// The top-level modules by rank: each may import the ranks below its own.
const RANKS: [&[&str]; 10] = [
    &[
        "ids",
        "money",
        "pricing",
        "address",
        "email_address",
        "page",
        "error",
        "schema",
        "db",
        "idempotency",
        "request",
        "settings",
        "text_enum",
    ],
    &["queue", "audit_log", "rate_limit"],
    &["catalog", "accounts"],
    &["inventory", "search", "notifications", "contact"],
    &["cart", "orders"],
    &["payments", "shipments", "returns"],
    &["flows"],
    &["jobs"],
    &["audit"],
    &["testing"],
];

/// Imports inside one rank that are wanted, each with its reason. The first rank is the foundation and needs none.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "orders",
    "cart",
    "an order belongs to the shopper its cart belonged to, and says so with cart::Owner",
)];

/// Every import that goes up or sideways.
pub fn breaches(core: &[SourceFile]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in core.iter().filter(|file| !file.path.is_empty()) {
        let from = file.module();
        let Some(own_rank) = rank(from) else {
            breaches.push(format!(
                "{}: module `{from}` has no rank; give it one in xtask/src/architecture/imports.rs",
                file.shown
            ));
            continue;
        };
        for (line, to) in imported_modules(file) {
            let Some(other_rank) = rank(&to) else { continue };
            let sideways = own_rank == other_rank && own_rank > 0 && !is_exception(from, &to);
            if from != to && (other_rank > own_rank || sideways) {
                breaches.push(format!(
                    "{}:{line}: `{from}` (rank {}) must not import `{to}` (rank {})",
                    file.shown,
                    own_rank + 1,
                    other_rank + 1
                ));
            }
        }
    }
    breaches
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|modules| modules.contains(&module))
}

fn is_exception(from: &str, to: &str) -> bool {
    EXCEPTIONS.iter().any(|(exempt_from, exempt_to, _reason)| (*exempt_from, *exempt_to) == (from, to))
}

/// The top-level modules a file names, by `crate::…` or by climbing up with `super::`.
fn imported_modules(file: &SourceFile) -> Vec<(usize, String)> {
    let climb = "super::".repeat(file.path.len());
    let mut found = Vec::new();
    for prefix in ["crate::", climb.as_str()] {
        for (line, rest) in file.after(prefix) {
            found.extend(first_names(rest).into_iter().map(|name| (line, name.to_owned())));
        }
    }
    found
}

/// The first names of what follows `crate::`: one, or those of a group `{a::b, c::{d, e}}`.
fn first_names(text: &str) -> Vec<&str> {
    let Some(group) = text.strip_prefix('{') else { return vec![identifier(text).0] };
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut at_start = true;
    for (offset, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && depth == 0 && !c.is_whitespace() => {
                at_start = false;
                names.push(identifier(group.get(offset..).unwrap_or("")).0);
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::file;
    use super::*;

    fn breaches_in(path: &str, text: &str) -> Vec<String> {
        breaches(&[file(path, text)])
    }

    #[test]
    fn importing_downwards_is_fine() {
        let text = "use crate::{\n    db::{self, Pool},\n    inventory, ids::OrderId,\n};\nfn f() { crate::queue::enqueue() }";
        assert_eq!(breaches_in("orders/list", text), Vec::<String>::new());
    }

    #[test]
    fn importing_upwards_is_named_with_its_line_however_it_is_written() {
        for text in [
            "\nuse crate::flows::place_order;",
            "\nuse crate::{db, flows::place_order};",
            "\nfn f() { crate::flows::place_order() }",
            "\nuse super::super::flows;",
        ] {
            let found = breaches_in("orders/list", text);
            assert_eq!(
                found,
                ["orders/list:2: `orders` (rank 5) must not import `flows` (rank 7)"],
                "{text}"
            );
        }
    }

    #[test]
    fn neighbours_of_a_rank_do_not_know_each_other() {
        assert_eq!(breaches_in("payments/settle", "use crate::shipments;").len(), 1);
        assert_eq!(breaches_in("db", "use crate::error;").len(), 0);
    }

    #[test]
    fn a_module_without_a_rank_is_a_breach() {
        assert_eq!(breaches_in("coupons", "").len(), 1);
    }
}
