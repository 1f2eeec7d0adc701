//! The cookie that carries the session of a browser.

use commerce_core::accounts::SessionCookie;
use poem::Request;
use poem::http::header;

/// Its name. With this prefix a browser takes it from this very host over TLS only (RFC 6265bis), so no neighbouring
/// subdomain can put one in its place.
pub const COOKIE: &str = "__Host-commerce_session";
/// Its name on a developer's own machine without TLS.
const LOCAL_COOKIE: &str = "commerce_session";

/// As long as browsers keep a cookie at the most; when the session ends is the server's to say.
const MAX_AGE_SECONDS: u32 = 400 * 24 * 60 * 60;

/// How cookies of sessions are written and read.
#[derive(Debug, Clone, Copy)]
pub struct SessionCookies {
    /// Whether they are only sent over TLS.
    pub secure: bool,
}

impl SessionCookies {
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
}
