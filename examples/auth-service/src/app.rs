//! Everything the handlers share, put together once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use portcullis::audit::{self, Action, AuditError, Checkpoint, Event, Filter, Log, Record, Sink};
use portcullis::core::{AnyStore, Clock, Reason, Sealer, Secret, SystemClock, Timestamp};
use portcullis::jwt::{HmacKey, KeySet, Policy, Signer, Verifier};
use portcullis::lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis::session::{Demand, Level, SessionPolicy, Sessions};
use portcullis::sign_in::{
    Argon2Pool, ChangeError, FactorError, Hasher, Parts, SignIn, SignInError, SignInPolicy,
};
use portcullis::store_sqlite::Sqlite;
use portcullis::totp_mfa::{MfaPolicy, SecondFactors};
use portcullis::tower::{Problem, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tracing::error;

use crate::answer::No;
use crate::clients::machines::Machines;
use crate::keys::RootKey;
use crate::opening::{Fault, about, make_folder, open_database, open_log, used_before};
use crate::settings::Settings;
use crate::users::Users;
use crate::witness::{Unconfirmed, Witness};

/// What the handlers share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) users: Users,
    pub(crate) sign_in: SignIn<Users, Log>,
    pub(crate) sessions: Arc<Sessions<AnyStore>>,
    pub(crate) lockout: Arc<Lockout<AnyStore>>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) log: Log,
    pub(crate) second_factors: SecondFactors,
    /// The key that pages' cookies are made under.
    pub(crate) cookie_key: Secret,
    pub(crate) signer: Signer,
    pub(crate) machines: Machines,
    pub(crate) hasher: Arc<dyn Hasher>,
    pub(crate) store: AnyStore,
    audit_folder: PathBuf,
    audit_key: Secret,
    sqlite: Sqlite,
    witness: Arc<Witness>,
    /// One for each piece of work that outlives its request.
    tasks: Arc<Semaphore>,
    /// One for each reader of the audit log.
    readers: Arc<Semaphore>,
}

impl App {
    /// Opens or makes the data folder, the root key, the store, the log and the first administrator.
    /// What a person must see is announced as soon as it is so: some of it is shown once.
    pub(crate) async fn open(
        settings: Settings,
        now: Timestamp,
        announce: &mut impl FnMut(&str),
    ) -> Result<Arc<Self>, Fault> {
        // What is wrong with the settings is said before anything is made.
        let admin = AccountName::parse(&settings.admin).map_err(about("--admin"))?;
        let mfa_policy = MfaPolicy::new(&settings.issuer).map_err(about("--issuer"))?;
        let data = settings.data.as_path();
        let database = data.join("portcullis.db");
        let key_file = settings.root_key_file();
        make_folder(data).map_err(about(data.display()))?;
        let used = used_before(data, &database, settings.accept_audit_loss)?;
        let (root, made) = RootKey::open_or_make(&key_file, data, used)?;
        if made {
            let file = key_file.display();
            announce(&format!(
                "root key made: {file} (back it up apart from the data)"
            ));
        }
        let sqlite = open_database(&settings, &database, now)?;
        let store = AnyStore::new(sqlite.clone());
        let users = Users::new(store.clone());
        let witness = Arc::new(Witness::new(
            store.clone(),
            settings.instance.as_deref().unwrap_or_default(),
        ));
        let audit_key = root.derive("audit");
        let audit_folder = settings.audit_folder();
        let log = open_log(
            &settings,
            &audit_folder,
            &audit_key,
            &witness,
            now,
            announce,
        )
        .await?;

        let parts = parts(&settings, &root, &store, (&users, &log), mfa_policy)?;
        let hasher: Arc<dyn Hasher> = Arc::new(Argon2Pool::default());
        let keys = KeySet::new(HmacKey::new("1", root.derive("tokens"))?);
        let policy = Policy::access("http://localhost", "auth-service")?
            // Signed and verified by one clock: there is nothing to be lenient about.
            .leeway_secs(0)?;
        let (lockout, sessions) = (Arc::clone(&parts.lockout), Arc::clone(&parts.sessions));
        let second_factors = parts.second_factors.clone();
        let sign_in_policy = SignInPolicy::default();
        let sign_in = SignIn::new(parts, Arc::clone(&hasher), SystemClock, sign_in_policy).await?;
        let app = Self {
            users,
            sign_in,
            sessions,
            lockout,
            verifier: Arc::new(Verifier::new(&keys, policy.clone())),
            log,
            second_factors,
            cookie_key: root.derive("cookies"),
            signer: Signer::new(&keys, policy),
            machines: Machines::new(&settings.clients, &root, &store)?,
            hasher,
            store,
            audit_folder,
            audit_key,
            sqlite,
            witness,
            tasks: Arc::new(Semaphore::new(TASKS)),
            readers: Arc::new(Semaphore::new(READERS)),
            settings,
        };
        app.first_admin(&admin, announce, now).await?;
        tokio::spawn(Arc::clone(&app.witness).watch(app.log.clone()));
        Ok(Arc::new(app))
    }

