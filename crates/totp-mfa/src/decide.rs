//! The rule, pure: what the row is, what it becomes, and what to answer.

use portcullis_core::{Key, Next, Sealer, Timestamp};

use crate::recovery::find;
use crate::state::{Active, Pending, Recovery, Row};
use crate::verify::{Codes, acceptable_from, newest_match};
use crate::{Error, Generation, Kind, MfaPolicy, Standing};

/// What a code is judged by, besides the row.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) sealer: &'a Sealer,
    pub(crate) policy: &'a MfaPolicy,
    /// Where the row is kept: what its secret is sealed for.
    pub(crate) place: &'a Key,
    /// When the store's memory begins.
    pub(crate) birth: Timestamp,
    pub(crate) now: Timestamp,
}

/// What a new set of recovery codes brings.
#[derive(Clone)]
pub(crate) struct Fresh {
    pub(crate) generation: Generation,
    pub(crate) recovery: Vec<Recovery>,
}

/// What a proof says, without being one.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) kind: Kind,
    pub(crate) at: Timestamp,
    pub(crate) generation: Generation,
}

pub(crate) type Decision<T> = (Result<T, Error>, Next);

/// Begins an enrolment with a secret that is sealed already, and forgets an earlier one; answers when
/// its time is over.
pub(crate) fn enrol(
    current: Option<&[u8]>,
    sealed: &[u8],
    policy: &MfaPolicy,
    now: Timestamp,
) -> Decision<Timestamp> {
    match alive(current, now) {
        Err(error) => (Err(error), Next::Keep),
        Ok(Some(Row::Active(_))) => (Err(Error::AlreadyEnrolled), Next::Keep),
        Ok(Some(Row::Pending(_)) | None) => {
            let expires_at = now.saturating_add(policy.pending_life);
            let row = Row::Pending(Pending {
                failures: 0,
                created: now,
                expires_at,
                sealed: sealed.to_vec(),
            });
            (Ok(expires_at), row.into_next())
        }
    }
}

/// Completes the enrolment under way with its first code, which is used up. `digits` are none when
/// something else than six digits was shown.
pub(crate) fn confirm(
    current: Option<&[u8]>,
    context: Context<'_>,
    digits: Option<&[u8; 6]>,
    fresh: &Fresh,
) -> Decision<()> {
    let mut pending = match alive(current, context.now) {
        Err(error) => return (Err(error), Next::Keep),
        Ok(Some(Row::Active(_))) => return (Err(Error::AlreadyEnrolled), Next::Keep),
        // Forgotten for good, so that a clock that steps back does not bring it back.
        Ok(None) if current.is_some() => return (Err(Error::NotPending), Next::Remove),
        Ok(None) => return (Err(Error::NotPending), Next::Keep),
        Ok(Some(Row::Pending(pending))) => pending,
    };
    let Some(digits) = digits else {
        // There are no recovery codes yet, so there is nothing to guess and nothing to count.
        let newly_blocked = false;
        return (Err(Error::Wrong { newly_blocked }), Next::Keep);
    };
    let judged = context.judge(pending.failures, &pending.sealed, pending.created, digits);
    match judged {
        Judged::Refused(error) => (Err(error), Next::Keep),
        Judged::Wrong { failures, error } => {
            pending.failures = failures;
            (Err(error), Row::Pending(pending).into_next())
        }
        Judged::Right { step } => {
            let row = Row::Active(Active {
                failures: 0,
                enrolled_at: context.now,
                last_step: step,
                generation: fresh.generation,
                recovery: fresh.recovery.clone(),
                sealed: pending.sealed,
            });
            (Ok(()), row.into_next())
        }
    }
}

