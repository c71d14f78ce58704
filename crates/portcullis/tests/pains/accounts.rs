//! Accounts: a code twice, a hash on the async threads, a captcha whose provider is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::audit::testing::MemorySink;
use portcullis::audit::{Action, Event};
use portcullis::core::testing::FakeClock;
use portcullis::core::{AnyStore, Memory, Reason, Sealer, Secret};
use portcullis::lockout::{AccountName, Lockout, LockoutPolicy, Status};
use portcullis::session::{SessionPolicy, Sessions};
use portcullis::sign_in::testing::{MapDirectory, StubHasher, trial_factors};
use portcullis::sign_in::{
    Argon2Pool, Attempt, CaptchaOutcome, Entered, Hasher, Parts, SignIn, SignInError, SignInPolicy,
    WhenAway,
};
use portcullis::totp_mfa::testing::codes;
use portcullis::totp_mfa::{Code, Error, MfaPolicy, SecondFactors};
use portcullis::tower::Problem;

use crate::{NOW, after};

const PASSWORD: &[u8] = b"alice's own long phrase";

#[tokio::test]
async fn a_code_is_good_once_in_whichever_process_it_is_shown() {
    let store = AnyStore::new(Memory::new(NOW));
    let policy = MfaPolicy::new("pains").unwrap().dangerous_allow_volatile();
    let (key, pepper) = (Secret::from(vec![7; 32]), Secret::from(vec![8; 32]));
    let process = || {
        let sealer = Sealer::new(1, &key).unwrap();
        SecondFactors::new(sealer, &pepper, policy.clone()).unwrap()
    };
    let (one, other) = (process(), process());
    let enrolment = one.enrol(&store, "42", "alice", NOW).await.unwrap();
    let first = Code::parse(&codes::at(enrolment.secret(), NOW)).unwrap();
    let _codes = one.confirm(&store, "42", &first, NOW).await.unwrap();

    let later = after(Duration::from_secs(3600));
    let typed = codes::at(enrolment.secret(), later);
    let code = || Code::parse(&typed).unwrap();
    assert!(
        one.present("42", code())
            .consume(&store, later)
            .await
            .is_ok()
    );
    for process in [&one, &other] {
        for secs in [0, 1, 29] {
            let again = later.saturating_add(Duration::from_secs(secs));
            let answer = process.present("42", code()).consume(&store, again).await;
            assert_eq!(answer.err(), Some(Error::Replayed));
        }
    }
}

struct Desk {
    sign_in: SignIn<MapDirectory, MemorySink>,
    lockout: Arc<Lockout<AnyStore>>,
    events: MemorySink,
}

fn alice() -> AccountName {
    AccountName::parse("alice").unwrap()
}

async fn desk(hasher: Arc<dyn Hasher>, policy: SignInPolicy) -> Desk {
    let store = AnyStore::new(Memory::new(NOW));
    let users = MapDirectory::new();
    users.insert(&alice(), hasher.hash(Secret::from(PASSWORD)).await.unwrap());
    let lockout = Arc::new(Lockout::new(store.clone(), LockoutPolicy::default()));
    let sessions = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::generate::<32>().unwrap();
    let events = MemorySink::new();
    let parts = Parts {
        directory: users,
        sink: events.clone(),
        lockout: Arc::clone(&lockout),
        sessions: Arc::new(Sessions::new(store.clone(), key, sessions).unwrap()),
        second_factors: trial_factors().unwrap(),
        store,
    };
    let sign_in = SignIn::new(parts, hasher, FakeClock::new(NOW), policy).await;
    Desk {
        sign_in: sign_in.unwrap(),
        lockout,
        events,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_heart_goes_on_beating_while_a_password_is_hashed_on_the_only_async_thread() {
    // A tenth of a second or more, so that a thread that stands still is seen to.
    let hasher = Arc::new(Argon2Pool::new(1, 64 * 1024, 3).unwrap());
    let desk = desk(hasher, SignInPolicy::default()).await;
    let (beats, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let heart = tokio::spawn({
        let (beats, over) = (Arc::clone(&beats), Arc::clone(&over));
        async move {
            while !over.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
                beats.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    tokio::task::yield_now().await;
    let attempt = Attempt::new("alice", Secret::from(PASSWORD));
    let entered = desk.sign_in.sign_in(attempt, NOW).await;
    over.store(true, Ordering::Relaxed);
    assert!(matches!(entered, Ok(Entered::SignedIn(_))), "{entered:?}");
    heart.await.unwrap();
    // A login has a dozen awaits, each of which would let a thread that hashes beat once.
    let beats = beats.load(Ordering::Relaxed);
    assert!(beats > 30, "{beats} beats");
}

#[tokio::test]
async fn a_captcha_that_is_away_locks_nobody_out_and_is_no_wrong_password() {
    let attempt =
        |password: &[u8], outcome| Attempt::new("alice", Secret::from(password)).captcha(outcome);
    let stub = || Arc::new(StubHasher::new(Duration::ZERO));
    for away in [WhenAway::Refuse, WhenAway::GoOn] {
        let desk = desk(stub(), SignInPolicy::default().captcha(away)).await;
        for _ in 0..20 {
            let right = attempt(PASSWORD, CaptchaOutcome::Away);
            match (away, desk.sign_in.sign_in(right, NOW).await) {
                (WhenAway::Refuse, Err(error)) => {
                    let reason = Reason::CaptchaUnavailable;
                    assert_eq!(error, SignInError::Unavailable(reason));
                    assert_eq!(Problem::of(error.wire_reason()).code(), "503_UNAVAILABLE");
                }
                (WhenAway::GoOn, Ok(Entered::SignedIn(_))) => {
                    let events = desk.events.events();
                    let told = events
                        .last()
                        .map(|last| (last.action(), Event::reason_name(last)));
                    assert_eq!(told, Some((Action::Login, Some("captcha_unavailable"))));
                }
                (_, answer) => panic!("{away:?}: {answer:?}"),
            }
        }
        let status = desk.lockout.status(&alice(), NOW).await.unwrap();
        assert_eq!(status, Status::Open { failures: 0 });
        // The lock stands whatever the provider does: five wrong passwords, and no sixth.
        for _ in 0..5 {
            let wrong = attempt(b"not her phrase", CaptchaOutcome::Passed);
            assert!(desk.sign_in.sign_in(wrong, NOW).await.is_err());
        }
        let right = attempt(PASSWORD, CaptchaOutcome::Passed);
        let locked = desk.sign_in.sign_in(right, NOW).await.unwrap_err();
        assert_eq!(locked.log_reason(), Reason::AccountLocked);
        // Who brings none is not let through because nobody was asked.
        let none = Attempt::new("alice", Secret::from(PASSWORD));
        let missing = desk.sign_in.sign_in(none, NOW).await.unwrap_err();
        assert_eq!(missing, SignInError::CaptchaRefused(Reason::CaptchaMissing));
    }
}
