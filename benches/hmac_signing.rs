//! Signing and verifying beside those who do less, and beside one who does as much by hand.
//!
//! | Peer | What it does |
//! |---|---|
//! | `by-hand` | reads the same headers, limits the time, decodes, finds the bytes, compares in constant time; signing, it sets the same headers. What it leaves out: a header that came twice, headers that change the request, the form of host, nonce and key id, a second live secret, the second look at the time |
//! | `floor` | the MAC over bytes that lie ready: keyed once, its state copied, digits on the stack; nothing read, nothing set, no time |
//! | `ring` | the same by ring's HMAC |
//! | `concatenate` | SHA-256 over the key and then the message, as it is often written: no MAC, for whoever has one can lengthen its message |
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::cell::Cell;
use std::collections::HashSet;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use portcullis_benches::ratio;
use portcullis_core::{Memory, Secret, Timestamp};
use portcullis_hmac_signing::{
    Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Scheme, Secrets, Signer, SigningKey,
    TimestampBody, V1, Verifier,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const BIRTH: Timestamp = Timestamp::from_unix_secs(1_600_000_000);
const SECRET: [u8; 32] = *b"thirty-two bytes for this bench!";
const AUDIENCE: &str = "orders";
const SIZES: [(&str, usize); 5] = [
    ("0B", 0),
    ("256B", 256),
    ("4KiB", 4096),
    ("64KiB", 1 << 16),
    ("1MiB", 1 << 20),
];

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

fn key() -> SigningKey {
    SigningKey::new(Secret::from(SECRET.to_vec())).unwrap()
}

fn request(body: Bytes) -> http::Request<Bytes> {
    let request = http::Request::post("/v1/orders?page=2")
        .header("host", "api.example.com")
        .header("content-type", "application/json")
        .header("accept", "*/*");
    request.body(body).unwrap()
}

fn received<S: Scheme>(scheme: &S, body: &Bytes) -> (Parts, Bytes) {
    let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
    let mut request = request(body.clone());
    signer.sign_with(&mut request, [0; 16], NOW).unwrap();
    request.into_parts()
}

/// Which bytes are signed.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    TimestampBody,
    V1,
}

type Hash = fn(&[u8]) -> [u8; 32];