    /// The present instant, for what comes after a long wait.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Runs `work` apart from its request, which is dropped when the caller hangs up: what was done by
    /// then must still be recorded. A stop waits for it.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, No>> + Send + 'static,
    ) -> Result<T, No> {
        let permit = Arc::clone(&self.tasks).try_acquire_owned();
        let permit = permit.map_err(|_| overloaded())?;
        let ended = tokio::spawn(async move {
            let output = work.await;
            drop(permit);
            output
        });
        ended
            .await
            .unwrap_or_else(|_| Err(No::from(Reason::Internal)))
    }

    /// Leave to read the audit log: a few at a time, for each reads whole segments.
    pub(crate) fn reading(&self) -> Result<OwnedSemaphorePermit, No> {
        let permit = Arc::clone(&self.readers).try_acquire_owned();
        permit.map_err(|_| overloaded())
    }

    /// The records that fit, read off the async threads.
    pub(crate) async fn read_audit(&self, filter: Filter) -> Result<Vec<Record>, No> {
        let (folder, key) = self.audit_place();
        let reading = self.reading()?;
        let found = spawn_blocking(move || {
            let found = audit::query(&folder, &key, &filter);
            drop(reading);
            found
        });
        let found = found.await.map_err(|_| Reason::Internal)?;
        found.map_err(|error| self.audit_fault(&error))
    }

    /// Records an event before anything is answered; a log that cannot be written refuses.
    pub(crate) async fn record(&self, event: Event) -> Result<(), No> {
        match self.log.record(event).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(self.audit_fault(&fault)),
        }
    }

    /// The answer to a log that failed; the log of the service learns why.
    pub(crate) fn audit_fault(&self, fault: &AuditError) -> No {
        error!(%fault, "the audit log failed");
        No::from(Reason::AuditUnavailable)
    }

    /// Where the log lies, and its key, for reading it.
    pub(crate) fn audit_place(&self) -> (PathBuf, Secret) {
        (self.audit_folder.clone(), self.audit_key.clone())
    }

    /// What the log had come to when that was last kept, apart from it.
    pub(crate) async fn checkpoint(
        &self,
        now: Timestamp,
    ) -> Result<Option<Result<Checkpoint, Unconfirmed>>, No> {
        Ok(self.witness.last(now).await?)
    }

    /// What an act that changes a user asks of the administrator's session: a code of the authenticator
    /// in hand, and not long ago.
    pub(crate) fn step_up_demand(&self) -> Demand {
        Demand::require(Level::Authenticator, self.settings.step_up())
    }

    /// What a failed login says: little.
    pub(crate) fn refusal(&self, error: &SignInError) -> No {
        match error {
            SignInError::Overloaded { retry_after } => {
                No::from(Refusal::new(Reason::Overloaded).retry_after(*retry_after))
            }
            // The log of the service learns the reason where the answer is the same.
            error if Problem::of(error.log_reason()) == Problem::of(error.wire_reason()) => {
                No::from(error.log_reason())
            }
            error => No::from(error.wire_reason()),
        }
    }

    /// What a failed change of the second factor says.
    pub(crate) fn factor_refusal(&self, error: &FactorError) -> No {
        let conflict =
            |detail: &'static str| No::Problem(StatusCode::CONFLICT, "409_CONFLICT", detail.into());
        match error {
            FactorError::SignIn(error) => self.refusal(error),
            FactorError::AlreadyEnrolled => conflict("An authenticator is enrolled already."),
            FactorError::NotEnrolled => conflict("No authenticator is enrolled."),
            FactorError::NotPending => {
                conflict("No enrolment is under way, or its time is over: begin anew.")
            }
            FactorError::NotByRecoveryCode => No::Problem(
                StatusCode::FORBIDDEN,
                "403_FORBIDDEN",
                "A recovery code does not do this; a code of the authenticator does.".into(),
            ),
            FactorError::AccountRefused => {
                No::content("An authenticator cannot show the account's name.")
            }
            _ => No::from(Reason::Internal),
        }
    }

    /// What a failed change of password says: also what is wrong with the new one.
    pub(crate) fn change_refusal(&self, error: &ChangeError) -> No {
        match error {
            ChangeError::NewPassword(fault) => No::content(format!("The new password: {fault}.")),
            // The token is good: a 401 would send the client for another one.
            ChangeError::SignIn(SignInError::Refused(_)) => No::Problem(
                StatusCode::FORBIDDEN,
                "403_FORBIDDEN",
                "The current password is not accepted; after several failures, wait.".into(),
            ),
            ChangeError::SignIn(error) => self.refusal(error),
            _ => No::from(Reason::Internal),
        }
    }

    /// Records the stop and closes log and store.
    pub(crate) async fn close(&self, now: Timestamp) -> Result<(), Fault> {
        let all = u32::try_from(TASKS).unwrap_or(u32::MAX);
        let rest = tokio::time::timeout(REST, self.tasks.acquire_many(all)).await;
        if rest.is_err() {
            error!("work was still under way after {REST:?}");
        }
        self.record(Event::new(Action::ServiceStopped, now))
            .await
            .map_err(|_| "the stop was not recorded")?;
        self.log.close().await;
        let kept = self.witness.keep(&self.log.checkpoint(), now).await?;
        self.sqlite.close().await;
        Ok(kept?)
    }
}

