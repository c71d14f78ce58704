//! The laws of a store, as a suite that any backend runs.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::bench::{Bench, LATER, NOW, OTHER, PATIENCE, SCOPE, key, put};
use self::many::{dropped, once, panicking, together, unpolled};
use crate::{Cause, Failure, Key, Next, Scope, Store, Timestamp, Value};

mod bench;
mod many;

/// Which promise of [`Store`] a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Law {
    /// 1: the bytes a step saw and those it left are adjacent in the key's history.
    OneAct,
    /// 2: the answer is the answer of the run that counted, and only that run is kept.
    AnswerThatCounted,
    /// 3: a call that failed wrote nothing.
    NothingOnFailure,
    /// 4: a value stands until its `expires_at`.
    NeverEarly,
    /// 5: keys that differ never share a value.
    KeysDoNotTouch,
    /// 6: a caller that goes away costs nobody anything, and its step applies at most once.
    DroppedIsNotLost,
    /// 7: a step that panics reaches its own caller alone and writes nothing.
    PanicStaysWithItsCaller,
    /// 8: what was acknowledged is there.
    AcknowledgedIsKept,
    /// 9: each [`Next`] does what its documentation says, for every admitted value.
    StepIsObeyed,
    /// 10: a step is never shown an empty slice.
    NeverEmpty,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneAct => "one indivisible act",
            Self::AnswerThatCounted => "the answer of the run that counted",
            Self::NothingOnFailure => "nothing written on failure",
            Self::NeverEarly => "never early",
            Self::KeysDoNotTouch => "keys do not touch",
            Self::DroppedIsNotLost => "dropped is not lost",
            Self::PanicStaysWithItsCaller => "a panicking step reaches its own caller alone",
            Self::AcknowledgedIsKept => "acknowledged is kept",
            Self::StepIsObeyed => "the step is obeyed",
            Self::NeverEmpty => "never an empty slice",
        })
    }
}

/// A law that a store broke, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {what}")]
#[non_exhaustive]
pub struct Violation {
    /// The law.
    pub law: Law,
    /// What was seen, in words.
    pub what: String,
}

impl Violation {
    pub(super) fn new(law: Law, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { law, what }
    }
}

/// Checks every law of [`Store`] that one process can see; `make` yields a fresh, empty store that
/// admits at least 5 000 keys in each scope.
///
/// Runs inside a tokio runtime with its timer on; with several worker threads it sees more. What
/// only several processes or a crash can show is left to [`super::Race`] and to the backend's own tests.
///
/// # Errors
/// The first [`Violation`] met. [`Failure::Contended`] is no violation as long as a retry succeeds;
/// a check that takes more than half a minute is.
///
/// ```
/// use portcullis_core::testing::store_conformance;
/// use portcullis_core::{Memory, Timestamp};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let checked = store_conformance(async || Memory::new(Timestamp::UNIX_EPOCH)).await;
/// assert_eq!(checked, Ok(()));
/// # });
/// ```
pub async fn store_conformance<S: Store + 'static>(
    mut make: impl AsyncFnMut() -> S,
) -> Result<(), Violation> {
    // From what one caller alone can see to what only many can: the first violation names the cause.
    let law = Law::AnswerThatCounted;
    in_time(law, counted(&Bench::new(law, make().await))).await?;
    let law = Law::StepIsObeyed;
    in_time(law, obeyed(&Bench::new(law, make().await))).await?;
    let law = Law::KeysDoNotTouch;
    in_time(law, apart(&Bench::new(law, make().await))).await?;
    let law = Law::StepIsObeyed;
    in_time(law, sizes(&Bench::new(law, make().await))).await?;
    let law = Law::NothingOnFailure;
    in_time(law, refused(&Bench::new(law, make().await))).await?;
    let law = Law::NeverEarly;
    in_time(law, kept(&Bench::new(law, make().await))).await?;
    in_time(law, kept_forever(&Bench::new(law, make().await))).await?;
    let law = Law::AnswerThatCounted;
    in_time(law, alone(&Bench::new(law, make().await))).await?;
    let law = Law::OneAct;
    in_time(law, together(&Bench::new(law, make().await))).await?;
    in_time(law, once(&Bench::new(law, make().await))).await?;
    let law = Law::DroppedIsNotLost;
    in_time(law, unpolled(&Bench::new(law, make().await))).await?;
    in_time(law, dropped(&Bench::new(law, make().await))).await?;
    let law = Law::PanicStaysWithItsCaller;
    in_time(law, panicking(&Bench::new(law, make().await))).await
}

