//! What names of other files a file writes: its `use` trees, and the paths in its code.

use std::collections::BTreeSet;

use super::source::{SourceFile, identifier};

/// One name that a `use` brings into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub line: usize,
    /// Whether others may import it from here.
    pub is_public: bool,
    /// What it is called in the file; `*` for all that is behind the path.
    pub name: String,
    /// As it is written: `["super", "product", "Product"]`.
    pub path: Vec<String>,
}

/// A path in code or in a `use`, with the line it begins on.
pub type WrittenPath = (usize, Vec<String>);

/// Every `use` of a file, and its code with them and all string literals blanked out.
pub fn uses(file: &SourceFile) -> (Vec<Binding>, SourceFile) {
    let mut rest = file.with_blank_strings();
    let mut bindings = Vec::new();
    let starts: Vec<usize> = rest.code.match_indices("use ").map(|(offset, _)| offset).collect();
    let mut blank = Vec::new();
    for start in starts {
        let before = rest.code.get(..start).unwrap_or("");
        let Some(is_public) = visibility(before) else { continue };
        let tree = rest.code.get(start + 4..).unwrap_or("");
        let tree = tree.split(';').next().unwrap_or("");
        let line = rest.line_of(start);
        for (name, path) in leaves(tree) {
            bindings.push(Binding { line, is_public, name, path });
        }
        blank.push(start..start + 4 + tree.len());
    }
    for range in blank {
        let lines: String = rest
            .code
            .get(range.clone())
            .unwrap_or("")
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        // Characters of several bytes do not occur in paths; without them the length stays.
        if lines.len() == range.len() {
            rest.code.replace_range(range, &lines);
        }
    }
    (bindings, rest)
}

/// Whether the `use` that follows this text is public; none if it is no `use` at all.
fn visibility(before: &str) -> Option<bool> {
    let line = before.rsplit(['\n', ';', '{', '}']).next().unwrap_or("").trim();
    match line {
        "" => Some(false),
        line if line.starts_with("pub") => Some(true),
        line if line.ends_with(']') => Some(false),
        _ => None,
    }
}

/// The leaves of a use tree: what each is called here, and its whole path.
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let (path, name) = match tree.split_once(" as ") {
            Some((path, name)) => (segments(path), Some(name.trim().to_owned())),
            None => (segments(tree), None),
        };
        let path: Vec<String> = path.collect();
        let last = path.last().cloned().unwrap_or_default();
        let name = name.unwrap_or(last);
        return if path.is_empty() { Vec::new() } else { vec![(name, path)] };
    };
    let head: Vec<String> = segments(head).collect();
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let mut found = Vec::new();
    for part in split_at_depth_zero(group) {
        for (name, path) in leaves(part) {
            let path: Vec<String> = head.iter().cloned().chain(path).collect();
            let is_self = name == "self";
            let path =
                if is_self { path.split_last().map(|(_, p)| p.to_vec()).unwrap_or_default() } else { path };
            let name = if is_self { path.last().cloned().unwrap_or_default() } else { name };
            found.push((name, path));
        }
    }
    found
}

fn segments(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned)
}

fn split_at_depth_zero(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (offset, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..offset).unwrap_or(""));
                start = offset + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or(""));
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// The paths of two segments and more in the code: `crate::db::Pool`, `limits::LINES_MAX`.
pub fn paths(code: &SourceFile) -> Vec<WrittenPath> {
    let text = code.code.as_str();
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("::") {
        let offset = text.len() - rest.len() + at;
        let before = text.get(..offset).unwrap_or("");
        let first = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        let mut path = vec![first.to_owned()];
        let mut after = text.get(offset..).unwrap_or("");
        while let Some(tail) = after.strip_prefix("::") {
            let (name, remaining) = identifier(tail);
            if name.is_empty() {
                break;
            }
            path.push(name.to_owned());
            after = remaining;
        }
        // `pub(in crate::catalog)` says who may see it, and imports nothing.
        let is_visibility = before.trim_end_matches(first).ends_with("(in ");
        if !first.is_empty() && path.len() > 1 && !is_visibility {
            found.push((code.line_of(offset), path));
        }
        let next = text.len() - after.len();
        rest = text.get(next.max(offset + 2)..).unwrap_or("");
    }
    found
}

/// The words of the code, apart from those that only declare a module.
pub fn words(code: &SourceFile) -> BTreeSet<&str> {
    let words = code.code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let mut before = "";
    words.filter(|word| std::mem::replace(&mut before, word) != "mod").collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::file;
    use super::*;

    #[test]
    fn use_trees_are_read_leaf_by_leaf() {
        let text = "pub(crate) use super::{a::{self, B as C}, d};\nuse crate::e::*;\nlet x = \"use f::g;\";\n#[x]\nuse h;";
        let (found, rest) = uses(&file("orders/list", text));
        let found: Vec<String> = found
            .iter()
            .map(|b| format!("{} {} {}={}", b.line, b.is_public, b.name, b.path.join("::")))
            .collect();
        assert_eq!(
            found,
            [
                "1 true a=super::a",
                "1 true C=super::a::B",
                "1 true d=super::d",
                "2 false *=crate::e::*",
                "5 false h=h"
            ]
        );
        assert_eq!(paths(&rest), []);
    }

    #[test]
    fn paths_are_read_from_code_but_not_from_strings() {
        let text = "fn f() {\n  crate::db::pool::<X>(limits::MAX, \"a::b\"); Vec::<u8>::new() }";
        let (_, rest) = uses(&file("orders/list", text));
        let found: Vec<String> =
            paths(&rest).iter().map(|(line, path)| format!("{line} {}", path.join("::"))).collect();
        assert_eq!(found, ["2 crate::db::pool", "2 limits::MAX"]);
    }
}
