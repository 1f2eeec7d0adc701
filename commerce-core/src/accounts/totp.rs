//! The codes of authenticator apps (TOTP, RFC 6238), in the one form that every app knows: HMAC-SHA-1, six digits,
//! a new code every thirty seconds.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::SecretKey;
use crate::ids::UserId;

/// The seconds for which a code is shown.
pub(super) const STEP_SECONDS: i64 = 30;

/// How many steps the clock of a phone may be ahead or behind.
const STEPS_OFF: i64 = 1;

/// The secret that an app shares with the server. It is derived, so no table holds it.
pub(super) struct TotpSecret([u8; 20]);

impl TotpSecret {
    pub(super) fn derive(key: &SecretKey, user_id: UserId, salt: &[u8]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.derive("second factors"))
            .unwrap_or_else(|_| unreachable!("any length will do"));
        mac.update(user_id.0.as_bytes());
        mac.update(salt);
        let derived: [u8; 32] = mac.finalize().into_bytes().into();
        let mut secret = [0; 20];
        secret.copy_from_slice(&derived[..20]);
        Self(secret)
    }

    /// As a person types it into an app.
    pub(super) fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// The code of a time step (RFC 4226, section 5.3).
    pub(super) fn code(&self, step: i64) -> String {
        let mut mac =
            Hmac::<Sha1>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("any length will do"));
        mac.update(&step.to_be_bytes());
        let digest: [u8; 20] = mac.finalize().into_bytes().into();
        let at = usize::from(digest[19] & 0xf);
        let four = digest.iter().skip(at).take(4);
        let number = four.fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
        format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
    }

    /// The step that a code belongs to, if that is about `now` and after `used`. The time that this takes does not
    /// depend on the code.
    pub(super) fn step_of(&self, code: &str, now: i64, used: i64) -> Option<i64> {
        let mut found = None;
        for step in now - STEPS_OFF..=now + STEPS_OFF {
            let fits: bool = self.code(step).as_bytes().ct_eq(code.as_bytes()).into();
            if fits && step > used && found.is_none() {
                found = Some(step);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = TotpSecret(*b"12345678901234567890");
        // Appendix B has eight digits; an app shows the last six.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code(seconds / STEP_SECONDS), code, "{seconds}");
        }
        assert_eq!(secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn a_code_fits_a_step_early_or_late_and_once() {
        let secret = TotpSecret([7; 20]);
        for step in [99, 100, 101] {
            assert_eq!(secret.step_of(&secret.code(step), 100, 0), Some(step));
            assert_eq!(secret.step_of(&secret.code(step), 100, step), None);
        }
        for (step, used) in [(98, 0), (102, 0), (99, 100)] {
            assert_eq!(secret.step_of(&secret.code(step), 100, used), None, "{step}, {used}");
        }
        assert_eq!(secret.step_of("", 100, 0), None);
    }

    #[test]
    fn every_key_account_and_salt_has_a_secret_of_its_own() {
        let key = |byte: char| SecretKey::parse(&format!("{}=", byte.to_string().repeat(43))).unwrap();
        let (user, other) = (UserId::new(), UserId::new());
        let secret = TotpSecret::derive(&key('A'), user, &[1; 16]).0;
        assert_eq!(TotpSecret::derive(&key('A'), user, &[1; 16]).0, secret);
        assert_ne!(TotpSecret::derive(&key('E'), user, &[1; 16]).0, secret);
        assert_ne!(TotpSecret::derive(&key('A'), other, &[1; 16]).0, secret);
        assert_ne!(TotpSecret::derive(&key('A'), user, &[2; 16]).0, secret);
    }
}
