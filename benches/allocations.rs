//! How many allocations a call makes: ours and the peers', counted by an allocator that no timing passes
//! through but that of `rate_limit`, which weighs both sides' tables with it and allocates in no timed call.
//!
//! A count is of a thousand calls, once what is allocated at first use is there; two decimals stand where
//! it is no whole number. What a call is given is made beforehand; what it answers is dropped within.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench has no callers"
)]

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use portcullis_api_key::{ApiKey, ApiKeys, Environment, NewKey};
use portcullis_core::testing::FakeClock;
use portcullis_core::{Memory, Scope, Secret, Timestamp};
use portcullis_hmac_signing::{
    Component, KeyId, Scheme, Secrets, Signer as RequestSigner, SigningKey, TimestampBody, V1,
    Verifier as RequestVerifier,
};
use portcullis_ip_list::{AddressList, TrustedProxies};
use portcullis_jwt::{
    HmacKey, KeySet, NoClaims, Policy, Scratch, Security, Signer, Subject, UserClaims, Verifier,
};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_totp_mfa::testing::codes::{self, Checker};
use portcullis_tower::{AddressGate, BearerGate, LimitGate, PeerAddress, Stack};
use serde::Deserialize;
use tower::{Layer, Service};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const SECRET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "orders";
const TOTP_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const CALLS: usize = 1_000;

fn main() {
    jwt();
    rate_limit();
    hmac_signing();
    totp_mfa();
    api_key();
    gateway();
    #[cfg(feature = "peers")]
    peers::all();
}

fn count<T>(bench: &str, case: &str, who: &str, mut call: impl FnMut() -> T) {
    count_each(bench, case, who, &mut vec![(); CALLS * 2], |()| call());
}

/// The same of a call that takes what is given: the first half of it warms up.
fn count_each<I, T>(
    bench: &str,
    case: &str,
    who: &str,
    given: &mut Vec<I>,
    mut call: impl FnMut(I) -> T,
) {
    let counted = given.split_off(given.len() - CALLS);
    for one in given.drain(..) {
        black_box(call(one));
    }
    let mut counted = counted.into_iter();
    let made = allocation_counter::measure(|| {
        for one in counted.by_ref() {
            black_box(call(one));
        }
    });
    let calls = CALLS as u64;
    if made.count_total.is_multiple_of(calls) {
        println!("ALLOCS {bench} {case} {who} {}", made.count_total / calls);
    } else {
        let each = made.count_total as f64 / calls as f64;
        println!("ALLOCS {bench} {case} {who} {each:.2}");
    }
}

/// Nothing here waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn token(keys: &KeySet) -> String {
    let claims = UserClaims {
        email: "alice@example.com".into(),
        role: "admin".into(),
        client_id: "web".into(),
        security: Security {
            second_factor_verified: true,
            ip: "203.0.113.5".into(),
        },
    };
    let signer = Signer::new(keys, Policy::access(ISSUER, AUDIENCE).unwrap());
    let subject = Subject::new("42").session("u3yH0dVb");
    let signed = signer.sign_with([7; 16], &claims, subject, NOW, UserClaims::LIFE);
    signed.unwrap()
}

fn key_set() -> KeySet {
    KeySet::new(HmacKey::new("k1", Secret::from(SECRET.to_vec())).unwrap())
}

fn jwt() {
    let keys = key_set();
    let verifier = Verifier::new(&keys, Policy::access(ISSUER, AUDIENCE).unwrap());
    let token = token(&keys);
    count("jwt", "verify", "ours", || {
        verifier
            .verify::<UserClaims>(black_box(&token), NOW)
            .unwrap()
    });
    let mut scratch = Scratch::new();
    count("jwt", "verify-borrowed", "ours", || {
        let read = verifier.verify_borrowed::<Borrowed<'_>>(black_box(&token), &mut scratch, NOW);
        read.unwrap().claims().email.len()
    });
}

