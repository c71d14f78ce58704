//! Each feature of the facade does one real thing, and refuses one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "tests, of which each feature has its own"
)]

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use portcullis::core::{Memory, Secret, Timestamp};

#[cfg(feature = "tower")]
#[path = "smoke/layers.rs"]
mod layers;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#[path = "smoke/rsa.rs"]
mod rsa;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// Without a runtime: what needs one must say so itself.
fn now_or_soon<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn secret() -> Secret {
    Secret::from((0..32).collect::<Vec<u8>>())
}

#[test]
fn every_feature_of_the_facade_is_one_here() {
    let features = |manifest: &'static str| {
        let (_, from) = manifest.split_once("\n[features]\n").unwrap();
        let (section, _) = from.split_once("\n[").unwrap();
        let names = section.lines().filter_map(|line| line.split_once(" = ["));
        let names = names.map(|(name, _)| name);
        names
            .filter(|name| *name != "full")
            .collect::<BTreeSet<_>>()
    };
    let facade = features(include_str!("../../../crates/portcullis/Cargo.toml"));
    assert!(facade.contains("default") && facade.contains("jwt"));
    assert_eq!(features(include_str!("../Cargo.toml")), facade);
}

#[test]
fn core_consumes_a_token_once() {
    use portcullis::core::{Key, Next, Scope, Store, Value};

    let store = Memory::new(NOW);
    let consume = || {
        let step = |current: Option<&[u8]>| match current {
            Some(_) => (false, Next::Keep),
            None => {
                let value = Value::new(&[1]);
                let expires_at = Timestamp::MAX;
                (true, Next::Put { value, expires_at })
            }
        };
        now_or_soon(store.update(Key::new(Scope::new("smoke"), b"token"), NOW, step)).unwrap()
    };
    assert!(consume());
    assert!(!consume());
}

#[cfg(feature = "api-key")]
#[test]
fn an_api_key_is_its_owners_until_it_is_revoked() {
    use portcullis::api_key::{ApiKeys, Environment, Error, NewKey, Policy};

    let policy = Policy::accepting(&[Environment::Live]).unwrap();
    let keys = ApiKeys::new(Memory::new(NOW), policy.dangerous_allow_volatile()).unwrap();
    let new = NewKey::new("order import", Environment::Live).unwrap();
    let made = now_or_soon(keys.create("acme", new, NOW)).unwrap();
    let proof = now_or_soon(keys.verify(&made.key, NOW)).unwrap();
    assert_eq!(proof.owner(), "acme");
    now_or_soon(keys.revoke("acme", made.info.id, NOW)).unwrap();
    let refused = now_or_soon(keys.verify(&made.key, NOW));
    assert_eq!(refused.err(), Some(Error::Revoked));
}

#[cfg(feature = "audit")]
#[test]
fn an_audit_log_that_was_changed_is_found_out() {
    use portcullis::audit::{Action, Event, Log, LogPolicy, Sink, verify};

    let folder = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(folder.path(), &secret(), LogPolicy::default(), NOW).unwrap();
    for user in ["alice", "bob"] {
        now_or_soon(log.record(Event::new(Action::Login, NOW).user(user))).unwrap();
    }
    drop(log);
    assert_eq!(verify(folder.path(), &secret()).unwrap().records, 2);
    let mut changed = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(5).position(|window| window == b"alice") {
            bytes[at] = b'A';
            std::fs::write(&path, bytes).unwrap();
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    assert!(verify(folder.path(), &secret()).is_err());
}

#[cfg(feature = "hmac-signing")]
#[test]
fn a_signed_request_is_taken_once_and_a_changed_one_never() {
    use bytes::Bytes;
    use portcullis::hmac_signing::{
        Component, Error, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, Signer, SigningKey,
        V1, Verifier,
    };

    let (key, scheme) = (
        SigningKey::new(secret()).unwrap(),
        V1::new("orders").unwrap(),
    );
    let request = http::Request::post("https://api.example.com/v1/orders");
    let mut request = request.body("{}").unwrap();
    let partner = KeyId::parse("partner-7").unwrap();
    Signer::new(scheme.clone(), partner, key.clone())
        .sign(&mut request, NOW)
        .unwrap();
    let verifier = Verifier::new(scheme, Policy::requiring(Component::ALL)).unwrap();
    let guard = ReplayGuard::new(Memory::new(NOW), ReplayPolicy::default());
    let secrets = Secrets::new(key).made_at(NOW);
    let (head, _) = request.into_parts();
    let verify = |body: &'static str| {
        let begun = verifier.begin(&head, NOW).unwrap();
        begun.verify(Some(&secrets), Bytes::from(body), NOW)
    };
    assert_eq!(verify("{ }").err(), Some(Error::Signature));
    assert!(now_or_soon(verify("{}").unwrap().claim(&guard, NOW)).is_ok());
    let again = now_or_soon(verify("{}").unwrap().claim(&guard, NOW));
    assert_eq!(again.err(), Some(Error::Replayed));
}

