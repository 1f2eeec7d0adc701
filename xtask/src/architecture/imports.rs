//! Who may import whom: the rooms of each crate, and which is below which.

use super::source::{SourceFile, identifier};

/// One crate, and its top-level modules by rank: each may import the ranks before its own.
pub struct House {
    /// The folder in the checkout.
    pub package: &'static str,
    pub ranks: &'static [&'static [&'static str]],
    /// Whether the modules of the first rank, the foundation, may import each other.
    pub has_foundation: bool,
    /// Imports inside one rank that are wanted, each with its reason.
    pub exceptions: &'static [(&'static str, &'static str, &'static str)],
}

pub const CORE: House = House {
    package: "commerce-core",
    ranks: &[
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
            "locale",
            "request",
            "settings",
            "spreadsheet",
            "text",
            "text_enum",
        ],
        &["queue", "audit_log", "rate_limit", "inventory"],
        &["catalog", "accounts"],
        &["search", "contact"],
        &["cart", "orders"],
        &["payments", "shipments", "returns"],
        &["notifications"],
        &["flows"],
        &["jobs"],
        &["audit"],
        &["testing"],
    ],
    has_foundation: true,
    exceptions: &[(
        "orders",
        "cart",
        "an order belongs to the shopper its cart belonged to, and says so with cart::Owner",
    )],
};

pub const API: House = House {
    package: "commerce-api",
    ranks: &[&["http"], &["edge"], &["resources"], &["routes"], &["program"], &["main"]],
    has_foundation: false,
    exceptions: &[],
};

pub const PROGRAM: House = House {
    package: "commerce-program",
    ranks: &[&["arguments", "settings", "stop"], &["logs"]],
    has_foundation: false,
    exceptions: &[],
};

pub const WORKER: House = House {
    package: "commerce-worker",
    ranks: &[
        &["http", "slots", "wake", "attempt"],
        &["backend"],
        &["schedule"],
        &["work"],
        &["config"],
        &["mail", "manage", "audit", "reindex"],
        &["main"],
    ],
    has_foundation: false,
    exceptions: &[],
};

impl House {
    /// What the crate is called in paths: `commerce_api`.
    pub fn name(&self) -> String {
        self.package.replace('-', "_")
    }

    /// Every import that goes up or sideways.
    pub fn breaches(&self, files: &[SourceFile]) -> Vec<String> {
        let mut breaches = Vec::new();
        for file in files.iter().filter(|file| !file.path.is_empty()) {
            let from = file.module();
            let Some(own_rank) = self.rank(from) else {
                breaches.push(format!(
                    "{}: module `{from}` has no rank; give it one in xtask/src/architecture/imports.rs",
                    file.shown
                ));
                continue;
            };
            for (line, to) in self.imported_modules(file) {
                let Some(other_rank) = self.rank(&to) else { continue };
                let may_be_sideways = self.has_foundation && own_rank == 0 || self.is_exception(from, &to);
                let sideways = own_rank == other_rank && !may_be_sideways;
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

    pub fn rank(&self, module: &str) -> Option<usize> {
        self.ranks.iter().position(|modules| modules.contains(&module))
    }

    fn is_exception(&self, from: &str, to: &str) -> bool {
        self.exceptions
            .iter()
            .any(|(exempt_from, exempt_to, _reason)| (*exempt_from, *exempt_to) == (from, to))
    }

    /// The top-level modules a file names, by `crate::…` or by climbing up with `super::`.
    fn imported_modules(&self, file: &SourceFile) -> Vec<(usize, String)> {
        let (climb, name) = ("super::".repeat(file.path.len()), format!("{}::", self.name()));
        let mut found = Vec::new();
        for prefix in ["crate::", climb.as_str(), name.as_str()] {
            for (line, rest) in file.after(prefix) {
                found.extend(first_names(rest).into_iter().map(|name| (line, name.to_owned())));
            }
        }
        found
    }
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
        CORE.breaches(&[file(path, text)])
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
                ["orders/list:2: `orders` (rank 5) must not import `flows` (rank 8)"],
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

    #[test]
    fn rooms_of_the_programs_import_downwards_only() {
        let breaches = |path: &str, text: &str| API.breaches(&[file(path, text)]);
        assert_eq!(
            breaches("resources/cart", "use crate::http::answer;\nuse crate::edge::Edge;"),
            Vec::<String>::new()
        );
        assert_eq!(breaches("main", "use commerce_api::program::serve;"), Vec::<String>::new());
        assert_eq!(
            breaches("http/auth", "\nuse crate::edge::RequestId;"),
            ["http/auth:2: `http` (rank 1) must not import `edge` (rank 2)"]
        );
        assert_eq!(breaches("edge", "use crate::routes;").len(), 1);
        assert_eq!(breaches("resources/orders/export", "use super::super::super::program::app;").len(), 1);
        assert_eq!(WORKER.breaches(&[file("slots", "use crate::work::Worker;")]).len(), 1);
    }
}
