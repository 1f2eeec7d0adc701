//! Which pages may change something with a session cookie.
//!
//! A browser sends its cookies with a request, whichever page caused the request. So a request with a cookie
//! that can change something (any method but GET and HEAD) must prove where it comes from. Its `Origin` must
//! be that of `COMMERCE_PUBLIC_URL` or one of `COMMERCE_CORS_ORIGINS` (`*` does not count). If it has no
//! `Origin`, its `Sec-Fetch-Site` must be `same-origin`. Browsers set both headers themselves, and pages
//! cannot change them. A token in `Authorization` needs no such proof, because no browser adds it by itself.

use poem::Request;
use url::Url;

use crate::edge::settings::HttpSettings;
use crate::http::page_origin::PageOrigin;
use crate::http::problem::{Code, Problem};

/// The origins whose pages may change something with a session cookie.
#[derive(Debug, Clone)]
pub struct TrustedPages {
    own_origin: String,
    others: Vec<String>,
}

impl TrustedPages {
    pub fn of(settings: &HttpSettings) -> Self {
        let own = Url::parse(&settings.public_url()).ok();
        Self {
            own_origin: own.map(|url| url.origin().ascii_serialization()).unwrap_or_default(),
            others: settings.cors_origins.listed().to_vec(),
        }
    }

    /// Checks a request. Every request is checked.
    pub fn page_of(&self, request: &Request) -> PageOrigin {
        PageOrigin(self.check(request))
    }

    /// Refuses a request with a cookie that can change something and does not come from a page of the shop.
    fn check(&self, request: &Request) -> Result<(), Problem> {
        if request.method().is_safe() {
            return Ok(());
        }
        let value = |name: &str| {
            request.headers().get(name).map(|value| value.to_str().unwrap_or("not text").to_owned())
        };
        let detail = match (value("origin"), value("sec-fetch-site")) {
            (Some(origin), _) if self.is_trusted(&origin) => return Ok(()),
            (None, Some(site)) if site == "same-origin" => return Ok(()),
            (Some(origin), _) => format!("Pages of {origin} may not send this request with a session cookie."),
            (None, Some(site)) => format!("A {site} page may not send this request with a session cookie."),
            (None, None) => {
                "A request with a session cookie must have an Origin header that names the page it comes from."
                    .to_owned()
            }
        };
        Err(Problem::new(Code::CrossOrigin, detail))
    }

    fn is_trusted(&self, origin: &str) -> bool {
        !self.own_origin.is_empty() && origin == self.own_origin
            || self.others.iter().any(|trusted| trusted == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(public_url: &str, origins: &str) -> TrustedPages {
        TrustedPages::of(&HttpSettings {
            public_url: Some(public_url.to_owned()),
            cors_origins: origins.parse().unwrap(),
            ..HttpSettings::default()
        })
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
        let shop = pages("https://api.shop.example/", "https://shop.example");
        let may = |headers: &[(&str, &str)]| shop.check(&asked("POST", headers)).is_ok();
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
            assert!(shop.check(&asked(method, &[])).is_err());
        }
        for method in ["GET", "HEAD"] {
            assert!(shop.check(&asked(method, &[("Origin", "https://evil.example")])).is_ok());
        }
        let anybody = pages("https://api.shop.example", "*");
        assert!(anybody.check(&asked("POST", &[("Origin", "https://evil.example")])).is_err());
    }
}
