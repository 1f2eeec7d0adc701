//! The server's secret, from which a key for each purpose is derived.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secret that all processes of a shop share. It never leaves them. Every derived key is bound to a
/// purpose.
#[derive(Clone)]
pub struct SecretKey(Vec<u8>);

/// The text is not a base64 secret of enough bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at least 32 random bytes in base64 (make one with `openssl rand -base64 32`)")]
pub struct InvalidSecretKey;

impl SecretKey {
    /// The smallest number of random bytes, before base64.
    pub const BYTES_MIN: usize = 32;

    /// Reads base64 of at least 32 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidSecretKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| InvalidSecretKey)?;
        if bytes.len() >= Self::BYTES_MIN { Ok(Self(bytes)) } else { Err(InvalidSecretKey) }
    }

    /// 32 bytes that are always the same for this secret and this purpose (HMAC-SHA-256).
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("any length will do"));
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_purpose_and_secrets_do_not_show() {
        let secret = SecretKey::parse(&STANDARD.encode([7; 32])).unwrap();
        assert_eq!(secret.derive("a"), secret.derive("a"));
        assert_ne!(secret.derive("a"), secret.derive("b"));
        assert_eq!(format!("{secret:?}"), "SecretKey(…)");
        for short in ["", "c2hvcnQ=", "not base64!"] {
            assert_eq!(SecretKey::parse(short).err(), Some(InvalidSecretKey), "{short}");
        }
    }
}
