//! What a key has shown.

use portcullis_core::Timestamp;

use crate::{Environment, KeyId, SecretTag};

/// Proof that somebody showed a key that counts; [`crate::ApiKeys::verify`] alone makes one.
///
/// It speaks of one instant: for what is done later ask [`crate::ApiKeys::standing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProof {
    pub(crate) key_id: KeyId,
    pub(crate) owner: String,
    pub(crate) label: String,
    pub(crate) environment: Environment,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) rotate_by: Option<Timestamp>,
    pub(crate) by_previous_secret: bool,
    pub(crate) tag: SecretTag,
}

impl KeyProof {
    /// Which key it was.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Whose key it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// What people call the key.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where the key counts.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// What the key may, sorted.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether the key may do this; scopes are compared to the letter.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }

    /// From when on the secret that was shown counts no more.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The warning: the secret that was shown must be replaced by then, because its end is near or
    /// because it was replaced already.
    #[must_use]
    pub const fn rotate_by(&self) -> Option<Timestamp> {
        self.rotate_by
    }

    /// Whether the secret that was shown has been replaced, and counts through its grace.
    #[must_use]
    pub const fn by_previous_secret(&self) -> bool {
        self.by_previous_secret
    }

    /// Which secret was shown, for what is given for it: see [`crate::KeyInfo::counts_for`].
    #[must_use]
    pub const fn secret_tag(&self) -> SecretTag {
        self.tag
    }
}
