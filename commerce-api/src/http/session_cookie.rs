//! The cookie that carries a browser's session.

use commerce_core::accounts::SessionCookie;
use poem::Request;
use poem::http::header;

/// The name of the cookie. The prefix makes browsers accept it only from this host over TLS (RFC 6265bis). So
/// a neighbouring subdomain cannot replace it.
pub const COOKIE: &str = "__Host-commerce_session";
/// The name of the cookie on a developer's machine without TLS.
const LOCAL_COOKIE: &str = "commerce_session";

/// The longest time that browsers keep a cookie. The server decides when the session ends.
const MAX_AGE_SECONDS: u32 = 400 * 24 * 60 * 60;

/// How cookies of sessions are written and read.
#[derive(Debug, Clone, Copy)]
pub struct SessionCookies {
    /// Whether cookies are sent over TLS only.
    pub secure: bool,
}

impl SessionCookies {
    fn cookie_name(&self) -> &'static str {
        if self.secure { COOKIE } else { LOCAL_COOKIE }
    }

    /// `Set-Cookie` that sets the session in the browser.
    pub fn set_cookie(&self, cookie: &SessionCookie) -> String {
        self.write(cookie.expose(), MAX_AGE_SECONDS)
    }

    /// `Set-Cookie` that removes it.
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
