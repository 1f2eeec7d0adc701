//! Access tokens: short-lived JWTs (EdDSA over Ed25519). Anybody can verify them with the JWKS, without a
//! shared secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use commerce_core::accounts::SecretKey;
use commerce_core::ids::{SessionId, UserId};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::http::token_signature;

/// How long an access token is valid.
pub const ACCESS_TOKEN_TTL: Duration = Duration::from_secs(15 * 60);

/// The only audience and issuer of our tokens. A token that was made for another system with the same key is
/// refused.
const AUDIENCE: &str = "commerce";

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: UserId,
    /// The session. The user and the role are looked up by it.
    pub sid: SessionId,
    pub iat: i64,
    /// Our tokens have none. If there is one, it is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    pub exp: i64,
}

/// How many seconds a token may seem to be from the future. Both sides cut times to whole seconds.
const SKEW_SECONDS: i64 = 2;

impl Claims {
    /// Whether a token is valid at this time of the database, in Unix seconds: neither expired nor from the
    /// future.
    pub fn are_good_at(&self, now: i64) -> bool {
        let begins = self.nbf.map_or(self.iat, |nbf| nbf.max(self.iat));
        begins <= now + SKEW_SECONDS && now < self.exp
    }
}

struct Key {
    id: String,
    public: [u8; 32],
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// The keys that sign and verify access tokens. The first key signs. All keys are accepted, so that a new key
/// can be put first while tokens of the old key expire.
pub struct TokenKeys {
    first: Key,
    others: Vec<Key>,
}

/// The purpose for which the default key is derived.
const DERIVED: &str = "jwt ed25519 seed";

/// The setting is not a list of keys.
#[derive(Debug, thiserror::Error)]
#[error(
    "COMMERCE_JWT_KEYS must be one or more Ed25519 seeds of 32 bytes in base64, separated by commas \
     (make one with `openssl rand -base64 32`), or the word `derived`"
)]
pub struct InvalidKeys;

impl TokenKeys {
    /// Reads `COMMERCE_JWT_KEYS`. The word `derived` stands for the key that is derived from the secret.
    pub fn parse(list: &str, secret: &SecretKey) -> Result<Self, InvalidKeys> {
        let mut keys = Vec::new();
        for text in list.split(',').map(str::trim) {
            if text == "derived" {
                keys.push(Key::from_seed(secret.derive(DERIVED))?);
                continue;
            }
            let seed = STANDARD.decode(text).map_err(|_| InvalidKeys)?;
            keys.push(Key::from_seed(seed.try_into().map_err(|_| InvalidKeys)?)?);
        }
        let mut keys = keys.into_iter();
        Ok(Self { first: keys.next().ok_or(InvalidKeys)?, others: keys.collect() })
    }

    /// One key that is derived from the server's secret, for shops that do not rotate keys.
    pub fn derive(secret: &SecretKey) -> Result<Self, InvalidKeys> {
        Ok(Self { first: Key::from_seed(secret.derive(DERIVED))?, others: Vec::new() })
    }

    /// A token for a session; `now` is the database's time.
    pub fn sign(
        &self,
        user_id: UserId,
        session_id: SessionId,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let iat = now.timestamp();
        let claims = Claims {
            iss: AUDIENCE.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user_id,
            sid: session_id,
            iat,
            nbf: None,
            exp: iat + ACCESS_TOKEN_TTL.as_secs().cast_signed(),
        };
        let header = Header { kid: Some(self.first.id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.first.encoding)
    }

    /// The claims of a token that we signed. The caller must check its times against the database's clock:
    /// see [`Claims::are_good_at`]. `kid` chooses the key. The token never chooses the algorithm.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = std::iter::once(&self.first).chain(&self.others).find(|key| key.id == kid)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.validate_exp = false;
        Some(jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok()?.claims)
    }

    /// The public keys, as RFC 7517 and RFC 8037 write them.
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<serde_json::Value> = std::iter::once(&self.first)
            .chain(&self.others)
            .map(|key| {
                serde_json::json!({
                    "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                    "kid": key.id, "x": URL_SAFE_NO_PAD.encode(key.public),
                })
            })
            .collect();
        serde_json::json!({ "keys": keys })
    }
}

impl Key {
    fn from_seed(seed: [u8; 32]) -> Result<Self, InvalidKeys> {
        token_signature::install();
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        // PKCS #8 (RFC 8410): a fixed prefix before the seed.
        let mut der = vec![
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
        ];
        der.extend_from_slice(&seed);
        let fingerprint = URL_SAFE_NO_PAD.encode(Sha256::digest(public));
        Ok(Self {
            id: fingerprint.chars().take(16).collect(),
            public,
            encoding: EncodingKey::from_ed_der(&der),
            decoding: DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(public))
                .map_err(|_| InvalidKeys)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(list: &[u8]) -> TokenKeys {
        parse(&list.iter().map(|byte| STANDARD.encode([*byte; 32])).collect::<Vec<_>>().join(","))
    }

    fn parse(list: &str) -> TokenKeys {
        TokenKeys::parse(list, &secret()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn secret() -> SecretKey {
        SecretKey::parse(&STANDARD.encode([7; 32])).unwrap()
    }

    #[test]
    fn the_derived_key_can_be_left_as_any_other() {
        let derived = TokenKeys::derive(&secret()).unwrap_or_else(|error| panic!("{error}"));
        let new = STANDARD.encode([1; 32]);
        let stages =
            [derived, parse(&format!("derived,{new}")), parse(&format!("{new}, derived")), parse(&new)];
        let sign = |keys: &TokenKeys| keys.sign(UserId::new(), SessionId::new(), Utc::now()).unwrap();
        for (from, signer) in stages.iter().enumerate() {
            let token = sign(signer);
            for (at, stage) in stages.iter().enumerate() {
                let known = from.abs_diff(at) <= 1;
                assert!(!known || stage.verify(&token).is_some(), "a token of stage {from} at stage {at}");
            }
        }
        assert_eq!(stages[3].verify(&sign(&stages[0])), None);
    }

    #[test]
    fn a_token_outlives_the_rotation_of_its_key_but_not_its_removal() {
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let (user, session) = (UserId::new(), SessionId::new());
        let token = old.sign(user, session, Utc::now()).unwrap();
        let claims = both.verify(&token).unwrap();
        assert_eq!((claims.sub, claims.sid), (user, session));
        assert_eq!(claims.exp - claims.iat, 900);
        assert_eq!(new.verify(&token), None);
        assert!(["c2hvcnQ=", "", "derive"].iter().all(|list| TokenKeys::parse(list, &secret()).is_err()));
    }

    #[test]
    fn the_public_key_is_that_of_the_rfc_8037_example() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let keys = parse(&STANDARD.encode(seed));
        assert_eq!(keys.jwks()["keys"][0]["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    }
}
