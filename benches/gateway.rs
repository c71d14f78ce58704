//! A handler behind the whole stack of gates, beside the bare handler.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench has no callers")]

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use portcullis_benches::ratio;
use portcullis_core::testing::FakeClock;
use portcullis_core::{Scope, Secret, Timestamp};
use portcullis_ip_list::{AddressList, TrustedProxies};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy, Signer, Verifier};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_tower::{AddressGate, BearerGate, LimitGate, PeerAddress, Stack};
use tower::{Layer, Service};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

async fn answer(_: Request<()>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(String::from("ok")))
}

/// Nothing here waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("no gate in this stack waits"),
    }
}

fn request(token: &str) -> Request<()> {
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(PeerAddress([192, 0, 2, 1].into()));
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn gateway(criterion: &mut Criterion) {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let signer = Signer::new(&keys, policy.clone());
    let token = signer
        .sign(&NoClaims {}, "42", NOW, Duration::from_secs(3600))
        .unwrap();
    let quota = Quota::per_second(4_000_000_000).unwrap();
    let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
    let mut gates = Stack::new(AddressGate::new(
        TrustedProxies::none(),
        AddressList::everyone(),
    ))
    .limit(LimitGate::in_process(Scope::new("api"), limiter))
    .token(BearerGate::<NoClaims>::stateless(Arc::new(Verifier::new(
        &keys, policy,
    ))))
    .layer(FakeClock::new(NOW))
    .layer(tower::service_fn(answer));
    let mut bare = tower::service_fn(answer);

    criterion.bench_function("gateway/all_gates", |b| {
        b.iter(|| black_box(ready(gates.call(request(&token)))).unwrap());
    });
    ratio(
        "gateway",
        "all_gates",
        "bare",
        || ready(gates.call(request(&token))).unwrap(),
        || ready(bare.call(request(&token))).unwrap(),
    );
}

criterion_group!(benches, gateway);
criterion_main!(benches);
