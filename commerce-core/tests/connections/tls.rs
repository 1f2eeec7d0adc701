//! `sslmode` and `sslrootcert`, against servers with certificates of each kind.

use std::path::{Path, PathBuf};
use std::process::Command;

use commerce_core::db;
use commerce_core::testing::PostgresServer;
use diesel_async::RunQueryDsl as _;

/// Certificates and keys in a folder of their own, made by openssl.
struct Authority {
    folder: tempfile::TempDir,
}

impl Authority {
    /// With the certificate of an authority, `ca.crt`.
    fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        authority.openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Private_CA -keyout ca.key -out ca.crt \
             -addext basicConstraints=critical,CA:TRUE",
        );
        authority
    }

    fn openssl(&self, arguments: &str) {
        let made = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// A server whose certificate the authority has signed, for 127.0.0.1 and db.example.
    fn server(&self) -> PostgresServer {
        std::fs::write(self.file("names"), "subjectAltName=IP:127.0.0.1,DNS:db.example\n").unwrap();
        self.openssl("req -newkey rsa:2048 -nodes -subj /CN=db.example -keyout s.key -out s.csr");
        self.openssl(
            "x509 -req -in s.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out s.crt",
        );
        PostgresServer::with_certificate(&self.read("s.crt"), &self.read("s.key"))
    }
}

#[derive(diesel::QueryableByName)]
struct Ssl {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    ssl: bool,
}

/// Whether the connection is encrypted, or why there is none.
async fn connect(address: &str) -> Result<bool, String> {
    let mut conn = db::connect(address).await.map_err(|error| error.to_string())?;
    let ssl = diesel::sql_query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    let ssl: Ssl = ssl.get_result(&mut conn).await.map_err(|error| error.to_string())?;
    Ok(ssl.ssl)
}

/// The address of the server under this name, with these parameters.
fn address(server: &PostgresServer, host: &str, parameters: &str) -> String {
    format!(
        "host={host} hostaddr=127.0.0.1 port={} user=postgres dbname=postgres {parameters}",
        server.port()
    )
}

fn root(file: &Path) -> String {
    format!("sslrootcert={}", file.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls() {
    let server = PostgresServer::start();
    for parameters in ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer"] {
        assert_eq!(connect(&address(&server, "127.0.0.1", parameters)).await, Ok(false), "{parameters}");
    }
    for parameters in ["sslmode=disable", "sslmode=prefer"] {
        assert_eq!(connect(&address(&server, "db.example", parameters)).await, Ok(false), "{parameters}");
    }
    for parameters in ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full", "sslrootcert=system"] {
        let refused = connect(&address(&server, "127.0.0.1", parameters)).await.unwrap_err();
        assert!(refused.contains("does not offer TLS"), "{parameters}: {refused}");
    }
    // No password goes to another machine in plain text unless somebody has written so.
    let refused = connect(&address(&server, "db.example", "")).await.unwrap_err();
    assert!(refused.contains("does not offer TLS") && refused.contains("sslmode=prefer"), "{refused}");
    let url = format!("{}?sslmode=verify-full", server.url("postgres"));
    assert!(connect(&url).await.unwrap_err().contains("does not offer TLS"));
    let url = format!("{}?sslmode=disable", server.url("postgres"));
    assert_eq!(connect(&url).await, Ok(false));
}

