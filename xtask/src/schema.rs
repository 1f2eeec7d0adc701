//! `cargo xtask schema`: Diesel's view of the tables, written from the migrations.
//!
//! The migrations run on a throwaway Postgres and its catalogue is printed as `diesel::table!` blocks. No Diesel CLI
//! and no libpq are needed: psql comes with Postgres.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::postgres::{Installation, Server};
use crate::{process, workspace};

/// `cargo xtask schema`
#[derive(clap::Args)]
pub struct Options {
    /// Write nothing; fail if the file differs from the migrations
    #[arg(long)]
    check: bool,
}

/// Writes the file, or compares it.
pub fn run(options: &Options) -> Result<ExitCode> {
    let file = workspace::root().join("commerce-core/src/schema.rs");
    let server = Server::throwaway()?;
    let database = server.url("postgres");
    let migrations = migrations()?;
    let fresh = migrate_and_render(&server, &database, &migrations)?;
    let present = fs::read_to_string(&file).unwrap_or_default();
    if options.check {
        check_indexes(server.installation(), &database)?;
        check_way_back(&server, &database, &migrations, &fresh)?;
    }
    if fresh == present {
        println!("commerce-core/src/schema.rs agrees with {} migration(s).", migrations.len());
        return Ok(ExitCode::SUCCESS);
    }
    if options.check {
        bail!("commerce-core/src/schema.rs differs from the migrations: run `cargo xtask schema`");
    }
    fs::write(&file, fresh).with_context(|| format!("could not write {}", file.display()))?;
    println!("Wrote commerce-core/src/schema.rs from {} migration(s).", migrations.len());
    Ok(ExitCode::SUCCESS)
}

fn migrate_and_render(server: &Server, database: &str, migrations: &[PathBuf]) -> Result<String> {
    let postgres = server.installation();
    for folder in migrations {
        postgres.run_file(database, &folder.join("up.sql"))?;
    }
    format(&render(&read_tables(postgres, database)?, &read_foreign_keys(postgres, database)?)?)
}

/// Down removes all that up made, and up then makes the same again.
fn check_way_back(server: &Server, database: &str, migrations: &[PathBuf], fresh: &str) -> Result<()> {
    for folder in migrations.iter().rev() {
        server.installation().run_file(database, &folder.join("down.sql"))?;
    }
    let left = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'commerce'
        UNION ALL
        SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'commerce'";
    let left = server.installation().query(database, left)?;
    if !left.is_empty() {
        bail!("down.sql leaves behind: {}", left.concat().join(", "));
    }
    if migrate_and_render(server, database, migrations)? != fresh {
        bail!("up, down, up gives other tables than up alone");
    }
    Ok(())
}

/// Every foreign key is the beginning of an index, or deleting its parent would read the whole table.
fn check_indexes(postgres: &Installation, database: &str) -> Result<()> {
    let sql = "SELECT f.conrelid::regclass || '.' || f.conname
        FROM pg_constraint f
        WHERE f.contype = 'f' AND f.connamespace = 'commerce'::regnamespace
          AND NOT EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = f.conrelid
              AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey
              AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ ' IS NOT NULL'))";
    let missing = postgres.query(database, sql)?;
    if !missing.is_empty() {
        bail!("foreign keys without an index: {}", missing.concat().join(", "));
    }
    Ok(())
}

/// The migration folders in the order in which they are applied.
pub fn migrations() -> Result<Vec<PathBuf>> {
    let folder = workspace::root().join("migrations");
    let entries = fs::read_dir(&folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join("up.sql").is_file()).collect();
    found.sort();
    Ok(found)
}

/// One table of the schema `commerce`.
#[derive(Debug, Default)]
struct Table {
    primary_key: Vec<String>,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// `None` for a type that Rust code never reads, such as `tsvector`.
    sql_type: Option<String>,
    postgres_type: String,
}

fn read_tables(postgres: &Installation, database: &str) -> Result<BTreeMap<String, Table>> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let columns = "SELECT c.relname, a.attname, t.typname, a.attnotnull
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.relnamespace = 'commerce'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname, a.attnum";
    for row in postgres.query(database, columns)? {
        let [table, name, postgres_type, not_null] = row.as_slice() else { bail!("unexpected row {row:?}") };
        let sql_type = diesel_type(postgres_type)
            .with_context(|| format!("column commerce.{table}.{name} has the type {postgres_type}"))?
            .map(|sql_type| if not_null == "t" { sql_type } else { format!("Nullable<{sql_type}>") });
        tables.entry(table.clone()).or_default().columns.push(Column {
            name: name.clone(),
            sql_type,
            postgres_type: postgres_type.clone(),
        });
    }
    let primary_keys = "SELECT c.relname, a.attname
        FROM pg_constraint p
        JOIN pg_class c ON c.oid = p.conrelid
        CROSS JOIN LATERAL unnest(p.conkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE p.contype = 'p' AND c.relnamespace = 'commerce'::regnamespace
        ORDER BY c.relname, k.place";
    for row in postgres.query(database, primary_keys)? {
        let [table, column] = row.as_slice() else { bail!("unexpected row {row:?}") };
        if let Some(table) = tables.get_mut(table) {
            table.primary_key.push(column.clone());
        }
    }
    Ok(tables)
}

