//! What becomes of a session's bytes. Pure: `now`, the bytes and the randomness are arguments.
//!
//! | The session's generation is n; the token is of | Answer |
//! |---|---|
//! | n | generation n + 1 is live, its token is given |
//! | n − 1, within the grace, answered again less than twice | the token of n, the same as before |
//! | n − 1 otherwise, or older | the family is revoked: [`Error::Reused`] |
//! | n + 1 or newer | the store has lost writes: the family is revoked |
//!
//! A wrong tag decides nothing about the session: it is answered as if there were none.

use std::cmp::Ordering;
use std::time::Duration;

use portcullis_core::{Next, Timestamp};

use crate::factor::note;
use crate::policy::GRACE_REPEATS;
use crate::state::{Record, Row};
use crate::token::{Keyed, NONCE_LEN, Presented};
use crate::{Error, Factor, Revocation, SessionId, SessionPolicy};

/// The row after a refresh, and whether the token was answered before.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Granted {
    pub(crate) row: Row,
    pub(crate) repeated: bool,
}

pub(crate) fn refresh(
    current: Option<&[u8]>,
    presented: &Presented,
    keyed: &Keyed,
    policy: &SessionPolicy,
    now: Timestamp,
) -> (Result<Granted, Error>, Next) {
    let row = match proven(current, presented, keyed) {
        Ok(row) => row,
        Err(error) => return (Err(error), Next::Keep),
    };
    let now = row.present(now);
    if row.expires_at() <= now {
        // Somebody was told that it is over: a clock that steps back later must not revive it.
        return (Err(Error::NoSuchSession), Next::Remove);
    }
    if let Some((why, _)) = row.revoked {
        return (
            Err(was_revoked(presented.session, row.user, why)),
            Next::Keep,
        );
    }
    match presented.counter.cmp(&row.counter) {
        Ordering::Equal => return rotate(row, policy, now),
        Ordering::Greater => {
            let why = Revocation::RolledBack;
            let error = was_revoked(presented.session, row.user.clone(), why);
            return (Err(error), revoked(row, why, now).put());
        }
        Ordering::Less => {}
    }
    let is_parent = presented.counter.checked_add(1) == Some(row.counter);
    let in_grace = now.saturating_since(row.rotated) < policy.grace;
    if is_parent && in_grace && row.repeats < GRACE_REPEATS {
        return repeat(row);
    }
    let error = Error::Reused {
        session: presented.session,
        user: row.user.clone(),
    };
    (Err(error), revoked(row, Revocation::Reused, now).put())
}

fn rotate(mut row: Row, policy: &SessionPolicy, now: Timestamp) -> (Result<Granted, Error>, Next) {
    let Some(counter) = row.counter.checked_add(1) else {
        // One rotation a nanosecond takes five centuries to get here: these bytes are not ours.
        return (Err(Error::Corrupt), Next::Keep);
    };
    row.counter = counter;
    row.rotated = now;
    row.repeats = 0;
    row.idle = now.saturating_add(policy.idle).min(row.absolute);
    granted(row, false)
}

/// The same child: its counter and expiry stay as they are.
fn repeat(mut row: Row) -> (Result<Granted, Error>, Next) {
    row.repeats = row.repeats.saturating_add(1);
    granted(row, true)
}

fn granted(row: Row, repeated: bool) -> (Result<Granted, Error>, Next) {
    let next = row.put();
    (Ok(Granted { row, repeated }), next)
}

/// A first row; its token is of generation 0.
pub(crate) fn first(
    user: &str,
    nonce: [u8; NONCE_LEN],
    factors: &[Factor],
    epoch: u64,
    policy: &SessionPolicy,
    now: Timestamp,
) -> Row {
    let absolute = now.saturating_add(policy.absolute);
    let mut noted = Vec::with_capacity(factors.len());
    for factor in factors {
        note(&mut noted, *factor, now);
    }
    Row {
        user: user.to_owned(),
        nonce,
        created: now,
        absolute,
        idle: now.saturating_add(policy.idle).min(absolute),
        rotated: now,
        counter: 0,
        repeats: 0,
        epoch,
        factors: noted,
        revoked: None,
    }
}

