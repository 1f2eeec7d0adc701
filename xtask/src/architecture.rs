//! `cargo xtask architecture`: the rules of who may know whom, checked on the source text.
//!
//! The compiler does not stop a lower part of commerce-core from importing a higher one, a domain from writing
//! another's tables, or a dependency on a web framework from creeping in. This does, in a second, without building.

mod graph;
mod imports;
mod names;
mod print;
mod source;
mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use self::graph::Graph;
use self::imports::{API, CORE, House, PROGRAM, WORKER};
use self::source::SourceFile;
use crate::{process, workspace};

/// The crates whose business commerce-core must not know: HTTP, the job runtime, command lines, settings.
const FORBIDDEN_DEPENDENCIES: [&str; 6] =
    ["poem", "poem-openapi", "apalis", "apalis-core", "clap", "dotenvy"];

/// Names that say nothing about what is inside.
const FORBIDDEN_NAMES: [&str; 8] =
    ["utils", "util", "common", "helpers", "helper", "manager", "service", "services"];

/// A file longer than this is asking to be two things.
const LINES_MAX: usize = 500;

/// `cargo xtask architecture`
#[derive(clap::Args)]
pub struct Options {
    /// Also draw the house: each crate's rooms, their lines, and the arrows between them
    #[arg(long)]
    print: bool,
}

/// Checks everything and prints each breach with its place.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root();
    let read = |house: &House| SourceFile::read_all(&root.join(house.package).join("src"));
    let (core, program) = (read(&CORE)?, read(&PROGRAM)?);
    let (api, worker) = (read(&API)?, read(&WORKER)?);
    let mut breaches = Vec::new();
    for (house, files) in [(&CORE, &core), (&PROGRAM, &program), (&API, &api), (&WORKER, &worker)] {
        let arrows_up = house.breaches(files);
        let graph = Graph::of(files, &house.name());
        let circles = graph.circles();
        if options.print {
            print!("{}", print::drawn(house, files, &graph, arrows_up.len(), circles.len()));
        }
        breaches.extend(arrows_up);
        breaches.extend(circles);
    }
    let programs = api.into_iter().chain(worker).chain(program).collect::<Vec<_>>();
    breaches.extend(tables::breaches(&core, &programs)?);
    breaches.extend(environment_reads(&core));
    breaches.extend(dependencies()?);

    let mut all = Vec::new();
    for package in ["commerce-core", "commerce-program", "commerce-api", "commerce-worker", "xtask"] {
        for folder in ["src", "tests", "examples", "benches"] {
            let folder = root.join(package).join(folder);
            if folder.is_dir() {
                all.extend(rust_files(&folder)?);
            }
        }
    }
    let mut files = 0;
    for path in all {
        files += 1;
        let shown = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        breaches.extend(meaningless_name(&path, &shown));
        let lines = fs::read_to_string(&path)?.lines().count();
        if lines > LINES_MAX && !shown.ends_with("schema.rs") {
            println!("warning: {shown} has {lines} lines: is it two things?");
        }
    }

    for breach in &breaches {
        eprintln!("error: {breach}");
    }
    if breaches.is_empty() {
        println!("{files} files keep to the architecture.");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{} breach(es) of the architecture; ARCHITECTURE.md tells the rules.", breaches.len());
    Ok(ExitCode::FAILURE)
}

/// Every `.rs` file below a folder, sorted.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn meaningless_name(path: &Path, shown: &str) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let name = if stem == "mod" { path.parent()?.file_name()?.to_str()? } else { stem };
    FORBIDDEN_NAMES
        .contains(&name)
        .then(|| format!("{shown}: `{name}` says nothing about what is inside; name it after its job"))
}

/// The library is configured by its caller's arguments, never by the process's environment.
fn environment_reads(core: &[SourceFile]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in core.iter().filter(|file| file.module() != "testing") {
        for pattern in ["std::env", "env::var", "env::vars", "option_env!"] {
            for line in file.lines_with(pattern) {
                breaches
                    .push(format!("{}:{line}: commerce-core reads no environment ({pattern})", file.shown));
            }
        }
    }
    breaches
}

fn dependencies() -> Result<Vec<String>> {
    let mut tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args([
        "tree",
        "--package",
        "commerce-core",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let printed = process::output(tree.current_dir(workspace::root()))?;
    let names: BTreeSet<&str> = printed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let forbidden = FORBIDDEN_DEPENDENCIES.iter().filter(|name| names.contains(**name));
    Ok(forbidden.map(|name| format!("commerce-core depends on {name}")).collect())
}
