//! Secrets that clients sign requests with: sealed at rest, for the verifier needs them back.

use std::time::Duration;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use portcullis::core::{
    AnyStore, EntropyUnavailable, Index, Key, Scope, SealError, Sealer, Secret, Timestamp, entropy,
};
use portcullis::hmac_signing::{Secrets, SigningKey};
use serde::{Deserialize, Serialize};

use super::key::{Kind, Life, ListedKey};
use super::owned::{OwnedKey, OwnedKeys};
use crate::records::RecordError;

/// What a signed request looks like; a secret signs one form, whatever a request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// All of the request.
    V1,
    /// The timestamp and the body alone, as webhooks have it.
    TimestampBody,
    /// Method, URL, query and body in lines.
    CanonicalLines,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::TimestampBody, Self::CanonicalLines];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::TimestampBody => "timestamp_body",
            Self::CanonicalLines => "canonical_lines",
        }
    }
}

/// A signing secret at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SigningSecret {
    /// `sk-` and 16 characters; what a request names as its key id.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) client: String,
    pub(crate) form: Form,
    pub(crate) label: String,
    current: Sealed,
    previous: Option<Previous>,
    revoked_at: Option<u64>,
}

/// A secret, encrypted for this record, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sealed: String,
    made_at: u64,
}

/// The secret before it, and until when it still counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    secret: Sealed,
    until: u64,
}

impl OwnedKey for SigningSecret {
    fn client(&self) -> &str {
        &self.client
    }

    fn life(&self, max_age: Duration) -> Life {
        Life {
            made_at: Timestamp::from_unix_nanos(self.current.made_at),
            revoked_at: self.revoked_at.map(Timestamp::from_unix_nanos),
            max_age,
        }
    }

    fn previous_until(&self) -> Option<u64> {
        self.previous.as_ref().map(|previous| previous.until)
    }

    fn end_grace(&mut self) {
        self.previous = None;
    }

    fn revoke(&mut self, at: u64) {
        self.revoked_at.get_or_insert(at);
    }
}

impl SigningSecret {
    pub(crate) fn listed(&self, max_age: Duration, now: Timestamp) -> ListedKey {
        let life = self.life(max_age);
        let until = self.previous_until();
        ListedKey {
            id: self.id.clone(),
            kind: Kind::SigningSecret,
            label: self.label.clone(),
            detail: self.form.as_str().to_owned(),
            made_at: life.made_at,
            expires_at: life.expires_at(),
            previous_until: until.map(Timestamp::from_unix_nanos),
            last_used_at: None,
            revoked_at: life.revoked_at,
            state: life.state(now),
        }
    }
}

/// Why a signing secret could not be made, found or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    #[error("a secret does not decode, or is no key")]
    Corrupt,
}

/// All signing secrets, in the store.
#[derive(Clone, Debug)]
pub(crate) struct SigningSecrets {
    pub(crate) keys: OwnedKeys<SigningSecret>,
    sealer: Sealer,
}

impl SigningSecrets {
    /// The secrets kept in `store`, under that sealer.
    pub(crate) fn new(store: AnyStore, sealer: Sealer) -> Self {
        Self {
            keys: OwnedKeys::new(store, SIGNING, IDS),
            sealer,
        }
    }

    /// Makes a secret for a client; the text is shown once.
    pub(crate) async fn create(
        &self,
        (client, form, label): (&str, Form, &str),
        now: Timestamp,
    ) -> Result<(SigningSecret, Secret), SecretError> {
        let random = entropy::<10>()?;
        let id = format!(
            "{PREFIX}{}",
            BASE32_NOPAD.encode(&random).to_ascii_lowercase()
        );
        let secret = new_secret()?;
        let record = SigningSecret {
            current: self.seal(&id, &secret, now)?,
            id,
            client: client.to_owned(),
            form,
            label: label.to_owned(),
            previous: None,
            revoked_at: None,
        };
        self.keys.create(&record.id, &record, now).await?;
        Ok((record, secret))
    }

