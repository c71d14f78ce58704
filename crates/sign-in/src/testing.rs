//! A hasher and a table of users for tests, which do as they are told, and the bodies of fuzz targets.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_audit::{Action, Field};
use portcullis_core::{Next, Sealer, Secret, Timestamp};
use portcullis_lockout::AccountName;
use portcullis_totp_mfa::{Error, MfaPolicy, SecondFactors};
use tokio::time::sleep;

use crate::attempt::TEXT_BYTES;
use crate::challenge::ChallengeToken;
use crate::decide::{close, take_try};
use crate::policy::{MAX_CHARS, MIN_CHARS, PASSWORD_BYTES, check_new};
use crate::state::Pending;
use crate::{Attempt, Credential, Directory, DirectoryError, HashError, Hasher, Hashing, Origin};

/// Takes as long as it is told for each password, by the runtime's clock, and hides nothing: its
/// hashes hold the password in hexadecimal. Clones share counts and orders.
///
/// ```
/// use portcullis_core::Secret;
/// use portcullis_sign_in::testing::StubHasher;
/// use portcullis_sign_in::{HashError, Hasher};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let hasher = StubHasher::new(Duration::ZERO);
/// let password = || Secret::from(b"correct horse".as_slice());
/// assert_eq!(hasher.verify(StubHasher::phc(&password()), password()).await, Ok(true));
/// hasher.answer(Some(HashError::Failed));
/// assert_eq!(hasher.hash(password()).await, Err(HashError::Failed));
/// assert_eq!(hasher.calls(), 2);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StubHasher {
    cost: Duration,
    orders: Arc<Orders>,
}

#[derive(Debug, Default)]
struct Orders {
    calls: AtomicUsize,
    panics: AtomicBool,
    answer: Mutex<Option<HashError>>,
}

impl StubHasher {
    /// A hasher that takes `cost` for each password.
    #[must_use]
    pub fn new(cost: Duration) -> Self {
        Self {
            cost,
            orders: Arc::default(),
        }
    }

    /// The hash of `password`.
    #[must_use]
    pub fn phc(password: &Secret) -> String {
        password
            .expose()
            .iter()
            .fold(String::from(NOW), |mut hash, byte| {
                // Writing to a String does not fail.
                let _ = write!(hash, "{byte:02x}");
                hash
            })
    }

    /// The hash of `password` at a cost of former times.
    #[must_use]
    pub fn outdated(password: &Secret) -> String {
        Self::phc(password).replace(NOW, BEFORE)
    }

    /// From now on every call ends with this error, at once as an overloaded pool does, or none does.
    pub fn answer(&self, error: Option<HashError>) {
        *lock(&self.orders.answer) = error;
    }

    /// From now on every call panics, or none does.
    pub fn panic(&self, panics: bool) {
        self.orders.panics.store(panics, Ordering::SeqCst);
    }

    /// How many passwords were hashed or verified, or were to be.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.orders.calls.load(Ordering::SeqCst)
    }

    async fn work(&self) -> Result<(), HashError> {
        self.orders.calls.fetch_add(1, Ordering::SeqCst);
        let answer = *lock(&self.orders.answer);
        if let Some(error) = answer {
            return Err(error);
        }
        if !self.cost.is_zero() {
            sleep(self.cost).await;
        }
        #[expect(clippy::panic, reason = "it was told to")]
        if self.orders.panics.load(Ordering::SeqCst) {
            panic!("the hasher panics on command");
        }
        Ok(())
    }
}

impl Hasher for StubHasher {
    fn verify(&self, hash: String, password: Secret) -> Hashing<'_, bool> {
        Box::pin(async move {
            if !hash.starts_with(NOW) && !hash.starts_with(BEFORE) {
                return Err(HashError::Malformed);
            }
            self.work().await?;
            Ok(hash.replace(BEFORE, NOW) == Self::phc(&password))
        })
    }

    fn hash(&self, password: Secret) -> Hashing<'_, String> {
        Box::pin(async move {
            self.work().await?;
            Ok(Self::phc(&password))
        })
    }

    fn is_outdated(&self, hash: &str) -> bool {
        !hash.starts_with(NOW)
    }
}

/// Second factors under keys made up now, also on a store that forgets: for tests and trials.
///
/// # Errors
/// Only where the system gives no randomness.
pub fn trial_factors() -> Result<SecondFactors, Error> {
    let key = Secret::generate::<32>;
    let policy = MfaPolicy::new("trial")?.dangerous_allow_volatile();
    SecondFactors::new(Sealer::new(1, &key()?)?, &key()?, policy)
}

/// A table of users in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MapDirectory(Arc<Users>);

#[derive(Debug, Default)]
struct Users {
    credentials: Mutex<BTreeMap<AccountName, Credential>>,
    failing: AtomicBool,
    panics: AtomicBool,
}

impl MapDirectory {
    /// A table without users.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A user whose id is the name, with that password hash, at epoch 1; one of that name is replaced.
    pub fn insert(&self, name: &AccountName, password_hash: String) {
        let credential = Credential {
            user_id: name.as_str().to_owned(),
            password_hash,
            enabled: true,
            must_change: false,
            epoch: 1,
        };
        lock(&self.0.credentials).insert(name.clone(), credential);
    }

    /// Changes a user's credential as `change` says; answers whether there is such a user.
    pub fn change(&self, name: &AccountName, change: impl FnOnce(&mut Credential)) -> bool {
        lock(&self.0.credentials)
            .get_mut(name)
            .map(change)
            .is_some()
    }

    /// What is known of a user.
    #[must_use]
    pub fn credential(&self, name: &AccountName) -> Option<Credential> {
        lock(&self.0.credentials).get(name).cloned()
    }

