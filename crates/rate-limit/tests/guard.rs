//! The limiter over a store, and a store that fails.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_core::testing::{Faulty, drop_at_each_await};
use portcullis_core::{
    Cause, Durability, Failure, Key, Memory, MemoryPolicy, Next, Reason, Scope, Store, Timestamp,
    Value,
};
use portcullis_rate_limit::{Charge, Decision, EndpointClass, Error, Quota, StoreLimiter};

const LOGIN: Scope = Scope::new("login");
const OTHER: Scope = Scope::new("other");
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

type Limiter = StoreLimiter<Arc<Faulty<Memory>>>;

fn store() -> Arc<Faulty<Memory>> {
    Arc::new(Faulty::new(Memory::new(NOW)))
}

fn quotas() -> [Quota; 2] {
    let smooth = Quota::per_minute(5).unwrap();
    [smooth, smooth.strict().unwrap()]
}

fn down() -> Failure {
    Failure::Unavailable(Cause::Backend("down".into()))
}

async fn left(limiter: &Limiter) -> u32 {
    match limiter.admit(b"alice", 0, NOW).await.unwrap() {
        Decision::Admitted { remaining, .. } => remaining,
        _ => 0,
    }
}

#[tokio::test]
async fn refuses_what_is_over_the_quota_and_admits_after_the_wait() {
    for quota in quotas() {
        let limiter = StoreLimiter::new(store(), LOGIN, quota);
        for _ in 0..5 {
            assert!(limiter.admit(b"alice", 1, NOW).await.unwrap().is_admitted());
        }
        let decision = limiter.admit(b"alice", 2, NOW).await.unwrap();
        let later = NOW.saturating_add(decision.retry_after().unwrap());
        assert_eq!(
            limiter.admit(b"alice", 6, NOW).await,
            Ok(Decision::Oversized)
        );
        assert!(limiter.admit(b"bob", 1, NOW).await.unwrap().is_admitted());
        assert!(
            limiter
                .admit(b"alice", 2, later)
                .await
                .unwrap()
                .is_admitted()
        );
    }
}

#[tokio::test]
async fn a_throttled_answer_is_settled_and_writes_nothing() {
    /// Counts what its steps ask for.
    struct Watching(Memory, AtomicUsize, AtomicUsize);
    impl Store for Watching {
        async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
        where
            F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
            T: Send + 'static,
        {
            let both = move |current: Option<&[u8]>| {
                let (answer, next) = step(current);
                ((answer, next.clone()), next)
            };
            let (answer, next) = self.0.update(key, now, both).await?;
            self.1
                .fetch_add(usize::from(next == Next::Settled), Ordering::Relaxed);
            self.2.fetch_add(
                usize::from(matches!(next, Next::Put { .. })),
                Ordering::Relaxed,
            );
            Ok(answer)
        }
        fn durability(&self) -> Durability {
            self.0.durability()
        }
        fn birth(&self) -> Timestamp {
            self.0.birth()
        }
    }
    for quota in quotas() {
        let store = Arc::new(Watching(
            Memory::new(NOW),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        ));
        let limiter = StoreLimiter::new(Arc::clone(&store), LOGIN, quota);
        for _ in 0..8 {
            let _ = limiter.admit(b"alice", 1, NOW).await.unwrap();
        }
        assert_eq!(store.1.load(Ordering::Relaxed), 3);
        assert_eq!(store.2.load(Ordering::Relaxed), 5);
    }
}

#[tokio::test]
async fn a_store_that_is_down_full_or_contended_admits_nobody() {
    for failure in [down(), Failure::Contended, Failure::Unknown(Cause::Closed)] {
        let store = store();
        let limiter =
            StoreLimiter::new(Arc::clone(&store), LOGIN, EndpointClass::Validation.quota());
        store.fail_next(1, failure.clone());
        let error = limiter.admit(b"alice", 1, NOW).await.unwrap_err();
        assert_eq!(error.reason(), Reason::from(&failure));
        assert_eq!(error, Error::Store(failure));
    }
    let tiny = Memory::with_policy(NOW, MemoryPolicy::default().cap(LOGIN, 1));
    let limiter = StoreLimiter::new(tiny, LOGIN, EndpointClass::Authentication.quota());
    assert!(limiter.admit(b"alice", 1, NOW).await.unwrap().is_admitted());
    let full = Error::Store(Failure::Unavailable(Cause::Full { scope: LOGIN }));
    assert_eq!(limiter.admit(b"bob", 1, NOW).await, Err(full));
}

#[tokio::test]
async fn a_reply_lost_after_the_write_is_an_error_and_stays_charged() {
    for quota in quotas() {
        let store = store();
        let limiter = StoreLimiter::new(Arc::clone(&store), LOGIN, quota);
        store.lose_reply(1);
        let error = limiter.admit(b"alice", 1, NOW).await.unwrap_err();
        assert_eq!(error.reason(), Reason::StoreUnknown);
        assert_eq!(left(&limiter).await, 4);
    }
}

#[tokio::test]
async fn a_state_that_does_not_decode_refuses_and_is_not_overwritten() {
    let store = store();
    let limiter = StoreLimiter::new(
        Arc::clone(&store),
        LOGIN,
        EndpointClass::Authentication.quota(),
    );
    let junk = |_: Option<&[u8]>| {
        let value = Value::new(&[9, 9, 9]);
        (
            (),
            Next::Put {
                value,
                expires_at: Timestamp::MAX,
            },
        )
    };
    store
        .update(Key::new(LOGIN, b"alice"), NOW, junk)
        .await
        .unwrap();
    assert_eq!(
        limiter.admit(b"alice", 1, NOW).await,
        Err(Error::Corrupt(LOGIN))
    );
    assert_eq!(
        limiter.refund(b"alice", 1, NOW, NOW).await,
        Err(Error::Corrupt(LOGIN))
    );
    assert_eq!(store.writes(), 1, "the junk alone");
}

