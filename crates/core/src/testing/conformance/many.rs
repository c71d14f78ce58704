//! The checks that need several callers at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::task::{JoinSet, yield_now};

use super::bench::{Bench, LATER, NOW, OTHER, count, key, put};
use super::{Check, Violation};
use crate::testing::Race;
use crate::{Key, Next, Store};

/// Steps that panic beside others on the same key and on other keys.
pub(super) async fn panicking<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let hot = key(b"panicking");
    for round in 0_u64..16 {
        let mut others = JoinSet::new();
        for id in 0_u8..6 {
            let bench = bench.clone();
            let own = if id % 2 == 0 { hot } else { key(&[id]) };
            others.spawn(async move { bench.count(own).await });
        }
        let victim = bench.clone();
        let victim = tokio::spawn(async move { victim.update(hot, NOW, panics).await });
        match victim.await {
            Err(error) if error.is_panic() => {}
            Err(_) => return Err(bench.broken("the caller was cancelled instead")),
            Ok(answer) => {
                let what = format!("the caller of a panicking step was answered {answer:?}");
                return Err(bench.broken(what));
            }
        }
        while let Some(other) = others.join_next().await {
            other.map_err(|error| bench.died(&error))??;
        }
        let expected = round.saturating_mul(4).saturating_add(4);
        // In a task of its own: a store that was poisoned may panic here.
        let after = bench.clone();
        let after = tokio::spawn(async move { after.count(hot).await }).await;
        let number = after.map_err(|error| bench.died(&error))??;
        if number != expected {
            let what = format!("number {number} followed a panicking step instead of {expected}");
            return Err(bench.broken(what));
        }
    }
    Ok(())
}

/// A future that was never polled has done nothing.
pub(super) async fn unpolled<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let ran = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ran);
    drop(bench.store.update(key(b"unpolled"), NOW, move |_| {
        flag.store(true, Ordering::SeqCst);
        ((), put(b"x", LATER))
    }));
    let what = "after a caller that never asked";
    bench.expect(key(b"unpolled"), NOW, None, what).await?;
    if ran.load(Ordering::SeqCst) {
        return Err(bench.broken("the step of a future that was never polled has run"));
    }
    Ok(())
}

/// Callers that go away after one poll or a few, while others count on the same key.
pub(super) async fn dropped<S: Store + 'static>(bench: &Bench<S>) -> Check {
    for id in 0_u8..24 {
        let key = key(&[id]);
        let mut others = JoinSet::new();
        for _ in 0..4 {
            let bench = bench.clone();
            others.spawn(async move { bench.count(key).await });
        }
        let mut call = Box::pin(bench.store.update(key, NOW, count));
        for _ in 0..=id % 4 {
            if poll_once(call.as_mut()).await {
                break;
            }
            yield_now().await;
        }
        drop(call);
        let mut numbers = Vec::new();
        while let Some(other) = others.join_next().await {
            numbers.push(other.map_err(|error| bench.died(&error))??);
        }
        numbers.push(bench.count(key).await?);
        numbers.sort_unstable();
        numbers.dedup();
        // Four others, this last one, and the dropped one at most once.
        if numbers.len() != 5 || numbers.last().is_none_or(|last| !(5..=6).contains(last)) {
            let what = format!("beside one dropped caller, five others were given {numbers:?}");
            return Err(bench.broken(what));
        }
    }
    Ok(())
}

/// Many callers on one key, and on a few: the numbers given out are 1 to n, each once.
pub(super) async fn together<S: Store + 'static>(bench: &Bench<S>) -> Check {
    for (keys, highest) in [(1_u64, 800_u64), (5, 160)] {
        let mut callers = JoinSet::new();
        for caller in 0_u64..40 {
            let bench = bench.clone();
            let key = Key::of(
                OTHER,
                &[
                    &[u8::from(keys == 1)],
                    &caller.checked_rem(keys).unwrap_or(0).to_be_bytes(),
                ],
            );
            callers.spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..20 {
                    numbers.push(bench.count(key).await?);
                }
                Ok::<_, Violation>(numbers)
            });
        }
        let mut numbers = Vec::new();
        while let Some(given) = callers.join_next().await {
            numbers.extend(given.map_err(|error| bench.died(&error))??);
        }
        numbers.sort_unstable();
        let each_once = (1..=highest).flat_map(|number| (0..keys).map(move |_| number));
        if !numbers.iter().copied().eq(each_once) {
            let what = format!("40 callers on {keys} keys were not given each number once");
            return Err(bench.broken(what));
        }
    }
    Ok(())
}

/// Many tasks consume one-time tokens in the shape of the race between processes.
pub(super) async fn once<S: Store + 'static>(bench: &Bench<S>) -> Check {
    let race = Race::new(32, 16, 1);
    let wins = race.contest(&bench.store, NOW, 7).await;
    race.judge(&wins.map_err(|failure| bench.broken(failure.to_string()))?)
}

/// Unwinds without the panic hook, so that a passing suite prints nothing.
fn panics(_: Option<&[u8]>) -> ((), Next) {
    std::panic::resume_unwind(Box::new("a step that panics on purpose"))
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}
