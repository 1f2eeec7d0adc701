//! Six digits by mail that prove who owns an address. They are stored nowhere: they follow from the code's id and the
//! server's secret, when the mail is written and when a guess is checked.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::SecretKey;
use crate::ids::CodeId;

/// The six digits of a code.
pub fn derive_code(key: &SecretKey, id: CodeId) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive("one-time codes"))
        .unwrap_or_else(|_| unreachable!("any length will do"));
    mac.update(id.0.as_bytes());
    let digest: [u8; 32] = mac.finalize().into_bytes().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    // 64 bits over a million: the bias is far below anything that could be used.
    format!("{:06}", u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 1_000_000)
}