/// Writes a first row where nothing stands. An id that was closed meanwhile stays closed.
pub(crate) fn begin(
    current: Option<&[u8]>,
    row: &Row,
    now: Timestamp,
) -> (Result<(), Revocation>, Next) {
    match standing(current, now) {
        Ok(None) => (Ok(()), row.put()),
        Ok(Some(Record::Void { why, .. })) => (Err(why), Next::Keep),
        // 128 random bits met others: give the id up, try another.
        _ => (Err(Revocation::Abandoned), Next::Keep),
    }
}

/// The session, if it is alive.
pub(crate) fn live(
    current: Option<&[u8]>,
    session: SessionId,
    now: Timestamp,
) -> (Result<Row, Error>, Next) {
    let answer = match standing(current, now) {
        Ok(Some(Record::Session(row))) => match row.revoked {
            None => Ok(row),
            Some((why, _)) => Err(was_revoked(session, row.user, why)),
        },
        Ok(_) => Err(Error::NoSuchSession),
        Err(error) => Err(error),
    };
    (answer, Next::Keep)
}

/// Notes a factor in a living session.
pub(crate) fn add_factor(
    current: Option<&[u8]>,
    session: SessionId,
    factor: Factor,
    now: Timestamp,
) -> (Result<Row, Error>, Next) {
    match live(current, session, now) {
        (Ok(mut row), _) => {
            note(&mut row.factors, factor, now);
            let next = row.put();
            (Ok(row), next)
        }
        refused => refused,
    }
}

/// Moves the idle end of a living session out, as a refresh does, and replaces no token: neither the
/// counter nor the instant of the last rotation moves, so a used token's grace is not prolonged.
pub(crate) fn touch(
    current: Option<&[u8]>,
    session: SessionId,
    policy: &SessionPolicy,
    now: Timestamp,
) -> (Result<Row, Error>, Next) {
    let (mut row, next) = match live(current, session, now) {
        (Ok(row), next) => (row, next),
        refused => return refused,
    };
    let idle = row.present(now).saturating_add(policy.idle);
    // A policy that grew shorter, or a clock that stepped back, takes nothing away.
    if idle.min(row.absolute) <= row.idle {
        return (Ok(row), next);
    }
    row.idle = idle.min(row.absolute);
    let next = row.put();
    (Ok(row), next)
}

/// Whether a touch would move the idle end far enough to be worth a write.
pub(crate) fn touch_is_due(
    idle: Timestamp,
    absolute: Timestamp,
    policy: &SessionPolicy,
    now: Timestamp,
) -> bool {
    let gain = now.saturating_add(policy.idle).saturating_since(idle);
    // A short idle life counted in quarters of an hour would end sessions in use.
    idle < absolute && (gain >= TOUCH || gain.saturating_mul(4) >= policy.idle)
}

/// A session that stood when it was asked to end.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Ended {
    pub(crate) row: Row,
    /// Whether this very call ended it.
    pub(crate) now: bool,
}

/// Ends the session, if one stands; the first reason remains.
pub(crate) fn revoke(
    current: Option<&[u8]>,
    why: Revocation,
    now: Timestamp,
) -> (Result<Option<Ended>, Error>, Next) {
    match standing(current, now) {
        Ok(Some(Record::Session(row))) if row.revoked.is_some() => {
            (Ok(Some(Ended { row, now: false })), Next::Keep)
        }
        Ok(Some(Record::Session(row))) => {
            let next = revoked(row.clone(), why, now).put();
            (Ok(Some(Ended { row, now: true })), next)
        }
        Ok(_) => (Ok(None), Next::Keep),
        Err(error) => (Err(error), Next::Keep),
    }
}

/// As [`revoke`], for an id that its user's index lists: one that has no row yet is closed, so that
/// a start under way does not outlive the call.
pub(crate) fn revoke_listed(
    current: Option<&[u8]>,
    why: Revocation,
    now: Timestamp,
) -> (Result<Option<Ended>, Error>, Next) {
    match standing(current, now) {
        Ok(None) => (Ok(None), void(why, now)),
        _ => revoke(current, why, now),
    }
}