/// The Diesel type, `None` for one to leave out, an error for one that this generator does not know.
fn diesel_type(postgres_type: &str) -> Result<Option<String>> {
    // Postgres names the type of an array after its element, with an underscore in front.
    if let Some(element) = postgres_type.strip_prefix('_') {
        return Ok(diesel_type(element)?.map(|element| format!("Array<{element}>")));
    }
    let name = match postgres_type {
        "uuid" => "Uuid",
        "text" | "varchar" | "bpchar" => "Text",
        "int8" => "Int8",
        "int4" => "Int4",
        "int2" => "Int2",
        "float8" => "Float8",
        "float4" => "Float4",
        "bool" => "Bool",
        "timestamptz" => "Timestamptz",
        "date" => "Date",
        "interval" => "Interval",
        "jsonb" => "Jsonb",
        "json" => "Json",
        "bytea" => "Bytea",
        "tsvector" => return Ok(None),
        _ => bail!("which xtask/src/schema.rs does not map to a Diesel type yet"),
    };
    Ok(Some(name.to_owned()))
}

/// A foreign key of one column onto a primary key of one column.
#[derive(Debug)]
struct ForeignKey {
    child: String,
    column: String,
    parent: String,
}

fn read_foreign_keys(postgres: &Installation, database: &str) -> Result<Vec<ForeignKey>> {
    let sql = "SELECT child.relname, a.attname, parent.relname
        FROM pg_constraint f
        JOIN pg_class child ON child.oid = f.conrelid
        JOIN pg_class parent ON parent.oid = f.confrelid
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
        JOIN pg_constraint p ON p.conrelid = f.confrelid AND p.contype = 'p' AND p.conkey = f.confkey
        WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 AND f.conparentid = 0
          AND child.relnamespace = 'commerce'::regnamespace AND parent.relnamespace = 'commerce'::regnamespace
        ORDER BY 1, 3, 2";
    let mut keys = Vec::new();
    for row in postgres.query(database, sql)? {
        let [child, column, parent] = row.as_slice() else { bail!("unexpected row {row:?}") };
        keys.push(ForeignKey { child: child.clone(), column: column.clone(), parent: parent.clone() });
    }
    Ok(keys)
}

fn render(tables: &BTreeMap<String, Table>, keys: &[ForeignKey]) -> Result<String> {
    let mut text = String::from("// @generated by `cargo xtask schema` from migrations/; do not edit.\n");
    for (name, table) in tables {
        if table.primary_key.is_empty() {
            bail!("table commerce.{name} has no primary key, which Diesel needs");
        }
        let primary_key = table.primary_key.join(", ");
        write!(text, "\ndiesel::table! {{\n    commerce.{name} ({primary_key}) {{\n")?;
        for column in &table.columns {
            let Some(sql_type) = &column.sql_type else {
                writeln!(text, "        // {} {}: for SQL only", column.name, column.postgres_type)?;
                continue;
            };
            match rust_name(&column.name) {
                None => writeln!(text, "        {} -> {sql_type},", column.name)?,
                Some(rust) => writeln!(
                    text,
                    "        #[sql_name = \"{}\"]\n        {rust} -> {sql_type},",
                    column.name
                )?,
            }
        }
        text.push_str("    }\n}\n");
    }
    text.push('\n');
    for key in keys {
        // Diesel wants one way to join a pair of tables; of several, the query must name its own.
        let pair = |other: &&ForeignKey| {
            (other.child == key.child && other.parent == key.parent)
                || (other.child == key.parent && other.parent == key.child)
        };
        if key.child != key.parent && keys.iter().filter(pair).count() == 1 {
            writeln!(text, "diesel::joinable!({} -> {} ({}));", key.child, key.parent, key.column)?;
        }
    }
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    write!(text, "\ndiesel::allow_tables_to_appear_in_same_query!(\n{},\n);\n", names.join(",\n"))?;
    Ok(text)
}

/// A column whose name is a Rust keyword gets an underscore in Rust.
fn rust_name(column: &str) -> Option<String> {
    const KEYWORDS: [&str; 20] = [
        "as", "async", "box", "const", "crate", "enum", "fn", "for", "if", "impl", "in", "match", "mod",
        "move", "ref", "static", "struct", "type", "use", "where",
    ];
    KEYWORDS.contains(&column).then(|| format!("{column}_"))
}

fn format(source: &str) -> Result<String> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--config-path"]).arg(workspace::root());
    process::filter(&mut rustfmt, source).context("`rustfmt` is needed: rustup component add rustfmt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(child: &str, column: &str, parent: &str) -> ForeignKey {
        ForeignKey { child: child.into(), column: column.into(), parent: parent.into() }
    }

    fn table() -> Table {
        let column = |name: &str, postgres_type: &str| Column {
            name: name.into(),
            sql_type: diesel_type(postgres_type).unwrap(),
            postgres_type: postgres_type.into(),
        };
        Table {
            primary_key: vec!["id".into()],
            columns: vec![column("id", "uuid"), column("type", "_text"), column("words", "tsvector")],
        }
    }

    #[test]
    fn keywords_arrays_and_unreadable_types_are_handled() {
        let text = render(&BTreeMap::from([("things".to_owned(), table())]), &[]).unwrap();
        assert!(text.contains("commerce.things (id) {"), "{text}");
        assert!(text.contains("#[sql_name = \"type\"]\n        type_ -> Array<Text>,"), "{text}");
        assert!(text.contains("// words tsvector"), "{text}");
        assert!(diesel_type("numeric").is_err());
    }

    #[test]
    fn only_an_unambiguous_pair_of_tables_is_joinable() {
        let keys =
            [key("a", "b_id", "b"), key("c", "bill_to", "d"), key("c", "ship_to", "d"), key("e", "up", "e")];
        let text = render(&BTreeMap::from([("a".to_owned(), table())]), &keys).unwrap();
        assert!(text.contains("joinable!(a -> b (b_id))"), "{text}");
        assert!(!text.contains("joinable!(c") && !text.contains("joinable!(e"), "{text}");
    }
}
