//! Sessions that a browser's cookie carries, and the proof that a change comes from a page that may make it.
//!
//! A browser sends its cookies along whoever made it send the request. So a request by cookie that may change something (any
//! method but GET and HEAD) must show where it comes from: its `Origin` must be that of `COMMERCE_PUBLIC_URL` or one of
//! `COMMERCE_CORS_ORIGINS` (`*` does not count); without an `Origin`, `Sec-Fetch-Site` must be `same-origin`. Browsers send
//! both by themselves and let no page choose them. A token in `Authorization` needs no such proof, since no browser adds it by itself.

use commerce_core::accounts::SessionCookie;
use poem::Request;
use poem::http::header;
use url::Url;

use crate::edge::AllowedOrigins;
use crate::http::problem::{Code, Problem};
use crate::program::config::HttpSettings;

/// Of the cookie. With this prefix a browser takes it from this very host over TLS only (RFC 6265bis), so no neighbouring
/// subdomain can put one in its place.
pub const COOKIE: &str = "__Host-commerce_session";
/// Of the cookie on a developer's own machine without TLS.
const LOCAL_COOKIE: &str = "commerce_session";

/// As long as browsers keep a cookie at the most; when the session ends is the server's to say.
const MAX_AGE_SECONDS: u32 = 400 * 24 * 60 * 60;

/// What is known about where pages come from.
#[derive(Debug, Clone)]
pub struct Browsers {
    own_origin: String,
    trusted_origins: Vec<String>,
    secure: bool,
}

impl Browsers {
    /// Cookies are `Secure` unless the shop's own address, and that of every page that may call it, is plain HTTP on this very
    /// machine.
    pub fn of(settings: &HttpSettings) -> Self {
        let url = Url::parse(&settings.public_url()).ok();
        let is_local = |url: &Url| {
            let host = url.host_str().unwrap_or_default();
            url.scheme() == "http" && ["localhost", "127.0.0.1", "[::1]"].contains(&host)
        };
        let trusted_origins = match &settings.cors_origins {
            AllowedOrigins::These(origins) => origins.clone(),
            AllowedOrigins::None | AllowedOrigins::Any => Vec::new(),
        };
        let mut pages = trusted_origins.iter().map(|origin| Url::parse(origin).ok()).chain([url.clone()]);
        let local = pages.all(|page| page.as_ref().is_some_and(is_local));
        let own_origin = url.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        Self { own_origin, trusted_origins, secure: !local }
    }

    fn cookie_name(&self) -> &'static str {
        if self.secure { COOKIE } else { LOCAL_COOKIE }
    }

    /// `Set-Cookie` that hands the session to the browser.
    pub fn set_cookie(&self, cookie: &SessionCookie) -> String {
        self.write(cookie.expose(), MAX_AGE_SECONDS)
    }

    /// `Set-Cookie` that takes it away again.
    pub fn clear_cookie(&self) -> String {
        self.write("", 0)
    }

    fn write(&self, value: &str, max_age: u32) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", self.cookie_name())
    }

    /// The session's cookie, if the browser sent one.
    pub fn cookie_of(&self, request: &Request) -> Option<SessionCookie> {
        let headers = request.headers().get_all(header::COOKIE).iter();
        let pairs = headers.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
        let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
        named.find(|(name, _)| *name == self.cookie_name()).map(|(_, value)| SessionCookie::received(value))
    }

    /// Refuses a request by cookie that may change something and does not come from a page of the shop.
    pub fn check_origin(&self, request: &Request) -> Result<(), Problem> {
        if request.method().is_safe() {
            return Ok(());
        }
        let value = |name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap_or("not text").to_owned())
        };
        let detail = match (value("origin"), value("sec-fetch-site")) {
            (Some(origin), _) if self.is_trusted(&origin) => return Ok(()),
            (None, Some(site)) if site == "same-origin" => return Ok(()),
            (Some(origin), _) => format!("Pages of {origin} may not do this with the cookie of a session."),
            (None, Some(site)) => format!("A {site} page may not do this with the cookie of a session."),
            (None, None) => {
                "With the cookie of a session, the header Origin must say from which page this comes."
                    .to_owned()
            }
        };
        Err(Problem::new(Code::CrossOrigin, detail))
    }

    fn is_trusted(&self, origin: &str) -> bool {
        !self.own_origin.is_empty() && origin == self.own_origin
            || self.trusted_origins.iter().any(|trusted| trusted == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::client_ip::TrustedProxies;
    use crate::edge::rate_limit::RateLimits;

    fn browsers(public_url: Option<&str>, origins: &str) -> Browsers {
        Browsers::of(&HttpSettings {
            http_addr: ([0, 0, 0, 0], 8080).into(),
            public_url: public_url.map(str::to_owned),
            cors_origins: origins.parse().unwrap(),
            trusted_proxies: TrustedProxies::default(),
            rate_limits: RateLimits::Off,
        })
    }

    #[test]
    fn a_cookie_is_secure_but_on_the_own_machine() {
        let cookie = SessionCookie::received("x");
        assert_eq!(
            browsers(Some("https://shop.example/"), "").set_cookie(&cookie),
            "__Host-commerce_session=x; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Secure"
        );
        for local in ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:1"] {
            let set = browsers(Some(local), "").set_cookie(&cookie);
            assert_eq!(
                set, "commerce_session=x; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax",
                "{local}"
            );
        }
        for elsewhere in
            [Some("http://shop.example"), Some("http://localhost.example"), Some("nonsense"), None]
        {
            assert!(browsers(elsewhere, "").set_cookie(&cookie).ends_with("; Secure"), "{elsewhere:?}");
        }
    }

    #[test]
    fn only_pages_of_the_shop_may_change_something() {
        let asked = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method.parse().unwrap());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.finish()
        };
        let shop = browsers(Some("https://api.shop.example/"), "https://shop.example");
        let may = |headers: &[(&str, &str)]| shop.check_origin(&asked("POST", headers)).is_ok();
        assert!(may(&[("Origin", "https://api.shop.example")]) && may(&[("Origin", "https://shop.example")]));
        assert!(may(&[("Origin", "https://shop.example"), ("Sec-Fetch-Site", "same-site")]));
        assert!(may(&[("Sec-Fetch-Site", "same-origin")]));
        for origin in [
            "null",
            "",
            "https://evil.example",
            "http://api.shop.example",
            "https://api.shop.example:8443",
            "https://api.shop.example.evil.example",
            "https://evil.example https://api.shop.example",
        ] {
            assert!(!may(&[("Origin", origin)]), "{origin}");
            assert!(!may(&[("Origin", origin), ("Sec-Fetch-Site", "same-origin")]), "{origin}");
        }
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!may(&[("Sec-Fetch-Site", site)]), "{site}");
        }
        assert!(!may(&[]) && !may(&[("Referer", "https://api.shop.example/")]));
        for method in ["PUT", "PATCH", "DELETE"] {
            assert!(shop.check_origin(&asked(method, &[])).is_err());
        }
        for method in ["GET", "HEAD"] {
            assert!(shop.check_origin(&asked(method, &[("Origin", "https://evil.example")])).is_ok());
        }
        let anybody = browsers(Some("https://api.shop.example"), "*");
        assert!(anybody.check_origin(&asked("POST", &[("Origin", "https://evil.example")])).is_err());
    }
}
