//! Whether a request was signed by that key, in time: everything that needs no store.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::request;
use portcullis_core::Timestamp;

use crate::error::SIGNATURE;
use crate::head::{Head, Headers, KEY_ID, NONCE, Sent, TIMESTAMP};
use crate::key::compare;
use crate::request::{Once, SignedRequest, Unclaimed};
use crate::scheme::{KeyCarriage, Said, unhex};
use crate::text::{Decimal, Short};
use crate::{Component, Error, KeyId, Policy, Scheme, Secrets, SigningKey};

/// Verifies requests of one scheme under one policy.
///
/// In three steps, since the body is read between the first two and the store asked in the last:
/// [`Verifier::begin`] on the head, [`Begun::verify`] on the body, [`Unclaimed::claim`] on the store. Only
/// the last one's answer says anything of the request.
#[derive(Clone)]
pub struct Verifier<S> {
    /// Shared: every request that was begun holds them, and is moved about.
    rules: Arc<Rules<S>>,
}

struct Rules<S> {
    scheme: S,
    policy: Policy,
    decoy: SigningKey,
}

impl<S: Scheme> Verifier<S> {
    /// A verifier of `scheme`.
    ///
    /// # Errors
    /// [`Error::Policy`] when the scheme leaves out what the policy requires.
    pub fn new(scheme: S, policy: Policy) -> Result<Self, Error> {
        let left_out = |component: &&Component| {
            policy.required.has(**component) && !scheme.covers().has(**component)
        };
        if let Some(component) = Component::ALL.iter().find(left_out) {
            return Err(Error::Policy(component.left_out()));
        }
        let decoy = SigningKey::decoy().ok_or(Error::Key)?;
        let rules = Rules {
            scheme,
            policy,
            decoy,
        };
        Ok(Self {
            rules: Arc::new(rules),
        })
    }

    /// Reads the head, before any of the body: strictly, within the caps, and within its time.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Malformed`], [`Error::Duplicate`], [`Error::HeaderRefused`],
    /// [`Error::Authority`], [`Error::BodyTooLarge`], [`Error::TooOld`], [`Error::Ahead`].
    pub fn begin(&self, head: &request::Parts, now: Timestamp) -> Result<Begun<S>, Error> {
        let Rules { scheme, policy, .. } = &*self.rules;
        let headers = Headers::of_signed(&head.headers)?;
        let carriage = scheme.carriage();
        let mac = headers.signature.and_then(|value| {
            let digits = value.as_bytes().strip_prefix(carriage.prefix.as_bytes())?;
            unhex(digits)
        });
        let mac = mac.ok_or(Error::Malformed(SIGNATURE))?;
        let timestamp = timestamp(headers.timestamp)?;
        let key_id = match carriage.key {
            KeyCarriage::Known(key_id) => key_id,
            KeyCarriage::Header(name) => {
                let value = if name == KEY_ID {
                    headers.key_id
                } else {
                    headers.api_key
                };
                let value = value.ok_or(Error::Missing(name))?;
                KeyId::of(value.as_bytes()).ok_or(Error::Malformed(name))?
            }
        };
        let nonce = if carriage.nonce {
            let value = headers.nonce.ok_or(Error::Missing(NONCE))?;
            Some(nonce(value.as_bytes()).ok_or(Error::Malformed(NONCE))?)
        } else {
            None
        };
        let parts = scheme.head(Sent::of_parts(head), &headers)?;
        let limit = u64::try_from(policy.body_limit_bytes).unwrap_or(u64::MAX);
        if headers
            .content_length()?
            .is_some_and(|length| length > limit)
        {
            return Err(Error::BodyTooLarge);
        }
        policy.window.admit(at(timestamp)?, now)?;
        Ok(Begun {
            verifier: self.clone(),
            head: parts,
            key_id,
            nonce,
            timestamp,
            mac,
        })
    }
}

/// A head that has the form of a signed request's and is in time; nothing of it is proved.
#[derive(Clone)]
pub struct Begun<S> {
    verifier: Verifier<S>,
    head: Head,
    key_id: KeyId,
    nonce: Option<Short>,
    timestamp: u64,
    mac: [u8; 32],
}

