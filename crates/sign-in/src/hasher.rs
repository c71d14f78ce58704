//! Password hashing as a value that an application can swap, off the async threads and bounded.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use portcullis_core::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// What a [`Hasher`] answers with, later.
pub type Hashing<'a, T> = Pin<Box<dyn Future<Output = Result<T, HashError>> + Send + 'a>>;

/// Hashes passwords and verifies them against PHC strings.
///
/// # What a wrong answer costs whoever implements it
/// `Ok(true)` for a wrong password lets anyone in; `Ok(false)` for the right one counts a failure
/// against its owner. An implementation whose time depends on the password or on whether the hash is
/// a real one tells a stranger which users exist; so do stored hashes of another cost than the present
/// one, until they are hashed again. One without a bound on the work it takes on lets a
/// flood of logins take the machine.
pub trait Hasher: Send + Sync {
    /// Whether `password` is the one that `hash`, a PHC string, was made from.
    ///
    /// # Errors
    /// As [`HashError`] says; the password was not judged then.
    fn verify(&self, hash: String, password: Secret) -> Hashing<'_, bool>;

    /// The PHC string of `password` under a fresh salt and the present cost.
    ///
    /// # Errors
    /// As [`HashError`] says.
    fn hash(&self, password: Secret) -> Hashing<'_, String>;

    /// Whether `hash` was made at another cost than the present one, and the password should be
    /// hashed again when it is next seen.
    fn is_outdated(&self, hash: &str) -> bool;
}

/// Why a password was neither hashed nor judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// As many hashes wait as the pool takes on.
    #[error("as many passwords wait to be hashed as the pool takes on")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// The stored hash is no PHC string that this hasher knows, or costs more than it pays.
    #[error("the stored password hash does not decode, or costs too much")]
    Malformed,
    /// The hasher itself failed.
    #[error("a password could not be hashed")]
    Failed,
}

/// Argon2id (RFC 9106) on a bounded number of threads of the runtime's blocking pool.
///
/// The default is OWASP's: 19 MiB, two passes, one lane; as many threads as the machine has cores;
/// sixteen waiting for each. A caller that goes away frees its place when its hash is done, not
/// before: the work is under way whoever waits for it. A stored hash that costs more than sixteen times the
/// pool's own cost, or the default one where that is more, is [`HashError::Malformed`]; of hashes that
/// another system made dearer, [`Argon2Pool::verifying_up_to`] tells.
///
/// ```
/// use portcullis_core::Secret;
/// use portcullis_sign_in::{Argon2Pool, Hasher};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let pool = Argon2Pool::default();
/// let hash = pool.hash(Secret::from(b"correct horse battery staple".as_slice())).await?;
/// assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
/// assert!(pool.verify(hash.clone(), Secret::from(b"correct horse battery staple".as_slice())).await?);
/// assert!(!pool.verify(hash, Secret::from(b"Tr0ub4dor&3".as_slice())).await?);
/// # Ok::<(), portcullis_sign_in::HashError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Argon2Pool {
    argon2: Argon2<'static>,
    dearest: Dearest,
    /// One for each hash that runs.
    threads: Arc<Semaphore>,
    /// One for each hash that runs or waits.
    places: Arc<Semaphore>,
}

impl Default for Argon2Pool {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with(
            Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default(),
            threads,
        )
    }
}

impl Argon2Pool {
    /// A pool of `threads` threads (at least one, at most 512) at a cost of `memory_kib` KiB and `passes`
    /// passes in one lane.
    ///
    /// # Errors
    /// [`HashError::Failed`] for a cost that Argon2 does not know (under 8 KiB, no pass), and for over
    /// 4 GiB or over 1000 passes.
    pub fn new(threads: usize, memory_kib: u32, passes: u32) -> Result<Self, HashError> {
        if memory_kib > MAX_MEMORY_KIB || passes > MAX_PASSES {
            return Err(HashError::Failed);
        }
        let params = Params::new(memory_kib, passes, LANES, None).map_err(|_| HashError::Failed)?;
        Ok(Self::with(params, threads))
    }