/// `name` is a host that the certificate names.
async fn check_self_signed(certificate: &str, key: &str, name: &str) {
    let given = Authority::new();
    std::fs::write(given.file("own.crt"), certificate).unwrap();
    let own = root(&given.file("own.crt"));
    let other = root(&given.file("ca.crt"));
    let server = PostgresServer::with_certificate(certificate, key);
    let here = |parameters: &str| address(&server, "127.0.0.1", parameters);

    for parameters in ["", "sslmode=allow", "sslmode=prefer", "sslmode=require"] {
        assert_eq!(connect(&here(parameters)).await, Ok(true), "{parameters}");
    }
    assert_eq!(connect(&here("sslmode=disable")).await, Ok(false));
    assert_eq!(connect(&address(&server, "elsewhere.example", "")).await, Ok(true));
    for parameters in [own.clone(), format!("sslmode=require {own}"), format!("sslmode=verify-ca {own}")] {
        assert_eq!(connect(&here(&parameters)).await, Ok(true), "{parameters}");
    }
    let named = address(&server, name, &format!("sslmode=verify-full {own}"));
    assert_eq!(connect(&named).await, Ok(true));
    for parameters in [
        "sslmode=verify-full".to_owned(),
        "sslrootcert=system".to_owned(),
        format!("sslmode=require {other}"),
        format!("sslmode=verify-ca {other}"),
        // It does not name this address.
        format!("sslmode=verify-full {own}"),
    ] {
        let refused = connect(&here(&parameters)).await.unwrap_err();
        assert!(refused.contains("certificate"), "{parameters}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_signed_its_own_certificate() {
    let given = Authority::new();
    // As Debian makes it.
    given.openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=db.example -keyout own.key -out own.crt \
         -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:db.example",
    );
    check_self_signed(&given.read("own.crt"), &given.read("own.key"), "db.example").await;
    // As openssl makes it if nothing is said: it could sign others.
    given.openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=db.example -keyout own.key -out own.crt \
         -addext subjectAltName=DNS:db.example",
    );
    check_self_signed(&given.read("own.crt"), &given.read("own.key"), "db.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_debians_own_certificate() {
    // Only root may read its key.
    let Ok(key) = std::fs::read_to_string("/etc/ssl/private/ssl-cert-snakeoil.key") else {
        println!("NOT RUN: this account cannot read the key of Debian's certificate, or there is none");
        return;
    };
    let file = "/etc/ssl/certs/ssl-cert-snakeoil.pem";
    let names = Command::new("openssl")
        .args(["x509", "-in", file, "-noout", "-ext", "subjectAltName"])
        .output()
        .expect("openssl is installed");
    let names = String::from_utf8(names.stdout).unwrap();
    let name = names.split("DNS:").nth(1).unwrap().split([',', '\n']).next().unwrap();
    check_self_signed(&std::fs::read_to_string(file).unwrap(), &key, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_private_authority() {
    let (authority, wrong) = (Authority::new(), Authority::new());
    let server = authority.server();
    let (right, wrong) = (root(&authority.file("ca.crt")), root(&wrong.file("ca.crt")));
    let named = |host: &str, parameters: String| address(&server, host, &parameters);

    for mode in ["require", "verify-ca", "verify-full"] {
        for host in ["127.0.0.1", "db.example"] {
            let trusted = named(host, format!("sslmode={mode} {right}"));
            assert_eq!(connect(&trusted).await, Ok(true), "{mode} {host}");
        }
        let refused = connect(&named("127.0.0.1", format!("sslmode={mode} {wrong}"))).await.unwrap_err();
        assert!(refused.contains("certificate"), "{mode}: {refused}");
    }
    // Another name is the business of verify-full alone.
    for mode in ["require", "verify-ca"] {
        assert_eq!(connect(&named("other.example", format!("sslmode={mode} {right}"))).await, Ok(true));
    }
    let refused = connect(&named("other.example", format!("sslmode=verify-full {right}"))).await.unwrap_err();
    assert!(refused.contains("certificate") && refused.contains("other.example"), "{refused}");
    for parameters in ["sslmode=verify-ca", "sslmode=verify-full", "sslrootcert=system"] {
        let refused = connect(&named("127.0.0.1", parameters.to_owned())).await.unwrap_err();
        assert!(refused.contains("certificate"), "{parameters}: {refused}");
    }
    let missing = connect(&named("127.0.0.1", "sslrootcert=/nowhere.pem".to_owned())).await.unwrap_err();
    assert!(missing.contains("/nowhere.pem"), "{missing}");
    // As a URL, and in a pool.
    let url = format!("{}?sslmode=verify-full&{right}", server.url("postgres"));
    assert_eq!(connect(&url).await, Ok(true));
    let pool = db::pool(&url, &db::PoolSettings::default()).unwrap();
    assert!(pool.get().await.is_ok());
}

/// The variable with the address that this test connects to when it runs as a child of itself: a process reads
/// which authorities the system trusts from its environment.
const CHILD_VARIABLE: &str = "COMMERCE_TEST_TLS_ADDRESS";

#[tokio::test(flavor = "multi_thread")]
async fn the_authorities_of_the_system_are_trusted() {
    if let Ok(address) = std::env::var(CHILD_VARIABLE) {
        assert_eq!(connect(&address).await, Ok(true));
        return;
    }
    let authority = Authority::new();
    let server = authority.server();
    for parameters in ["sslrootcert=system", "sslmode=verify-full", "sslmode=verify-ca"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["tls::the_authorities_of_the_system_are_trusted", "--exact"])
            .env("SSL_CERT_FILE", authority.file("ca.crt"))
            .env(CHILD_VARIABLE, address(&server, "127.0.0.1", parameters))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(child.status.success(), "{parameters}: {out}{err}");
        assert!(out.contains("1 passed"), "{out}");
    }
}