/// The members of [`UserClaims`], where they stand.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read, as a service would, and dropped")]
struct Borrowed<'a> {
    email: &'a str,
    role: &'a str,
    client_id: &'a str,
    #[serde(borrow)]
    security: BorrowedSecurity<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read, as a service would, and dropped")]
struct BorrowedSecurity<'a> {
    #[serde(rename = "2fa_verified")]
    second_factor_verified: bool,
    ip: &'a str,
}

fn rate_limit() {
    let quota = Quota::per_second(1_000).unwrap();
    let limiter = Limiter::new(quota, LimiterPolicy::default());
    count("rate_limit", "check", "ours", || {
        limiter.check(black_box(&[1; 8]), NOW)
    });
}

fn hmac_signing() {
    count_scheme("ts.body", TimestampBody::named_by_header());
    count_scheme("v1", V1::new("orders").unwrap());
}

fn count_scheme(name: &str, scheme: impl Scheme) {
    let key = || SigningKey::new(Secret::from(SECRET.to_vec())).unwrap();
    let signer = RequestSigner::new(scheme.clone(), KeyId::parse("partner-7").unwrap(), key());
    let policy = portcullis_hmac_signing::Policy::requiring(&[Component::Body]);
    let verifier = RequestVerifier::new(scheme, policy).unwrap();
    let secrets = Secrets::new(key());
    let body = Bytes::from_static(&[b'x'; 256]);
    let request = || {
        Request::post("https://api.example.com/v1/orders?page=2")
            .header("host", "api.example.com")
            .header("content-type", "application/json")
            .body(body.clone())
            .unwrap()
    };
    let mut signed = request();
    signer.sign_with(&mut signed, [0; 16], NOW).unwrap();
    let (head, _) = signed.into_parts();
    count("hmac_signing", &format!("verify/{name}"), "ours", || {
        let begun = verifier.begin(black_box(&head), NOW).unwrap();
        begun.verify(Some(&secrets), body.clone(), NOW).unwrap()
    });
    let mut outgoing = request();
    count("hmac_signing", &format!("sign/{name}"), "ours", || {
        signer.sign_with(black_box(&mut outgoing), [0; 16], NOW)
    });
}

fn totp_mfa() {
    let (checker, code) = (
        Checker::new(TOTP_SECRET).unwrap(),
        codes::at(TOTP_SECRET, NOW),
    );
    assert!(checker.check(&code, NOW).is_some());
    count("totp_mfa", "check", "ours", || {
        checker.check(black_box(&code), NOW)
    });
}

fn api_key() {
    let policy = portcullis_api_key::Policy::accepting(&[Environment::Live]).unwrap();
    let keys = ApiKeys::new(Memory::new(NOW), policy.dangerous_allow_volatile()).unwrap();
    let new = NewKey::new("import", Environment::Live).unwrap();
    let new = new.scope("orders:read").unwrap();
    let made = ready(keys.create("acme", new, NOW)).unwrap();
    let text = made.key.expose();
    count("api_key", "parse", "ours", || {
        ApiKey::parse(black_box(text)).unwrap()
    });
    count("api_key", "verify", "ours", || {
        ready(keys.verify(black_box(&made.key), NOW)).unwrap()
    });
}

async fn answer(_: Request<()>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(String::from("ok")))
}