fn sha2(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl Form {
    /// What is signed of [`request`], in pieces that lie ready save for the body's digest.
    fn with_pieces<T>(self, body: &[u8], hash: Hash, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        match self {
            Self::TimestampBody => then(&[b"1700000000", b".", body]),
            Self::V1 => then(&[V1_BEFORE, &digits(&hash(body)), V1_AFTER]),
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::TimestampBody => "sha256=",
            Self::V1 => "v1=",
        }
    }
}

const V1_BEFORE: &[u8] = b"portcullis-hmac-v1\n6:orders\n4:POST\n15:api.example.com\n10:/v1/orders\n7:?page=2\n16:application/json\n64:";
const V1_AFTER: &[u8] = b"\n10:1700000000\n22:AAAAAAAAAAAAAAAAAAAAAA\n9:partner-7\n";

fn digits(bytes: &[u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    HEXLOWER.encode_mut(bytes, &mut digits);
    digits
}

/// 64 digits, or what no MAC is.
fn undigits(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let exact = digits.len() == 64;
    (exact && HEXLOWER.decode_mut(digits, &mut bytes).is_ok()).then_some(bytes)
}

fn mac(keyed: &Hmac<Sha256>, pieces: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

/// No MAC.
fn concatenate(pieces: &[&[u8]]) -> String {
    let mut message = SECRET.to_vec();
    for piece in pieces {
        message.extend_from_slice(piece);
    }
    HEXLOWER.encode(&Sha256::digest(&message))
}

#[cfg(feature = "peers")]
fn ring_hash(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap()
}

#[cfg(feature = "peers")]
fn ring_mac(key: &ring::hmac::Key, pieces: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::hmac::Context::with_key(key);
    for piece in pieces {
        context.update(piece);
    }
    context.sign().as_ref().try_into().unwrap()
}

/// A service without this crate, written with care.
struct ByHand {
    form: Form,
    keyed: Hmac<Sha256>,
}

impl ByHand {
    fn verify(&self, head: &Parts, body: &[u8]) -> Option<String> {
        let text = |name: &str| head.headers.get(name)?.to_str().ok();
        let sent = undigits(
            text("x-signature")?
                .strip_prefix(self.form.prefix())?
                .as_bytes(),
        )?;
        let timestamp = text("x-timestamp")?;
        let secs: u64 = timestamp.parse().ok()?;
        let now = NOW.as_unix_secs();
        if secs + 300 < now || secs > now + 5 {
            return None;
        }
        let key_id = text("x-key-id").filter(|key_id| *key_id == "partner-7")?;
        let mac = match self.form {
            Form::TimestampBody => mac(&self.keyed, &[timestamp.as_bytes(), b".", body]),
            Form::V1 => {
                let target = head.uri.path_and_query()?;
                let nonce = text("x-nonce")?;
                let said = Said {
                    method: head.method.as_str(),
                    path: target.path(),
                    query: target.query(),
                    host: text("host")?,
                    content_type: text("content-type")?,
                };
                mac(&self.keyed, &[&said.bytes(body, timestamp, nonce, key_id)])
            }
        };
        bool::from(mac.ct_eq(&sent)).then(|| key_id.to_owned())
    }

    fn sign(&self, request: &mut http::Request<Bytes>) -> Option<()> {
        let timestamp = NOW.as_unix_secs().to_string();
        let mut nonce = String::new();
        let mac = match self.form {
            Form::TimestampBody => mac(&self.keyed, &[timestamp.as_bytes(), b".", request.body()]),
            Form::V1 => {
                nonce = BASE64URL_NOPAD.encode(&[0; 16]);
                let target = request.uri().path_and_query()?;
                let text = |name: &str| request.headers().get(name)?.to_str().ok();
                let said = Said {
                    method: request.method().as_str(),
                    path: target.path(),
                    query: target.query(),
                    host: text("host")?,
                    content_type: text("content-type")?,
                };
                mac(
                    &self.keyed,
                    &[&said.bytes(request.body(), &timestamp, &nonce, "partner-7")],
                )
            }
        };
        let signature = format!("{}{}", self.form.prefix(), HEXLOWER.encode(&mac));
        let headers = request.headers_mut();
        set(headers, "x-signature", signature)?;
        set(headers, "x-timestamp", timestamp)?;
        set(headers, "x-key-id", "partner-7".to_owned())?;
        if self.form == Form::V1 {
            set(headers, "x-nonce", nonce)?;
        }
        Some(())
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: String) -> Option<()> {
    let value = HeaderValue::try_from(value).ok()?;
    headers.insert(HeaderName::from_static(name), value);
    Some(())
}

/// What v1 covers beside what is handed over.
struct Said<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    host: &'a str,
    content_type: &'a str,
}

impl Said<'_> {
    fn bytes(&self, body: &[u8], timestamp: &str, nonce: &str, key_id: &str) -> Vec<u8> {
        use std::io::Write;

        let query = self
            .query
            .map_or_else(String::new, |query| format!("?{query}"));
        let host = self.host.to_ascii_lowercase();
        let digest = HEXLOWER.encode(&Sha256::digest(body));
        let fields = [
            AUDIENCE,
            self.method,
            &host,
            self.path,
            &query,
            self.content_type,
            &digest,
            timestamp,
            nonce,
            key_id,
        ];
        let mut bytes = b"portcullis-hmac-v1\n".to_vec();
        for field in fields {
            writeln!(bytes, "{}:{field}", field.len()).unwrap();
        }
        bytes
    }
}

fn timestamp_body(criterion: &mut Criterion) {
    let scheme = TimestampBody::named_by_header();
    both_ways(criterion, "ts.body", &scheme, Form::TimestampBody);
}

fn v1(criterion: &mut Criterion) {
    both_ways(criterion, "v1", &V1::new(AUDIENCE).unwrap(), Form::V1);
}

fn both_ways<S: Scheme>(criterion: &mut Criterion, name: &str, scheme: &S, form: Form) {
    let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(&[Component::Body])).unwrap();
    let secrets = Secrets::new(key());
    for (size, len) in SIZES {
        let body = Bytes::from(vec![b'x'; len]);
        let (head, _) = received(scheme, &body);

        let mut outgoing = request(body.clone());
        let case = format!("sign/{name}/{size}");
        let mut sign = || signer.sign_with(black_box(&mut outgoing), [0; 16], NOW);
        criterion.bench_function(&format!("hmac_signing/{case}"), |b| b.iter(&mut sign));
        sign_beside(&case, form, (&head, &body), sign);

        let verify = || {
            let begun = verifier.begin(black_box(&head), NOW).unwrap();
            begun.verify(Some(&secrets), body.clone(), NOW).unwrap()
        };
        let case = format!("verify/{name}/{size}");
        criterion.bench_function(&format!("hmac_signing/{case}"), |b| b.iter(verify));
        verify_beside(&case, form, (&head, &body), verify);
    }
}

fn sign_beside<T>(
    case: &str,
    form: Form,
    (head, body): (&Parts, &Bytes),
    mut sign: impl FnMut() -> T,
) {
    let keyed = Hmac::new_from_slice(&SECRET).unwrap();
    ratio("hmac_signing", case, "floor", &mut sign, || {
        digits(&form.with_pieces(black_box(body), sha2, |pieces| mac(&keyed, pieces)))
    });
    let by_hand = ByHand { form, keyed };
    let mut outgoing = request(body.clone());
    by_hand.sign(&mut outgoing).unwrap();
    assert_eq!(*outgoing.headers(), head.headers);
    ratio("hmac_signing", case, "by-hand", &mut sign, || {
        by_hand.sign(black_box(&mut outgoing)).unwrap();
    });
    ratio("hmac_signing", case, "concatenate", &mut sign, || {
        form.with_pieces(black_box(body), sha2, concatenate)
    });
    #[cfg(feature = "peers")]
    {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &SECRET);
        ratio("hmac_signing", case, "ring", &mut sign, || {
            digits(&form.with_pieces(black_box(body), ring_hash, |pieces| ring_mac(&key, pieces)))
        });
    }
}