/// Uses up the code of an authenticator; answers the factor's generation.
pub(crate) fn totp(
    current: Option<&[u8]>,
    context: Context<'_>,
    digits: &[u8; 6],
) -> Decision<Generation> {
    let mut active = match enrolled(current, context.now) {
        Ok(active) => active,
        Err(error) => return (Err(error), Next::Keep),
    };
    match context.judge(active.failures, &active.sealed, active.enrolled_at, digits) {
        Judged::Refused(error) => (Err(error), Next::Keep),
        Judged::Wrong { failures, error } => {
            active.failures = failures;
            (Err(error), Row::Active(active).into_next())
        }
        // A right code is no guess, so one that was used already does not count.
        Judged::Right { step } if step <= active.last_step => (Err(Error::Replayed), Next::Keep),
        Judged::Right { step } => {
            active.last_step = step;
            // One, not all: else an owner who signs in daily hands a guesser a whole new budget each day.
            active.failures = active.failures.saturating_sub(1);
            (Ok(active.generation), Row::Active(active).into_next())
        }
    }
}

/// Uses up the recovery code of that digest, which also lifts a block; answers the factor's generation.
pub(crate) fn recovery_code(
    current: Option<&[u8]>,
    digest: &[u8; 32],
    now: Timestamp,
) -> Decision<Generation> {
    let mut active = match enrolled(current, now) {
        Ok(active) => active,
        Err(error) => return (Err(error), Next::Keep),
    };
    let place = find(&active.recovery, digest);
    match place.and_then(|place| active.recovery.get_mut(place)) {
        // 120 bits are not guessed, so there is nothing to count.
        None => {
            let newly_blocked = false;
            (Err(Error::Wrong { newly_blocked }), Next::Keep)
        }
        Some(code) if code.used => (Err(Error::Replayed), Next::Keep),
        Some(code) => {
            code.used = true;
            active.failures = 0;
            (Ok(active.generation), Row::Active(active).into_next())
        }
    }
}

/// Replaces all recovery codes.
pub(crate) fn regenerate(
    current: Option<&[u8]>,
    claim: Claim,
    fresh: &Fresh,
    policy: &MfaPolicy,
    now: Timestamp,
) -> Decision<()> {
    // Whoever found one code must not get ten.
    if claim.kind == Kind::RecoveryCode {
        return (Err(Error::NotByRecoveryCode), Next::Keep);
    }
    match claimed(current, claim, policy, now) {
        Err(error) => (Err(error), Next::Keep),
        Ok(mut active) => {
            active.generation = fresh.generation;
            active.recovery.clone_from(&fresh.recovery);
            (Ok(()), Row::Active(active).into_next())
        }
    }
}

/// Takes the factor away.
pub(crate) fn remove(
    current: Option<&[u8]>,
    claim: Claim,
    policy: &MfaPolicy,
    now: Timestamp,
) -> Decision<()> {
    match claimed(current, claim, policy, now) {
        Err(error) => (Err(error), Next::Keep),
        Ok(_) => (Ok(()), Next::Remove),
    }
}

/// Takes away whatever is there; answers whether that was anything.
pub(crate) fn reset(current: Option<&[u8]>, now: Timestamp) -> (bool, Next) {
    let there = !matches!(alive(current, now), Ok(None));
    (
        there,
        if current.is_some() {
            Next::Remove
        } else {
            Next::Keep
        },
    )
}

/// Takes the factor away if it is of that generation, and answers whether it was. An enrolment under way
/// goes, too: the confirmation may be yet to come.
pub(crate) fn undo(
    current: Option<&[u8]>,
    generation: Generation,
    now: Timestamp,
) -> Decision<bool> {
    match alive(current, now) {
        Ok(Some(Row::Active(active))) if active.generation == generation => {
            (Ok(true), Next::Remove)
        }
        Ok(Some(Row::Pending(_))) => (Ok(false), Next::Remove),
        Ok(_) => (Ok(false), Next::Keep),
        Err(error) => (Err(error), Next::Keep),
    }
}

/// How the factor stands; changes nothing.
pub(crate) fn standing(
    current: Option<&[u8]>,
    policy: &MfaPolicy,
    now: Timestamp,
) -> Decision<Standing> {
    let standing = alive(current, now).map(|row| match row {
        None => Standing::default(),
        Some(Row::Pending(_)) => Standing {
            pending: true,
            ..Standing::default()
        },
        Some(Row::Active(active)) => {
            let left = active.recovery.iter().filter(|code| !code.used).count();
            Standing {
                enrolled: true,
                pending: false,
                blocked: active.failures >= policy.cap,
                failures: active.failures,
                recovery_codes_left: u8::try_from(left).unwrap_or(u8::MAX),
                generation: Some(active.generation),
            }
        }
    });
    (standing, Next::Keep)
}

