//! Counts attempts in a store, and keeps the list of locked accounts.

use std::fmt;

use portcullis_core::{IndexError, Key, Next, Scope, Store, Timestamp, entropy};

use crate::decide::{self, Reserve, Settle, Standing};
use crate::list::{self, Row};
use crate::state::Ticket;
use crate::{AccountName, Error, LockoutPolicy};

/// Counts every account's attempts in a store, before their passwords are looked at.
///
/// Any future here may be dropped at any await: what was not written is not counted, and a reservation
/// that was written and lost lapses. A store that fails means refuse.
pub struct Lockout<S> {
    store: S,
    policy: LockoutPolicy,
}

/// One of the attempts that an account has left, taken. Settle it, whatever comes; one that is dropped
/// lapses into a failure.
#[must_use = "a reservation that nobody settles counts as a failure"]
pub struct Reservation {
    account: AccountName,
    ticket: Ticket,
}

/// What an attempt is answered before its password is looked at.
#[derive(Debug)]
#[must_use]
pub enum Reserved {
    /// Verify the password, then settle.
    Granted(Reservation),
    /// The account is locked. Answer as if the password were wrong, after as much work.
    Locked {
        /// When the lock ends by itself.
        until: Timestamp,
    },
    /// As many attempts are under way as failures are left. Nothing is counted; wait for one of them to
    /// settle and ask again, or answer as if the password were wrong.
    Crowded,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The password was right.
    Success,
    /// It was wrong, or there is no such user.
    Failure,
    /// No password was looked at, or the caller was told nothing about it: the service was too busy or
    /// at fault. The attempt is given back.
    Unverified,
}

impl From<bool> for Outcome {
    /// Whether the password was right.
    fn from(right: bool) -> Self {
        if right { Self::Success } else { Self::Failure }
    }
}

/// What became of an attempt. Only [`Settled::Cleared`] admits anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// The success stands, and there are no failures any more.
    Cleared,
    /// The failure is counted, or the attempt was given back.
    Counted {
        /// Consecutive failures now, those that lapsed included.
        failures: u32,
        /// When the lock ends that this failure started, if it did.
        newly_locked: Option<Timestamp>,
        /// Whether the lock that was started stands in the list of [`Lockout::locked`]. It holds
        /// without: the list was full, or its page could not be written.
        listed: bool,
    },
    /// Others have locked the account meanwhile: refuse, whatever the outcome was.
    Locked {
        /// When the lock ends by itself.
        until: Timestamp,
    },
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not locked.
    Open {
        /// Consecutive failures so far, those that lapsed included.
        failures: u32,
    },
    /// Locked.
    Locked {
        /// When the lock ends by itself.
        until: Timestamp,
    },
}

/// A row of the administrator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedAccount {
    /// Whose lock it is.
    pub account: AccountName,
    /// When it ends by itself.
    pub until: Timestamp,
}

impl<S: Store> Lockout<S> {
    /// Counts in `store`, after `policy`.
    ///
    /// A volatile store forgets counts and locks when the process ends, so each restart is worth one
    /// more round of guesses.
    pub fn new(store: S, policy: LockoutPolicy) -> Self {
        Self { store, policy }
    }

