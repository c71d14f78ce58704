//! An account's attempts one after another, beside a plain count of them.

use std::time::Duration;

use portcullis_core::{Next, Timestamp};

use crate::decide::{self, Reserve, Settle, Standing};
use crate::state::{State, Ticket};
use crate::{LockoutPolicy, Outcome};

/// The body of the fuzz target `lockout_acts`: two bytes are the policy, then each three are an act, which
/// attempt it is about, and how long to wait before it.
///
/// Within the life of a reservation no more attempts are let through than the limit; consecutive failures
/// up to the limit lock, and no fewer attempts do; a lock lets nothing through until it is over; a success
/// forgets; nobody is turned away without attempts enough; and what has expired decides like none.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_lockout_acts(data: &[u8]) {
    let Some(([limit, memory], acts)) = data.split_first_chunk() else {
        return;
    };
    let memory = Duration::from_secs(u64::from(*memory % 4).saturating_add(1).saturating_mul(60));
    let policy = LockoutPolicy::new((*limit % 8).saturating_add(1), LOCK)
        .and_then(|policy| policy.reservation_life(LIFE))
        .and_then(|policy| policy.forget_after(memory));
    let Ok(policy) = policy else { return };
    let mut account = Account::new(policy);
    for [act, which, wait] in acts.as_chunks().0 {
        let wait = WAITS.get(usize::from(wait % 16)).copied();
        account.wait(wait.unwrap_or_default());
        match act % 8 {
            0..=2 => account.reserve(u32::from(*which)),
            3 | 4 => account.settle(*which, Outcome::Failure),
            5 => account.settle(*which, Outcome::Success),
            6 => account.settle(*which, Outcome::Unverified),
            _ => account.unlock(),
        }
    }
}

struct Account {
    policy: LockoutPolicy,
    now: Timestamp,
    held: Option<(Vec<u8>, Timestamp)>,
    locked_until: Option<Timestamp>,
    /// Reservations that were not settled, lapsed ones too, and when they were granted: none once a success,
    /// unlock or lock has wiped that out.
    open: Vec<(Ticket, Option<Timestamp>)>,
    /// When those were granted that have neither been taken back nor wiped out by a success.
    granted: Vec<Timestamp>,
    /// Failures settled since the last success, unlock or lock: all of them, and those that cannot have
    /// been forgotten.
    failed: usize,
    remembered: usize,
    last_failure: Timestamp,
    locks: u32,
}

impl Account {
    fn new(policy: LockoutPolicy) -> Self {
        Self {
            policy,
            now: Timestamp::from_unix_secs(1_700_000_000),
            held: None,
            locked_until: None,
            open: Vec::new(),
            granted: Vec::new(),
            failed: 0,
            remembered: 0,
            last_failure: Timestamp::UNIX_EPOCH,
            locks: 0,
        }
    }

    fn limit(&self) -> usize {
        usize::from(self.policy.failures())
    }

    fn wait(&mut self, span: Duration) {
        self.now = self.now.saturating_add(span);
        if self.locked_until.is_some_and(|until| until <= self.now) {
            self.locked_until = None;
        }
        if self.last_failure.saturating_add(self.policy.memory()) <= self.now {
            self.remembered = 0;
        }
        self.stands();
        // As a store does.
        self.held = self.held.take().filter(|(_, ends)| self.now < *ends);
    }

    /// How it stands is how the count does, and no other once the row has expired.
    fn stands(&self) {
        let status = decide::status(self.bytes(), &self.policy, self.now);
        assert_eq!(status.1, Next::Keep);
        match (&status.0, self.locked_until) {
            (Ok(Standing::Locked { until }), Some(known)) => assert_eq!(*until, known),
            (Ok(Standing::Open { failures }), None) => {
                let failures = usize::from(*failures);
                assert!(failures < self.limit());
                assert!(failures <= self.failed.saturating_add(self.open.len()));
            }
            other => assert_eq!(None, Some(other), "a lock is there or is not"),
        }
        if self
            .held
            .as_ref()
            .is_some_and(|(_, ends)| *ends <= self.now)
        {
            assert_eq!(status, decide::status(None, &self.policy, self.now));
        }
    }

