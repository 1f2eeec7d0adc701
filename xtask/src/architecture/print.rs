//! The house, drawn: the rooms of a crate from the top down, and who imports how much of whom.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::graph::Graph;
use super::imports::House;
use super::source::SourceFile;

/// A crate's rooms with their files, lines and arrows, and whether there is an arrow up or a circle.
pub fn drawn(house: &House, files: &[SourceFile], graph: &Graph, arrows_up: usize, circles: usize) -> String {
    let mut rooms: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.path.is_empty()) {
        let (count, lines) = rooms.entry(file.module()).or_default();
        *count += 1;
        *lines += file.code.lines().count();
    }
    let mut arrows: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for import in &graph.imports {
        if let (Some(from), Some(to)) = (files.get(import.from), files.get(import.to))
            && from.module() != to.module()
        {
            *arrows.entry((from.module(), to.module())).or_default() += 1;
        }
    }
    let lines: usize = rooms.values().map(|(_, lines)| lines).sum();
    let mut drawn =
        format!("{}: {} rooms, {} files, {lines} lines\n", house.package, rooms.len(), files.len());
    let from_the_top = house.ranks.iter().rev().flat_map(|rank| rank.iter());
    for room in from_the_top {
        let Some((files, lines)) = rooms.get(room) else { continue };
        let to = house.ranks.iter().rev().flat_map(|rank| rank.iter()).filter_map(|to| {
            let count = arrows.get(&(*room, *to))?;
            Some(format!("{to} {count}"))
        });
        let to = to.collect::<Vec<_>>().join(", ");
        let arrow = if to.is_empty() { "" } else { "→ " };
        let _ = writeln!(drawn, "  {room:<14}{files:>4} files {lines:>6} lines  {arrow}{to}");
    }
    let counted = |count: usize, what: &str| {
        if count == 0 { format!("no {what}") } else { format!("{count} {what}(s)") }
    };
    let _ = writeln!(drawn, "  {}, {}\n", counted(arrows_up, "arrow up"), counted(circles, "circle"));
    drawn
}

#[cfg(test)]
mod tests {
    use super::super::imports::API;
    use super::super::source::tests::file;
    use super::*;

    #[test]
    fn rooms_stand_from_the_top_down_with_their_arrows() {
        let files = [
            file("http", "pub mod answer;\n"),
            file("http/answer", "pub struct Answer;\n"),
            file(
                "resources/cart",
                "use crate::http::answer::Answer;\n\nfn f() { crate::http::answer::Answer }\n",
            ),
        ];
        let graph = Graph::of(&files, "commerce_api");
        let expected = "commerce-api: 2 rooms, 3 files, 5 lines\n  resources        1 files      3 lines  → http 2\n  \
                        http             2 files      2 lines  \n  no arrow up, no circle\n\n";
        assert_eq!(drawn(&API, &files, &graph, 0, 0), expected);
        assert!(drawn(&API, &files, &graph, 2, 1).ends_with("  2 arrow up(s), 1 circle(s)\n\n"));
    }
}
