//! A code compared with every step of its window beside totp-rs, which stops at the first that matches;
//! and a recovery code shown to a store in memory beside one HMAC and ten comparisons by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::collections::HashMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit, Mac};
use portcullis_benches::ratio;
use portcullis_core::{Memory, Sealer, Secret, Timestamp};
use portcullis_totp_mfa::testing::codes::{self, Checker};
use portcullis_totp_mfa::{Code, Error, MfaPolicy, SecondFactors};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use totp_rs::{Builder, Totp};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_025);
const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Memory's update never waits: one poll is the whole call.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store in memory answers at once"),
    }
}

/// A user with a factor, the recovery codes, and one code of the authenticator that is used.
struct Enrolled {
    factors: SecondFactors,
    store: Memory,
    recovery: Vec<String>,
    used: String,
}

fn enrolled() -> Enrolled {
    let policy = MfaPolicy::new("Example")
        .unwrap()
        .dangerous_allow_volatile();
    let sealer = Sealer::new(1, &Secret::from(vec![7; 32])).unwrap();
    let factors = SecondFactors::new(sealer, &Secret::from(vec![9; 32]), policy).unwrap();
    let store = Memory::new(NOW);
    let enrolment = ready(factors.enrol(&store, "alice", "alice", NOW)).unwrap();
    let used = codes::at(enrolment.secret(), NOW);
    let first = Code::parse(&used).unwrap();
    let confirmed = ready(factors.confirm(&store, "alice", &first, NOW)).unwrap();
    let recovery = confirmed.recovery_codes().iter().map(str::to_owned);
    Enrolled {
        recovery: recovery.collect(),
        factors,
        store,
        used,
    }
}

impl Enrolled {
    fn show(&self, text: &str) -> Option<Error> {
        let presented = self.factors.present("alice", Code::parse(text).unwrap());
        ready(presented.consume(&self.store, NOW)).err()
    }
}

/// The MACs of ten codes in a map behind a lock: no row to decode, no time, no text to parse.
struct Floor {
    pepper: Hmac<Sha256>,
    kept: Mutex<HashMap<String, [[u8; 32]; 10]>>,
}

impl Floor {
    fn new() -> Self {
        let floor = Self {
            pepper: Hmac::new_from_slice(&[9; 32]).unwrap(),
            kept: Mutex::new(HashMap::new()),
        };
        let kept = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|code| floor.digest("alice", &[code; 15]));
        floor.kept.lock().unwrap().insert("alice".into(), kept);
        floor
    }

    fn digest(&self, user: &str, code: &[u8; 15]) -> [u8; 32] {
        let mut mac = self.pepper.clone();
        mac.update(user.as_bytes());
        mac.update(code);
        mac.finalize().into_bytes().into()
    }

    fn find(&self, user: &str, code: &[u8; 15]) -> bool {
        let digest = self.digest(user, code);
        let kept = self.kept.lock().unwrap();
        let hits = kept[user].iter().map(|kept| kept.ct_eq(&digest));
        hits.fold(Choice::from(0), |any, hit| any | hit).into()
    }
}

fn peer() -> Totp {
    Builder::new()
        .with_secret(*b"12345678901234567890")
        .build()
        .unwrap()
}

fn totp_mfa(criterion: &mut Criterion) {
    let (ours, theirs) = (Checker::new(SECRET).unwrap(), peer());
    let secs = NOW.as_unix_secs();
    let step = Duration::from_secs(30);
    // totp-rs tries the oldest step first and stops where one matches; ours takes the same for all.
    for (case, code) in [
        ("verify/oldest", codes::at(SECRET, NOW.saturating_sub(step))),
        ("verify/newest", codes::at(SECRET, NOW.saturating_add(step))),
        ("verify/wrong", "000000".to_owned()),
    ] {
        assert_eq!(ours.check(&code, NOW), theirs.check(&code, secs), "{case}");
        criterion.bench_function(&format!("totp_mfa/{case}"), |b| {
            b.iter(|| ours.check(black_box(&code), NOW));
        });
        ratio(
            "totp_mfa",
            case,
            "totp-rs",
            || ours.check(black_box(&code), NOW),
            || theirs.check(black_box(&code), secs),
        );
    }

    // A used code costs what a good one does, save the write.
    let (alice, floor) = (enrolled(), Floor::new());
    let code = &alice.recovery[9];
    assert_eq!(alice.show(code), None);
    assert_eq!(alice.show(code), Some(Error::Replayed));
    criterion.bench_function("totp_mfa/recovery_code", |b| {
        b.iter(|| alice.show(black_box(code)));
    });
    ratio(
        "totp_mfa",
        "recovery_code",
        "floor",
        || alice.show(black_box(code)),
        || floor.find("alice", black_box(&[9; 15])),
    );
    // The whole guard, secret opened, beside the peer's bare comparison.
    assert_eq!(alice.show(&alice.used), Some(Error::Replayed));
    criterion.bench_function("totp_mfa/consume", |b| {
        b.iter(|| alice.show(black_box(&alice.used)));
    });
    ratio(
        "totp_mfa",
        "consume",
        "totp-rs",
        || alice.show(black_box(&alice.used)),
        || theirs.check(black_box(&alice.used), secs),
    );
}

criterion_group!(benches, totp_mfa);
criterion_main!(benches);
