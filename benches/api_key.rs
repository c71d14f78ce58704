//! A key's text read beside base32 and CRC-32 by hand, and a key verified in memory beside one SHA-256, one
//! comparison and one update of the same store by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::BASE32_NOPAD_NOCASE;
use portcullis_api_key::{ApiKey, ApiKeys, Environment, NewKey, Policy};
use portcullis_benches::ratio;
use portcullis_core::{Key, Memory, Next, Scope, Store, Timestamp, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const FLOOR: Scope = Scope::new("floor");

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

/// The bytes of a key's secret: no checksum, no case, no environment, no copy of the text.
fn floor_parse(text: &str) -> [u8; 32] {
    let mut secret = [0; 32];
    BASE32_NOPAD_NOCASE
        .decode_mut(&text.as_bytes()[33..85], &mut secret)
        .unwrap();
    secret
}

/// A digest under a key: no row to decode, no owner, no time.
fn floor_store(id: &[u8], secret: &[u8; 32]) -> Memory {
    let (store, digest) = (Memory::new(NOW), Value::new(&Sha256::digest(secret)));
    let put = move |_: Option<&[u8]>| {
        let value = digest.clone();
        let expires_at = Timestamp::MAX;
        ((), Next::Put { value, expires_at })
    };
    ready(store.update(Key::new(FLOOR, id), NOW, put)).unwrap();
    store
}

fn floor_verify(store: &Memory, id: &[u8], secret: &[u8; 32]) -> bool {
    let shown = Sha256::digest(secret);
    let step = move |current: Option<&[u8]>| {
        let right = current.is_some_and(|kept| kept.ct_eq(&shown).into());
        (right, Next::Keep)
    };
    ready(store.update(Key::new(FLOOR, id), NOW, step)).unwrap()
}

fn api_key(criterion: &mut Criterion) {
    let policy = Policy::accepting(&[Environment::Live]).unwrap();
    let keys = ApiKeys::new(Memory::new(NOW), policy.dangerous_allow_volatile()).unwrap();
    let new = NewKey::new("import", Environment::Live).unwrap();
    let new = new.scope("orders:read").unwrap();
    let made = ready(keys.create("acme", new, NOW)).unwrap();
    let text = made.key.expose();
    let (id, secret) = (*made.info.id.as_bytes(), floor_parse(text));

    criterion.bench_function("api_key/parse", |b| {
        b.iter(|| ApiKey::parse(black_box(text)));
    });
    ratio(
        "api_key",
        "parse",
        "floor",
        || ApiKey::parse(black_box(text)).is_ok(),
        || floor_parse(black_box(text)),
    );

    // The first use is noted; those within its minute write nothing.
    let store = floor_store(&id, &secret);
    assert!(ready(keys.verify(&made.key, NOW)).is_ok());
    assert!(floor_verify(&store, &id, &secret));
    criterion.bench_function("api_key/verify", |b| {
        b.iter(|| ready(keys.verify(black_box(&made.key), NOW)));
    });
    ratio(
        "api_key",
        "verify",
        "floor",
        || ready(keys.verify(black_box(&made.key), NOW)).is_ok(),
        || floor_verify(&store, black_box(&id), black_box(&secret)),
    );
    // The whole of a request's check: its text read and its key verified.
    ratio(
        "api_key",
        "parse_and_verify",
        "floor",
        || {
            let key = ApiKey::parse(black_box(text)).unwrap();
            ready(keys.verify(&key, NOW)).is_ok()
        },
        || floor_verify(&store, black_box(&id), &floor_parse(black_box(text))),
    );
}

criterion_group!(benches, api_key);
criterion_main!(benches);
