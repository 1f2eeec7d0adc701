//! The key both programs derive their secrets from, made once and kept.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// The key in `file` as base64: 32 random bytes, made now if the file does not exist.
pub fn read_or_make(file: &Path) -> Result<String> {
    if let Ok(present) = fs::read_to_string(file)
        && !present.trim().is_empty()
    {
        return Ok(present.trim().to_owned());
    }
    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes))?;
    let key = base64(&bytes);
    let mut options = File::options();
    options.create(true).write(true).truncate(true).mode(0o600);
    let mut out = options.open(file).with_context(|| format!("could not write {}", file.display()))?;
    writeln!(out, "{key}")?;
    Ok(key)
}

/// RFC 4648 base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place) & 63) as usize;
            let letter = ALPHABET.get(digit).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_agrees_with_the_rfc() {
        for (plain, encoded) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(super::base64(plain.as_bytes()), encoded);
        }
    }
}