/// As [`revoke`], for whoever shows a token of the family, of whatever generation.
pub(crate) fn revoke_shown(
    current: Option<&[u8]>,
    presented: &Presented,
    keyed: &Keyed,
    why: Revocation,
    now: Timestamp,
) -> (Result<Option<Ended>, Error>, Next) {
    match proven(current, presented, keyed) {
        Ok(_) => revoke(current, why, now),
        Err(error) => (Err(error), Next::Keep),
    }
}

/// What an index's member points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A living session, refreshed or touched last at that instant.
    Taken(Timestamp),
    /// A start under way.
    Pending,
    /// Nothing that can live again: the member may go.
    Free,
    /// Bytes that do not decode: refused everywhere, and not to be lost sight of.
    Unreadable,
}

/// What a member, written at `listed`, points at. An id that never got its row is closed for good
/// before its member may go: a start that comes late must not make a session nobody can list.
pub(crate) fn inspect(
    current: Option<&[u8]>,
    listed: Timestamp,
    policy: &SessionPolicy,
    now: Timestamp,
) -> (Place, Next) {
    match standing(current, now) {
        Ok(Some(Record::Session(row))) if row.revoked.is_none() => {
            // A touch leaves no instant of its own. Refreshed alone, a session is never idle longer
            // than the policy says, and the rotation is the later of the two. A row of a policy that
            // was longer would seem touched in the future, and fresher than all others: it was
            // rotated, more is not known.
            let touched = row.idle.saturating_sub(policy.idle);
            let ahead = touched.saturating_since(row.present(now)) >= APART;
            let used = if ahead {
                row.rotated
            } else {
                row.rotated.max(touched)
            };
            (Place::Taken(used), Next::Keep)
        }
        Ok(Some(_)) => (Place::Free, Next::Keep),
        Ok(None) if now.saturating_since(listed) < PENDING => (Place::Pending, Next::Keep),
        Ok(None) => (Place::Free, void(Revocation::Abandoned, now)),
        Err(_) => (Place::Unreadable, Next::Keep),
    }
}

/// The row behind the token, if this service made the token for it. The tag is checked before
/// anything else is looked at, and also when there is nothing to look at.
fn proven(current: Option<&[u8]>, presented: &Presented, keyed: &Keyed) -> Result<Row, Error> {
    let record = decoded(current)?;
    let row = match record {
        Some(Record::Session(row)) => Some(row),
        Some(Record::Void { .. }) | None => None,
    };
    let nonce = row.as_ref().map_or([0; NONCE_LEN], |row| row.nonce);
    let made = keyed.made(presented, &nonce);
    row.filter(|_| made).ok_or(Error::NoSuchSession)
}

/// The record, unless it has expired: that decides like none.
fn standing(current: Option<&[u8]>, now: Timestamp) -> Result<Option<Record>, Error> {
    let record = decoded(current)?;
    Ok(record.filter(|record| {
        let now = match record {
            Record::Session(row) => row.present(now),
            Record::Void { .. } => now,
        };
        record.expires_at() > now
    }))
}

fn decoded(current: Option<&[u8]>) -> Result<Option<Record>, Error> {
    current
        .map(|bytes| Record::decode(bytes).ok_or(Error::Corrupt))
        .transpose()
}

fn revoked(mut row: Row, why: Revocation, now: Timestamp) -> Row {
    row.revoked = Some((why, now));
    row
}

fn void(why: Revocation, now: Timestamp) -> Next {
    let until = now.saturating_add(VOID);
    Record::Void { why, until }.put()
}

fn was_revoked(session: SessionId, user: String, why: Revocation) -> Error {
    Error::Revoked { session, user, why }
}

/// A start writes its row within milliseconds of its member; after a minute it has been given up.
const PENDING: Duration = Duration::from_secs(60);
/// The clocks of replicas differ by less: what another touched a moment ahead of now was touched.
const APART: Duration = Duration::from_secs(60);
/// One write in a quarter of an hour keeps a page that is open all day alive.
const TOUCH: Duration = Duration::from_mins(15);
/// Longer than any start still under way when its id was closed.
const VOID: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
