//! From a name and a password to a proven credential, or one refusal.

use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{Reason, Secret, Timestamp, entropy};
use portcullis_lockout::{AccountName, Error, Outcome, Reservation, Reserved, Settled, Status};
use tokio::time::{Duration, Instant, sleep, timeout_at};

use crate::bounded::bounded;
use crate::decide::{self, Admission, Verified};
use crate::error::Step;
use crate::guard::{Inner, unhashed};
use crate::line::Place;
use crate::policy::PASSWORD_BYTES;
use crate::{Attempt, Credential, Directory, HashError, Origin, SignInError};

/// An account that an attempt got through to, and the password fitted; at the second step that was a
/// while ago.
pub(crate) struct Proven {
    pub(crate) step: Step,
    pub(crate) name: AccountName,
    pub(crate) origin: Origin,
    pub(crate) credential: Credential,
    /// Read again after the hash.
    pub(crate) now: Timestamp,
    /// What the policy let it go on without, for the record.
    pub(crate) waived: Option<Reason>,
}

/// What an attempt holds until its password is judged.
struct Held {
    admission: Admission,
    reservation: Reservation,
    now: Timestamp,
}

impl<D: Directory, A: Sink> Inner<D, A> {
    /// Reserve, look up, verify, settle. Every refusal is recorded before it is answered.
    pub(crate) async fn prove(
        &self,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Proven, SignInError> {
        let (said, password, origin) = attempt.into_parts();
        let parsed = AccountName::parse(&said)
            .ok()
            .filter(|_| password.len() <= PASSWORD_BYTES);
        let Some(name) = parsed else {
            // No user ever had such a name or such a password: there is nothing to count or to hash,
            // and nothing to learn from how soon that is said.
            let event = origin.event(Action::FailedLogin, now).user(&said);
            self.record(event.reason(Reason::BadRequest)).await?;
            return Err(SignInError::refused(Step::Password, Reason::BadRequest));
        };
        let Some(place) = self.lines.join(&name) else {
            return Err(SignInError::OVERLOADED);
        };
        let held = self.reserve(&place, &name, now).await?;
        let verified = self.verify(&name, password, held.now).await;
        let now = self.clock.now().max(held.now);
        let (found, verified) = match verified {
            Ok(verified) => verified,
            Err(error) => {
                // Given back: nothing was judged.
                let _ = self
                    .settle(held.reservation, Outcome::Unverified, now)
                    .await;
                return Err(error);
            }
        };
        let (mut refusal, outcome) = decide::judge(held.admission, found.as_ref(), verified);
        let mut lock_started = false;
        match self.settle(held.reservation, outcome, now).await? {
            Settled::Cleared => {}
            Settled::Counted { newly_locked, .. } => {
                lock_started = newly_locked.is_some();
                // Only what is cleared is admitted, whatever was judged.
                refusal = refusal.or(Some(Reason::PasswordWrong));
            }
            // Others locked it meanwhile: a right password does not open a locked account.
            Settled::Locked { .. } => refusal = refusal.or(Some(Reason::AccountLocked)),
        }
        drop(place);
        let reason = match (refusal, found) {
            (None, Some(credential)) => {
                return Ok(Proven {
                    step: Step::Password,
                    name,
                    origin,
                    credential,
                    now,
                    waived: None,
                });
            }
            (refusal, _) => refusal.unwrap_or(Reason::UserUnknown),
        };
        let event = |action| origin.event(action, now).user(name.as_str());
        let mut recorded = self.record(event(Action::FailedLogin).reason(reason)).await;
        if lock_started {
            recorded = recorded.and(self.record(event(Action::Lockout)).await);
        }
        recorded?;
        Err(SignInError::refused(Step::Password, reason))
    }

    /// Whether what was proven is still so; else the refusal, recorded.
    pub(crate) async fn still_stands(&self, proven: &Proven) -> Result<(), SignInError> {
        let found = self.find(&proven.name, proven.now).await?;
        if decide::still_stands(&proven.credential, found.as_ref()) {
            return Ok(());
        }
        let changed = match proven.step {
            Step::Password => Reason::PasswordWrong,
            Step::SecondFactor => Reason::ChallengeInvalid,
        };
        Err(self.refuse(proven, changed).await)
    }

    /// Refuses what was proven after all, and records that.
    pub(crate) async fn refuse(&self, proven: &Proven, reason: Reason) -> SignInError {
        let event = proven.origin.event(Action::FailedLogin, proven.now);
        let event = event.user(proven.name.as_str()).reason(reason);
        match self.record(event).await {
            Ok(()) => SignInError::refused(proven.step, reason),
            Err(error) => error,
        }
    }

    /// Records an event, unless the policy would rather be blind than closed.
    pub(crate) async fn record(&self, event: Event) -> Result<(), SignInError> {
        let record = async { self.parts.sink.record(event).await };
        match bounded(self.policy.step_wait, record).await {
            Some(Ok(_)) => Ok(()),
            _ if self.policy.unrecorded => Ok(()),
            _ => Err(SignInError::Unavailable(Reason::AuditUnavailable)),
        }
    }

    /// Takes one of the account's attempts, waiting a while for one that others hold. An account that
    /// grants none is stood in for by one of nobody's; one that does is followed by a question about
    /// nobody. Locked or not, the store is asked about the same two, and writes once.
    async fn reserve(
        &self,
        place: &Place<'_>,
        name: &AccountName,
        mut now: Timestamp,
    ) -> Result<Held, SignInError> {
        let nobody = nobody()?;
        let begun = Instant::now();
        let patience = self.policy.crowd_wait.min(MAX_CROWD_WAIT);
        let deadline = begun.checked_add(patience).unwrap_or(begun);
        let mut admission = Admission::Crowded;
        // The wait alone is held to the deadline: a reservation dropped half-way would be a failure.
        if let Ok(_turn) = timeout_at(deadline, place.turn()).await {
            loop {
                match self.reserve_of(name, now).await? {
                    Reserved::Granted(reservation) => {
                        if let Err(error) = self.as_if_standing_in(&nobody, now).await {
                            let given_back = Outcome::Unverified;
                            let _ = self.settle(reservation, given_back, now).await;
                            return Err(error);
                        }
                        return Ok(Held {
                            admission: Admission::Granted,
                            reservation,
                            now,
                        });
                    }
                    Reserved::Locked { .. } => {
                        admission = Admission::Locked;
                        break;
                    }
                    Reserved::Crowded if Instant::now() >= deadline => break,
                    Reserved::Crowded => sleep(CROWD_POLL).await,
                }
                now = self.clock.now().max(now);
            }
        }
        match self.reserve_of(&nobody, now).await? {
            Reserved::Granted(reservation) => Ok(Held {
                admission,
                reservation,
                now,
            }),
            _ => Err(SignInError::Unavailable(Reason::Internal)),
        }
    }

    /// What reserving for `nobody` costs, save the reservation: its question and its randomness.
    async fn as_if_standing_in(
        &self,
        nobody: &AccountName,
        now: Timestamp,
    ) -> Result<(), SignInError> {
        let drawn = entropy::<4>().map_err(|_| SignInError::Unavailable(Reason::Internal))?;
        std::hint::black_box(drawn);
        self.is_locked(nobody, now).await.map(drop)
    }

    pub(crate) async fn is_locked(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<bool, SignInError> {
        let status = self.parts.lockout.status(name, now).await;
        Ok(matches!(status.map_err(uncounted)?, Status::Locked { .. }))
    }

    async fn reserve_of(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Reserved, SignInError> {
        let reserved = self.parts.lockout.reserve(name, now).await;
        reserved.map_err(uncounted)
    }

    /// The same look-up and the same hash whoever is asked about.
    async fn verify(
        &self,
        name: &AccountName,
        password: Secret,
        now: Timestamp,
    ) -> Result<(Option<Credential>, Verified), SignInError> {
        let found = self.find(name, now).await?;
        let stored = found.as_ref().map(|credential| &credential.password_hash);
        let hash = stored.unwrap_or(&self.dummy);
        let verified = match self.fits(hash, password.clone()).await {
            Ok(true) => Verified::Right,
            Ok(false) => Verified::Wrong,
            Err(HashError::Malformed) => {
                // Told soon, and a user who exists must not be known by it.
                self.fits(&self.dummy, password).await.map_err(unhashed)?;
                Verified::Unreadable
            }
            Err(error) => return Err(unhashed(error)),
        };
        Ok((found, verified))
    }

    async fn fits(&self, hash: &str, password: Secret) -> Result<bool, HashError> {
        let verify = async { self.hasher.verify(hash.to_owned(), password).await };
        let verified = bounded(self.policy.step_wait, verify).await;
        verified.unwrap_or(Err(HashError::Failed))
    }

    pub(crate) async fn find(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Option<Credential>, SignInError> {
        let find = async { self.parts.directory.find(name, now).await };
        match bounded(self.policy.step_wait, find).await {
            Some(Ok(found)) => Ok(found),
            _ => Err(SignInError::Unavailable(Reason::StoreUnavailable)),
        }
    }

    async fn settle(
        &self,
        reservation: Reservation,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, SignInError> {
        let settled = self.parts.lockout.settle(reservation, outcome, now).await;
        settled.map_err(uncounted)
    }
}

/// A name that nobody has: 128 random bits. Made for every attempt, since making it takes time.
fn nobody() -> Result<AccountName, SignInError> {
    let bits = entropy().map_err(|_| SignInError::Unavailable(Reason::Internal))?;
    let name = format!("{:032x}", u128::from_be_bytes(bits));
    AccountName::parse(&name).map_err(|_| SignInError::Unavailable(Reason::Internal))
}

#[expect(clippy::needless_pass_by_value, reason = "the form map_err wants")]
fn uncounted(error: Error) -> SignInError {
    SignInError::Unavailable(error.reason())
}

/// A fraction of what a password hash takes.
const CROWD_POLL: Duration = Duration::from_millis(10);
/// A crowd that lasts longer is no crowd.
const MAX_CROWD_WAIT: Duration = Duration::from_secs(3600);
