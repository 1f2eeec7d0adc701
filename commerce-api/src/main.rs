//! The command line of the API server.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commerce_api::program::catalogue_commands::{self, ImportArguments, SeedArguments};
use commerce_api::program::config::ConnectionSettings;
use commerce_api::program::create_admin::{CreateAdminArguments, create_admin};
use commerce_api::program::serve::{ServeArguments, serve};
use commerce_core::{accounts, db};
use commerce_program::arguments;
use commerce_program::settings::read_env_file;

/// The OpenAPI server of the shop.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)]
enum Command {
    /// Serve the API
    Serve(ServeArguments),
    /// Update the database schema
    Migrate(ConnectionSettings),
    /// Load the demo catalogue. Products that already exist are not changed
    Seed(SeedArguments),
    /// Import products from a CSV file
    Import(ImportArguments),
    /// Create the first admin. Does nothing if an admin with this address exists
    CreateAdmin(CreateAdminArguments),
    /// Print the OpenAPI document as YAML
    Openapi,
}

fn main() -> ExitCode {
    if let Err(error) = read_env_file() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let arguments = arguments::read::<Arguments>();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(arguments) => serve(arguments).await,
        Command::Migrate(database) => {
            let applied = db::migrate(&database.database.database_url).await?;
            match applied.as_slice() {
                [] => println!("The schema is up to date."),
                versions => println!("Applied {} migration(s): {}", versions.len(), versions.join(", ")),
            }
            let mut conn = db::connect(&database.database.database_url).await?;
            let normalised = accounts::normalise_addresses(&mut conn).await?;
            if normalised.changed > 0 {
                println!(
                    "Brought {} e-mail address(es) of accounts to their normal form.",
                    normalised.changed
                );
            }
            for (id, other) in normalised.doubles {
                println!("The accounts {id} and {other} have one e-mail address. Only {other} can log in.");
            }
            Ok(())
        }
        Command::Seed(arguments) => catalogue_commands::seed(arguments).await,
        Command::Import(arguments) => catalogue_commands::import(arguments).await,
        Command::CreateAdmin(arguments) => {
            println!("{}", create_admin(arguments).await?);
            Ok(())
        }
        Command::Openapi => {
            std::io::stdout().write_all(commerce_api::routes::document().yaml().as_bytes())?;
            Ok(())
        }
    }
}
