//! The media store in a bucket, on a server that speaks S3: moto, installed into a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::Bytes;
use commerce_core::catalog::image::{FileKey, Format, Media, MediaError};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::webdriver::http_client;

/// The version that this was written against.
const MOTO: &str = "moto[server]==5.2.5";

/// The program, installed under the target directory if it is not there.
async fn moto() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("MOTO_SERVER_BIN") {
        return Ok(PathBuf::from(named));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let program = folder.join("bin/moto_server");
    if !program.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", MOTO])).await?;
    }
    Ok(program)
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().await.map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// A server on a free port, and its address.
async fn serve(program: &Path) -> (Child, String) {
    let mut server = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("moto ended");
        if let Some((_, address)) = line.split_once("Running on ") {
            break address.trim().to_owned();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (server, address)
}

fn open(address: &str) -> Media {
    let settings = [
        ("AWS_ENDPOINT", address),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "shop"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("PATH", "/bin"),
    ];
    Media::open(
        "s3://pictures/of/the/shop",
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_files_as_a_folder_does() {
    let program = match moto().await {
        Ok(program) => program,
        Err(error) => {
            let wanted = std::env::var_os("CI").is_some_and(|ci| ci != "false" && !ci.is_empty());
            assert!(!wanted, "moto cannot be installed: {error}");
            println!("SKIPPED s3::a_bucket_keeps_files_as_a_folder_does: {error}");
            return;
        }
    };
    let (server, address) = serve(&program).await;
    let media = open(&address);
    let (key, other) = (FileKey::new(Format::Jpeg), FileKey::new(Format::Png));
    assert!(media.put(&key, Bytes::from_static(b"x")).await.is_err(), "there is no bucket yet");
    let made = http_client().put(format!("{address}/pictures")).send().await.unwrap();
    assert!(made.status().is_success(), "{made:?}");
    let bytes = Bytes::from(vec![7; 300_000]);
    media.put(&key, bytes.clone()).await.unwrap();
    media.put(&key, bytes.clone()).await.unwrap();
    assert_eq!((media.read(&key).await.unwrap(), media.size(&key).await.unwrap()), (bytes, 300_000));
    let part = media.get(&key, Some(10..20)).await.unwrap();
    assert_eq!((part.size, part.range), (300_000, 10..20));
    assert_eq!(media.list().await.unwrap(), [key.to_string()]);
    assert!(matches!(media.read(&other).await, Err(MediaError::Missing(_))));
    for _ in 0..2 {
        media.delete(&key).await.unwrap();
    }
    assert!(media.list().await.unwrap().is_empty());
    drop(server);
}