/// Seals the secret anew if an older key sealed it; answers whether it did.
pub(crate) fn reseal(
    current: Option<&[u8]>,
    context: Context<'_>,
    nonce: [u8; 12],
) -> Decision<bool> {
    let mut row = match alive(current, context.now) {
        Err(error) => return (Err(error), Next::Keep),
        Ok(None) => return (Ok(false), Next::Keep),
        Ok(Some(row)) => row,
    };
    let sealed = match &mut row {
        Row::Pending(pending) => &mut pending.sealed,
        Row::Active(active) => &mut active.sealed,
    };
    match context.sealer.open(context.place, sealed) {
        Err(error) => (Err(error.into()), Next::Keep),
        Ok(opened) if !opened.outdated => (Ok(false), Next::Keep),
        Ok(opened) => {
            let secret = opened.secret.expose();
            *sealed = context.sealer.seal(context.place, secret, nonce);
            (Ok(true), row.into_next())
        }
    }
}

/// What six digits turn out to be.
enum Judged {
    Refused(Error),
    Wrong { failures: u16, error: Error },
    Right { step: u64 },
}

impl Context<'_> {
    /// Judges `digits` against a secret that the store has known since `since`, after `failures` wrong
    /// ones. Whether the step was used is the caller's to tell.
    fn judge(&self, failures: u16, sealed: &[u8], since: Timestamp, digits: &[u8; 6]) -> Judged {
        if failures >= self.policy.cap {
            return Judged::Refused(Error::Blocked);
        }
        let opened = match self.sealer.open(self.place, sealed) {
            Ok(opened) => opened,
            Err(error) => return Judged::Refused(error.into()),
        };
        let Some(codes) = Codes::of(&opened.secret) else {
            return Judged::Refused(Error::Corrupt);
        };
        let window = self.policy.window;
        match newest_match(|step| codes.at_step(step), digits, self.now, window) {
            None => {
                let failures = failures.saturating_add(1);
                let newly_blocked = failures >= self.policy.cap;
                let error = Error::Wrong { newly_blocked };
                Judged::Wrong { failures, error }
            }
            // It could have been used before the store's memory begins, and the record be gone.
            Some(step) if since < self.birth && acceptable_from(step, window) < self.birth => {
                Judged::Refused(Error::Replayed)
            }
            Some(step) => Judged::Right { step },
        }
    }
}

/// The row as it is at `now`: an enrolment whose time is over is none.
fn alive(current: Option<&[u8]>, now: Timestamp) -> Result<Option<Row>, Error> {
    let Some(bytes) = current else {
        return Ok(None);
    };
    let row = Row::decode(bytes).ok_or(Error::Corrupt)?;
    // One that is confirmed does not expire, not even at the end of time.
    let over = matches!(&row, Row::Pending(pending) if pending.expires_at <= now);
    Ok((!over).then_some(row))
}

fn enrolled(current: Option<&[u8]>, now: Timestamp) -> Result<Active, Error> {
    match alive(current, now)? {
        Some(Row::Active(active)) => Ok(active),
        Some(Row::Pending(_)) | None => Err(Error::NotEnrolled),
    }
}

/// The factor that the claim is about, if the claim is fresh and the factor still the same.
fn claimed(
    current: Option<&[u8]>,
    claim: Claim,
    policy: &MfaPolicy,
    now: Timestamp,
) -> Result<Active, Error> {
    if now.saturating_since(claim.at) > policy.proof_life {
        return Err(Error::ProofTooOld);
    }
    let active = enrolled(current, now)?;
    if active.generation != claim.generation {
        return Err(Error::ProofOutdated);
    }
    Ok(active)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