type Check = Result<(), Violation>;

async fn in_time(law: Law, check: impl Future<Output = Check>) -> Check {
    tokio::time::timeout(PATIENCE, check)
        .await
        .unwrap_or_else(|_| Err(Violation::new(law, format!("no end after {PATIENCE:?}"))))
}

/// The last run's answer is given, on a key that is absent and on one that is there.
async fn counted<S: Store + 'static>(bench: &Bench<S>) -> Check {
    for _ in 0..3 {
        let runs = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&runs);
        let step = move |_: Option<&[u8]>| {
            let run = counter.fetch_add(1, Ordering::SeqCst);
            (run, put(&run.to_be_bytes(), Timestamp::MAX))
        };
        let answered = bench.update(key(b"runs"), NOW, step).await?;
        let runs = runs.load(Ordering::SeqCst);
        if answered.checked_add(1) != Some(runs) {
            let what = format!("the step ran {runs} times and run {answered} was answered");
            return Err(bench.broken(what));
        }
    }
    Ok(())
}

/// What each `Next` does, seen through another handle.
async fn obeyed<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let key = key(b"obeyed");
    bench.expect(key, NOW, None, "on a fresh store").await?;
    bench.act(key, Next::Remove).await?;
    bench.act(key, Next::Settled).await?;
    bench
        .expect(key, NOW, None, "removed before it was put")
        .await?;
    for bytes in [&b"first"[..], b"2", b"a third and longer one", b"2"] {
        bench.act(key, put(bytes, LATER)).await?;
        if bench.read(key, NOW).await?.as_deref() != Some(bytes) {
            let what = "a value that was acknowledged is not what the next step sees";
            return Err(Violation::new(Law::AcknowledgedIsKept, what));
        }
        bench.act(key, Next::Keep).await?;
        bench.expect(key, NOW, Some(bytes), "after Keep").await?;
        bench.act(key, Next::Settled).await?;
        bench.expect(key, NOW, Some(bytes), "after Settled").await?;
    }
    for _ in 0..2 {
        bench.act(key, Next::Remove).await?;
        bench.expect(key, NOW, None, "after Remove").await?;
    }
    bench.act(key, put(b"again", LATER)).await?;
    bench
        .expect(key, NOW, Some(b"again"), "put after Remove")
        .await
}

/// Every admitted length comes back byte for byte.
async fn sizes<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let around = [32, 256, 4_096, 65_536, Value::MAX_LEN];
    for len in [1, 2, 31].into_iter().chain(around) {
        for len in [len.saturating_sub(1).max(1), len] {
            let bytes: Vec<u8> = (0_u8..251).cycle().take(len).collect();
            let key = key(&len.to_be_bytes());
            bench.act(key, put(&bytes, LATER)).await?;
            if bench.read(key, NOW).await? != Some(bytes) {
                return Err(bench.broken(format!("{len} bytes did not come back as they were")));
            }
        }
    }
    Ok(())
}

/// A value that must be refused is, and leaves things as they were.
async fn refused<S: Store + 'static>(bench: &Bench<S>) -> Check {
    for len in [Value::MAX_LEN.saturating_add(1), 0] {
        for before in [None, Some(&b"old"[..])] {
            let key = key(&[u8::from(len == 0), u8::from(before.is_some())]);
            if let Some(bytes) = before {
                bench.act(key, put(bytes, LATER)).await?;
            }
            let bytes = vec![7; len];
            let step = move |_: Option<&[u8]>| ((), put(&bytes, LATER));
            let answer = bench.store.update(key, NOW, step).await;
            if answer != Err(Failure::Unavailable(Cause::ValueRefused { len })) {
                let what = format!("a value of {len} bytes was answered {answer:?}");
                return Err(bench.broken(what));
            }
            bench
                .expect(key, NOW, before, "after a refused value")
                .await?;
        }
    }
    Ok(())
}