#[tokio::test]
async fn scopes_do_not_share_a_quota() {
    let store = store();
    for scope in [LOGIN, OTHER] {
        let limiter = StoreLimiter::new(Arc::clone(&store), scope, quotas()[1]);
        assert!(limiter.admit(b"alice", 5, NOW).await.unwrap().is_admitted());
    }
}

#[tokio::test]
async fn charges_are_given_back_when_a_later_limiter_refuses_or_fails() {
    for quota in quotas() {
        let store = store();
        let first = StoreLimiter::new(Arc::clone(&store), LOGIN, quota);
        let second = StoreLimiter::new(Arc::clone(&store), OTHER, Quota::per_minute(1).unwrap());
        let charges = [(&first, 2), (&second, 1)].map(|(limiter, cost)| Charge {
            limiter,
            key: b"alice",
            cost,
        });
        let joint = StoreLimiter::admit_all(&charges, NOW).await.unwrap();
        assert!(joint.decision.is_admitted());
        let joint = StoreLimiter::admit_all(&charges, NOW).await.unwrap();
        assert_eq!((joint.decision.is_admitted(), joint.at), (false, 1));
        assert_eq!(left(&first).await, 3);

        let broken = Arc::new(Faulty::new(Memory::new(NOW)));
        let third = StoreLimiter::new(Arc::clone(&broken), OTHER, quota);
        broken.fail_next(1, down());
        let charges = [(&first, 1), (&third, 1)].map(|(limiter, cost)| Charge {
            limiter,
            key: b"alice",
            cost,
        });
        assert_eq!(
            StoreLimiter::admit_all(&charges, NOW).await,
            Err(Error::Store(down()))
        );
        assert_eq!(left(&first).await, 3);
    }
}

#[tokio::test]
async fn a_giving_back_that_fails_leaves_the_charge_standing() {
    let (store, full) = (store(), store());
    let first = StoreLimiter::new(Arc::clone(&store), LOGIN, quotas()[0]);
    let second = StoreLimiter::new(Arc::clone(&full), OTHER, Quota::per_minute(1).unwrap());
    assert!(second.admit(b"alice", 1, NOW).await.unwrap().is_admitted());
    let charges = [&first, &second].map(|limiter| Charge {
        limiter,
        key: b"alice",
        cost: 1,
    });
    // The first call is the charge; the second, the giving back, fails.
    let plan = Arc::clone(&store);
    full.pause(true);
    let both = async {
        let admit = StoreLimiter::admit_all(&charges, NOW);
        let fail = async { plan.fail_next(1, down()) };
        tokio::join!(admit, fail).0
    };
    let joint = both.await.unwrap();
    assert!(!joint.decision.is_admitted());
    assert_eq!(left(&first).await, 4);
}

#[tokio::test]
async fn a_future_dropped_at_any_await_leaves_at_most_its_own_charge() {
    for quota in quotas() {
        let store = store();
        let limiter = StoreLimiter::new(Arc::clone(&store), LOGIN, quota);
        store.pause(true);
        let spent = async |polls: usize| {
            let charged = 5 - left(&limiter).await;
            assert!(charged <= 1, "{charged} after {polls} polls");
            if charged == 1 {
                limiter.refund(b"alice", 1, NOW, NOW).await.unwrap();
            }
            assert_eq!(left(&limiter).await, 5);
        };
        let decision = drop_at_each_await(|| limiter.admit(b"alice", 1, NOW), spent).await;
        assert!(decision.unwrap().is_admitted());
        assert_eq!(left(&limiter).await, 4);
    }
}

#[tokio::test]
async fn a_store_that_lost_its_last_write_forgets_that_charge_alone() {
    let store = store();
    let limiter = StoreLimiter::new(Arc::clone(&store), LOGIN, quotas()[1]);
    for _ in 0..3 {
        let _ = limiter.admit(b"alice", 1, NOW).await.unwrap();
    }
    store.lose_last(1).await.unwrap();
    assert_eq!(left(&limiter).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_one_key_never_admit_more_than_the_quota() {
    for quota in quotas() {
        let limiter = StoreLimiter::new(store(), LOGIN, quota);
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(
                    async move { limiter.admit(b"alice", 1, NOW).await.unwrap().is_admitted() },
                )
            })
            .collect();
        let mut admitted = 0;
        for task in tasks {
            admitted += u32::from(task.await.unwrap());
        }
        assert_eq!(admitted, 5);
    }
}

#[tokio::test]
async fn a_clock_that_steps_back_admits_nobody_the_later_clock_refused() {
    for quota in quotas() {
        let limiter = StoreLimiter::new(store(), LOGIN, quota);
        assert!(limiter.admit(b"alice", 5, NOW).await.unwrap().is_admitted());
        for secs in [1, 30, 59, 3_600, 1_000_000] {
            let earlier = NOW.saturating_sub(Duration::from_secs(secs));
            assert!(
                !limiter
                    .admit(b"alice", 1, earlier)
                    .await
                    .unwrap()
                    .is_admitted()
            );
        }
    }
}
