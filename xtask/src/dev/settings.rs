//! The settings of both programs: what the person has set, and defaults for the rest.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;

use anyhow::{Context, Result};

use super::secret;
use crate::workspace;

/// The admin that a demo shop begins with.
pub const ADMIN_EMAIL: &str = "admin@example.com";
/// Of the admin and of the shopper of a demo shop.
pub const DEMO_PASSWORD: &str = "correct-horse-battery";
/// A customer who can log in at once.
pub const SHOPPER_EMAIL: &str = "shopper@example.com";

/// What both programs get through their environment.
#[derive(Debug)]
pub struct Settings {
    /// From the environment, or else from `.env`.
    given: BTreeMap<String, String>,
    /// Added by us, only where nothing was given.
    added: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the environment and `.env`; the former wins, as in the programs themselves.
    pub fn read() -> Result<Self> {
        let mut given = BTreeMap::new();
        let file = workspace::root().join(".env");
        if file.is_file() {
            for pair in dotenvy::from_path_iter(&file)? {
                let (name, value) = pair.context("could not read .env")?;
                given.insert(name, value);
            }
        }
        given.extend(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Ok(Self { given, added: BTreeMap::new() })
    }

    /// A setting's value; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<String> {
        let given = self.given.get(name).filter(|value| !value.is_empty());
        given.or_else(|| self.added.get(name)).cloned()
    }

    /// Sets what the person has not set.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        if self.get(name).is_none() {
            self.added.insert(name.to_owned(), value.into());
        }
    }

    /// What the programs' environment gets on top of our own.
    pub fn for_children(&self) -> &BTreeMap<String, String> {
        &self.added
    }

    /// The defaults of a demo shop. `state` is the folder for what it leaves behind.
    pub fn fill_in(&mut self, state: &Path) -> Result<()> {
        for (name, default) in [
            ("COMMERCE_HTTP_ADDR", "127.0.0.1:8080"),
            ("COMMERCE_WORKER_HTTP_ADDR", "127.0.0.1:8081"),
            ("COMMERCE_METRICS_ADDR", "127.0.0.1:8082"),
        ] {
            if self.get(name).is_none() {
                self.set(name, free_address(name, default)?);
            }
        }
        let public = format!("http://{}", self.http_address("COMMERCE_HTTP_ADDR")?);
        self.set("COMMERCE_PUBLIC_URL", public);
        self.set("COMMERCE_PAYMENT_PROVIDERS", "mock");
        self.set("COMMERCE_ADMIN_EMAIL", ADMIN_EMAIL);
        self.set("COMMERCE_ADMIN_PASSWORD", DEMO_PASSWORD);
        self.set("COMMERCE_DEMO_EMAIL", SHOPPER_EMAIL);
        self.set("COMMERCE_DEMO_PASSWORD", DEMO_PASSWORD);
        self.set("COMMERCE_MAIL_DIR", state.join("mail").display().to_string());
        self.set("COMMERCE_MEDIA_URL", format!("file://{}", state.join("media").display()));
        if self.get("COMMERCE_SECRET_KEY").is_none() {
            self.set("COMMERCE_SECRET_KEY", secret::read_or_make(&state.join("secret-key"))?);
        }
        Ok(())
    }

    /// Where a program that listens at this setting is reached from here.
    pub fn http_address(&self, name: &str) -> Result<SocketAddr> {
        let text = self.get(name).with_context(|| format!("{name} is not set"))?;
        let mut addresses = text
            .to_socket_addrs()
            .with_context(|| format!("{name}={text} is not an address like 127.0.0.1:8080"))?;
        let mut address = addresses.next().with_context(|| format!("{name}={text} has no address"))?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Ok(address)
    }
}

/// The default address, or one with a free port if the default is taken.
pub fn free_address(name: &str, default: &str) -> Result<String> {
    if TcpListener::bind(default).is_ok() {
        return Ok(default.to_owned());
    }
    let free = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?.local_addr()?;
    println!("    {default} is taken by another program: using {free} (choose one yourself with {name})");
    Ok(free.to_string())
}

/// A database address that may be shown.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let Some((credentials, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = credentials.split(':').next().unwrap_or("");
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Settings {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings { given, added: BTreeMap::new() }
    }

    #[test]
    fn what_the_person_set_is_never_overridden() {
        let mut settings = settings(&[("COMMERCE_MAIL_DIR", "/elsewhere"), ("COMMERCE_CURRENCY", "")]);
        settings.set("COMMERCE_MAIL_DIR", "/ours");
        settings.set("COMMERCE_CURRENCY", "EUR");
        assert_eq!(settings.get("COMMERCE_MAIL_DIR").unwrap(), "/elsewhere");
        assert_eq!(settings.get("COMMERCE_CURRENCY").unwrap(), "EUR");
        assert_eq!(settings.for_children().keys().collect::<Vec<_>>(), ["COMMERCE_CURRENCY"]);
    }

    #[test]
    fn an_address_for_everyone_is_reached_at_loopback() {
        let settings = settings(&[("A", "0.0.0.0:80"), ("B", "[::]:81"), ("C", "nonsense")]);
        assert_eq!(settings.http_address("A").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(settings.http_address("B").unwrap().to_string(), "[::1]:81");
        assert!(settings.http_address("C").is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("postgres://shop:s3cret@db:5432/x"), "postgres://shop@db:5432/x");
        assert_eq!(without_password("postgres://db/x"), "postgres://db/x");
        assert_eq!(without_password("host=db password=s3cret"), "…");
    }
}
