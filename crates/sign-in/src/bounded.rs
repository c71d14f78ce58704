//! A step of others' code, held to a time and kept from taking the attempt down with it.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

/// The output of `step`; none if it panicked or took longer than `wait`.
pub(crate) async fn bounded<F: Future>(wait: Duration, step: F) -> Option<F::Output> {
    timeout(wait, caught(step)).await.ok().flatten()
}

async fn caught<F: Future>(step: F) -> Option<F::Output> {
    let mut step = pin!(step);
    poll_fn(|context| {
        // Unwind safe: a step that has panicked is not polled again, only dropped.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_and_a_stall_are_none() {
        let wait = Duration::from_secs(10);
        assert_eq!(bounded(wait, async { 7 }).await, Some(7));
        assert_eq!(
            bounded(wait, async { panic!("on purpose") }).await,
            None::<()>
        );
        assert_eq!(bounded(wait, std::future::pending::<()>()).await, None);
        assert_eq!(bounded(Duration::MAX, async { 7 }).await, Some(7));
    }
}