fn verify_beside<T>(
    case: &str,
    form: Form,
    (head, body): (&Parts, &Bytes),
    mut verify: impl FnMut() -> T,
) {
    let keyed = Hmac::new_from_slice(&SECRET).unwrap();
    let sent = &head.headers["x-signature"].as_bytes()[form.prefix().len()..];
    let floor = || {
        let sent = undigits(black_box(sent)).unwrap();
        let mac = form.with_pieces(black_box(body), sha2, |pieces| mac(&keyed, pieces));
        bool::from(mac.ct_eq(&sent))
    };
    assert!(floor());
    ratio("hmac_signing", case, "floor", &mut verify, floor);

    let by_hand = ByHand {
        form,
        keyed: keyed.clone(),
    };
    assert!(by_hand.verify(head, body).is_some());
    assert!(by_hand.verify(head, b"another body").is_none());
    ratio("hmac_signing", case, "by-hand", &mut verify, || {
        by_hand.verify(black_box(head), body).unwrap()
    });

    let sent_text = form.with_pieces(body, sha2, concatenate);
    ratio("hmac_signing", case, "concatenate", &mut verify, || {
        form.with_pieces(black_box(body), sha2, concatenate) == sent_text
    });
    #[cfg(feature = "peers")]
    {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &SECRET);
        let ring = || {
            let sent = undigits(black_box(sent)).unwrap();
            let mac = form.with_pieces(black_box(body), ring_hash, |pieces| ring_mac(&key, pieces));
            bool::from(mac.ct_eq(&sent))
        };
        assert!(ring());
        ratio("hmac_signing", case, "ring", &mut verify, ring);
    }
}

/// A request that is verified and claimed, each with a body of its own, in a store that forgets in time.
fn claim(criterion: &mut Criterion) {
    let secrets = Secrets::new(key());
    let verifier = Verifier::new(
        V1::new(AUDIENCE).unwrap(),
        Policy::requiring(Component::ALL),
    );
    let verifier = verifier.unwrap();
    let guard = ReplayGuard::new(Memory::new(BIRTH), ReplayPolicy::default());
    let (head, body) = received(
        &V1::new(AUDIENCE).unwrap(),
        &Bytes::from_static(&[b'x'; 256]),
    );
    let verify = || {
        let begun = verifier.begin(black_box(&head), NOW).unwrap();
        begun.verify(Some(&secrets), body.clone(), NOW).unwrap()
    };
    assert!(ready(verify().claim(&guard, NOW)).is_ok());
    // The first is taken; those that follow are replays, which cost one update more than a first one.
    let replay = || ready(verify().claim(&guard, NOW)).is_err();
    assert!(replay());
    criterion.bench_function("hmac_signing/replay/v1/256B", |b| b.iter(replay));
    let by_hand = ByHand {
        form: Form::V1,
        keyed: Hmac::new_from_slice(&SECRET).unwrap(),
    };
    // Nothing is ever forgotten there, nothing counted by key, and a restart forgets all.
    let seen = Mutex::new(HashSet::new());
    ratio("hmac_signing", "replay/v1/256B", "by-hand", replay, || {
        let key_id = by_hand.verify(black_box(&head), &body).unwrap();
        let nonce = head.headers["x-nonce"].as_bytes().to_vec();
        !seen.lock().unwrap().insert((key_id, nonce))
    });

    // First ones, each made beforehand: what is left is the store's part.
    let scheme = TimestampBody::named_by_header();
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(&[Component::Body])).unwrap();
    let number = Cell::new(0_u64);
    criterion.bench_function("hmac_signing/claim/ts.body/8", |b| {
        b.iter_batched(
            || {
                number.set(number.get() + 1);
                let now = NOW.saturating_add(Duration::from_secs(number.get() / 10));
                let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
                let body = Bytes::copy_from_slice(&number.get().to_le_bytes());
                let mut request = request(body.clone());
                signer.sign_with(&mut request, [0; 16], now).unwrap();
                let begun = verifier.begin(&request.into_parts().0, now).unwrap();
                (begun.verify(Some(&secrets), body, now).unwrap(), now)
            },
            |(unclaimed, now)| ready(unclaimed.claim(&guard, now)).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, timestamp_body, v1, claim);
criterion_main!(benches);