    fn reserve(&mut self, nonce: u32) {
        // Few nonces, so that they meet; but none with one that a lock wiped out.
        let nonce = self.locks.saturating_mul(1_000).saturating_add(nonce % 2);
        let (answer, next) = decide::reserve(self.bytes(), &self.policy, nonce, self.now);
        self.take(next);
        match (answer, self.locked_until) {
            (Ok(Reserve::Locked { until }), Some(known)) => assert_eq!(until, known),
            (Ok(Reserve::Granted(ticket)), None) => {
                assert!(self.open.iter().all(|(open, _)| *open != ticket));
                self.open.push((ticket, Some(self.now)));
                self.granted.push(self.now);
                let lately = self.now.saturating_sub(LIFE);
                let lately = self.granted.iter().filter(|at| lately < **at).count();
                assert!(lately <= self.limit(), "more attempts than the limit");
            }
            (Ok(Reserve::Crowded), None) => {
                let counted = self.failed.saturating_add(self.open.len());
                assert!(counted >= self.limit(), "turned away without cause");
            }
            other => assert_eq!(None, Some(other), "a lock lets nothing through"),
        }
    }

    fn settle(&mut self, which: u8, outcome: Outcome) {
        let Some(place) = usize::from(which).checked_rem(self.open.len()) else {
            return;
        };
        let (ticket, granted) = self.open.swap_remove(place);
        let settle = |listed| {
            decide::settle(
                self.bytes(),
                &self.policy,
                ticket,
                outcome,
                listed,
                self.now,
            )
        };
        let (mut answer, mut next) = settle(true);
        if let Ok(Settle::NewlyLocked { until }) = answer {
            let first = settle(false);
            assert_eq!(first, (Ok(Settle::ListFirst { until }), Next::Keep));
        } else {
            assert_eq!((answer, next), settle(false));
            (answer, next) = settle(true);
        }
        self.take(next);
        if let Some(until) = self.locked_until {
            assert_eq!(answer, Ok(Settle::Locked { until }));
            return;
        }
        match outcome {
            Outcome::Success => {
                assert_eq!(answer, Ok(Settle::Cleared));
                self.forget();
            }
            Outcome::Unverified => {
                assert!(matches!(answer, Ok(Settle::Counted { .. })));
                // It gave its own place back, and nobody else's.
                let mut places = self.granted.iter();
                if let Some(place) = places.position(|at| Some(*at) == granted) {
                    self.granted.swap_remove(place);
                }
            }
            Outcome::Failure => self.failure(&answer),
        }
        self.stands();
    }

    fn failure(&mut self, answer: &Result<Settle, crate::Error>) {
        self.failed = self.failed.saturating_add(1);
        self.remembered = self.remembered.saturating_add(1);
        self.last_failure = self.now;
        let counted = self.failed.saturating_add(self.open.len());
        match *answer {
            Ok(Settle::NewlyLocked { until }) => {
                assert!(counted >= self.limit(), "locked without cause");
                assert_eq!(until, self.now.saturating_add(LOCK));
                self.locked_until = Some(until);
                self.locks = self.locks.saturating_add(1);
                self.forget();
            }
            Ok(Settle::Counted { failures }) => {
                assert!(usize::from(failures) <= counted);
                assert!(self.remembered < self.limit(), "failed and not locked");
            }
            ref other => assert_eq!(None, Some(other), "a failure is counted or locks"),
        }
    }

    fn unlock(&mut self) {
        let (lifted, next) = decide::unlock(self.bytes(), &self.policy, self.now);
        assert_eq!(lifted, self.locked_until.is_some());
        self.take(next);
        self.locked_until = None;
        self.forget();
        self.stands();
    }

    fn forget(&mut self) {
        self.granted.clear();
        for (_, granted) in &mut self.open {
            *granted = None;
        }
        (self.failed, self.remembered) = (0, 0);
    }

    fn bytes(&self) -> Option<&[u8]> {
        self.held.as_ref().map(|(bytes, _)| bytes.as_slice())
    }

    fn take(&mut self, next: Next) {
        match next {
            Next::Put { value, expires_at } => {
                assert!(State::decode(value.as_bytes()).is_some());
                self.held = Some((value.as_bytes().to_vec(), expires_at));
            }
            Next::Remove => self.held = None,
            Next::Keep => {}
            Next::Settled => assert_eq!(next, Next::Keep, "an administrator can lift anything"),
        }
    }
}

const LIFE: Duration = Duration::from_secs(10);
const LOCK: Duration = Duration::from_secs(60);
/// Short of each end, and at it.
const WAITS: [Duration; 16] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_nanos(9_999_999_999),
    Duration::from_secs(10),
    Duration::from_secs(11),
    Duration::from_nanos(59_999_999_999),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(250),
    Duration::from_secs(400),
];
