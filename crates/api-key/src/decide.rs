//! What is done with a key: pure functions of the bytes at rest and the instant.

use std::time::Duration;

use portcullis_core::{Next, Timestamp};
use subtle::{Choice, ConstantTimeEq};

use crate::key::Digest;
use crate::state::{Previous, Record, Row};
use crate::{Environment, Error, KeyId, KeyInfo, KeyProof, NewKey, Policy, SecretTag};

/// What a step answers and leaves.
pub(crate) type Decision<T> = (Result<T, Error>, Next);

/// The row of a key that is being made. Refuses one whose end has passed.
pub(crate) fn first(
    owner: &str,
    new: NewKey,
    digest: Digest,
    policy: &Policy,
    now: Timestamp,
) -> Result<Row, Error> {
    if new.ends_at <= now {
        return Err(Error::EndPassed);
    }
    Ok(Row {
        owner: owner.to_owned(),
        label: new.label,
        environment: new.environment,
        scopes: new.scopes,
        created_at: now,
        ends_at: new.ends_at,
        digest,
        made_at: now,
        expires_at: now.saturating_add(policy.max_age).min(new.ends_at),
        previous: None,
        last_used_at: None,
        revoked_at: None,
    })
}

/// Puts the first row under an id that nothing stands under; answers whether it did.
pub(crate) fn begin(current: Option<&[u8]>, row: &Row, now: Timestamp) -> (bool, Next) {
    match record(current, now) {
        Ok(None) => (true, Record::Key(row.clone()).put()),
        // A row that does not decode is not written over either.
        Ok(Some(_)) | Err(_) => (false, Next::Keep),
    }
}

/// Whose key that is, and whether it counts. The secret is compared first, with that of no key too, so
/// that whoever holds an id alone learns nothing of how it stands.
pub(crate) fn verify(
    current: Option<&[u8]>,
    shown: &Shown,
    policy: &Policy,
    now: Timestamp,
) -> Decision<KeyProof> {
    let held = match record(current, now) {
        Ok(held) => held,
        Err(error) => return (Err(error), Next::Keep),
    };
    let (kept, before) = match &held {
        Some(Record::Key(row)) => (row.digest, row.previous.map(|previous| previous.digest)),
        _ => (NO_DIGEST, None),
    };
    let present = same(&kept, &shown.digest);
    // Where there is none before, it is compared with nothing, and that is no match either.
    let previous = same(&before.unwrap_or(NO_DIGEST), &shown.digest)
        & Choice::from(u8::from(before.is_some()));
    let Some(Record::Key(mut row)) = held else {
        return (Err(Error::Unknown), Next::Keep);
    };
    // The checksum is no signature: a key relabelled for another environment has the right secret.
    if !bool::from(present | previous) || row.environment != shown.environment {
        return (Err(Error::SecretWrong), Next::Keep);
    }
    let now = row.present(now);
    if let Err(error) = row.counts(policy, now) {
        return (Err(error), Next::Keep);
    }
    let end = row.end(policy);
    let by_previous_secret = !bool::from(present);
    let (expires_at, rotate_by) = if by_previous_secret {
        let Some(until) = row.grace(policy, now) else {
            return (Err(Error::Expired), Next::Keep);
        };
        (until, Some(until))
    } else {
        (end, (now >= rotate_from(end, policy)).then_some(end))
    };
    let next = row.note_use(policy, now);
    let proof = KeyProof {
        key_id: shown.id,
        owner: row.owner,
        label: row.label,
        environment: row.environment,
        scopes: row.scopes,
        expires_at,
        rotate_by,
        by_previous_secret,
        tag: SecretTag::of(&shown.digest),
    };
    (Ok(proof), next)
}

