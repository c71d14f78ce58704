//! The rule, pure: what the bytes are, what they become, and what to answer.

use portcullis_core::{Next, Timestamp};

use crate::state::{Open, State, Ticket};
use crate::{Error, LockoutPolicy, Outcome};

/// What a reservation is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserve {
    Granted(Ticket),
    Locked { until: Timestamp },
    Crowded,
}

/// What a settlement is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    Cleared,
    Counted {
        failures: u8,
    },
    NewlyLocked {
        until: Timestamp,
    },
    Locked {
        until: Timestamp,
    },
    /// This failure starts a lock until then, and nothing is written yet: list the account, then settle
    /// again.
    ListFirst {
        until: Timestamp,
    },
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Open { failures: u8 },
    Locked { until: Timestamp },
}

type Decision<T> = (Result<T, Error>, Next);

/// Counts an attempt before its password is looked at.
pub(crate) fn reserve(
    current: Option<&[u8]>,
    policy: &LockoutPolicy,
    nonce: u32,
    now: Timestamp,
) -> Decision<Reserve> {
    let mut open = match load(current, policy, now) {
        Ok(State::Open(open)) => open,
        // Keep, and not Settled: an administrator can lift it.
        Ok(State::Locked { until }) => return (Ok(Reserve::Locked { until }), Next::Keep),
        Err(error) => return (Err(error), Next::Keep),
    };
    let taken = usize::from(open.failures()).saturating_add(open.live.len());
    if taken >= usize::from(policy.failures()) {
        return (Ok(Reserve::Crowded), Next::Keep);
    }
    let mut ticket = Ticket {
        lapses_at: now.saturating_add(policy.life()),
        nonce,
    };
    // Fewer than 256 tickets are live, so a free nonce is near.
    let place = loop {
        match open.live.binary_search(&ticket) {
            Ok(_) => ticket.nonce = ticket.nonce.wrapping_add(1),
            Err(place) => break place,
        }
    };
    open.live.insert(place, ticket);
    let next = State::Open(open).into_next(current.is_some(), policy);
    (Ok(Reserve::Granted(ticket)), next)
}

/// Says how the attempt of `ticket` went. `listed` says that the account is in the list of locked ones,
/// or could not be put there.
pub(crate) fn settle(
    current: Option<&[u8]>,
    policy: &LockoutPolicy,
    ticket: Ticket,
    outcome: Outcome,
    listed: bool,
    now: Timestamp,
) -> Decision<Settle> {
    let mut open = match load(current, policy, now) {
        Ok(State::Open(open)) => open,
        Ok(State::Locked { until }) => return (Ok(Settle::Locked { until }), Next::Keep),
        Err(error) => return (Err(error), Next::Keep),
    };
    match open.live.binary_search(&ticket) {
        Ok(place) => drop(open.live.remove(place)),
        // It lapsed, and was counted for that unless a success came between: its outcome takes the place.
        Err(_) => open.lapsed = open.lapsed.saturating_sub(1),
    }
    let answer = match outcome {
        Outcome::Success => {
            (open.settled, open.lapsed) = (0, 0);
            Settle::Cleared
        }
        Outcome::Unverified => Settle::Counted {
            failures: open.failures(),
        },
        Outcome::Failure => {
            open.settled = open.settled.saturating_add(1);
            open.forget_at = open.forget_at.max(now.saturating_add(policy.memory()));
            let failures = open.failures();
            if failures >= policy.failures() {
                return lock(listed, policy, now);
            }
            Settle::Counted { failures }
        }
    };
    open.undate();
    let next = State::Open(open).into_next(current.is_some(), policy);
    (Ok(answer), next)
}

fn lock(listed: bool, policy: &LockoutPolicy, now: Timestamp) -> Decision<Settle> {
    let until = now.saturating_add(policy.lock());
    if !listed {
        return (Ok(Settle::ListFirst { until }), Next::Keep);
    }
    let next = State::Locked { until }.into_next(true, policy);
    (Ok(Settle::NewlyLocked { until }), next)
}

/// How the account stands; changes nothing.
pub(crate) fn status(
    current: Option<&[u8]>,
    policy: &LockoutPolicy,
    now: Timestamp,
) -> Decision<Standing> {
    let standing = load(current, policy, now).map(|state| match state {
        State::Locked { until } => Standing::Locked { until },
        State::Open(open) => Standing::Open {
            failures: open.failures(),
        },
    });
    (standing, Next::Keep)
}

/// Lifts a lock and forgets failures; attempts under way stay counted. Answers whether a lock, or bytes
/// that do not decode and so lock all the same, were lifted.
pub(crate) fn unlock(
    current: Option<&[u8]>,
    policy: &LockoutPolicy,
    now: Timestamp,
) -> (bool, Next) {
    match load(current, policy, now) {
        Ok(State::Open(open)) => {
            let kept = Open {
                live: open.live,
                ..Open::default()
            };
            let next = State::Open(kept).into_next(current.is_some(), policy);
            (false, next)
        }
        Ok(State::Locked { .. }) | Err(_) => (true, Next::Remove),
    }
}

/// The state as it is at `now`: a lock whose time is over is gone, reservations have lapsed, old
/// failures are forgotten. Doing this now and again later gives what doing it later gives.
fn load(current: Option<&[u8]>, policy: &LockoutPolicy, now: Timestamp) -> Result<State, Error> {
    let Some(bytes) = current else {
        return Ok(State::Open(Open::default()));
    };
    Ok(match State::decode(bytes).ok_or(Error::Corrupt)? {
        State::Locked { until } if now < until => State::Locked { until },
        State::Locked { .. } => State::Open(Open::default()),
        State::Open(open) => State::Open(open.aged(policy, now)),
    })
}

impl Open {
    fn aged(mut self, policy: &LockoutPolicy, now: Timestamp) -> Self {
        let live = self.live.partition_point(|ticket| ticket.lapses_at <= now);
        let still_live = self.live.split_off(live);
        for ticket in std::mem::replace(&mut self.live, still_live) {
            self.forget(ticket.lapses_at);
            // The last slot is left free: only a settled failure may start a lock.
            if self.failures() < policy.failures().saturating_sub(1) {
                self.lapsed = self.lapsed.saturating_add(1);
            }
            if self.failures() > 0 {
                let forget_at = ticket.lapses_at.saturating_add(policy.memory());
                self.forget_at = self.forget_at.max(forget_at);
            }
        }
        self.forget(now);
        self.leave_the_last_slot(policy);
        self
    }

    /// A limit that was lowered below the failures there are would crowd the account, with nothing under
    /// way and no lock that ends: it is as near to its lock as can be instead.
    fn leave_the_last_slot(&mut self, policy: &LockoutPolicy) {
        let most = policy.failures().saturating_sub(1);
        self.settled = self.settled.min(most);
        self.lapsed = self.lapsed.min(most.saturating_sub(self.settled));
        self.undate();
    }

    fn forget(&mut self, now: Timestamp) {
        if self.forget_at <= now {
            (self.settled, self.lapsed) = (0, 0);
        }
        self.undate();
    }

    fn undate(&mut self) {
        if self.failures() == 0 {
            self.forget_at = Timestamp::UNIX_EPOCH;
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
