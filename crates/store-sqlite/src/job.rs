//! One caller's step on its way through the writer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use portcullis_core::{Failure, Next, Scope, Timestamp};
use tokio::sync::oneshot;

use crate::place::Place;

/// Which cell a step is about.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) scope: Scope,
    pub(crate) now: Timestamp,
}

/// What a caller is told.
pub(crate) enum Outcome<T> {
    Answered(T),
    Failed(Failure),
    Panicked(Box<dyn Any + Send>),
}

/// A caller's step whose type is forgotten.
pub(crate) trait Job: Send {
    fn address(&self) -> Address;

    /// Whether the caller has gone away.
    fn is_abandoned(&self) -> bool;

    /// Runs the step, whose answer replaces that of an earlier run; nothing if it panicked.
    fn run(&mut self, current: Option<&[u8]>) -> Option<Next>;

    /// Replaces the answer of the last run: what it asked for cannot be done.
    fn refuse(&mut self, failure: Failure);

    /// Tells the caller the last run's outcome, or why no run counted.
    fn finish(self: Box<Self>, ending: Result<(), Failure>);
}

pub(crate) struct Task<T, F> {
    address: Address,
    step: F,
    outcome: Option<Outcome<T>>,
    reply: oneshot::Sender<Outcome<T>>,
}

impl<T, F> Task<T, F> {
    pub(crate) fn new(address: Address, step: F) -> (Self, oneshot::Receiver<Outcome<T>>) {
        let (reply, answer) = oneshot::channel();
        let outcome = None;
        let task = Self {
            address,
            step,
            outcome,
            reply,
        };
        (task, answer)
    }
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: Fn(Option<&[u8]>) -> (T, Next) + Send,
{
    fn address(&self) -> Address {
        self.address
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, current: Option<&[u8]>) -> Option<Next> {
        // Unwind safe: a panicked step's state is its caller's, who is told of the panic. An earlier
        // run's answer is dropped in here too, for that is the caller's code as well.
        let run = || {
            self.outcome = None;
            (self.step)(current)
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok((answer, next)) => {
                self.outcome = Some(Outcome::Answered(answer));
                Some(next)
            }
            Err(payload) => {
                self.outcome = Some(Outcome::Panicked(payload));
                None
            }
        }
    }

    fn refuse(&mut self, failure: Failure) {
        let refused = || self.outcome = Some(Outcome::Failed(failure));
        if let Err(payload) = catch_unwind(AssertUnwindSafe(refused)) {
            self.outcome = Some(Outcome::Panicked(payload));
        }
    }

    fn finish(self: Box<Self>, ending: Result<(), Failure>) {
        let outcome = match ending {
            Ok(()) => self.outcome,
            Err(failure) => Some(Outcome::Failed(failure)),
        };
        if let Some(outcome) = outcome {
            // A caller that has gone away meanwhile hears nothing.
            let _ = self.reply.send(outcome);
        }
    }
}
