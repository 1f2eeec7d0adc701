//! What takes minutes: run by `cargo xtask test --long`.

use std::path::{Path, PathBuf};

use commerce_core::accounts::Role;
use tokio::process::Command;

use crate::processes::{commerce_api, serve};
use crate::shop::TestShop;
use crate::world::World;

/// The version that the figures of this test were told of.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Requests a round, for each operation.
const EXAMPLES: &str = "40";

/// The program, installed into a virtual environment of its own under the target directory if it is not there.
async fn schemathesis() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("SCHEMATHESIS_BIN") {
        return Ok(PathBuf::from(named));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = folder.join("bin/schemathesis");
    if !program.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS])).await?;
    }
    Ok(program)
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().await.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Requests made up from the spec, right ones and wrong ones, and chains of them: no 5xx, no answer that the spec does not
/// declare, no body that breaks its schema, nothing accepted that the spec forbids.
#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_breach_of_the_spec() {
    let schemathesis = match schemathesis().await {
        Ok(program) => program,
        Err(error) => {
            let wanted = std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty());
            assert!(!wanted, "schemathesis cannot be installed: {error}");
            println!("SKIPPED long_tests::schemathesis_finds_no_breach_of_the_spec: {error}");
            return;
        }
    };
    let shop = TestShop::new().await;
    let world = World::new(&shop).await;
    let mut command = commerce_api(shop.database.url());
    command
        .env("COMMERCE_PAYMENT_PROVIDERS", "mock")
        .env("COMMERCE_RATE_LIMITS", "off")
        .env("RUST_LOG", "warn,commerce_api::program::serve=info");
    let (server, url) = serve(command).await;
    let (_, admin) = shop.login(Role::Admin).await;
    let credentials = [
        ("an admin", format!("Authorization: Bearer {admin}")),
        ("a customer", format!("{}: {}", world.customer.credential.0, world.customer.credential.1)),
        ("a guest", format!("{}: {}", world.guest.credential.0, world.guest.credential.1)),
    ];
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance";
    let mut failures = Vec::new();
    for (who, credential) in credentials {
        let output = Command::new(&schemathesis)
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .args(["run", &format!("{url}/openapi.json"), "--url", &format!("{url}/v1")])
            .args(["--header", &credential, "--checks", checks, "--max-examples", EXAMPLES, "--seed", "1"])
            // Being logged out in the middle would make all that follows a 401.
            .args(["--exclude-operation-id", "logout", "--continue-on-failure", "--no-color"])
            .output()
            .await
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("As {who}:\n{report}");
        if !output.status.success() {
            failures.push(who);
        }
    }
    drop(server);
    assert!(failures.is_empty(), "schemathesis found something as {failures:?}; see above");
    shop.database.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_every_write_at_once_deadlocks_nothing() {
    crate::storm::rage(std::time::Duration::from_secs(60)).await;
}
