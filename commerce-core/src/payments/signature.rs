//! Signatures by HMAC-SHA256, written in hexadecimal. Several providers sign their webhooks so.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The signature of `parts`, one after the other.
pub(super) fn sign_hex(secret: &[u8], parts: &[&[u8]]) -> String {
    HEXLOWER.encode(&mac(secret, parts).finalize().into_bytes())
}

/// Whether `signature` is that of `parts`. The comparison takes the same time wherever they differ.
pub(super) fn is_signed_hex(secret: &[u8], parts: &[&[u8]], signature: &str) -> bool {
    decode_hex(signature.as_bytes())
        .is_some_and(|signature| mac(secret, parts).verify_slice(&signature).is_ok())
}

fn mac(secret: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| unreachable!("any length will do"));
    for part in parts {
        mac.update(part);
    }
    mac
}

fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks(2);
    pairs
        .map(|pair| match pair {
            &[high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn signatures_agree_with_the_rfc() {
        let signature = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(sign_hex(b"Jefe", &[b"what do ya want ", b"for nothing?"]), signature);
        assert!(is_signed_hex(b"Jefe", &[b"what do ya want for nothing?"], signature));
        assert!(is_signed_hex(b"Jefe", &[b"what do ya want for nothing?"], &signature.to_uppercase()));
        for wrong in
            ["", "5b", "zz", &signature[2..], &signature.replace('5', "6"), &format!("{signature}00")]
        {
            assert!(!is_signed_hex(b"Jefe", &[b"what do ya want for nothing?"], wrong), "{wrong:?}");
        }
    }
}