#[cfg(feature = "ip-list")]
#[test]
fn an_address_off_the_list_is_refused_whatever_it_says_of_itself() {
    use portcullis::ip_list::{AddressList, Header, TrustedProxies, Verdict};

    let proxies = TrustedProxies::new(["10.0.0.0/24"], Header::XForwardedFor).unwrap();
    let lines: [&[u8]; 1] = [b"203.0.113.9, 198.51.100.1"];
    let client = proxies.client_address("10.0.0.5".parse().unwrap(), lines);
    let list = AddressList::only(["203.0.113.0/24"]).unwrap();
    assert_eq!(list.check(client.unwrap().ip()), Verdict::Refused);
    let listed = "203.0.113.9".parse().unwrap();
    assert_eq!(list.check(listed), Verdict::Admitted);
}

#[cfg(feature = "jwt")]
#[test]
fn a_token_is_verified_and_one_of_another_key_is_not() {
    use portcullis::jwt::{HmacKey, KeySet, Policy, Signer, Verifier};
    use std::time::Duration;

    type Claims = serde_json::Map<String, serde_json::Value>;
    let keys = |secret| KeySet::new(HmacKey::new("2026-11", secret).unwrap());
    let policy = Policy::access("https://login.example", "orders").unwrap();
    let verifier = Verifier::new(&keys(secret()), policy.clone());
    let sign = |keys: &KeySet| {
        let signer = Signer::new(keys, policy.clone());
        let token = signer.sign(&Claims::new(), "42", NOW, Duration::from_secs(60));
        token.unwrap()
    };
    let access = verifier.verify::<Claims>(&sign(&keys(secret())), NOW);
    assert_eq!(access.unwrap().registered().sub, "42");
    let forged = sign(&keys(Secret::generate::<32>().unwrap()));
    assert!(verifier.verify::<Claims>(&forged, NOW).is_err());
}

#[cfg(feature = "lockout")]
#[test]
fn the_fifth_failure_locks() {
    use portcullis::lockout::{AccountName, Lockout, LockoutPolicy, Outcome, Reserved, Settled};

    let lockout = Lockout::new(Memory::new(NOW), LockoutPolicy::default());
    let alice = AccountName::parse("alice").unwrap();
    for _ in 0..5 {
        let reserved = now_or_soon(lockout.reserve(&alice, NOW)).unwrap();
        let Reserved::Granted(reservation) = reserved else {
            panic!("locked too soon");
        };
        let settled = now_or_soon(lockout.settle(reservation, Outcome::Failure, NOW));
        assert_ne!(settled.unwrap(), Settled::Cleared);
    }
    let sixth = now_or_soon(lockout.reserve(&alice, NOW)).unwrap();
    assert!(matches!(sixth, Reserved::Locked { .. }));
}

#[cfg(feature = "rate-limit")]
#[test]
fn the_eleventh_login_within_a_minute_is_refused() {
    use portcullis::rate_limit::{EndpointClass, Limiter, LimiterPolicy};

    let quota = EndpointClass::Authentication.quota();
    let logins = Limiter::new(quota, LimiterPolicy::default());
    let admitted = (0..11).map(|_| logins.check(b"192.0.2.7", NOW).is_admitted());
    assert_eq!(
        admitted.collect::<Vec<_>>(),
        [[true; 10].as_slice(), &[false]].concat()
    );
}