    /// Puts a new secret in the place of the present one, which still counts for `grace`, and never past
    /// its own end.
    pub(crate) async fn rotate(
        &self,
        key: (&str, &str),
        spans: (Duration, Duration),
        now: Timestamp,
    ) -> Result<(SigningSecret, Secret), SecretError> {
        let secret = new_secret()?;
        let current = self.seal(key.1, &secret, now)?;
        let change = move |record: &mut SigningSecret, until| {
            let secret = std::mem::replace(&mut record.current, current.clone());
            // Also where its grace is none: that a rotation was just done is what holds the next one up.
            record.previous = Some(Previous { secret, until });
            Ok(())
        };
        let record = self.keys.rotate(key, spans, now, change).await?;
        Ok((record, secret))
    }

    /// The live secrets of a record that counts, for a verifier.
    pub(crate) fn open(&self, record: &SigningSecret) -> Result<Secrets, SecretError> {
        let made_at = Timestamp::from_unix_nanos(record.current.made_at);
        let secrets = Secrets::new(self.unseal(&record.id, &record.current)?).made_at(made_at);
        let Some(previous) = &record.previous else {
            return Ok(secrets);
        };
        let key = self.unseal(&record.id, &previous.secret)?;
        let made_at = Timestamp::from_unix_nanos(previous.secret.made_at);
        let until = Timestamp::from_unix_nanos(previous.until);
        Ok(secrets.and_previous(key, until).previous_made_at(made_at))
    }

    fn seal(&self, id: &str, secret: &Secret, now: Timestamp) -> Result<Sealed, SecretError> {
        let sealed = self.sealer.seal(&place(id), secret.expose(), entropy()?);
        Ok(Sealed {
            sealed: BASE64URL_NOPAD.encode(&sealed),
            made_at: now.as_unix_nanos(),
        })
    }

    fn unseal(&self, id: &str, sealed: &Sealed) -> Result<SigningKey, SecretError> {
        let bytes = BASE64URL_NOPAD.decode(sealed.sealed.as_bytes());
        let bytes = bytes.map_err(|_| SecretError::Corrupt)?;
        let opened = self.sealer.open(&place(id), &bytes)?;
        SigningKey::new(opened.secret).map_err(|_| SecretError::Corrupt)
    }
}

/// 32 random bytes as URL-safe text; the text's own bytes are the key.
fn new_secret() -> Result<Secret, EntropyUnavailable> {
    let random = Secret::generate::<32>()?;
    Ok(Secret::from(BASE64URL_NOPAD.encode(random.expose())))
}

fn place(id: &str) -> Key {
    Key::new(SIGNING, id.as_bytes())
}

