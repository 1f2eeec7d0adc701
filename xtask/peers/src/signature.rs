//! HMAC-SHA256 in hexadecimal.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub fn sign(secret: &str, message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(message);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