impl<S: Scheme> Begun<S> {
    /// Whose key the request says it was signed with, to look that key up by.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// How much of the body to read at most.
    #[must_use]
    pub fn body_limit_bytes(&self) -> usize {
        self.verifier.rules.policy.body_limit_bytes
    }

    /// Compares the signature with the key's for this head and `body`, in constant time, then looks at
    /// the time again: hand it a `now` read after the body came.
    ///
    /// `secrets` is what the look-up of [`Begun::key_id`] gave. A key that there is not costs as much as
    /// one whose signature is wrong.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::KeyUnknown`], [`Error::Signature`], [`Error::TooOld`],
    /// [`Error::Ahead`].
    pub fn verify(
        self,
        secrets: Option<&Secrets>,
        body: Bytes,
        now: Timestamp,
    ) -> Result<Unclaimed, Error> {
        let Rules {
            scheme,
            policy,
            decoy,
        } = &*self.verifier.rules;
        if body.len() > policy.body_limit_bytes {
            return Err(Error::BodyTooLarge);
        }
        let nonce = self.nonce.as_ref();
        let said = Said::new(&self.head, &self.key_id, nonce, self.timestamp, &body);
        let mac = |key: &SigningKey| key.mac(|sink| scheme.feed(&said, sink));
        let signed_by = compare(secrets, decoy, &self.mac, now, mac)?;
        let timestamp = at(self.timestamp)?;
        policy.window.admit(timestamp, now)?;
        Ok(Unclaimed {
            once: self.nonce.map_or(Once::Mac(self.mac), Once::Nonce),
            window: policy.window,
            made_at: secrets.and_then(|secrets| secrets.known_since(signed_by)),
            request: SignedRequest {
                head: self.head,
                key_id: self.key_id,
                nonce: self.nonce,
                timestamp,
                body,
                signed_by,
            },
        })
    }
}

/// The timestamp's one spelling, of at most twelve digits: until the year 33658.
fn timestamp(value: Option<&HeaderValue>) -> Result<u64, Error> {
    let value = value.ok_or(Error::Missing(TIMESTAMP))?;
    Decimal::parse(value.as_bytes(), 12).ok_or(Error::Malformed(TIMESTAMP))
}

/// The instant of a timestamp. One that no instant here is of lies ahead of all of them: taken for the
/// last one it would never be over.
pub(crate) fn at(timestamp: u64) -> Result<Timestamp, Error> {
    let instant = Timestamp::from_unix_secs(timestamp);
    let same = instant.as_unix_secs() == timestamp;
    same.then_some(instant).ok_or(Error::Ahead)
}

pub(crate) fn nonce(text: &[u8]) -> Option<Short> {
    Short::of(text, 16, b"-_")
}

