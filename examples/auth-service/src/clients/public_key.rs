//! Public keys that clients registered under an issuer's e-mail address, for tokens they sign themselves.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis::core::{AnyStore, Index, Scope, Timestamp};
use portcullis::jwt::RsaPublicKey;
use serde::{Deserialize, Serialize};

use super::key::{Kind, Life, ListedKey};
use super::owned::{OwnedKey, OwnedKeys};
use crate::records::RecordError;

/// A registered public key at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicKey {
    /// The e-mail address that tokens name as their `iss`; the key's id.
    pub(crate) issuer: String,
    /// Whose it is.
    pub(crate) client: String,
    pub(crate) label: String,
    current: Registered,
    previous: Option<Previous>,
    revoked_at: Option<u64>,
    /// The fingerprints of keys that were replaced or revoked: none is taken again.
    #[serde(default)]
    spent: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registered {
    /// As SPKI in PEM, whatever form it came in.
    pem: String,
    fingerprint: String,
    made_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previous {
    pem: String,
    until: u64,
}

impl OwnedKey for PublicKey {
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

/// All registered public keys, in the store.
#[derive(Clone)]
pub(crate) struct PublicKeys {
    pub(crate) keys: OwnedKeys<PublicKey>,
    /// Keys by their text, for parsing one costs as much as a verification.
    parsed: Arc<Mutex<HashMap<String, RsaPublicKey>>>,
}

impl PublicKeys {
    /// The keys kept in `store`.
    pub(crate) fn new(store: AnyStore) -> Self {
        Self {
            keys: OwnedKeys::new(store, ISSUER, ISSUERS),
            parsed: Arc::default(),
        }
    }

    /// Registers a key for an issuer that has none. One that was revoked is replaced, by its own client.
    pub(crate) async fn create(
        &self,
        (client, issuer, label): (&str, &str, &str),
        key: &RsaPublicKey,
        now: Timestamp,
    ) -> Result<PublicKey, RecordError> {
        let record = PublicKey {
            issuer: issuer.to_owned(),
            client: client.to_owned(),
            label: label.to_owned(),
            current: registered(key, now),
            previous: None,
            revoked_at: None,
            spent: Vec::new(),
        };
        let fingerprint = key.fingerprint();
        match self.keys.create(issuer, &record, now).await {
            Ok(()) => Ok(record),
            Err(RecordError::Taken) => {
                let replace = move |held: &mut PublicKey| {
                    if held.revoked_at.is_none() {
                        return Err(RecordError::Taken);
                    }
                    refuse_spent(held, &fingerprint)?;
                    let spent = spent_with_current(held);
                    held.clone_from(&record);
                    held.spent = spent;
                    Ok(())
                };
                match self.keys.change((client, issuer), now, replace).await {
                    // Another client's, or forgotten just now.
                    Err(RecordError::Unknown(_)) => Err(RecordError::Taken),
                    replaced => replaced,
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a new key in the place of the present one, which still counts for `grace`, and never past its
    /// own end.
    pub(crate) async fn rotate(
        &self,
        of: (&str, &str),
        key: &RsaPublicKey,
        spans: (Duration, Duration),
        now: Timestamp,
    ) -> Result<PublicKey, RecordError> {
        let current = registered(key, now);
        let change = move |record: &mut PublicKey, until| {
            refuse_spent(record, &current.fingerprint)?;
            record.spent = spent_with_current(record);
            let before = std::mem::replace(&mut record.current, current.clone());
            record.previous = Some(Previous {
                pem: before.pem,
                until,
            });
            Ok(())
        };
        self.keys.rotate(of, spans, now, change).await
    }

    /// The keys that tokens of this issuer may be signed with now: the present one, and the one before
    /// within its grace.
    pub(crate) fn open(
        &self,
        record: &PublicKey,
        now: Timestamp,
    ) -> Result<Vec<RsaPublicKey>, RecordError> {
        let previous = record.previous.as_ref();
        let previous = previous.filter(|held| held.until > now.as_unix_nanos());
        let pems = std::iter::once(&record.current.pem).chain(previous.map(|held| &held.pem));
        pems.map(|pem| self.parsed(pem)).collect()
    }

    fn parsed(&self, pem: &str) -> Result<RsaPublicKey, RecordError> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = parsed.get(pem) {
            return Ok(key.clone());
        }
        let key = RsaPublicKey::from_pem(pem).map_err(|_| RecordError::Corrupt)?;
        if parsed.len() >= PARSED {
            parsed.clear();
        }
        parsed.insert(pem.to_owned(), key.clone());
        Ok(key)
    }

    pub(crate) fn listed(record: &PublicKey, max_age: Duration, now: Timestamp) -> ListedKey {
        let life = record.life(max_age);
        let until = record.previous_until();
        ListedKey {
            id: record.issuer.clone(),
            kind: Kind::PublicKey,
            label: record.label.clone(),
            detail: record.current.fingerprint.clone(),
            made_at: life.made_at,
            expires_at: life.expires_at(),
            previous_until: until.map(Timestamp::from_unix_nanos),
            last_used_at: None,
            revoked_at: life.revoked_at,
            state: life.state(now),
        }
    }
}

impl fmt::Debug for PublicKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKeys(..)")
    }
}

/// A key comes once: what was signed under one that was revoked or replaced must not count again.
fn refuse_spent(held: &PublicKey, fingerprint: &str) -> Result<(), RecordError> {
    if held.current.fingerprint == fingerprint
        || held.spent.iter().any(|spent| spent == fingerprint)
    {
        return Err(RecordError::Conflict(
            "That key is or was registered: a new one takes its place.",
        ));
    }
    Ok(())
}

fn spent_with_current(held: &PublicKey) -> Vec<String> {
    let current = std::iter::once(&held.current.fingerprint);
    // As many as a hundred rotations; the oldest go.
    current.chain(&held.spent).take(SPENT).cloned().collect()
}

fn registered(key: &RsaPublicKey, now: Timestamp) -> Registered {
    Registered {
        pem: key.to_spki_pem(),
        fingerprint: key.fingerprint(),
        made_at: now.as_unix_nanos(),
    }
}

/// An issuer's e-mail address: as it was registered, to the letter. Of what RFC 5322 admits, what people
/// have: no quotes, no comments.
pub(crate) fn issuer(text: &str) -> Result<&str, &'static str> {
    const RULE: &str = "An issuer is an e-mail address: letters, digits and . _ + - before the @, a domain after it.";
    let (local, domain) = text.split_once('@').ok_or(RULE)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-');
    let is_word = |word: &str| (1..=64).contains(&word.len()) && word.bytes().all(plain);
    let is_label = |label: &str| is_word(label) && !label.contains(['_', '+']);
    if text.len() > 254 || !local.split('.').all(is_word) || !domain.split('.').all(is_label) {
        return Err(RULE);
    }
    Ok(text)
}

const ISSUER: Scope = Scope::new("issuer");
/// Up to 20 for each client.
const ISSUERS: Index = Index::new(Scope::new("issuers-of-client"), 1, 20);
/// As many as there are likely to be; beyond that they are parsed again.
const PARSED: usize = 1000;
const SPENT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_no_issuer() {
        for text in [
            "",
            "@",
            "a@",
            "@a",
            "..@",
            "a@b..c",
            "a b@c",
            "a\"<b>@c",
            "a/b@c",
            "a@b@c",
            "é@b",
            "a@b_c",
            &format!("{}@b", "a".repeat(65)),
        ] {
            assert!(issuer(text).is_err(), "{text}");
        }
        for text in [
            "billing@example.org",
            "a.b+c_d-e@x-1.example",
            "root@localhost",
        ] {
            assert_eq!(issuer(text), Ok(text));
        }
    }
}