pub(crate) const PREFIX: &str = "sk-";
const SIGNING: Scope = Scope::new("signing-secret");
/// Up to 20 for each client.
const IDS: Index = Index::new(Scope::new("signing-secret-ids"), 1, 20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::key::State;
    use crate::clients::owned::SETTLING;
    use portcullis::core::Memory;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn secrets() -> SigningSecrets {
        let sealer = Sealer::new(1, &Secret::from(vec![7; 32])).unwrap();
        SigningSecrets::new(AnyStore::new(Memory::new(NOW)), sealer)
    }

    #[tokio::test]
    async fn a_second_rotation_waits_for_the_grace_of_the_first() {
        let secrets = secrets();
        let (made, first) = secrets
            .create(("billing", Form::V1, "a"), NOW)
            .await
            .unwrap();
        let key = ("billing", made.id.as_str());
        let spans = (DAY, 90 * DAY);
        let (rotated, second) = secrets.rotate(key, spans, NOW).await.unwrap();
        assert_ne!(first, second);
        assert_eq!(
            rotated.listed(spans.1, NOW).previous_until,
            Some(NOW.saturating_add(DAY))
        );
        let again = secrets.rotate(key, spans, NOW).await;
        assert!(matches!(
            again,
            Err(SecretError::Record(RecordError::Conflict(_)))
        ));
        secrets.keys.end_grace(key, NOW).await.unwrap();
        assert!(secrets.rotate(key, spans, NOW).await.is_ok());
    }

    #[tokio::test]
    async fn without_a_grace_a_second_rotation_at_once_does_not_end_what_the_first_has_shown() {
        let secrets = secrets();
        let (made, _) = secrets
            .create(("billing", Form::V1, "a"), NOW)
            .await
            .unwrap();
        let key = ("billing", made.id.as_str());
        let spans = (Duration::ZERO, 90 * DAY);
        let (rotated, _) = secrets.rotate(key, spans, NOW).await.unwrap();
        assert_eq!(rotated.listed(spans.1, NOW).previous_until, Some(NOW));
        let again = secrets.rotate(key, spans, NOW).await;
        assert!(matches!(
            again,
            Err(SecretError::Record(RecordError::Conflict(_)))
        ));
        assert!(
            secrets
                .rotate(key, spans, NOW.saturating_add(SETTLING))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn what_counts_no_more_is_forgotten_and_makes_room_and_nothing_else_is() {
        let secrets = secrets();
        let mut last = String::new();
        for _ in 0..20 {
            let (made, _) = secrets
                .create(("billing", Form::V1, "a"), NOW)
                .await
                .unwrap();
            last = made.id;
        }
        assert!(
            secrets
                .create(("billing", Form::V1, "a"), NOW)
                .await
                .is_err()
        );
        let (key, age) = (("billing", last.as_str()), 90 * DAY);
        let counts = secrets.keys.forget(key, age, NOW).await;
        assert!(matches!(counts, Err(RecordError::Conflict(_))));
        secrets.keys.revoke(key, NOW).await.unwrap();
        let theirs = secrets.keys.forget(("orders", &last), age, NOW).await;
        assert!(matches!(theirs, Err(RecordError::Unknown(_))));
        assert_eq!(secrets.keys.forget(key, age, NOW).await, Ok(()));
        assert_eq!(secrets.keys.get(&last, NOW).await, Ok(None));
        assert!(
            secrets
                .create(("billing", Form::V1, "a"), NOW)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_revoked_secret_is_not_rotated_and_another_clients_is_not_there() {
        let secrets = secrets();
        let (made, _) = secrets
            .create(("billing", Form::V1, "a"), NOW)
            .await
            .unwrap();
        let unknown = RecordError::Unknown("There is no such key.");
        let theirs = secrets.keys.revoke(("orders", &made.id), NOW).await;
        assert_eq!(theirs.map(drop), Err(unknown));
        let revoked = secrets
            .keys
            .revoke(("billing", &made.id), NOW)
            .await
            .unwrap();
        assert_eq!(revoked.life(DAY).state(NOW), State::Revoked);
        let rotated = secrets.rotate(("billing", &made.id), (DAY, DAY), NOW).await;
        assert!(matches!(
            rotated,
            Err(SecretError::Record(RecordError::Conflict(_)))
        ));
    }

    #[tokio::test]
    async fn the_secret_before_never_outlives_its_own_end() {
        let secrets = secrets();
        let (made, _) = secrets
            .create(("billing", Form::V1, "a"), NOW)
            .await
            .unwrap();
        let late = NOW.saturating_add(Duration::from_secs(3600));
        let spans = (7 * DAY, 2 * DAY);
        let rotated = secrets.rotate(("billing", &made.id), spans, late).await;
        let listed = rotated.unwrap().0.listed(spans.1, late);
        assert_eq!(listed.previous_until, Some(NOW.saturating_add(2 * DAY)));
    }

    #[tokio::test]
    async fn a_sealed_secret_put_under_another_id_does_not_open() {
        let secrets = secrets();
        let (mut made, _) = secrets
            .create(("billing", Form::V1, "a"), NOW)
            .await
            .unwrap();
        assert!(secrets.open(&made).is_ok());
        made.id = "sk-aaaaaaaaaaaaaaaa".into();
        assert!(matches!(secrets.open(&made), Err(SecretError::Seal(_))));
    }
}
