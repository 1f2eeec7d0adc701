//! Which file of a crate imports what from which other file, and the circles in that.
//!
//! A name is followed through `pub use` to the file that defines it, so a `mod.rs` that only passes names on imports nothing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::names::{self, Binding};
use super::source::{SourceFile, identifier};

/// The imports of one crate.
pub struct Graph<'a> {
    files: &'a [SourceFile],
    bindings: Vec<Vec<Binding>>,
    /// The file of a module by its path from the crate's root.
    modules: BTreeMap<&'a [String], usize>,
    pub imports: Vec<Import>,
}

/// One file names something that another defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: usize,
    pub to: usize,
    pub line: usize,
    pub name: String,
}

/// Re-exports of re-exports are followed so far.
const DEPTH_MAX: usize = 8;

impl<'a> Graph<'a> {
    /// `name` is what the crate is called by its own programs: `commerce_api`.
    pub fn of(files: &'a [SourceFile], name: &str) -> Self {
        let modules = files.iter().enumerate().map(|(index, file)| (file.path.as_slice(), index)).collect();
        let (mut bindings, mut codes) = (Vec::new(), Vec::new());
        for file in files {
            let (found, code) = names::uses(file);
            bindings.push(found);
            codes.push(code);
        }
        let mut graph = Self { files, bindings, modules, imports: Vec::new() };
        let mut imports = BTreeSet::new();
        for (from, code) in codes.iter().enumerate() {
            for (line, path) in graph.written(from, code) {
                let path = match path.split_first() {
                    Some((first, rest)) if first == name => {
                        std::iter::once("crate".to_owned()).chain(rest.iter().cloned()).collect()
                    }
                    _ => path,
                };
                let Some(to) = graph.definition(from, &path, 0).filter(|to| *to != from) else { continue };
                imports.insert(Import { from, to, line, name: path.join("::") });
            }
        }
        graph.imports = imports.into_iter().collect();
        graph
    }

    /// What a file writes of others: imports that are used here and not only passed on, and paths in the code.
    fn written(&self, from: usize, code: &SourceFile) -> Vec<names::WrittenPath> {
        let used = names::words(code);
        let mut written = names::paths(code);
        for binding in self.bindings.get(from).into_iter().flatten() {
            if !binding.is_public || used.contains(binding.name.as_str()) {
                written.push((binding.line, binding.path.clone()));
            }
        }
        written
    }

    /// The file that defines what a path in `from` leads to; none if that is outside of the crate.
    fn definition(&self, from: usize, path: &[String], depth: usize) -> Option<usize> {
        let own = self.files.get(from)?.path.as_slice();
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(&[], rest, depth),
            "self" => self.walk(own, rest, depth),
            "super" => {
                let (mut module, mut rest) = (own.split_last()?.1, rest);
                while let Some((_, tail)) = rest.split_first().filter(|(next, _)| *next == "super") {
                    (module, rest) = (module.split_last()?.1, tail);
                }
                self.walk(module, rest, depth)
            }
            // A module below this file, or a name that a `use` brought in.
            _ if self.child(own, first).is_some() => self.walk(own, path, depth),
            name => {
                let binding = self.bindings.get(from)?.iter().find(|binding| binding.name == name)?;
                if depth > DEPTH_MAX || binding.path.first().is_none_or(|start| start == name) {
                    return None;
                }
                let whole: Vec<String> = binding.path.iter().chain(rest).cloned().collect();
                self.definition(from, &whole, depth + 1)
            }
        }
    }

    /// Goes down from a module, through re-exports.
    fn walk(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let file = self.modules.get(module).copied();
        let Some((first, rest)) = path.split_first() else { return file };
        if let Some(child) = self.child(module, first) {
            return self.walk(&child, rest, depth);
        }
        let file = file?;
        if depth > DEPTH_MAX || first == "*" {
            return Some(file);
        }
        if defines(self.files.get(file)?, first) {
            return Some(file);
        }
        let bindings = self.bindings.get(file)?;
        let onward = |binding: &Binding, rest: &[String]| {
            let path: Vec<String> =
                binding.path.iter().filter(|segment| *segment != "*").chain(rest).cloned().collect();
            self.definition(file, &path, depth + 1).filter(|found| *found != file)
        };
        let named = bindings.iter().find(|binding| binding.name == *first);
        let found = named.and_then(|binding| onward(binding, rest));
        let all = || bindings.iter().filter(|binding| binding.name == "*");
        let behind_all = || {
            all().find_map(|binding| {
                let found = onward(binding, path)?;
                self.files.get(found).is_some_and(|file| defines(file, first)).then_some(found)
            })
        };
        found.or_else(behind_all).or(Some(file))
    }

    fn child(&self, module: &[String], name: &str) -> Option<Vec<String>> {
        let path: Vec<String> = module.iter().cloned().chain([name.to_owned()]).collect();
        self.modules.contains_key(path.as_slice()).then_some(path)
    }

    /// Every circle, as the shortest way around it from its first file.
    pub fn circles(&self) -> Vec<String> {
        let mut next: BTreeMap<usize, Vec<&Import>> = BTreeMap::new();
        for import in &self.imports {
            next.entry(import.from).or_default().push(import);
        }
        let (mut circles, mut known) = (Vec::new(), BTreeSet::new());
        for start in 0..self.files.len() {
            if known.contains(&start) {
                continue;
            }
            let Some(way) = way_around(start, &next) else { continue };
            known.extend(way.iter().map(|import| import.from));
            let steps = way.iter().filter_map(|import| {
                let (from, to) = (self.files.get(import.from)?, self.files.get(import.to)?);
                Some(format!("    {}:{} imports {} from {}", from.shown, import.line, import.name, to.shown))
            });
            let steps: Vec<String> = steps.collect();
            circles.push(format!("{} files import each other in a circle\n{}", way.len(), steps.join("\n")));
        }
        circles
    }
}

