//! How the server is reached. `commerce-api serve --help` is the reference.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use url::Url;

use crate::edge::client_address::TrustedProxies;
use crate::edge::cors::AllowedOrigins;
use crate::http::rate_limit::RateLimits;
use crate::http::second_factor::{SecondFactorRule, SecondFactors};
use crate::http::session_cookie::SessionCookies;

/// The default address to listen on.
const HTTP_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The default number of connections. Most systems let a process open 1,024 files, and this is less.
const CONNECTIONS: usize = 800;

/// Browsers open at most six connections to a server of HTTP/1; behind one address there may be a school.
const CONNECTIONS_PER_CLIENT: usize = 100;

/// How the server is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpSettings {
    /// Address to listen on
    #[arg(long, env = "COMMERCE_HTTP_ADDR", default_value_t = HTTP_ADDR)]
    pub http_addr: SocketAddr,

    /// Answers /metrics, and /readyz with its findings, such as 127.0.0.1:9090; not for the internet [default: off]
    #[arg(long, env = "COMMERCE_METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,

    /// Public URL of the shop, such as https://shop.example
    #[arg(long, env = "COMMERCE_PUBLIC_URL", value_parser = web_address)]
    pub public_url: Option<String>,

    /// Connections that all clients together may have open; further ones wait
    #[arg(long, env = "COMMERCE_HTTP_CONNECTIONS", default_value_t = CONNECTIONS, value_parser = at_least_one)]
    pub http_connections: usize,

    /// Connections that one client (an address of IPv4, a /64 of IPv6) may have open; further ones are closed. This
    /// machine and trusted proxies have no such limit
    #[arg(long, env = "COMMERCE_HTTP_CONNECTIONS_PER_CLIENT", default_value_t = CONNECTIONS_PER_CLIENT, value_parser = at_least_one)]
    pub http_connections_per_client: usize,

    /// Origins whose pages may call the API from a browser, separated by commas; `*` allows any
    #[arg(long, env = "COMMERCE_CORS_ORIGINS", default_value = "")]
    pub cors_origins: AllowedOrigins,

    /// Networks of trusted proxies, such as 10.0.0.0/8, separated by commas. Their X-Forwarded-For or
    /// Forwarded is believed
    #[arg(long, env = "COMMERCE_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,

    /// Whether requests without login are limited by address. Guesses at passwords and codes are always
    /// limited
    #[arg(long, env = "COMMERCE_RATE_LIMITS", default_value = "on")]
    pub rate_limits: RateLimits,

    /// Which accounts must have a second factor: `staff` are those whose role may change anything. Without one they
    /// can do nothing but set it up
    #[arg(long, env = "COMMERCE_SECOND_FACTOR", default_value = "optional")]
    pub second_factor: SecondFactorRule,

    /// Units that one network may order in an hour, paid or not; a home line of IPv6 (/56) four times as many
    #[arg(long, env = "COMMERCE_UNITS_PER_HOUR", default_value_t = UNITS_PER_HOUR)]
    pub units_per_hour: u32,
}

/// Unless told otherwise.
pub const UNITS_PER_HOUR: u32 = 300;

impl HttpSettings {
    /// The URL that links begin with.
    pub fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.http_addr))
    }

    /// Authenticator apps show the host of the public URL.
    pub fn second_factors(&self) -> SecondFactors {
        let own = Url::parse(&self.public_url()).ok();
        let issuer = own.as_ref().and_then(Url::host_str).unwrap_or("localhost").to_owned();
        SecondFactors { rule: self.second_factor, issuer }
    }

    /// Cookies are `Secure`, unless the shop and every page that may call it are on this machine over plain
    /// HTTP.
    pub fn session_cookies(&self) -> SessionCookies {
        let is_local = |url: &Url| {
            let host = url.host_str().unwrap_or_default();
            url.scheme() == "http" && ["localhost", "127.0.0.1", "[::1]"].contains(&host)
        };
        let own = self.public_url();
        let mut pages = self.cors_origins.listed().iter().map(String::as_str).chain([own.as_str()]);
        let local = pages.all(|page| Url::parse(page).is_ok_and(|url| is_local(&url)));
        SessionCookies { secure: !local }
    }
}

impl Default for HttpSettings {
    /// The settings without any flag or variable.
    fn default() -> Self {
        Self {
            http_addr: HTTP_ADDR,
            metrics_addr: None,
            public_url: None,
            http_connections: CONNECTIONS,
            http_connections_per_client: CONNECTIONS_PER_CLIENT,
            cors_origins: AllowedOrigins::None,
            trusted_proxies: TrustedProxies::default(),
            rate_limits: RateLimits::On,
            second_factor: SecondFactorRule::Optional,
            units_per_hour: UNITS_PER_HOUR,
        }
    }
}

/// Reads a number from 1.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a number from 1".to_owned())
}

/// Strict, because it decides which pages a browser's requests are trusted from.
fn web_address(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok();
    let is_web = url.is_some_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    is_web
        .then(|| text.to_owned())
        .ok_or_else(|| "must be an address such as https://shop.example".to_owned())
}

#[cfg(test)]
mod tests {
    use commerce_core::accounts::SessionCookie;

    use super::*;

    fn cookies(public_url: Option<&str>) -> SessionCookies {
        let http_addr = ([0, 0, 0, 0], 8080).into();
        let public_url = public_url.map(str::to_owned);
        HttpSettings { http_addr, public_url, ..HttpSettings::default() }.session_cookies()
    }

    #[test]
    fn a_cookie_is_secure_but_on_the_own_machine() {
        let cookie = SessionCookie::received("x");
        assert_eq!(
            cookies(Some("https://shop.example/")).set_cookie(&cookie),
            "__Host-commerce_session=x; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure"
        );
        for local in ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:1"] {
            let set = cookies(Some(local)).set_cookie(&cookie);
            assert_eq!(
                set, "commerce_session=x; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax",
                "{local}"
            );
        }
        for elsewhere in
            [Some("http://shop.example"), Some("http://localhost.example"), Some("nonsense"), None]
        {
            assert!(cookies(elsewhere).set_cookie(&cookie).ends_with("; Secure"), "{elsewhere:?}");
        }
    }
}
