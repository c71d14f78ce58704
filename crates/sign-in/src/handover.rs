//! An answer handed to whoever waits for it, or known to be left lying.

use tokio::sync::oneshot;

/// The side of the task.
pub(crate) struct Giver<T> {
    answer: oneshot::Sender<T>,
    taken: oneshot::Receiver<()>,
}

/// The side of the caller.
pub(crate) struct Taker<T> {
    answer: oneshot::Receiver<T>,
    taken: oneshot::Sender<()>,
}

/// Both sides of one answer.
pub(crate) fn handover<T>() -> (Giver<T>, Taker<T>) {
    let (give, take) = oneshot::channel();
    let (say, hear) = oneshot::channel();
    let giver = Giver {
        answer: give,
        taken: hear,
    };
    let taker = Taker {
        answer: take,
        taken: say,
    };
    (giver, taker)
}

impl<T> Giver<T> {
    /// Hands `answer` over; whether the caller has it now. A caller can go away before the answer is
    /// there, and also while it lies ready: only the caller's own word says that it was taken.
    pub(crate) async fn give(self, answer: T) -> bool {
        self.answer.send(answer).is_ok() && self.taken.await.is_ok()
    }
}

impl<T> Taker<T> {
    /// The answer, once it is there; none when the task ended without.
    pub(crate) async fn take(self) -> Option<T> {
        let answer = self.answer.await.ok()?;
        // Nothing is awaited after this. A task that the runtime has ended need not hear it.
        let _ = self.taken.send(());
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn an_answer_that_is_taken_is_known_to_be() {
        let (giver, taker) = handover();
        assert_eq!(tokio::join!(giver.give(7), taker.take()), (true, Some(7)));
    }

    #[tokio::test]
    async fn a_caller_that_is_gone_has_taken_nothing() {
        let (giver, taker) = handover();
        drop(taker);
        assert!(!giver.give(7).await);
    }

    #[tokio::test]
    async fn an_answer_left_lying_is_known_to_be() {
        let (giver, taker) = handover();
        let mut take = Box::pin(taker.take());
        let mut context = Context::from_waker(Waker::noop());
        assert!(take.as_mut().poll(&mut context).is_pending());
        let mut give = pin!(giver.give(7));
        assert!(give.as_mut().poll(&mut context).is_pending());
        drop(take);
        assert_eq!(give.as_mut().poll(&mut context), Poll::Ready(false));
    }

    #[tokio::test]
    async fn a_task_that_ends_without_an_answer_is_known_to() {
        let (giver, taker) = handover::<()>();
        drop(giver);
        assert_eq!(taker.take().await, None);
    }
}