/// In constant time. Four words are compared in place of 32 bytes: `subtle` keeps the compiler from looking
/// into each comparison, at a call's price for each.
fn same(one: &Digest, other: &Digest) -> Choice {
    let ((one, _), (other, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let same = one.iter().zip(other).map(|(one, other)| {
        let (one, other) = (u64::from_ne_bytes(*one), u64::from_ne_bytes(*other));
        one.ct_eq(&other)
    });
    same.fold(Choice::from(1), |all, same| all & same)
}

/// Whose key that would be.
pub(crate) fn owner(current: Option<&[u8]>, now: Timestamp) -> Decision<Option<String>> {
    let answer = record(current, now).map(|held| match held {
        Some(Record::Key(row)) => Some(row.owner),
        _ => None,
    });
    (answer, Next::Keep)
}

/// What is shown of the key, if there is one.
pub(crate) fn info(
    current: Option<&[u8]>,
    id: KeyId,
    policy: &Policy,
    now: Timestamp,
) -> Decision<KeyInfo> {
    (
        row(current, now).map(|row| row.info(id, policy, now)),
        Next::Keep,
    )
}

/// What is shown of the key, if it counts.
pub(crate) fn standing(
    current: Option<&[u8]>,
    id: KeyId,
    policy: &Policy,
    now: Timestamp,
) -> Decision<KeyInfo> {
    let counts = |row: Row| {
        if !policy.accepts(row.environment) {
            return Err(Error::OtherEnvironment);
        }
        row.counts(policy, row.present(now))?;
        Ok(row.info(id, policy, now))
    };
    (row(current, now).and_then(counts), Next::Keep)
}

/// Replaces the secret; the one before counts through its grace, and not past its own end.
pub(crate) fn rotate(
    current: Option<&[u8]>,
    act: &Act,
    digest: Digest,
    policy: &Policy,
    now: Timestamp,
) -> Decision<KeyInfo> {
    let mut row = match owned(current, act, now) {
        Ok(row) => row,
        Err(error) => return (Err(error), Next::Keep),
    };
    let now = row.present(now);
    let refused = if row.revoked_at.is_some() {
        Some(Error::Revoked)
    } else if now >= row.ends_at {
        Some(Error::Expired)
    } else if !policy.accepts(row.environment) {
        Some(Error::OtherEnvironment)
    } else {
        row.under_way(policy, now).map(Error::RotationUnderWay)
    };
    if let Some(error) = refused {
        return (Err(error), Next::Keep);
    }
    let until = now.saturating_add(policy.grace).min(row.end(policy));
    row.previous = Some(Previous {
        digest: row.digest,
        until: Some(until),
    });
    row.digest = digest;
    row.made_at = now;
    row.expires_at = now.saturating_add(policy.max_age).min(row.ends_at);
    (Ok(row.info(act.id, policy, now)), Record::Key(row).put())
}

/// Ends the grace of the secret before the present one, for good.
pub(crate) fn end_grace(current: Option<&[u8]>, act: &Act, now: Timestamp) -> Decision<()> {
    let mut row = match owned(current, act, now) {
        Ok(row) => row,
        Err(error) => return (Err(error), Next::Keep),
    };
    let ended = row.previous.as_mut().and_then(|it| it.until.take());
    let next = ended.map_or(Next::Keep, |_| Record::Key(row).put());
    (Ok(()), next)
}

/// Revokes the key with both its secrets; the first instant stays.
pub(crate) fn revoke(
    current: Option<&[u8]>,
    act: &Act,
    policy: &Policy,
    now: Timestamp,
) -> Decision<KeyInfo> {
    let mut row = match owned(current, act, now) {
        Ok(row) => row,
        Err(error) => return (Err(error), Next::Keep),
    };
    if row.revoked_at.is_some() {
        return (Ok(row.info(act.id, policy, now)), Next::Keep);
    }
    row.revoked_at = Some(row.present(now));
    (Ok(row.info(act.id, policy, now)), Record::Key(row).put())
}

/// Revokes the key if it is as old as that and was certainly not used for as long; answers whether it did.
pub(crate) fn revoke_unused(
    current: Option<&[u8]>,
    act: &Act,
    span: Duration,
    now: Timestamp,
) -> Decision<bool> {
    let mut row = match owned(current, act, now) {
        Ok(row) => row,
        Err(error) => return (Err(error), Next::Keep),
    };
    // A use is noted to the minute: the last one may lie that much after the last that was noted.
    let span = span.saturating_add(NOTED_EVERY);
    let used = row.last_used_at.unwrap_or(row.made_at).max(row.made_at);
    if row.revoked_at.is_some() || now.saturating_since(used) < span {
        return (Ok(false), Next::Keep);
    }
    row.revoked_at = Some(row.present(now));
    (Ok(true), Record::Key(row).put())
}

/// Takes away a key that counts no more; answers when it was listed.
pub(crate) fn forget(
    current: Option<&[u8]>,
    act: &Act,
    policy: &Policy,
    now: Timestamp,
) -> Decision<Timestamp> {
    let row = match owned(current, act, now) {
        Ok(row) => row,
        Err(error) => return (Err(error), Next::Keep),
    };
    match row.counts(policy, row.present(now)) {
        Ok(()) => (Err(Error::StillCounts), Next::Keep),
        Err(_) => (Ok(row.created_at), Next::Remove),
    }
}

/// Whether a listed id has no key; if so it is closed, so that a creation that hangs does not make an
/// unlisted one of it later.
pub(crate) fn vacate(current: Option<&[u8]>, now: Timestamp) -> (bool, Next) {
    match record(current, now) {
        Ok(None) => {
            let until = now.saturating_add(VOID_LIFE);
            (true, Record::Void { until }.put())
        }
        Ok(Some(Record::Void { .. })) => (true, Next::Keep),
        Ok(Some(Record::Key(_))) | Err(_) => (false, Next::Keep),
    }
}

/// A key as its holder shows it: what is compared, and never its secret.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) id: KeyId,
    pub(crate) environment: Environment,
    pub(crate) digest: Digest,
}

/// An owner's act upon a key.
#[derive(Clone)]
pub(crate) struct Act {
    pub(crate) id: KeyId,
    pub(crate) owner: String,
}

impl Row {
    /// `now`, but never before the present secret was made: a clock that stepped back grants what one
    /// that stood still would.
    fn present(&self, now: Timestamp) -> Timestamp {
        now.max(self.made_at)
    }

    /// When the present secret is too old: by the policy it was made under and by that of the moment.
    fn end(&self, policy: &Policy) -> Timestamp {
        self.expires_at
            .min(self.made_at.saturating_add(policy.max_age))
    }

    fn counts(&self, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        if self.revoked_at.is_some() {
            return Err(Error::Revoked);
        }
        if now >= self.end(policy) {
            return Err(Error::Expired);
        }
        Ok(())
    }

    /// Until when the previous secret counts, if it does at `now`; never past the present one.
    fn grace(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let until = self.previous?.until?;
        let until = until
            .min(self.made_at.saturating_add(policy.grace))
            .min(self.end(policy));
        (now < until).then_some(until)
    }

    /// Until when the last rotation stands in the way of another. Without any grace it does for a few
    /// seconds: of two that were asked for at once, the second would kill what the first has just shown.
    fn under_way(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        self.previous?.until?;
        let settled = self.made_at.saturating_add(SETTLING);
        let until = self
            .grace(policy, now)
            .map_or(settled, |until| until.max(settled));
        (now < until).then_some(until)
    }

    /// Notes a use unless one was noted within the minute. A grace that such a write finds over is over
    /// for good: a clock that steps back later does not revive the secret before.
    fn note_use(&mut self, policy: &Policy, now: Timestamp) -> Next {
        let noted = self.last_used_at;
        if noted.is_some_and(|noted| now.saturating_since(noted) < NOTED_EVERY) {
            return Next::Keep;
        }
        self.last_used_at = Some(now);
        if self.under_way(policy, now).is_none()
            && let Some(previous) = &mut self.previous
        {
            previous.until = None;
        }
        Record::Key(self.clone()).put()
    }

    pub(crate) fn info(&self, id: KeyId, policy: &Policy, now: Timestamp) -> KeyInfo {
        let end = self.end(policy);
        KeyInfo {
            id,
            owner: self.owner.clone(),
            label: self.label.clone(),
            environment: self.environment,
            scopes: self.scopes.clone(),
            created_at: self.created_at,
            secret_made_at: self.made_at,
            expires_at: end,
            last_used_at: self.last_used_at,
            previous_until: self.grace(policy, self.present(now)),
            revoked_at: self.revoked_at,
            rotate_from: rotate_from(end, policy),
            tags: (
                SecretTag::of(&self.digest),
                self.previous
                    .map(|previous| SecretTag::of(&previous.digest)),
            ),
        }
    }
}

/// What stands under the id, if anything does at `now`.
fn record(current: Option<&[u8]>, now: Timestamp) -> Result<Option<Record>, Error> {
    let Some(bytes) = current else {
        return Ok(None);
    };
    match Record::decode(bytes).ok_or(Error::Corrupt)? {
        Record::Void { until } if now >= until => Ok(None),
        record => Ok(Some(record)),
    }
}

fn row(current: Option<&[u8]>, now: Timestamp) -> Result<Row, Error> {
    match record(current, now)? {
        Some(Record::Key(row)) => Ok(row),
        _ => Err(Error::Unknown),
    }
}

/// The owner's row: another's key is as good as none.
fn owned(current: Option<&[u8]>, act: &Act, now: Timestamp) -> Result<Row, Error> {
    row(current, now).and_then(|row| {
        if row.owner == act.owner {
            Ok(row)
        } else {
            Err(Error::Unknown)
        }
    })
}

fn rotate_from(end: Timestamp, policy: &Policy) -> Timestamp {
    end.saturating_sub(policy.warn)
}

/// How often a use is written down.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// For how long a rotation stands in the way of the next where no grace does: longer than a double click
/// and its retries.
const SETTLING: Duration = Duration::from_secs(10);
/// For how long an id without a key stays closed: longer than any creation hangs.
const VOID_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Compared with where there is no secret.
const NO_DIGEST: Digest = [0; 32];

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