#[cfg(feature = "session")]
#[test]
fn a_refresh_token_used_before_ends_its_session() {
    use portcullis::session::{Error, Factor, Method, SessionPolicy, Sessions};
    use std::time::Duration;

    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let sessions = Sessions::new(Memory::new(NOW), secret(), policy).unwrap();
    let shown = [Factor::new(Method::Password, NOW)];
    let first = now_or_soon(sessions.start("42", &shown, NOW)).unwrap();
    let first = first.refresh_token;
    let second = now_or_soon(sessions.refresh(first.expose(), NOW)).unwrap();
    let later = NOW.saturating_add(Duration::from_secs(3600));
    let replayed = now_or_soon(sessions.refresh(first.expose(), later));
    assert!(matches!(replayed, Err(Error::Reused { .. })));
    let family = now_or_soon(sessions.refresh(second.refresh_token.expose(), later));
    assert!(family.is_err());
}

#[cfg(feature = "sign-in")]
#[test]
fn a_password_is_hashed_and_another_one_is_not_it() {
    use portcullis::sign_in::{Argon2Pool, Hasher};

    let password = |text: &str| Secret::from(text.as_bytes());
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let pool = Argon2Pool::new(1, 64, 1).unwrap();
        let hash = pool.hash(password("correct horse battery staple")).await;
        let hash = hash.unwrap();
        let verify = |text| pool.verify(hash.clone(), password(text));
        assert_eq!(verify("correct horse battery staple").await, Ok(true));
        assert_eq!(verify("Tr0ub4dor&3").await, Ok(false));
    });
}

#[cfg(feature = "store-sqlite")]
#[test]
fn what_the_file_was_told_is_there_when_it_is_opened_again() {
    use portcullis::core::{Key, Next, Scope, Store, Value};
    use portcullis::store_sqlite::Sqlite;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let key = |who: &[u8]| Key::new(Scope::new("smoke"), who);
    let store = Sqlite::open(&path, NOW).unwrap();
    let put = |_: Option<&[u8]>| {
        let value = Value::new(b"1");
        let expires_at = Timestamp::MAX;
        ((), Next::Put { value, expires_at })
    };
    now_or_soon(store.update(key(b"alice"), NOW, put)).unwrap();
    now_or_soon(store.close());
    let store = Sqlite::open(&path, NOW).unwrap();
    let held = |who| {
        let step = |held: Option<&[u8]>| (held.map(<[u8]>::to_vec), Next::Keep);
        now_or_soon(store.update(key(who), NOW, step)).unwrap()
    };
    assert_eq!(held(b"alice").as_deref(), Some(&b"1"[..]));
    assert_eq!(held(b"bob"), None);
}

#[cfg(feature = "totp-mfa")]
#[test]
fn a_code_is_taken_once() {
    use portcullis::core::Sealer;
    use portcullis::totp_mfa::{Code, Error, MfaPolicy, SecondFactors};
    use std::time::Duration;

    let policy = MfaPolicy::new("Example")
        .unwrap()
        .dangerous_allow_volatile();
    let (store, sealer) = (Memory::new(NOW), Sealer::new(1, &secret()).unwrap());
    let factors = SecondFactors::new(sealer, &secret(), policy).unwrap();
    let enrolment = now_or_soon(factors.enrol(&store, "42", "alice", NOW)).unwrap();
    let seed = data_encoding::BASE32_NOPAD.decode(enrolment.secret().as_bytes());
    let authenticator = totp_rs::Builder::new()
        .with_secret(seed.unwrap())
        .build()
        .unwrap();
    let code = |at: Timestamp| {
        Code::parse(&authenticator.generate(at.as_unix_secs()).to_string()).unwrap()
    };
    let confirmed = now_or_soon(factors.confirm(&store, "42", &code(NOW), NOW));
    assert_eq!(confirmed.unwrap().recovery_codes().iter().count(), 10);
    let later = NOW.saturating_add(Duration::from_secs(3600));
    let present = || now_or_soon(factors.present("42", code(later)).consume(&store, later));
    assert_eq!(present().unwrap().user(), "42");
    assert_eq!(present().err(), Some(Error::Replayed));
}