    /// From now on every call fails and does nothing, or none does.
    pub fn fail(&self, failing: bool) {
        self.0.failing.store(failing, Ordering::SeqCst);
    }

    /// From now on every call panics, or none does.
    pub fn panic(&self, panics: bool) {
        self.0.panics.store(panics, Ordering::SeqCst);
    }

    fn orders(&self) -> Result<(), DirectoryError> {
        #[expect(clippy::panic, reason = "it was told to")]
        if self.0.panics.load(Ordering::SeqCst) {
            panic!("the table of users panics on command");
        }
        if self.0.failing.load(Ordering::SeqCst) {
            return Err(DirectoryError);
        }
        Ok(())
    }
}

impl Directory for MapDirectory {
    async fn find(
        &self,
        name: &AccountName,
        _now: Timestamp,
    ) -> Result<Option<Credential>, DirectoryError> {
        self.orders()?;
        Ok(self.credential(name))
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        epoch: u64,
        password_hash: String,
        _now: Timestamp,
    ) -> Result<Option<u64>, DirectoryError> {
        self.orders()?;
        let mut credentials = lock(&self.0.credentials);
        let found = credentials.get_mut(name);
        Ok(found.filter(|found| found.epoch == epoch).map(|found| {
            found.password_hash = password_hash;
            found.must_change = false;
            found.epoch = epoch.saturating_add(1);
            found.epoch
        }))
    }
}

/// The body of the fuzz target `sign_in_attempt`: what a caller says, up to the first zero byte, the old
/// password, up to the second, and the new one.
///
/// An attempt carries the beginning of each text, cut between two characters and no sooner than it
/// must be. A new password that is accepted is text of a bounded length, and neither the name nor the
/// old one.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_sign_in_attempt(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (said, old, new) = (String::from_utf8_lossy(part()), part(), part());
    checks(&said, old, new);
    carries_a_beginning(&said);
    // Said over and over a short text is long enough to be cut.
    let times = TEXT_BYTES.checked_div(said.len()).unwrap_or(0);
    carries_a_beginning(&said.repeat(times.saturating_add(1)));
}

/// The body of the fuzz target `waiting_sign_in`: bytes that decode encode to the same bytes, every
/// decision on them leaves bytes that decode, and once they have expired each decides as on none.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_waiting_sign_in(data: &[u8]) {
    let pending = Pending::decode(data);
    if let Some(pending) = &pending {
        assert!(pending.fits());
        assert_eq!(pending.encode(), data);
    }
    let ends = pending.as_ref().map(|pending| pending.expires_at);
    for now in [
        Timestamp::UNIX_EPOCH,
        ends.unwrap_or_default(),
        Timestamp::MAX,
    ] {
        let (taken, next) = take_try(Some(data), now);
        let alive = ends.is_some_and(|ends| now < ends);
        assert!(taken.is_none() || alive);
        if let Next::Put { value, expires_at } = next {
            let left = Pending::decode(value.as_bytes());
            assert_eq!(left, taken);
            assert_eq!(ends, Some(expires_at));
        }
        assert_eq!(close(Some(data), now).0, alive);
    }
}

/// The body of the fuzz target `challenge_token`: a text that parses is spelled in the one way its bytes
/// are.
///
/// # Panics
/// When it is not.
pub fn fuzz_challenge_token(data: &[u8]) {
    if let Some(text) = std::str::from_utf8(data).ok()
        && let Some(token) = ChallengeToken::parse(text)
    {
        assert_eq!(token.expose(), text);
    }
    if let Some((random, _)) = data.split_first_chunk::<32>() {
        let made = ChallengeToken::new(&Secret::from(random.as_slice()));
        let read = ChallengeToken::parse(made.expose());
        assert!(read.is_some_and(|read| read.expose() == made.expose()));
    }
}

fn carries_a_beginning(text: &str) {
    let origin = Origin::new()
        .user_agent(text)
        .client_system(text)
        .request_id(text);
    let attempt = Attempt::new(text, Secret::from(b"".as_slice())).origin(origin);
    let kept = attempt.name.len();
    assert!(text.starts_with(&attempt.name) && kept <= TEXT_BYTES);
    // A character has four bytes at most.
    assert!(kept == text.len() || kept > TEXT_BYTES.saturating_sub(4));
    let now = Timestamp::UNIX_EPOCH;
    let event = attempt.came_from().event(Action::FailedLogin, now);
    for field in [Field::UserAgent, Field::ClientSystem, Field::RequestId] {
        let told = event.text(field);
        assert!(told.is_some() || text.is_empty());
        assert!(told.is_none_or(|told| told.len() <= field.max_bytes()));
    }
    assert_eq!(format!("{attempt:?}"), "Attempt(..)");
}

fn checks(name: &str, old: &[u8], new: &[u8]) {
    let (old, accepted) = (Secret::from(old), Secret::from(new));
    assert!(check_new(name, &accepted, &accepted).is_err());
    if check_new(name, &old, &accepted).is_err() {
        return;
    }
    let text = std::str::from_utf8(new);
    let chars = text.map_or(0, |text| text.chars().count());
    assert!((MIN_CHARS..=MAX_CHARS).contains(&chars) && new.len() <= PASSWORD_BYTES);
    assert!(old.expose() != new && name.as_bytes() != new);
    let names = (AccountName::parse(name), text.map(AccountName::parse));
    assert!(!matches!(names, (Ok(name), Ok(Ok(new))) if name == new));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const NOW: &str = "$stub$v=2$";
const BEFORE: &str = "$stub$v=1$";