/// Keys that differ in one thing each keep their own value, also when a neighbour is removed.
async fn apart<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let mut keys = vec![
        Key::new(SCOPE, b""),
        Key::new(SCOPE, b"abc"),
        Key::new(OTHER, b"abc"),
        Key::new(Scope::new("conformanceabc"), b""),
        Key::new(Scope::new("conformancea"), b"bc"),
        Key::of(SCOPE, &[]),
        Key::of(SCOPE, &[b"ab", b"c"]),
        Key::of(SCOPE, &[b"a", b"bc"]),
        Key::of(SCOPE, &[b"abc", b""]),
        Key::of(SCOPE, &[b"", b"abc"]),
        Key::new(SCOPE, b"ABC"),
    ];
    // One byte tells these apart: the length, or the byte at each place.
    for len in [1, 2, 3, 16, 31, 32, 33, 45, 46, 47, 48, 100, 1_000] {
        keys.push(Key::new(SCOPE, &vec![0; len]));
        for place in [0, len / 2, len.saturating_sub(1)] {
            let mut bytes = vec![0; len];
            if let Some(byte) = bytes.get_mut(place) {
                *byte = u8::try_from(len.min(200)).unwrap_or(u8::MAX);
            }
            let one = Key::new(SCOPE, &bytes);
            if !keys.contains(&one) {
                keys.push(one);
            }
        }
    }
    for (id, key) in keys.iter().enumerate() {
        bench
            .expect(*key, NOW, None, "before this key was put")
            .await?;
        bench.act(*key, put(&id.to_be_bytes(), LATER)).await?;
    }
    for (id, key) in keys.iter().enumerate() {
        let own = id.to_be_bytes();
        bench
            .expect(*key, NOW, Some(&own), "after others were put or removed")
            .await?;
        bench.act(*key, Next::Remove).await?;
    }
    Ok(())
}

/// A value stands until its last nanosecond, whatever order the callers' instants come in.
async fn kept<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let key = key(b"kept");
    let expires = NOW.saturating_add(Duration::from_nanos(10_000_000_001));
    let last = expires.saturating_sub(Duration::from_nanos(1));
    bench.act(key, put(b"short", expires)).await?;
    // Enough traffic for a store to clean up meanwhile, by callers whose instants step to and fro.
    for id in 0_u64..2_000 {
        let other = Key::new(OTHER, &id.to_be_bytes());
        let now = if id % 2 == 0 { last } else { NOW };
        let step = move |_: Option<&[u8]>| ((), put(b"x", expires));
        bench.update(other, now, step).await?;
    }
    for now in [last, NOW, Timestamp::UNIX_EPOCH, last] {
        bench
            .expect(key, now, Some(b"short"), "before it expires")
            .await?;
    }
    bench.act(key, put(b"long", LATER)).await?;
    let beyond = LATER.saturating_sub(Duration::from_nanos(1));
    for now in [beyond, NOW, beyond] {
        bench
            .expect(key, now, Some(b"long"), "before its new, later expiry")
            .await?;
    }
    Ok(())
}

/// `Timestamp::MAX` is never, also beside values that expired long ago, and the last instants order.
async fn kept_forever<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let (forever, almost) = (key(b"forever"), key(b"almost"));
    let nearly = Timestamp::MAX.saturating_sub(Duration::from_nanos(1));
    bench.act(forever, put(b"forever", Timestamp::MAX)).await?;
    bench.act(almost, put(b"almost", nearly)).await?;
    let century = Timestamp::from_unix_nanos(1 << 63);
    let before = nearly.saturating_sub(Duration::from_nanos(1));
    for now in [NOW, century, before, NOW, before] {
        let step = |_: Option<&[u8]>| ((), put(b"x", NOW));
        bench.update(key(b"passing"), now, step).await?;
        bench
            .expect(forever, now, Some(b"forever"), "which never expires")
            .await?;
        bench
            .expect(almost, now, Some(b"almost"), "before it expires")
            .await?;
    }
    for now in [Timestamp::MAX, NOW] {
        let step = |_: Option<&[u8]>| ((), put(b"x", NOW));
        bench.update(key(b"passing"), now, step).await?;
        bench
            .expect(forever, now, Some(b"forever"), "at the end of time")
            .await?;
    }
    Ok(())
}

/// One caller after another is given one number after another.
async fn alone<S: Store + 'static>(bench: &Bench<S>) -> Check {
    for expected in 1_u64..=8 {
        let number = bench.count(key(b"alone")).await?;
        if number != expected {
            let what = format!("count {expected}, alone, was given number {number}");
            return Err(bench.broken(what));
        }
    }
    Ok(())
}
