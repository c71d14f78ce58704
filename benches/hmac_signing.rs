//! Signing and verifying beside a keyed HMAC by hand, which copies its state and writes the digits on the
//! stack, and beside the common way: concatenate, key, hash, format.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::cell::Cell;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
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
const SIZES: [(&str, usize); 4] = [("0", 0), ("256", 256), ("4096", 4096), ("1MiB", 1 << 20)];

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

/// The same bytes as `ts.body` by hand: nothing parsed, nothing set, no time and no policy.
struct Floor(Hmac<Sha256>);

impl Floor {
    fn mac(&self, pieces: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for piece in pieces {
            mac.update(piece);
        }
        mac.finalize().into_bytes().into()
    }

    fn sign(&self, pieces: &[&[u8]]) -> [u8; 64] {
        let mut digits = [0; 64];
        HEXLOWER.encode_mut(&self.mac(pieces), &mut digits);
        digits
    }

    fn verify(&self, digits: &[u8], pieces: &[&[u8]]) -> bool {
        let mut sent = [0; 32];
        HEXLOWER.decode_mut(digits, &mut sent).is_ok() && bool::from(self.mac(pieces).ct_eq(&sent))
    }
}

/// What is in most handlers.
fn concatenate(pieces: &[&[u8]]) -> String {
    let message = pieces.concat();
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(&message);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// What v1 signs of `request`, with the digest reckoned anew: one buffer, no fields.
fn v1_by_hand(floor: &Floor, body: &[u8]) -> [u8; 32] {
    let mut digest = [0; 64];
    HEXLOWER.encode_mut(&Sha256::digest(body), &mut digest);
    floor.mac(&[V1_BEFORE, &digest, V1_AFTER])
}

const V1_BEFORE: &[u8] = b"portcullis-hmac-v1\n6:orders\n4:POST\n15:api.example.com\n10:/v1/orders\n7:?page=2\n16:application/json\n64:";
const V1_AFTER: &[u8] = b"\n10:1700000000\n22:AAAAAAAAAAAAAAAAAAAAAA\n9:partner-7\n";

fn received<S: Scheme>(scheme: &S, body: &Bytes) -> (Parts, Bytes) {
    let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
    let mut request = request(body.clone());
    signer.sign_with(&mut request, [0; 16], NOW).unwrap();
    request.into_parts()
}

fn timestamp_body(criterion: &mut Criterion) {
    let (scheme, floor) = (
        TimestampBody::named_by_header(),
        Floor(Hmac::new_from_slice(&SECRET).unwrap()),
    );
    let secrets = Secrets::new(key());
    let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(&[Component::Body])).unwrap();
    for (size, len) in SIZES {
        let body = Bytes::from(vec![b'x'; len]);
        let pieces: [&[u8]; 3] = [b"1700000000", b".", &body];
        let (head, _) = received(&scheme, &body);
        let digits = head.headers["x-signature"].as_bytes()[7..].to_vec();
        assert_eq!(digits, floor.sign(&pieces));
        assert_eq!(digits, concatenate(&pieces).as_bytes());

        let mut outgoing = request(body.clone());
        let mut sign = || signer.sign_with(black_box(&mut outgoing), [0; 16], NOW);
        let case = format!("sign/ts.body/{size}");
        criterion.bench_function(&format!("hmac_signing/{case}"), |b| b.iter(&mut sign));
        ratio("hmac_signing", &case, "floor", &mut sign, || {
            floor.sign(black_box(&pieces))
        });
        ratio("hmac_signing", &case, "concatenate", &mut sign, || {
            concatenate(black_box(&pieces))
        });

        let verify = || {
            let begun = verifier.begin(black_box(&head), NOW).unwrap();
            begun.verify(Some(&secrets), body.clone(), NOW).unwrap()
        };
        let case = format!("verify/ts.body/{size}");
        criterion.bench_function(&format!("hmac_signing/{case}"), |b| b.iter(verify));
        ratio("hmac_signing", &case, "floor", verify, || {
            floor.verify(black_box(&digits), &pieces)
        });
        ratio("hmac_signing", &case, "concatenate", verify, || {
            concatenate(black_box(&pieces)).as_bytes() == digits
        });
    }
}

fn v1(criterion: &mut Criterion) {
    let (scheme, floor) = (
        V1::new("orders").unwrap(),
        Floor(Hmac::new_from_slice(&SECRET).unwrap()),
    );
    let secrets = Secrets::new(key());
    let signer = Signer::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
    let verifier = Verifier::new(scheme.clone(), Policy::requiring(Component::ALL)).unwrap();
    for (size, len) in SIZES {
        let body = Bytes::from(vec![b'x'; len]);
        let (head, _) = received(&scheme, &body);
        let digits = head.headers["x-signature"].as_bytes()[3..].to_vec();
        assert_eq!(HEXLOWER.decode(&digits).unwrap(), v1_by_hand(&floor, &body));

        let mut outgoing = request(body.clone());
        let mut sign = || signer.sign_with(black_box(&mut outgoing), [0; 16], NOW);
        let case = format!("sign/v1/{size}");
        criterion.bench_function(&format!("hmac_signing/{case}"), |b| b.iter(&mut sign));
        ratio("hmac_signing", &case, "floor", &mut sign, || {
            v1_by_hand(&floor, black_box(&body))
        });

        let verify = || {
            let begun = verifier.begin(black_box(&head), NOW).unwrap();
            begun.verify(Some(&secrets), body.clone(), NOW).unwrap()
        };
        let case = format!("verify/v1/{size}");
        criterion.bench_function(&format!("hmac_signing/{case}"), |b| b.iter(verify));
        ratio("hmac_signing", &case, "floor", verify, || {
            v1_by_hand(&floor, black_box(&body))
        });
    }
}

/// A request that is verified and claimed, each with a body of its own, in a store that forgets in time.
fn claim(criterion: &mut Criterion) {
    let secrets = Secrets::new(key());
    let verifier = Verifier::new(
        V1::new("orders").unwrap(),
        Policy::requiring(Component::ALL),
    );
    let verifier = verifier.unwrap();
    let guard = ReplayGuard::new(Memory::new(BIRTH), ReplayPolicy::default());
    let (head, body) = received(
        &V1::new("orders").unwrap(),
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
    criterion.bench_function("hmac_signing/replay/v1/256", |b| b.iter(replay));
    ratio("hmac_signing", "replay/v1/256", "verify", replay, verify);

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
