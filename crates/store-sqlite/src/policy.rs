//! How much a store keeps and how long it waits.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_core::Scope;

/// How much a [`crate::Sqlite`] store keeps, and how long it waits for others.
#[derive(Clone, Debug)]
pub struct SqlitePolicy {
    keys_per_scope: u64,
    caps: HashMap<Scope, u64>,
    pub(crate) patience: Duration,
    pub(crate) queue: usize,
    pub(crate) margin: Duration,
    pub(crate) check_on_open: bool,
    pub(crate) restored: bool,
    pub(crate) born_now: bool,
}

impl Default for SqlitePolicy {
    /// 10 000 000 keys in each scope (about 1.5 GB of small values, less than a small disk), 5 seconds
    /// of patience, 4 096 waiting callers, an hour before a row goes, the file checked when opened.
    fn default() -> Self {
        Self {
            keys_per_scope: 10_000_000,
            caps: HashMap::new(),
            patience: Duration::from_secs(5),
            queue: 4_096,
            margin: Duration::from_secs(3_600),
            check_on_open: true,
            restored: false,
            born_now: false,
        }
    }
}

impl SqlitePolicy {
    /// Every scope without a cap of its own keeps at most `keys` keys, expired ones that were not yet
    /// cleaned away included.
    #[must_use]
    pub fn keys_per_scope(mut self, keys: u64) -> Self {
        self.keys_per_scope = keys;
        self
    }

    /// `scope` keeps at most `keys` keys, whatever the others may.
    #[must_use]
    pub fn cap(mut self, scope: Scope, keys: u64) -> Self {
        self.caps.insert(scope, keys);
        self
    }

    /// How long a call waits while other processes hold the file, before it is answered
    /// [`Contended`](portcullis_core::Failure::Contended). Five seconds: no healthy process holds it
    /// for longer than a batch, and a client has given up by then. At most 24 days, SQLite's own limit.
    #[must_use]
    pub fn patience(mut self, span: Duration) -> Self {
        self.patience = span.min(MOST_PATIENCE);
        self
    }

    /// How many calls may wait for the writer (at least 1); further callers wait to be let in, and
    /// cost nothing when they go away meanwhile.
    #[must_use]
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls.clamp(1, 1 << 20);
        self
    }

    /// How long after its expiry a value is kept: more than the clocks of the processes that share
    /// the file may differ. Keeping longer is always safe.
    #[must_use]
    pub fn margin(mut self, span: Duration) -> Self {
        self.margin = span;
        self
    }

    /// Whether the whole file is checked for damage when it is opened. On by default: a record lost
    /// to damage would grant again. It reads the file once.
    #[must_use]
    pub fn check_on_open(mut self, check: bool) -> Self {
        self.check_on_open = check;
        self
    }

    /// Says that the file was restored from a backup: opening moves the store's birth to now, for
    /// good. To be set once; processes that have the file open keep the birth they read.
    #[must_use]
    pub fn restored(mut self, restored: bool) -> Self {
        self.restored = restored;
        self
    }

    /// Says that the store was made, or restored, under a clock that ran ahead, and that the present clock
    /// is right: opening moves a birth that lies in the future back to now, for good. The way out of
    /// [`OpenError::BirthAhead`](crate::OpenError::BirthAhead). A birth that does not lie ahead stays.
    ///
    /// If the present clock is right, nothing that was used counts as new: what was stamped before now is
    /// refused as older than the store, and what was stamped in the wrong clock's time is no request of
    /// today's; its notes stay until their own end. Values written meanwhile keep their wrong dates: a
    /// second factor that was used then takes no code until it is made anew. If instead the present clock
    /// is **behind**, the guards' refusal of what came before the true birth is lost for good: what was
    /// accepted by a store that this one replaced can be accepted once more. Look at the clock first; say
    /// it once, with no other process on the file, for those keep the birth they read.
    #[must_use]
    pub fn dangerous_born_now(mut self) -> Self {
        self.born_now = true;
        self
    }

    pub(crate) fn cap_of(&self, scope: Scope) -> u64 {
        self.caps
            .get(&scope)
            .copied()
            .unwrap_or(self.keys_per_scope)
    }
}

/// SQLite counts milliseconds in 31 bits.
const MOST_PATIENCE: Duration = Duration::from_millis(2_147_483_647);
