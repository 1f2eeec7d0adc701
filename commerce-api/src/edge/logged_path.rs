//! A path as logs show it.

use std::borrow::Cow;

/// The path, with `{email}` for every part that is an e-mail address. Customers' addresses do not belong into
/// logs, which more people read and which are kept for longer.
pub fn logged_path(path: &str) -> Cow<'_, str> {
    let has_address = |part: &str| part.contains('@') || part.contains('\u{ff20}') || has_escaped_at(part);
    if !has_address(path) {
        return Cow::Borrowed(path);
    }
    let parts = path.split('/').map(|part| if has_address(part) { "{email}" } else { part });
    Cow::Owned(parts.collect::<Vec<_>>().join("/"))
}

/// Whether there is an `@` after percent-decoding, once or twice.
fn has_escaped_at(part: &str) -> bool {
    let part = part.to_ascii_uppercase().replace("%25", "%");
    part.contains("%40") || part.contains("%EF%BC%A0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_hidden_however_it_is_written() {
        assert_eq!(logged_path("/v1/products/mug"), "/v1/products/mug");
        for address in ["ada@example.com", "ada%40example.com", "ada%2540b", "ada%ef%bc%a0b", "ada＠b"] {
            let path = format!("/v1/admin/users/{address}/sessions");
            assert_eq!(logged_path(&path), "/v1/admin/users/{email}/sessions", "{address}");
        }
    }
}