    /// Reserves, verifies and settles in one: whether `verify`'s yes admits the caller. A no, a lock and a
    /// crowd are one answer, as they must be to whoever guesses.
    ///
    /// `verify` runs whenever the store answered, so that a locked or crowded account costs a verification
    /// as any other does; for those its answer counts for nothing. It says `true`, `false`, or
    /// [`Outcome::Unverified`] where no password could be looked at, which gives the attempt back. Two writes
    /// are what such an account saves the store: whoever measures that learns of a lock or a crowd, and not
    /// whether there is such a user. `portcullis-sign-in` evens it out.
    ///
    /// A lock is counted from `now`, which is before the verification.
    ///
    /// A caller that hangs up while `verify` runs takes this future with it: nothing settles the
    /// reservation then, and it lapses into a failure. Spawn the whole of it where that must not be; reserve
    /// and settle by hand where the audit log is to learn of a lock.
    ///
    /// ```
    /// use portcullis_core::{Memory, Timestamp};
    /// use portcullis_lockout::{AccountName, Lockout, LockoutPolicy};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// let now = Timestamp::from_unix_secs(1_700_000_000);
    /// let lockout = Lockout::new(Memory::new(now), LockoutPolicy::default());
    /// let alice = AccountName::parse("alice")?;
    /// for _ in 0..5 {
    ///     assert!(!lockout.attempt(&alice, now, async { false }).await?);
    /// }
    /// // Five failures: for thirty minutes the right password is refused as well.
    /// assert!(!lockout.attempt(&alice, now, async { true }).await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error`]; refuse then, whatever `verify` said.
    pub async fn attempt<V>(
        &self,
        account: &AccountName,
        now: Timestamp,
        verify: V,
    ) -> Result<bool, Error>
    where
        V: Future,
        V::Output: Into<Outcome>,
    {
        let reserved = self.reserve(account, now).await?;
        let outcome = verify.await.into();
        let Reserved::Granted(reservation) = reserved else {
            return Ok(false);
        };
        let settled = self.settle(reservation, outcome, now).await?;
        Ok(settled == Settled::Cleared)
    }

    /// Takes one of `account`'s attempts, before its password is looked at.
    ///
    /// # Errors
    /// [`Error`]; nothing is granted then.
    pub async fn reserve(&self, account: &AccountName, now: Timestamp) -> Result<Reserved, Error> {
        let nonce = u32::from_be_bytes(entropy()?);
        let policy = self.policy.clone();
        let step = move |current: Option<&[u8]>| decide::reserve(current, &policy, nonce, now);
        let answer = self.store.update(key(account), now, step).await??;
        Ok(match answer {
            Reserve::Granted(ticket) => Reserved::Granted(Reservation {
                account: account.clone(),
                ticket,
            }),
            Reserve::Locked { until } => Reserved::Locked { until },
            Reserve::Crowded => Reserved::Crowded,
        })
    }

    /// Says how the attempt went. Answer the caller only after this has: what is settled before it is
    /// told is what keeps guesses within the limit.
    ///
    /// # Errors
    /// [`Error`]; refuse then, whatever the outcome was. The reservation lapses, or was settled.
    pub async fn settle(
        &self,
        reservation: Reservation,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Settled, Error> {
        let Reservation { account, ticket } = reservation;
        let mut listed = false;
        let mut settled = self
            .settle_once(&account, ticket, outcome, false, now)
            .await?;
        if let Settle::ListFirst { until } = settled {
            // The list before the lock: a lock that nobody sees would be worse than a row without one.
            // A list that is full or lost must not save the account from its lock.
            listed = self.list(&account, until, now).await.is_ok();
            settled = self
                .settle_once(&account, ticket, outcome, true, now)
                .await?;
        }
        Ok(match settled {
            Settle::Cleared => Settled::Cleared,
            Settle::Counted { failures } => Settled::Counted {
                failures: failures.into(),
                newly_locked: None,
                listed: false,
            },
            Settle::NewlyLocked { until } => {
                // Once more: a page that was contended may be so no longer.
                if !listed {
                    listed = self.list(&account, until, now).await.is_ok();
                }
                Settled::Counted {
                    failures: self.policy.failures().into(),
                    newly_locked: Some(until),
                    listed,
                }
            }
            Settle::Locked { until } => Settled::Locked { until },
            // `decide` asks to list only an account that was not said to be.
            Settle::ListFirst { .. } => return Err(Error::Corrupt),
        })
    }

    /// How the account stands; changes nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn status(&self, account: &AccountName, now: Timestamp) -> Result<Status, Error> {
        let policy = self.policy.clone();
        let step = move |current: Option<&[u8]>| decide::status(current, &policy, now);
        let standing = self.store.update(key(account), now, step).await??;
        Ok(match standing {
            Standing::Open { failures } => Status::Open {
                failures: failures.into(),
            },
            Standing::Locked { until } => Status::Locked { until },
        })
    }

