//! A key of a client, of whatever kind, as it is listed.

use std::time::Duration;

use portcullis::core::Timestamp;
use serde_json::{Value, json};

use super::settings::WARNING;

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Exchanged for access tokens.
    ApiKey,
    /// Signs requests.
    SigningSecret,
    /// Verifies the client's own tokens.
    PublicKey,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::SigningSecret => "signing_secret",
            Self::PublicKey => "public_key",
        }
    }

    /// The kind of the key of that id: a signing secret's begins with `sk-`, a public key's is the issuer's
    /// e-mail address.
    pub(crate) fn of(id: &str) -> Self {
        if id.contains('@') {
            Self::PublicKey
        } else if id.starts_with(super::secret::PREFIX) {
            Self::SigningSecret
        } else {
            Self::ApiKey
        }
    }
}

/// Whether a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    /// It counts, and ends soon.
    RotateSoon,
    Expired,
    Revoked,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::RotateSoon => "rotate_soon",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// When a secret was made and what became of it; one rule for all that this service keeps itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) made_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) max_age: Duration,
}

impl Life {
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.made_at.saturating_add(self.max_age)
    }

    pub(crate) fn state(&self, now: Timestamp) -> State {
        if self.revoked_at.is_some() {
            State::Revoked
        } else if now >= self.expires_at() {
            State::Expired
        } else if now.saturating_add(WARNING) >= self.expires_at() {
            State::RotateSoon
        } else {
            State::Active
        }
    }
}

/// A key as it is listed: nothing of its secret.
#[derive(Clone, Debug)]
pub(crate) struct ListedKey {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) label: String,
    /// What more there is to say: the environment and the scopes, the scheme, the fingerprint.
    pub(crate) detail: String,
    /// When its present secret was made.
    pub(crate) made_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Until when the secret before it counts, too.
    pub(crate) previous_until: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) state: State,
}

impl ListedKey {
    /// Whole days since its secret was made.
    pub(crate) fn age_days(&self, now: Timestamp) -> u64 {
        now.saturating_since(self.made_at).as_secs() / super::settings::DAY_SECS
    }

    pub(crate) fn to_json(&self, now: Timestamp) -> Value {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        json!({
            "id": self.id,
            "kind": self.kind.as_str(),
            "label": self.label,
            "detail": self.detail,
            "state": self.state.as_str(),
            "age_days": self.age_days(now),
            "made_at": self.made_at.to_string(),
            "expires_at": self.expires_at.to_string(),
            "previous_until": text(self.previous_until.filter(|until| *until > now)),
            "last_used_at": text(self.last_used_at),
            "revoked_at": text(self.revoked_at),
        })
    }
}

/// A label: 1 to 64 printable characters.
pub(crate) fn label(text: &str) -> Result<&str, &'static str> {
    let chars = text.chars().count();
    if chars == 0 || chars > 64 || crate::pages::visible(text) != text {
        return Err("A label has 1 to 64 printable characters.");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::settings::DAY_SECS;

    #[test]
    fn a_key_is_warned_of_then_expired_and_a_revoked_one_is_nothing_else() {
        let days = |days| Timestamp::from_unix_secs(1_700_000_000 + days * DAY_SECS);
        let mut life = Life {
            made_at: days(0),
            revoked_at: None,
            max_age: Duration::from_secs(90 * DAY_SECS),
        };
        assert_eq!(life.state(days(75)), State::Active);
        assert_eq!(life.state(days(76)), State::RotateSoon);
        assert_eq!(life.state(days(89)), State::RotateSoon);
        assert_eq!(life.state(days(90)), State::Expired);
        life.revoked_at = Some(days(1));
        assert_eq!(life.state(days(2)), State::Revoked);
    }

    #[test]
    fn an_id_tells_its_kind() {
        assert_eq!(Kind::of("billing@example.org"), Kind::PublicKey);
        assert_eq!(Kind::of("sk-abc"), Kind::SigningSecret);
        assert_eq!(Kind::of("aeaqcaibaeaqcaib"), Kind::ApiKey);
    }
}
