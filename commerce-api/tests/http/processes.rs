//! The binary itself: its subcommands, its start and its end.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::shop::SECRET;
use crate::webdriver::http_client;

pub fn commerce_api(database_url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commerce-api"));
    command
        .env_clear()
        .env("DATABASE_URL", database_url)
        .env("COMMERCE_SECRET_KEY", SECRET)
        // No .env of the checkout is to be found.
        .current_dir("/")
        .kill_on_drop(true);
    command
}

/// Starts the server on a free port and returns its address.
pub async fn serve(mut command: Command) -> (Child, String) {
    command.arg("serve").env("COMMERCE_HTTP_ADDR", "127.0.0.1:0").env("COMMERCE_LOG_FORMAT", "json");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(address) = event["address"].as_str() {
            let address = address.trim_start_matches("socket://").to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, format!("http://{address}"));
        }
    }
    panic!("the server ended before it listened: {:?}", child.wait().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_is_made_once_and_can_log_in() {
    let database = commerce_core::testing::TestDatabase::new().await;
    let create = |email: &str, password: &str| {
        let mut command = commerce_api(database.url());
        command.args(["create-admin", "--email", email, "--password", password]);
        command
    };
    let run = async |mut command: Command| {
        let output = command.output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    assert_eq!(
        run(create("Boss@example.com", "correct horse battery")).await,
        (true, "Created the admin boss@example.com.\n".to_owned())
    );
    assert_eq!(
        run(create("boss@example.com", "another password")).await,
        (true, "The admin boss@example.com exists already.\n".to_owned())
    );
    for (email, password) in [("nonsense", "correct horse battery"), ("b@example.com", "short")] {
        let (success, text) = run(create(email, password)).await;
        assert!(!success && text.starts_with("error: the admin's "), "{text}");
    }

    let (mut server, url) = serve(commerce_api(database.url())).await;
    let login = async |password: &str| {
        let body = serde_json::json!({ "email": "boss@example.com", "password": password });
        http_client().post(format!("{url}/v1/auth/login")).json(&body).send().await.unwrap()
    };
    assert_eq!(login("another password").await.status(), 401);
    let tokens: serde_json::Value = login("correct horse battery").await.json().await.unwrap();
    assert_eq!(tokens["user"]["role"], "admin");

    // SIGTERM ends it in order.
    let pid = server.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(20), server.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    database.finish().await;
}

async fn has_admin(database: &commerce_core::testing::TestDatabase) -> bool {
    use commerce_core::schema::users;
    use diesel::{ExpressionMethods as _, QueryDsl as _};
    let admins = users::table.filter(users::role.eq(commerce_core::accounts::Role::Admin)).count();
    let count: i64 = diesel_async::RunQueryDsl::get_result(admins, &mut database.conn().await).await.unwrap();
    count > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_of_the_settings_is_made_when_the_server_starts() {
    let database = commerce_core::testing::TestDatabase::new().await;
    let mut command = commerce_api(database.url());
    command
        .env("COMMERCE_ADMIN_EMAIL", "boss@example.com")
        .env("COMMERCE_ADMIN_PASSWORD", "correct horse battery");
    let (_server, url) = serve(command).await;
    let client = http_client();
    let body = serde_json::json!({ "email": "boss@example.com", "password": "correct horse battery" });
    let logged_in = async {
        loop {
            // Asking before there is an account would be guessing.
            if has_admin(&database).await {
                break client.post(format!("{url}/v1/auth/login")).json(&body).send().await.unwrap().status();
            }
        }
    };
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(30), logged_in).await.expect("there is an admin"),
        200
    );
    let ready = client.get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    drop(_server);
    database.discard().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_setting_is_named() {
    let complain = async |name: &str, value: Option<&str>| {
        let mut command = commerce_api("postgres://localhost/nowhere");
        command.arg("serve").env("COMMERCE_HTTP_ADDR", "127.0.0.1:0");
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    for (name, value, says) in [
        ("DATABASE_URL", None, "--database-url"),
        ("COMMERCE_SECRET_KEY", None, "--secret-key"),
        ("COMMERCE_SECRET_KEY", Some("c2hvcnQ="), "openssl rand -base64 32"),
        ("COMMERCE_SECRET_KEY", Some("real, but not base64"), "openssl rand -base64 32"),
        ("COMMERCE_JWT_KEYS", Some("c2hvcnQ="), "openssl rand -base64 32"),
        ("COMMERCE_PUBLIC_URL", Some("shop.example:8443"), "https://shop.example"),
        ("COMMERCE_ORDER_TTL", Some("soon"), "--order-ttl"),
        ("COMMERCE_CURRENCY", Some("BITCOIN"), "ISO 4217"),
        ("COMMERCE_CORS_ORIGINS", Some("shop.example"), "https://shop.example"),
        ("COMMERCE_HTTP_ADDR", Some("nowhere"), "--http-addr"),
        ("COMMERCE_ADMIN_EMAIL", Some("boss@example.com"), "--admin-password"),
    ] {
        let text = complain(name, value).await;
        assert!(text.contains(says), "{name}: {text}");
        let value = value.unwrap_or("no value");
        assert!(says.contains(value) || !text.contains(value), "{name} is printed: {text}");
    }
}

/// So many lines of products with ten variants and long notes.
fn wide_catalogue(lines: usize) -> tempfile::NamedTempFile {
    use std::io::Write as _;
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    let notes = "Every word of this is about the product. ".repeat(200);
    writeln!(file, "slug,title,price,sku,options,stock,attribute:Notes").unwrap();
    for line in 0..lines {
        let (product, variant) = (line / 10, line % 10);
        let title = if variant == 0 { format!("Product {product}") } else { String::new() };
        let notes = if variant == 0 { notes.as_str() } else { "" };
        writeln!(file, "product-{product},{title},9.50,SKU-{product}-{variant},Size={variant},5,{notes}")
            .unwrap();
    }
    file
}

/// Imports the file and returns the most memory that the program had, in kB.
async fn peak_of_import(file: &tempfile::NamedTempFile) -> u64 {
    let database = commerce_core::testing::TestDatabase::new().await;
    let mut command = commerce_api(database.url());
    let mut child = command.arg("import").arg(file.path()).stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = kb.map_or(peak, |kb: u64| peak.max(kb));
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(ended.success(), "{ended}");
    database.finish().await;
    peak
}

/// A file is read as it is written: ten times as long, it takes no more memory than its slugs and SKUs do.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_does_not_hold_its_file_in_memory() {
    let (short, long) = (wide_catalogue(2_000), wide_catalogue(20_000));
    let kb = |file: &tempfile::NamedTempFile| file.as_file().metadata().unwrap().len() / 1024;
    let longer_kb = kb(&long) - kb(&short);
    let (small, large) = (peak_of_import(&short).await, peak_of_import(&long).await);
    println!("peak: {small} kB for {} kB, {large} kB for {} kB", kb(&short), kb(&long));
    assert!(small > 1000 && longer_kb > 12_000, "{small} {longer_kb}");
    assert!(large < small + longer_kb / 2, "{small} kB became {large} kB, with {longer_kb} kB more to read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_has_no_addresses_of_customers_and_nothing_that_changes_a_terminal() {
    let database = commerce_core::testing::TestDatabase::new().await;
    for format in ["json", "pretty"] {
        let mut command = commerce_api(database.url());
        command.arg("serve").env("COMMERCE_HTTP_ADDR", "127.0.0.1:0").env("COMMERCE_LOG_FORMAT", format);
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((_, port)) = line.split_once("127.0.0.1:") {
                let port: String = port.chars().take_while(char::is_ascii_digit).collect();
                break format!("127.0.0.1:{port}");
            }
        };
        // Raw bytes, as no client library would send them.
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let paths = [
            "/v1/admin/users/eve@example.com",
            "/v1/admin/users/eve%40example.com/x",
            "/a\u{9b}31m\u{202e}b",
        ];
        for (at, path) in paths.iter().enumerate() {
            let close = if at + 1 == paths.len() { "close" } else { "keep-alive" };
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: shop\r\nX-Request-Id: a/b\r\nConnection: {close}\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
        }
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        server.start_kill().unwrap();
        let mut log = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            log.push_str(&line);
            log.push('\n');
        }
        assert_eq!(log.matches("/v1/admin/users/{email}").count(), 2, "{log}");
        assert!(log.contains("/a\\u009b31m\\u202eb"), "{log}");
        for unwanted in ["example.com", "\u{9b}", "\u{202e}", "a/b"] {
            assert!(!log.contains(unwanted), "{unwanted:?} {log}");
        }
    }
    database.finish().await;
}