impl<S: fmt::Debug> fmt::Debug for Verifier<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("scheme", &self.rules.scheme)
            .field("policy", &self.rules.policy)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Begun<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("key_id", &self.key_id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::counting;
    use crate::{CanonicalLines, Signer, TimestampBody, V1};
    use http::Request;
    use portcullis_core::Secret;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    fn key(byte: u8) -> SigningKey {
        SigningKey::new(Secret::from([vec![byte; 31], vec![0]].concat())).unwrap()
    }

    /// How many MACs `verify` makes of a request that key 1 signed, and whether it was believed.
    fn macs(scheme: impl Scheme, secrets: Option<&Secrets>) -> (usize, bool) {
        let key_id = KeyId::parse("partner-7").unwrap();
        let mut request = Request::post("https://api.example.com/a")
            .body("{}")
            .unwrap();
        let signer = Signer::new(scheme.clone(), key_id, key(1));
        signer.sign_with(&mut request, [7; 16], NOW).unwrap();
        let (head, body) = request.into_parts();
        let verifier = Verifier::new(scheme, Policy::requiring(&[])).unwrap();
        let begun = verifier.begin(&head, NOW).unwrap();
        let mut believed = false;
        let made = counting::made(|| {
            believed = begun.verify(secrets, Bytes::from(body), NOW).is_ok();
        });
        (made, believed)
    }

    #[test]
    fn an_unknown_key_costs_what_a_wrong_signature_costs_however_many_secrets_there_are() {
        let tomorrow = NOW.saturating_add(std::time::Duration::from_secs(86_400));
        let one = Secrets::new(key(2));
        let two = one.clone().and_previous(key(3), tomorrow);
        let over = one.clone().and_previous(key(1), NOW);
        let lines = CanonicalLines::new("https://api.example.com").unwrap();
        for refused in [None, Some(&one), Some(&two), Some(&over)] {
            assert_eq!(macs(V1::new("orders").unwrap(), refused), (2, false));
            assert_eq!(macs(TimestampBody::named_by_header(), refused), (2, false));
            assert_eq!(macs(lines.clone(), refused), (2, false));
        }
    }

    #[test]
    fn both_live_secrets_are_tried_whichever_signed() {
        let tomorrow = NOW.saturating_add(std::time::Duration::from_secs(86_400));
        let (v1, body) = (V1::new("orders").unwrap(), TimestampBody::named_by_header());
        for (current, previous) in [(1, 2), (2, 1), (1, 1)] {
            let secrets = Secrets::new(key(current)).and_previous(key(previous), tomorrow);
            assert_eq!(macs(v1.clone(), Some(&secrets)), (2, true));
            assert_eq!(macs(body.clone(), Some(&secrets)), (2, true));
        }
        assert_eq!(macs(v1, Some(&Secrets::new(key(1)))), (1, true));
    }

    #[test]
    fn a_body_over_the_limit_is_refused_by_what_is_said_of_it_and_by_what_it_is() {
        let scheme = TimestampBody::named_by_header;
        let policy = Policy::requiring(&[Component::Body]).body_limit_bytes(2);
        let verifier = Verifier::new(scheme(), policy.unwrap()).unwrap();
        let signer = Signer::new(scheme(), KeyId::parse("partner-7").unwrap(), key(1));
        let begin = |body: &'static str| {
            let request = Request::post("https://api.example.com/");
            let request = request.header("content-length", body.len());
            let mut request = request.body(body).unwrap();
            signer.sign(&mut request, NOW).unwrap();
            verifier.begin(&request.into_parts().0, NOW)
        };
        assert_eq!(begin("{ }").err(), Some(Error::BodyTooLarge));
        let begun = begin("{}").unwrap();
        assert_eq!(begun.body_limit_bytes(), 2);
        let secrets = Secrets::new(key(1));
        let long = begun.clone().verify(Some(&secrets), "{ }".into(), NOW);
        assert_eq!(long.err(), Some(Error::BodyTooLarge));
        assert!(begun.verify(Some(&secrets), "{}".into(), NOW).is_ok());
    }

    #[test]
    fn debug_names_the_key_and_shows_nothing_that_signs() {
        let scheme = TimestampBody::named_by_header;
        let verifier = Verifier::new(scheme(), Policy::requiring(&[])).unwrap();
        let shown = format!("{verifier:?}");
        assert!(shown.starts_with("Verifier { scheme: TimestampBody"));
        assert!(!shown.contains("decoy"));
        let mut request = Request::post("https://api.example.com/").body("").unwrap();
        let signer = Signer::new(scheme(), KeyId::parse("partner-7").unwrap(), key(1));
        signer.sign(&mut request, NOW).unwrap();
        let begun = verifier.begin(&request.into_parts().0, NOW).unwrap();
        let shown = format!("{begun:?}");
        assert!(shown.contains("partner-7") && !shown.contains("mac"));
    }

    #[test]
    fn what_the_decoy_signs_is_of_no_key() {
        let decoy = SigningKey::decoy().unwrap();
        let sent = decoy.mac(|_| ());
        let mac = |key: &SigningKey| key.mac(|_| ());
        let refused = compare(None, &decoy, &sent, NOW, mac);
        assert_eq!(refused, Err(Error::KeyUnknown));
        let secrets = Secrets::new(key(1));
        let refused = compare(Some(&secrets), &decoy, &sent, NOW, mac);
        assert_eq!(refused, Err(Error::Signature));
    }
}
