//! The address of a server, as libpq reads it: a URL, or words such as `host=db sslmode=require`.
//!
//! <https://www.postgresql.org/docs/current/libpq-connect.html> describes both.

/// An address whose parameters about TLS were taken out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServerUrl {
    /// The address without them.
    pub rest: String,
    pub sslmode: Option<String>,
    pub sslrootcert: Option<String>,
}

impl ServerUrl {
    pub(super) fn parse(text: &str) -> Self {
        if text.contains("://") { Self::from_url(text) } else { Self::from_words(text) }
    }

    fn take(&mut self, key: &str, value: String) -> bool {
        match key {
            "sslmode" => self.sslmode = Some(value),
            "sslrootcert" => self.sslrootcert = Some(value),
            _ => return false,
        }
        true
    }

    fn from_url(url: &str) -> Self {
        let Some((address, query)) = url.split_once('?') else {
            return Self { rest: url.to_owned(), ..Self::default() };
        };
        let mut parsed = Self::default();
        let mut kept = Vec::new();
        for pair in query.split('&') {
            // Unlike in a form, a plus stands for itself.
            let plain = pair.replace('+', "%2B");
            let taken = url::form_urlencoded::parse(plain.as_bytes())
                .next()
                .is_some_and(|(key, value)| parsed.take(&key, value.into_owned()));
            if !taken {
                kept.push(pair);
            }
        }
        let query = kept.join("&");
        parsed.rest = if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") };
        parsed
    }

    /// `key = value`, separated by blanks. A value in single quotes may contain blanks, and a backslash takes
    /// the next character as it is.
    fn from_words(text: &str) -> Self {
        let mut parsed = Self::default();
        let mut rest = text.trim_start();
        while let Some((key, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let (value, end) = read_value(after);
            let start = rest.len() - after.len();
            if !parsed.take(key.trim(), value) {
                parsed.rest.push_str(rest.get(..start + end).unwrap_or(rest));
                parsed.rest.push(' ');
            }
            rest = after.get(end..).unwrap_or_default().trim_start();
        }
        parsed.rest.push_str(rest);
        parsed.rest.truncate(parsed.rest.trim_end().len());
        parsed
    }
}

/// The value at the start of the text, and the number of bytes that it takes.
fn read_value(text: &str) -> (String, usize) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return (value, at + 1),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            blank if !quoted && blank.is_whitespace() => return (value, at),
            _ => value.push(character),
        }
    }
    (value, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(rest: &str, sslmode: Option<&str>, sslrootcert: Option<&str>) -> ServerUrl {
        let (sslmode, sslrootcert) = (sslmode.map(str::to_owned), sslrootcert.map(str::to_owned));
        ServerUrl { rest: rest.to_owned(), sslmode, sslrootcert }
    }

    #[test]
    fn urls() {
        for (url, wanted) in [
            ("postgres://a:b@db/shop", parsed("postgres://a:b@db/shop", None, None)),
            ("postgres://db/shop?sslmode=require", parsed("postgres://db/shop", Some("require"), None)),
            (
                "postgres://db/shop?connect_timeout=3&sslrootcert=%2Fa+b%20c.pem&application_name=x&sslmode=verify-ca",
                parsed(
                    "postgres://db/shop?connect_timeout=3&application_name=x",
                    Some("verify-ca"),
                    Some("/a+b c.pem"),
                ),
            ),
        ] {
            assert_eq!(ServerUrl::parse(url), wanted, "{url}");
        }
    }

    #[test]
    fn words() {
        for (words, wanted) in [
            ("host=db user=me", parsed("host=db user=me", None, None)),
            ("host = db sslmode = require user=me", parsed("host = db user=me", Some("require"), None)),
            (
                r"sslrootcert='/a b/it\'s.pem' password='a b=c' sslmode=verify-full",
                parsed("password='a b=c'", Some("verify-full"), Some("/a b/it's.pem")),
            ),
        ] {
            assert_eq!(ServerUrl::parse(words), wanted, "{words}");
        }
    }
}
