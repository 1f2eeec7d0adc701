//! Rust source as the checks see it: where the code is, without comments and without unit tests.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::rust_files;
use crate::workspace;

/// One file of commerce-core.
#[derive(Debug)]
pub struct SourceFile {
    /// The path from the checkout's root, for messages.
    pub shown: String,
    /// The names from the crate's root to the file: `["catalog", "product"]`; empty for `lib.rs`.
    pub path: Vec<String>,
    /// The text with comments and `#[cfg(test)]` modules blanked out; line numbers stay.
    pub code: String,
}

impl SourceFile {
    /// Reads every file below `src`.
    pub fn read_all(src: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for file in rust_files(src)? {
            let inside = file.strip_prefix(src).unwrap_or(&file).with_extension("");
            let path = inside.iter().map(|part| part.to_string_lossy().into_owned());
            let path = path.filter(|part| part != "mod" && part != "lib").collect();
            let shown = file.strip_prefix(workspace::root()).unwrap_or(&file).display().to_string();
            files.push(Self {
                shown,
                path,
                code: without_tests(&without_comments(&fs::read_to_string(&file)?)),
            });
        }
        Ok(files)
    }

    /// The module right below the crate's root; empty for `lib.rs`.
    pub fn module(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The line of a place in the code, counted from one.
    pub fn line_of(&self, offset: usize) -> usize {
        self.code.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// The file with what stands in its string literals blanked out.
    pub fn with_blank_strings(&self) -> Self {
        let mut code = String::with_capacity(self.code.len());
        let mut rest = self.code.as_str();
        while let Some(first) = rest.chars().next() {
            let taken = string_literal(rest).unwrap_or(first.len_utf8());
            let (text, remaining) = rest.split_at(taken);
            if taken > 1 && text.starts_with(['"', '\'', 'r']) {
                blank(&mut code, text)
            } else {
                code.push_str(text)
            }
            rest = remaining;
        }
        Self { shown: self.shown.clone(), path: self.path.clone(), code }
    }

    /// The lines on which a text occurs.
    pub fn lines_with(&self, pattern: &str) -> Vec<usize> {
        self.code.match_indices(pattern).map(|(offset, _)| self.line_of(offset)).collect()
    }

    /// What follows each whole-word occurrence of `word`, with the line.
    pub fn after<'a>(&'a self, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        self.code.match_indices(word).filter_map(move |(offset, _)| {
            let before = self.code.get(..offset)?.chars().next_back();
            let whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let rest = self.code.get(offset + word.len()..)?;
            whole.then(|| (self.line_of(offset), rest))
        })
    }
}

/// The leading identifier of a text, and what follows it.
pub fn identifier(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// Blanks out comments. String literals stay: the SQL in them is looked at too.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string_literal(rest) {
            code.push_str(rest.get(..length).unwrap_or(rest));
            rest = rest.get(length..).unwrap_or("");
            continue;
        } else {
            code.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        };
        let (blanked, remaining) = rest.split_at(taken);
        blank(&mut code, blanked);
        rest = remaining;
    }
    code
}

/// The length of the string or character literal the text starts with.
fn string_literal(text: &str) -> Option<usize> {
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let inside = raw.get(hashes..)?.strip_prefix('"')?;
        return Some(1 + hashes + 1 + inside.find(&close)? + close.len());
    }
    if text.starts_with("'\"'") {
        return Some(3);
    }
    if text.starts_with("'\\\"'") {
        return Some(4);
    }
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    for (offset, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(offset + 2),
            _ => {}
        }
    }
    None
}

/// Blanks out `#[cfg(test)] mod … { … }`: a unit test may use what it likes.
fn without_tests(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, block) = rest.split_at(start);
        code.push_str(before);
        let mut depth = 0_usize;
        let end = block.char_indices().find_map(|(offset, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ';' if depth == 0 => return Some(offset + 1),
                _ => {}
            }
            (c == '}' && depth == 0).then_some(offset + 1)
        });
        let (blanked, remaining) = block.split_at(end.unwrap_or(block.len()));
        blank(&mut code, blanked);
        rest = remaining;
    }
    code.push_str(rest);
    code
}

fn blank(code: &mut String, text: &str) {
    code.extend(text.chars().filter(|c| *c == '\n'));
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn file(path: &str, text: &str) -> SourceFile {
        SourceFile {
            shown: path.to_owned(),
            path: path.split('/').map(str::to_owned).collect(),
            code: without_tests(&without_comments(text)),
        }
    }

    #[test]
    fn comments_and_unit_tests_are_not_code_but_strings_are() {
        let file = file(
            "cart/view",
            "// crate::flows\nlet a = \"// kept\"; /* crate::flows\n */ let b = r#\"kept \"too\"\"#;\n\
             #[cfg(test)]\nmod tests { fn f() { crate::flows::x() } }\nlet c = '\"'; // gone\nlet d = 1;",
        );
        assert!(!file.code.contains("crate::flows"), "{}", file.code);
        assert!(file.code.contains("// kept") && file.code.contains("kept \"too\""), "{}", file.code);
        assert!(!file.code.contains("gone"), "{}", file.code);
        assert_eq!(file.lines_with("let d"), [7]);
    }
}