/// The shortest way from a file back to itself.
fn way_around<'a>(start: usize, next: &BTreeMap<usize, Vec<&'a Import>>) -> Option<Vec<&'a Import>> {
    let mut reached: BTreeMap<usize, &Import> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for import in next.get(&file).into_iter().flatten() {
            if import.to == start {
                let mut way = vec![*import];
                let mut at = import.from;
                while at != start {
                    let step = *reached.get(&at)?;
                    way.push(step);
                    at = step.from;
                }
                way.reverse();
                return Some(way);
            }
            if let Entry::Vacant(unreached) = reached.entry(import.to) {
                unreached.insert(import);
                queue.push_back(import.to);
            }
        }
    }
    None
}

/// Whether a file itself defines an item of this name.
fn defines(file: &SourceFile, name: &str) -> bool {
    const ITEMS: [&str; 9] =
        ["fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ", "mod ", "macro_rules! "];
    ITEMS.iter().any(|item| file.after(item).any(|(_, rest)| identifier(rest).0 == name))
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::file;
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<SourceFile> = files.iter().map(|(path, text)| file(path, text)).collect();
        Graph::of(&files, "commerce_core").circles()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let there = ("cart/lock", "use super::view::View;\npub struct Lock;");
        for back in [
            "use super::lock::Lock;\npub struct View;",
            "use crate::cart::lock;\npub struct View;",
            "use crate::cart::{self, Owner};\npub struct View;\nfn f() { cart::lock::take() }",
            "pub struct View;\nfn f() { super::lock::Lock }",
            "use super::Lock;\npub struct View;",
        ] {
            let parent =
                ("cart", "mod lock;\nmod view;\npub use lock::Lock;\npub use view::View;\npub struct Owner;");
            let found = circles(&[parent, there, ("cart/view", back)]);
            assert_eq!(found.len(), 1, "{back}: {found:?}");
            assert!(found[0].starts_with("2 files import each other"), "{found:?}");
        }
        assert_eq!(circles(&[("cart", ""), there, ("cart/view", "pub struct View;")]), Vec::<String>::new());
    }

    #[test]
    fn a_parent_that_only_passes_names_on_is_in_no_circle() {
        let child = ("cart/view", "use super::Lock;\nuse super::LINES_MAX;\npub struct View;");
        let lock = ("cart/lock", "pub struct Lock;");
        let passes_on =
            "mod lock;\nmod view;\npub use lock::Lock;\npub use self::view::*;\npub const LINES_MAX: u8 = 1;";
        assert_eq!(circles(&[("cart", passes_on), child, lock]), Vec::<String>::new());
        let same_name =
            "mod lock;\npub use lock::lock;\npub const LINES_MAX: u8 = 1;\npub(in crate::cart) fn f() {}";
        assert_eq!(
            circles(&[("cart", same_name), ("cart/lock", "use super::LINES_MAX;\npub fn lock() {}")]),
            Vec::<String>::new()
        );
        for uses_itself in [
            "pub use view::View;\npub const LINES_MAX: u8 = 1;\nfn f(view: View) {}",
            "use view::View;\npub const LINES_MAX: u8 = 1;",
            "pub const LINES_MAX: u8 = 1;\nfn f() { view::show() }",
        ] {
            let found = circles(&[("cart", uses_itself), child, lock]);
            assert_eq!(found.len(), 1, "{uses_itself}: {found:?}");
        }
    }

    #[test]
    fn a_longer_circle_is_told_step_by_step() {
        let found = circles(&[
            ("a", "\nuse crate::b::B;\npub struct A;"),
            ("b", "use crate::c::*;\npub struct B;"),
            ("c", "fn f() { crate::a::A }"),
            ("d", "use crate::a::A;"),
        ]);
        let told = "3 files import each other in a circle\n    a:2 imports crate::b::B from b\n    \
                    b:1 imports crate::c::* from c\n    c:1 imports crate::a::A from a";
        assert_eq!(found, [told]);
    }
}