    fn with(params: Params, threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        Self {
            dearest: Dearest::beside(&params),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            threads: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(
                threads.saturating_mul(1 + WAITING_PER_THREAD),
            )),
        }
    }

    /// Also verifies stored hashes of up to `memory_kib` KiB, at most 4 GiB, in so many passes: such as came
    /// from another system. As many at once as the pool has threads; each is hashed again when its owner
    /// signs in, for it is outdated.
    #[must_use]
    pub fn verifying_up_to(mut self, memory_kib: u32, passes: u32) -> Self {
        let other = Dearest::of(memory_kib, passes.min(MAX_PASSES));
        self.dearest = self.dearest.or(other);
        self
    }

    /// Runs `job` on a thread of the pool; its permits go with it, so that a caller that is dropped
    /// does not make room for another while its hash still runs.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Argon2<'static>, Dearest) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place: OwnedSemaphorePermit =
            Arc::clone(&self.places)
                .try_acquire_owned()
                .map_err(|_| HashError::Overloaded {
                    retry_after: RETRY_AFTER,
                })?;
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        let thread = thread.map_err(|_| HashError::Failed)?;
        let (argon2, dearest) = (self.argon2.clone(), self.dearest);
        let done = spawn_blocking(move || {
            let answer = job(&argon2, dearest);
            drop((thread, place));
            answer
        });
        done.await.map_err(|_| HashError::Failed)?
    }
}

impl Hasher for Argon2Pool {
    fn verify(&self, hash: String, password: Secret) -> Hashing<'_, bool> {
        Box::pin(self.run(move |argon2, dearest| {
            use argon2::password_hash::Error;
            let hash = dearest.affordable(&hash).ok_or(HashError::Malformed)?;
            match argon2.verify_password(password.expose(), &hash) {
                Ok(()) => Ok(true),
                Err(Error::PasswordInvalid) => Ok(false),
                // Nothing that is wrong with what is stored.
                Err(Error::OutOfMemory | Error::Internal | Error::RngFailure) => {
                    Err(HashError::Failed)
                }
                Err(_) => Err(HashError::Malformed),
            }
        }))
    }

    fn hash(&self, password: Secret) -> Hashing<'_, String> {
        Box::pin(self.run(move |argon2, _| {
            let hash = argon2
                .hash_password(password.expose())
                .map_err(|_| HashError::Failed)?;
            Ok(hash.to_string())
        }))
    }

    fn is_outdated(&self, hash: &str) -> bool {
        let now = self.argon2.params();
        let Some(hash) = self.dearest.affordable(hash) else {
            return true;
        };
        let same = |params: Params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (now.m_cost(), now.t_cost(), now.p_cost())
        };
        hash.algorithm != Algorithm::Argon2id.ident()
            || hash.version != Some(Version::V0x13.into())
            || !Params::try_from(&hash).is_ok_and(same)
    }
}

/// What a stored hash may cost: whoever can write one row of the table of users must not take the machine
/// with it.
#[derive(Clone, Copy)]
struct Dearest {
    memory_kib: u32,
    /// Memory times passes.
    work: u64,
}

impl Dearest {
    fn of(memory_kib: u32, passes: u32) -> Self {
        let memory_kib = memory_kib.min(MAX_MEMORY_KIB);
        Self {
            memory_kib,
            work: u64::from(memory_kib).saturating_mul(passes.into()),
        }
    }

    /// Sixteen times what one costs now; a pool of a lower cost than the default knows the hashes of one of
    /// the default.
    fn beside(now: &Params) -> Self {
        let dearer = |one: Self| Self {
            memory_kib: one.memory_kib.saturating_mul(DEARER).min(MAX_MEMORY_KIB),
            work: one.work.saturating_mul(DEARER.into()),
        };
        let default = Self::of(MEMORY_KIB, PASSES);
        dearer(Self::of(now.m_cost(), now.t_cost()).or(default))
    }

    fn or(self, other: Self) -> Self {
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            work: self.work.max(other.work),
        }
    }

    /// The parts of `hash`, if it is complete and costs no more.
    fn affordable(self, hash: &str) -> Option<PasswordHash> {
        let hash = PasswordHash::new(hash).ok()?;
        let params = Params::try_from(&hash).ok()?;
        // Without them the verifier would take every password for a wrong one.
        let complete = hash.salt.is_some() && hash.hash.is_some();
        let work = u64::from(params.m_cost()).saturating_mul(params.t_cost().into());
        let cost =
            params.m_cost() <= self.memory_kib && work <= self.work && params.p_cost() <= MAX_LANES;
        (complete && cost).then_some(hash)
    }
}

impl fmt::Debug for Argon2Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Argon2Pool")
            .field("free_threads", &self.threads.available_permits())
            .field("free_places", &self.places.available_permits())
            .finish_non_exhaustive()
    }
}

/// OWASP's Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;
const MAX_PASSES: u32 = 1000;
const MAX_LANES: u32 = 64;
/// How many times the present cost a stored hash may have: it was another machine's, or the cost was
/// lowered since.
const DEARER: u32 = 16;
/// As many as the runtime's blocking pool has by default.
const MAX_THREADS: usize = 512;
/// About a second's worth of hashes.
const WAITING_PER_THREAD: usize = 16;
const RETRY_AFTER: Duration = Duration::from_secs(2);