/// Address, limit and token before a handler, beside that handler alone: the requests were there before.
fn gateway() {
    let keys = key_set();
    let policy = Policy::access(ISSUER, AUDIENCE).unwrap();
    let life = Duration::from_secs(3600);
    let token = Signer::new(&keys, policy.clone()).sign(&NoClaims {}, "42", NOW, life);
    let bearer = format!("Bearer {}", token.unwrap());
    let quota = Quota::per_second(4_000_000_000).unwrap();
    let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
    let address = AddressGate::new(TrustedProxies::none(), AddressList::everyone());
    let verifier = Arc::new(Verifier::new(&keys, policy));
    let mut gates = Stack::new(address)
        .limit(LimitGate::in_process(Scope::new("api"), limiter))
        .token(BearerGate::<NoClaims>::stateless(verifier))
        .layer(FakeClock::new(NOW))
        .layer(tower::service_fn(answer));
    let mut bare = tower::service_fn(answer);
    let request = || {
        let mut request = Request::new(());
        let peer = PeerAddress([192, 0, 2, 1].into());
        request.extensions_mut().insert(peer);
        let headers = request.headers_mut();
        headers.insert("authorization", bearer.parse().unwrap());
        request
    };
    let requests = || (0..CALLS * 2).map(|_| request()).collect::<Vec<_>>();
    count_each("gateway", "stack", "ours", &mut requests(), |request| {
        let response = ready(gates.call(request)).unwrap();
        assert_eq!(response.status(), 200);
        response
    });
    count_each("gateway", "stack", "bare", &mut requests(), |request| {
        ready(bare.call(request)).unwrap()
    });
}

#[cfg(feature = "peers")]
mod peers {
    use std::collections::HashSet;
    use std::num::NonZeroU32;

    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use jwt_simple::algorithms::{HS256Key, MACLike};
    use jwt_simple::common::VerificationOptions;
    use portcullis_jwt::{Security, UserClaims};
    use serde::Deserialize;
    use totp_rs::Builder;

    use super::{
        AUDIENCE, Bytes, CALLS, ISSUER, NOW, SECRET, TOTP_SECRET, black_box, codes, count,
        count_each,
    };

    /// What a service reads of a token with jsonwebtoken, which has no borrowed form.
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "read, as a service would, and dropped")]
    struct Claims {
        iss: String,
        aud: String,
        sub: String,
        iat: u64,
        exp: u64,
        jti: String,
        sid: Option<String>,
        email: String,
        role: String,
        client_id: String,
        security: Security,
    }

    pub(crate) fn all() {
        jwt();
        rate_limit();
        hmac_signing();
        totp_mfa();
    }

    fn jwt() {
        let token = super::token(&super::key_set());
        let provider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
        assert!(provider.install_default().is_ok());
        let key = DecodingKey::from_secret(&SECRET);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // The token's time is made up; the peer reads the clock of the system.
        validation.validate_exp = false;
        count("jwt", "verify", "jsonwebtoken", || {
            decode::<Claims>(black_box(&token), &key, &validation).unwrap()
        });
        let key = HS256Key::from_bytes(&SECRET);
        let options = VerificationOptions {
            allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
            allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
            required_signature_type: Some("at+jwt".to_owned()),
            artificial_time: Some(jwt_simple::prelude::Duration::from_secs(NOW.as_unix_secs())),
            ..VerificationOptions::default()
        };
        // It takes its options by value: each call has its own, made beforehand.
        let mut given = vec![options; CALLS * 2];
        count_each("jwt", "verify", "jwt-simple", &mut given, |options| {
            key.verify_token::<UserClaims>(black_box(&token), Some(options))
                .unwrap()
        });
    }

    fn rate_limit() {
        let quota = governor::Quota::per_second(NonZeroU32::new(1_000).unwrap());
        let limiter = governor::RateLimiter::keyed(quota);
        count("rate_limit", "check", "governor", || {
            limiter.check_key(black_box(&[1_u8; 8])).is_ok()
        });
    }

    fn hmac_signing() {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &SECRET);
        let body = Bytes::from_static(&[b'x'; 256]);
        let tag = ring::hmac::sign(&key, &body);
        count("hmac_signing", "verify/ts.body", "ring", || {
            ring::hmac::verify(&key, black_box(&body), tag.as_ref()).unwrap();
        });
    }

    fn totp_mfa() {
        let peer = Builder::new()
            .with_secret(*b"12345678901234567890")
            .build()
            .unwrap();
        let code = codes::at(TOTP_SECRET, NOW);
        let secs = NOW.as_unix_secs();
        assert!(peer.check(&code, secs).is_some());
        count("totp_mfa", "check", "totp-rs", || {
            peer.check(black_box(&code), secs)
        });
    }
}
