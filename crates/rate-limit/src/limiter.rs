//! The rule in one process.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use portcullis_core::Timestamp;

use crate::smooth_table::SmoothTable;
use crate::strict_table::StrictTable;
use crate::{Charge, Decision, Joint, LimiterPolicy, Pace, PolicyError, Quota};

/// One quota for each of many keys, in one process: synchronous, in memory taken once.
///
/// Keys are known by a 64-bit hash under a random key of the process, so nobody can aim at a set, unless it
/// is given another hasher ([`Limiter::with_hasher`]). When
/// more keys are live than there is room for, a newcomer takes the place of the key in its sets that is
/// closest to being whole, which is thereby forgiven what it had spent; **an exhausted key is never
/// forgotten**, and where all of a set are exhausted the newcomer is refused. A key has two sets in a
/// smooth limiter and one in a strict limiter, and they can be full while others are not: with as many
/// clients within one period as there is room for, one in eighteen finds no room in a smooth limiter and one
/// in seven in a strict one; with two thirds as many one in thirty thousand, and with a quarter as many one
/// in seven thousand. Size [`LimiterPolicy::keys`] to one and a half times the clients of a smooth quota, and
/// four times those of a strict one.
///
/// ```
/// use portcullis_core::Timestamp;
/// use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
///
/// let limiter = Limiter::new(Quota::per_second(2)?, LimiterPolicy::keys(10_000)?);
/// let now = Timestamp::from_unix_secs(1_700_000_000);
/// assert!(limiter.check(b"alice", now).is_admitted());
/// assert!(limiter.check(b"alice", now).is_admitted());
/// assert!(!limiter.check(b"alice", now).is_admitted());
/// assert!(limiter.check(b"bob", now).is_admitted());
/// # Ok::<(), portcullis_rate_limit::PolicyError>(())
/// ```
pub struct Limiter<S = RandomState> {
    quota: Quota,
    hasher: S,
    table: Table,
}

enum Table {
    Smooth(SmoothTable),
    Strict(StrictTable),
}

impl Limiter {
    /// A limiter that knows no key yet.
    #[must_use]
    pub fn new(quota: Quota, policy: LimiterPolicy) -> Self {
        Self::with_hasher(quota, policy, RandomState::new())
    }
}

impl<S: BuildHasher> Limiter<S> {
    /// A limiter that knows its keys by the hashes of `hasher`, of which all 64 bits count.
    ///
    /// The default is the standard library's, under a random key. A faster one is for keys that no caller
    /// chooses, ids of one's own for example: whoever can foresee hashes can crowd the sets of another's key,
    /// and two keys of one hash share one quota. How often a newcomer finds no room is told above for the
    /// default; a hasher that spreads keys less evenly is worse.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use portcullis_core::Timestamp;
    /// use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
    ///
    /// let (quota, policy) = (Quota::per_second(1)?, LimiterPolicy::keys(10_000)?);
    /// let hasher = BuildHasherDefault::<DefaultHasher>::default();
    /// let tenants = Limiter::with_hasher(quota, policy, hasher);
    /// let now = Timestamp::from_unix_secs(1_700_000_000);
    /// assert!(tenants.check(&7_u64.to_be_bytes(), now).is_admitted());
    /// assert!(!tenants.check(&7_u64.to_be_bytes(), now).is_admitted());
    /// # Ok::<(), portcullis_rate_limit::PolicyError>(())
    /// ```
    #[must_use]
    pub fn with_hasher(quota: Quota, policy: LimiterPolicy, hasher: S) -> Self {
        let table = match quota.pace() {
            Pace::Smooth => Table::Smooth(SmoothTable::new(policy.sets())),
            Pace::Strict => Table::Strict(StrictTable::new(policy.sets())),
        };
        Self {
            quota,
            hasher,
            table,
        }
    }

    /// Charges one unit to `key`.
    pub fn check(&self, key: &[u8], now: Timestamp) -> Decision {
        self.check_cost(key, 1, now)
    }

    /// Charges `cost` units to `key`. A cost of zero charges nothing and is answered as one unit would be.
    pub fn check_cost(&self, key: &[u8], cost: u32, now: Timestamp) -> Decision {
        let tag = self.tag(key);
        match &self.table {
            Table::Smooth(table) => table.charge(&self.quota, tag, cost, now),
            Table::Strict(table) => table.charge(&self.quota, tag, cost, now),
        }
    }

    /// Gives back `cost` units that were charged at `charged_at`, the `now` of that charge.
    ///
    /// Only an admitted charge may be given back, and once. A smooth quota gives back only what cannot
    /// have come back by itself since the charge (one unit each interval).
    pub fn refund(&self, key: &[u8], cost: u32, charged_at: Timestamp, now: Timestamp) {
        let tag = self.tag(key);
        match &self.table {
            Table::Smooth(table) => table.refund(&self.quota, tag, cost, charged_at, now),
            Table::Strict(table) => table.refund(&self.quota, tag, cost, charged_at, now),
        }
    }

    /// Charges several limiters for one request, in order. When one refuses, those before it are given
    /// back what they were charged. No charges at all limit nothing.
    pub fn check_all(charges: &[Charge<'_, Self>], now: Timestamp) -> Joint {
        let mut joint = Joint::NONE;
        for (at, charge) in charges.iter().enumerate() {
            let decision = charge.limiter.check_cost(charge.key, charge.cost, now);
            if !decision.is_admitted() {
                for earlier in charges.iter().take(at) {
                    let Charge { limiter, key, cost } = *earlier;
                    limiter.refund(key, cost, now, now);
                }
                return Joint { decision, at };
            }
            joint = joint.tighter(decision, at);
        }
        joint
    }

    /// The quota in force.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Puts another quota in force and keeps what every key has spent, as the time until it is back: a
    /// key that was exhausted still waits, and never longer than the new quota and a minute.
    ///
    /// # Errors
    /// [`PolicyError::PaceChanged`]: a smooth limiter stays smooth, a strict one strict.
    pub fn set_quota(&mut self, quota: Quota) -> Result<(), PolicyError> {
        if quota.pace() != self.quota.pace() {
            return Err(PolicyError::PaceChanged);
        }
        self.quota = quota;
        Ok(())
    }

    fn tag(&self, key: &[u8]) -> u64 {
        // The key is all there is to hash, so its length needs no prefix to keep it from a neighbour.
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        // Zero is the tag of a slot never used.
        hasher.finish().max(1)
    }
}

impl<S> fmt::Debug for Limiter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
