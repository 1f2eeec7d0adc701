//! Guests' Cart-Tokens. The server makes them: whoever could choose a token could give it to somebody else, and
//! read what that person orders.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commerce_core::accounts::SecretKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Makes tokens, and knows them again: 16 random bytes, and as many of an HMAC over them.
#[derive(Clone)]
pub struct CartTokens {
    key: [u8; 32],
}

const HALF: usize = 16;

impl CartTokens {
    pub fn new(secret: &SecretKey) -> Self {
        Self { key: secret.derive("cart tokens") }
    }

    /// A token that nobody can guess.
    pub fn issue(&self) -> String {
        self.issue_for(rand::random())
    }

    /// The token with these bytes, which should be random unless the token guards nothing.
    pub fn issue_for(&self, random: [u8; HALF]) -> String {
        let tag = self.mac(&random).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(random.into_iter().chain(tag.into_iter().take(HALF)).collect::<Vec<u8>>())
    }

    /// Whether this server, or another with the same secret, made the token.
    pub fn has_issued(&self, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        bytes.split_at_checked(HALF).is_some_and(|(random, tag)| {
            tag.len() == HALF && self.mac(random).verify_truncated_left(tag).is_ok()
        })
    }

    fn mac(&self, random: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("any length will do"));
        mac.update(random);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_of_this_secret_are_known() {
        let of = |byte: char| {
            CartTokens::new(&SecretKey::parse(&format!("{}=", byte.to_string().repeat(43))).unwrap())
        };
        let (ours, theirs) = (of('A'), of('E'));
        let token = ours.issue();
        assert_eq!(token.len(), 43);
        assert!(ours.has_issued(&token) && !theirs.has_issued(&token));
        let other = ours.issue();
        let mixed = format!("{}{}", &token[..22], &other[22..]);
        for wrong in ["", "aaaaaaaaaaaaaaaa", &token[..42], &token[..22], &mixed, &format!("{token}AAAA")] {
            assert!(!ours.has_issued(wrong), "{wrong}");
        }
    }
}
