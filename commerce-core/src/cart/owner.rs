//! Owners of carts and orders.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::ids::UserId;
use crate::request::Actor;

/// SHA-256 of a Cart-Token or an Order-Token. Only the guest knows the token itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of the token that a guest sends.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// A new token of 256 random bits, and its hash.
    pub fn generate() -> (String, Self) {
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let hash = Self::of(&token);
        (token, hash)
    }

    /// The bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// The owner of a cart or an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Someone with an account.
    User(UserId),
    /// The holder of the Cart-Token.
    Guest(TokenHash),
}

impl Owner {
    /// The user. `None` for a guest.
    pub fn user_id(&self) -> Option<UserId> {
        match self {
            Owner::User(id) => Some(*id),
            Owner::Guest(_) => None,
        }
    }

    /// The hash of the guest's token. `None` for a user.
    pub fn token_hash(&self) -> Option<&[u8]> {
        match self {
            Owner::User(_) => None,
            Owner::Guest(hash) => Some(hash.as_bytes()),
        }
    }

    /// The owner as the actor of a change.
    pub fn actor(&self) -> Actor {
        match self {
            Owner::User(id) => Actor::User(*id),
            Owner::Guest(_) => Actor::Guest,
        }
    }
}
