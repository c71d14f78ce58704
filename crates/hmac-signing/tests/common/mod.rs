//! What the tests share: the three schemes behind one face, and requests to sign.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use portcullis_core::{Memory, Secret, Store, Timestamp};
use portcullis_hmac_signing::{
    CanonicalLines, Component, Error, KeyId, Policy, ReplayGuard, ReplayPolicy, Scheme, Secrets,
    SignedRequest, Signer, SigningKey, TimestampBody, Unclaimed, V1, Verifier,
};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
/// When stores here begin: long before.
pub(crate) const BIRTH: Timestamp = Timestamp::from_unix_secs(1_600_000_000);

pub(crate) type Sent = Request<Vec<u8>>;

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn later(by: u64) -> Timestamp {
    NOW.saturating_add(secs(by))
}

pub(crate) fn earlier(by: u64) -> Timestamp {
    NOW.saturating_sub(secs(by))
}

/// 32 bytes that follow one another from `first` on.
pub(crate) fn key(first: u8) -> SigningKey {
    let bytes: Vec<u8> = (0..32).map(|at| first.wrapping_add(at)).collect();
    SigningKey::new(Secret::from(bytes)).unwrap()
}

pub(crate) fn secrets() -> Secrets {
    Secrets::new(key(1))
}

pub(crate) fn partner() -> KeyId {
    KeyId::parse("partner-7").unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy::requiring(&[Component::Body])
}

pub(crate) fn v1() -> V1 {
    V1::new("orders").unwrap()
}

pub(crate) fn lines() -> CanonicalLines {
    CanonicalLines::new("https://api.example.com").unwrap()
}

/// A request as a server receives it.
pub(crate) fn request(method: &str, target: &str, body: &[u8]) -> Sent {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "api.example.com")
        .header("content-type", "application/json")
        .header("accept", "*/*");
    request.body(body.to_vec()).unwrap()
}

pub(crate) fn order() -> Sent {
    request("POST", "/v1/orders?page=2&page=3", br#"{"item":7}"#)
}

pub(crate) fn set(request: &mut Sent, name: &'static str, value: &[u8]) {
    let value = HeaderValue::from_bytes(value).unwrap();
    let headers = request.headers_mut();
    headers.insert(HeaderName::from_static(name), value);
}

pub(crate) fn add(request: &mut Sent, name: &'static str, value: &[u8]) {
    let value = HeaderValue::from_bytes(value).unwrap();
    let headers = request.headers_mut();
    headers.append(HeaderName::from_static(name), value);
}

pub(crate) fn get(request: &Sent, name: &str) -> String {
    let value = request.headers().get(name).unwrap();
    value.to_str().unwrap().to_owned()
}

type Sign = dyn Fn(&mut Sent, &SigningKey, [u8; 16], Timestamp) -> Result<(), Error> + Send + Sync;
type Check =
    dyn Fn(&Sent, Option<&Secrets>, [Timestamp; 2]) -> Result<Unclaimed, Error> + Send + Sync;

/// A scheme, whichever it is.
pub(crate) struct Any {
    pub(crate) name: &'static str,
    pub(crate) key_header: &'static str,
    sign: Box<Sign>,
    check: Box<Check>,
}

impl Any {
    pub(crate) fn new<S: Scheme>(
        name: &'static str,
        key_header: &'static str,
        scheme: S,
        policy: Policy,
    ) -> Self {
        let verifier = Verifier::new(scheme.clone(), policy).unwrap();
        let sign = move |request: &mut Sent, key: &SigningKey, nonce, now| {
            let signer = Signer::new(scheme.clone(), partner(), key.clone());
            signer.sign_with(request, nonce, now)
        };
        let check = move |sent: &Sent, secrets: Option<&Secrets>, [begun, ended]: [_; 2]| {
            let (head, body) = sent.clone().into_parts();
            let begun = verifier.begin(&head, begun)?;
            begun.verify(secrets, Bytes::from(body), ended)
        };
        Self {
            name,
            key_header,
            sign: Box::new(sign),
            check: Box::new(check),
        }
    }

    /// The request, signed now by the current secret.
    pub(crate) fn signed(&self, request: Sent) -> Sent {
        self.signed_at(request, NOW)
    }

    pub(crate) fn signed_at(&self, request: Sent, now: Timestamp) -> Sent {
        self.signed_with(request, &key(1), *b"a nonce of ours!", now)
    }

    pub(crate) fn signed_with(
        &self,
        mut request: Sent,
        key: &SigningKey,
        nonce: [u8; 16],
        now: Timestamp,
    ) -> Sent {
        (self.sign)(&mut request, key, nonce, now).unwrap();
        request
    }

    /// Why the request cannot be signed.
    pub(crate) fn unsigned(&self, mut request: Sent) -> Option<Error> {
        (self.sign)(&mut request, &key(1), [0; 16], NOW).err()
    }

    pub(crate) fn check(&self, sent: &Sent) -> Result<Unclaimed, Error> {
        self.check_at(sent, NOW)
    }

    pub(crate) fn check_at(&self, sent: &Sent, now: Timestamp) -> Result<Unclaimed, Error> {
        self.check_with(sent, Some(&secrets()), [now; 2])
    }

    /// Begun at the first instant and verified at the second.
    pub(crate) fn check_with(
        &self,
        sent: &Sent,
        secrets: Option<&Secrets>,
        at: [Timestamp; 2],
    ) -> Result<Unclaimed, Error> {
        (self.check)(sent, secrets, at)
    }

    /// Why the request is not believed; nothing if it is.
    pub(crate) fn refusal(&self, sent: &Sent) -> Option<Error> {
        self.check(sent).err()
    }

    pub(crate) async fn claim<St: Store>(
        &self,
        sent: &Sent,
        guard: &ReplayGuard<St>,
        now: Timestamp,
    ) -> Result<SignedRequest, Error> {
        self.check_at(sent, now)?.claim(guard, now).await
    }
}

pub(crate) fn any_v1() -> Any {
    let [v1, _, _] = all();
    v1
}

pub(crate) fn any_body() -> Any {
    let [_, body, _] = all();
    body
}

pub(crate) fn any_lines() -> Any {
    let [_, _, lines] = all();
    lines
}

pub(crate) fn all() -> [Any; 3] {
    all_under(policy())
}

/// All three, each under that policy.
pub(crate) fn all_under(policy: Policy) -> [Any; 3] {
    let body = TimestampBody::named_by_header();
    [
        Any::new("v1", "x-key-id", v1(), policy),
        Any::new("timestamp and body", "x-key-id", body, policy),
        Any::new("canonical lines", "x-api-key", lines(), policy),
    ]
}

pub(crate) fn guard() -> ReplayGuard<Memory> {
    ReplayGuard::new(Memory::new(BIRTH), ReplayPolicy::default())
}

/// Numbers that follow from their seed: fast, and the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}