/// Work under way for callers who may have hung up.
const TASKS: usize = 4096;
/// Readers of the audit log at once: each may hold a segment in memory.
const READERS: usize = 2;
/// How long a stop waits for work under way.
const REST: Duration = Duration::from_secs(5);

/// What sign-in is put together from.
fn parts(
    settings: &Settings,
    root: &RootKey,
    store: &AnyStore,
    (users, log): (&Users, &Log),
    mfa_policy: MfaPolicy,
) -> Result<Parts<Users, Log>, Fault> {
    let grace = Duration::from_secs(settings.refresh_grace_secs);
    let session_policy = SessionPolicy::default().grace(grace);
    let sessions = Sessions::new(store.clone(), root.derive("sessions"), session_policy)?;
    let lockout_policy = LockoutPolicy::new(5, Duration::from_secs(settings.lockout_secs))?;
    let sealer = Sealer::new(1, &root.derive("sealing"))?;
    Ok(Parts {
        directory: users.clone(),
        sink: log.clone(),
        lockout: Arc::new(Lockout::new(store.clone(), lockout_policy)),
        sessions: Arc::new(sessions),
        second_factors: SecondFactors::new(sealer, &root.derive("pepper"), mfa_policy)?,
        store: store.clone(),
    })
}

pub(crate) fn overloaded() -> No {
    No::from(Refusal::new(Reason::Overloaded).retry_after(Duration::from_secs(1)))
}
