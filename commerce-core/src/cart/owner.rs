//! Whose cart it is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::ids::UserId;
use crate::request::Actor;

/// SHA-256 of a Cart-Token. The token itself is known to the guest alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of the token as the guest sends it.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// A new token of 256 random bits, and its hash.
    pub fn generate() -> (String, Self) {
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let hash = Self::of(&token);
        (token, hash)
    }

    /// As it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// Whose cart or order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Someone with an account.
    User(UserId),
    /// Whoever holds the Cart-Token.
    Guest(TokenHash),
}

impl Owner {
    /// The user, unless a guest.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Owner::User(id) => Some(*id),
            Owner::Guest(_) => None,
        }
    }

    /// The hash of the guest's token, unless a user.
    pub fn token_hash(&self) -> Option<&[u8]> {
        match self {
            Owner::User(_) => None,
            Owner::Guest(hash) => Some(hash.as_bytes()),
        }
    }

    /// The owner as the one who causes a change.
    pub fn actor(&self) -> Actor {
        match self {
            Owner::User(id) => Actor::User(*id),
            Owner::Guest(_) => Actor::Guest,
        }
    }
}
