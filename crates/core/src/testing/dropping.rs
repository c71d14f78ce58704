//! A future dropped at each of its awaits.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// Makes a future, polls it `k` times and drops it unfinished, for k = 0, 1, 2 and so on; after each
/// drop `after_drop(k)` checks what was left behind. Ends with the output of the first future that
/// finishes within its polls.
///
/// Over a [`super::Faulty`] store that pauses, each `update` is three polls long, so every point
/// before, between and after two updates is met. A future that waits on another task is polled again
/// only once it was woken, so each poll is a step of its own.
///
/// ```
/// use portcullis_core::testing::drop_at_each_await;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let mut drops = Vec::new();
/// let two_awaits = || async {
///     tokio::task::yield_now().await;
///     tokio::task::yield_now().await;
///     "done"
/// };
/// let output = drop_at_each_await(two_awaits, async |polls| drops.push(polls)).await;
/// assert_eq!((output, drops), ("done", vec![0, 1, 2]));
/// # });
/// ```
pub async fn drop_at_each_await<F: Future>(
    mut make: impl FnMut() -> F,
    mut after_drop: impl AsyncFnMut(usize),
) -> F::Output {
    let mut polls = 0_usize;
    loop {
        if let Some(output) = poll_times(make(), polls).await {
            return output;
        }
        after_drop(polls).await;
        polls = polls.saturating_add(1);
    }
}

/// Polls `future` that many times, each time once it was woken; its output, if it got that far.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for poll in 0..polls {
        let last = poll.saturating_add(1) == polls;
        let mut polled = false;
        let output = poll_fn(|context| {
            if polled {
                // Woken: give the outer loop its turn, to poll again or to drop.
                return Poll::Ready(None);
            }
            polled = true;
            match future.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                // The last poll is followed by the drop: waiting to be woken would let work that the
                // future started elsewhere finish first.
                Poll::Pending if last => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if output.is_some() {
            return output;
        }
    }
    None
}