    /// Lifts the account's lock and forgets its failures; answers whether it was locked. A state that
    /// does not decode locks, too, and is removed.
    ///
    /// Its row in the list takes up room until the lock would have ended; [`Lockout::locked`] leaves it
    /// out.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn unlock(&self, account: &AccountName, now: Timestamp) -> Result<bool, Error> {
        let policy = self.policy.clone();
        let step = move |current: Option<&[u8]>| decide::unlock(current, &policy, now);
        Ok(self.store.update(key(account), now, step).await?)
    }

    /// The accounts that are locked now, sorted by name: at most 16 000, spread by hash over pages that
    /// can be full a little before. Rows whose lock is over are taken out on the way.
    ///
    /// # Errors
    /// [`Error`] when a page of the list, or an account in it, cannot be read.
    pub async fn locked(&self, now: Timestamp) -> Result<Vec<LockedAccount>, Error> {
        let mut locked = Vec::new();
        for page in 0..list::PAGES {
            let rows = self.rows(page, now).await?;
            locked.append(&mut self.still_locked(page, rows, now).await?);
        }
        locked.sort_unstable_by(|one, other| one.account.cmp(&other.account));
        Ok(locked)
    }

    /// The policy in force.
    pub const fn policy(&self) -> &LockoutPolicy {
        &self.policy
    }

    async fn settle_once(
        &self,
        account: &AccountName,
        ticket: Ticket,
        outcome: Outcome,
        listed: bool,
        now: Timestamp,
    ) -> Result<Settle, Error> {
        let policy = self.policy.clone();
        let step = move |current: Option<&[u8]>| {
            decide::settle(current, &policy, ticket, outcome, listed, now)
        };
        self.store.update(key(account), now, step).await?
    }

    async fn list(
        &self,
        account: &AccountName,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let page = list::page_of(account);
        let insert = || {
            let account = account.clone();
            let step = move |current: Option<&[u8]>| list::with(current, &account, until);
            self.store.update(list::key(page), now, step)
        };
        match insert().await? {
            Err(IndexError::Full(_)) => {
                // Only what is over is looked at, so that a flood of locks cannot buy a page of looks each.
                let mut over = self.rows(page, now).await?;
                over.retain(|row| row.until <= now);
                self.still_locked(page, over, now).await?;
                Ok(insert().await??)
            }
            done => Ok(done?),
        }
    }

    async fn rows(&self, page: u8, now: Timestamp) -> Result<Vec<Row>, Error> {
        let step = |current: Option<&[u8]>| (list::rows(current), Next::Keep);
        Ok(self.store.update(list::key(page), now, step).await??)
    }

    /// Those of the page's `rows` whose accounts are locked; the others are taken out, if they are over.
    async fn still_locked(
        &self,
        page: u8,
        rows: Vec<Row>,
        now: Timestamp,
    ) -> Result<Vec<LockedAccount>, Error> {
        let (mut locked, mut open) = (Vec::new(), Vec::new());
        for row in rows {
            let parsed = AccountName::parse(&row.name).ok();
            // A name that is spelt otherwise nowadays is reached by nobody, and so locked for nobody.
            let Some(account) = parsed.filter(|account| account.as_str() == row.name) else {
                open.push(row.name);
                continue;
            };
            let until = match self.status(&account, now).await {
                Ok(Status::Locked { until }) => until,
                // Locked in effect until somebody unlocks it, and so in the list until then.
                Err(Error::Corrupt) => Timestamp::MAX,
                Ok(Status::Open { .. }) => {
                    open.push(row.name);
                    continue;
                }
                Err(error) => return Err(error),
            };
            locked.push(LockedAccount { account, until });
        }
        if !open.is_empty() {
            let step = move |current: Option<&[u8]>| list::without(current, &open, now);
            self.store.update(list::key(page), now, step).await??;
        }
        Ok(locked)
    }
}

fn key(account: &AccountName) -> Key {
    Key::new(ACCOUNTS, account.as_str().as_bytes())
}

impl<S> fmt::Debug for Lockout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lockout")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reservation(..)")
    }
}

const ACCOUNTS: Scope = Scope::new("lockout");
