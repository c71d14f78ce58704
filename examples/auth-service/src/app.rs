//! Everything the handlers share, put together once.

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::Response;
use http::StatusCode;
use portcullis::audit::{Action, AuditError, Checkpoint, Damage, Event, Log, LogPolicy, Sink};
use portcullis::core::{
    AnyStore, Clock, Key, Next, Reason, Scope, Secret, Store, SystemClock, Timestamp, Value,
};
use portcullis::ip_list::ClientAddress;
use portcullis::jwt::{HmacKey, KeySet, Policy, Security, Signer, Subject, UserClaims, Verifier};
use portcullis::lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis::session::{RefreshToken, Refreshed, SessionId, SessionPolicy, Sessions};
use portcullis::sign_in::{
    Argon2Pool, ChangeError, Hasher, Parts, SignIn, SignInError, SignInPolicy,
};
use portcullis::store_sqlite::Sqlite;
use portcullis::tower::Refusal;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::error;

use crate::answer::{No, private};
use crate::keys::RootKey;
use crate::settings::Settings;
use crate::users::{Role, User, Users, one_time_password};
use crate::witness::Witness;

type Fault = Box<dyn Error + Send + Sync>;

/// What the handlers share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) users: Users,
    pub(crate) sign_in: SignIn<Users, Log>,
    pub(crate) sessions: Arc<Sessions<AnyStore>>,
    pub(crate) lockout: Arc<Lockout<AnyStore>>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) log: Log,
    signer: Signer,
    hasher: Arc<dyn Hasher>,
    audit_folder: PathBuf,
    audit_key: Secret,
    store: Sqlite,
    witness: Arc<Witness>,
    /// One for each piece of work that outlives its request.
    tasks: Arc<Semaphore>,
    /// One for each reader of the audit log.
    readers: Arc<Semaphore>,
}

/// What becomes the tokens of an answer.
pub(crate) struct Pair<'a> {
    pub(crate) user: &'a str,
    pub(crate) session: SessionId,
    pub(crate) refresh_token: RefreshToken,
    pub(crate) client_system: Option<&'a str>,
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
        let data = settings.data.as_path();
        let database = data.join("portcullis.db");
        let key_file = settings.root_key_file();
        make_folder(data).map_err(about(data.display()))?;
        let (root, made) = RootKey::open_or_make(&key_file, data, database.exists())?;
        if made {
            let file = key_file.display();
            announce(&format!(
                "root key made: {file} (back it up apart from the data)"
            ));
        }
        let sqlite = Sqlite::open(&database, now).map_err(about(database.display()))?;
        let store = AnyStore::new(sqlite.clone());
        let users = Users::new(store.clone());
        let witness = Arc::new(Witness::new(store.clone()));
        let audit_key = root.derive("audit");
        let audit_folder = data.join("audit");
        let log = open_log(
            &settings,
            &audit_folder,
            &audit_key,
            &witness,
            now,
            announce,
        )
        .await?;

        let session_policy =
            SessionPolicy::default().grace(Duration::from_secs(settings.refresh_grace_secs));
        let sessions = Arc::new(Sessions::new(
            store.clone(),
            root.derive("sessions"),
            session_policy,
        )?);
        let lockout_policy = LockoutPolicy::new(5, Duration::from_secs(settings.lockout_secs))?;
        let lockout = Arc::new(Lockout::new(store, lockout_policy));
        let hasher: Arc<dyn Hasher> = Arc::new(Argon2Pool::default());
        let keys = KeySet::new(HmacKey::new("1", root.derive("tokens"))?);
        let policy = Policy::access("http://localhost", "auth-service")?
            // Signed and verified by one clock: there is nothing to be lenient about.
            .leeway_secs(0)?;
        let parts = Parts {
            directory: users.clone(),
            sink: log.clone(),
            lockout: Arc::clone(&lockout),
            sessions: Arc::clone(&sessions),
        };
        let sign_in_policy = SignInPolicy::default();
        let sign_in = SignIn::new(parts, Arc::clone(&hasher), SystemClock, sign_in_policy).await?;
        let app = Self {
            users,
            sign_in,
            sessions,
            lockout,
            verifier: Arc::new(Verifier::new(&keys, policy.clone())),
            log,
            signer: Signer::new(&keys, policy),
            hasher,
            audit_folder,
            audit_key,
            store: sqlite,
            witness,
            tasks: Arc::new(Semaphore::new(TASKS)),
            readers: Arc::new(Semaphore::new(READERS)),
            settings,
        };
        app.first_admin(&admin, announce, now).await?;
        tokio::spawn(Arc::clone(&app.witness).watch(app.log.clone()));
        Ok(Arc::new(app))
    }

    /// Makes the first administrator where there is no user at all, and gives the administrator a new
    /// one-time password where that is asked for.
    async fn first_admin(
        &self,
        name: &AccountName,
        announce: &mut impl FnMut(&str),
        now: Timestamp,
    ) -> Result<(), Fault> {
        let unhashed = |_| "the administrator's password could not be hashed or kept";
        let unrecorded = |_| "the audit log takes no record";
        let password = if self.users.list(now).await?.is_empty() {
            let email = self.settings.admin_email.clone();
            let made = self.new_user(name, email, Role::Admin, now).await;
            let (user, password) = made.map_err(unhashed)?;
            let event = Event::new(Action::UserCreated, now).target(&user.name);
            self.record(event).await.map_err(unrecorded)?;
            self.users.create(user, now).await?;
            password
        } else if self.settings.reset_admin {
            let admin = self.users.get(name.as_str(), now).await?;
            if admin.is_none_or(|user| user.role != Role::Admin) {
                let name = name.as_str();
                return Err(format!(
                    "--reset-admin: {name} is no administrator; say which with --admin"
                )
                .into());
            }
            let event = Event::new(Action::PasswordChanged, now).target(name.as_str());
            self.record(event).await.map_err(unrecorded)?;
            let reset = self.reset(name, now).await;
            reset.map_err(unhashed)?.1
        } else {
            return Ok(());
        };
        announce(&format!("administrator: {}", name.as_str()));
        let password = String::from_utf8_lossy(password.expose()).into_owned();
        announce(&format!(
            "one-time password: {password} (shown once; change it at the first login)"
        ));
        Ok(())
    }

    /// Gives a user a new one-time password, lifts a lock of the account, and ends its sessions.
    pub(crate) async fn reset(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<(User, Secret), No> {
        let password = one_time_password().map_err(|_| Reason::Internal)?;
        let hashed = self.hasher.hash(password.clone()).await;
        let hash = hashed.map_err(|_| overloaded())?;
        let user = self.users.reset_password(name.as_str(), hash, now).await?;
        let ended = self.sessions.revoke_all(name.as_str(), now).await;
        ended.map_err(|error| error.reason())?;
        let unlocked = self.lockout.unlock(name, now).await;
        unlocked.map_err(|error| error.reason())?;
        Ok((user, password))
    }

    /// A user with a one-time password, not yet kept.
    pub(crate) async fn new_user(
        &self,
        name: &AccountName,
        email: String,
        role: Role,
        now: Timestamp,
    ) -> Result<(User, Secret), No> {
        let password = one_time_password().map_err(|_| Reason::Internal)?;
        let hash = self
            .hasher
            .hash(password.clone())
            .await
            .map_err(|_| overloaded())?;
        let user = User {
            name: name.as_str().to_owned(),
            email,
            role,
            password_hash: hash,
            enabled: true,
            must_change_password: true,
            epoch: 1,
            created_at: now.as_unix_nanos(),
        };
        Ok((user, password))
    }

    /// The present instant, for what comes after a long wait.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// An access token and the refresh token as the answer of a login or a refresh.
    pub(crate) async fn pair(
        &self,
        pair: Pair<'_>,
        client: &ClientAddress,
        now: Timestamp,
    ) -> Result<Response, No> {
        let user = self
            .users
            .get(pair.user, now)
            .await?
            .ok_or(Reason::TokenRevoked)?;
        let claims = UserClaims {
            email: user.email,
            role: user.role.as_str().to_owned(),
            client_id: pair.client_system.unwrap_or("auth-service").to_owned(),
            security: Security {
                second_factor_verified: false,
                ip: client.ip().to_string(),
            },
        };
        let session = pair.session.to_string();
        let subject = Subject::new(&user.name).session(&session);
        let life = self.settings.access_token_life();
        let signed = self.signer.sign(&claims, subject, now, life);
        let access_token = signed.map_err(|_| Reason::Internal)?;
        Ok(private(Json(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": life.as_secs(),
            "refresh_token": pair.refresh_token.expose(),
            "session": session,
            "must_change_password": user.must_change_password,
        }))))
    }

    /// Refuses, and ends the session, where the account was closed or its credential changed since
    /// the session began.
    pub(crate) async fn still_valid(
        &self,
        refreshed: &Refreshed,
        now: Timestamp,
    ) -> Result<(), No> {
        let user = self.users.get(&refreshed.user, now).await?;
        if user.is_some_and(|user| user.enabled && user.epoch == refreshed.epoch) {
            return Ok(());
        }
        self.sessions
            .revoke(&refreshed.session, now)
            .await
            .map_err(|error| error.reason())?;
        Err(No::from(Reason::TokenRevoked))
    }

    /// Notes which client application a session was started from, for the tokens of its refreshes.
    pub(crate) async fn remember_client(
        &self,
        session: &SessionId,
        client_system: Option<&str>,
        now: Timestamp,
    ) -> Result<(), No> {
        let Some(client_system) = client_system else {
            return Ok(());
        };
        let value = Value::new(client_system.as_bytes());
        // As long as the longest session: thirty days.
        let expires_at = now.saturating_add(Duration::from_secs(30 * 24 * 3600));
        let note = move |_: Option<&[u8]>| {
            let value = value.clone();
            ((), Next::Put { value, expires_at })
        };
        let key = Key::new(CLIENT, session.as_bytes());
        Ok(self.store.update(key, now, note).await?)
    }

    /// The client application that a session was started from, if it said.
    pub(crate) async fn client_of(
        &self,
        session: &SessionId,
        now: Timestamp,
    ) -> Result<Option<String>, No> {
        let read = |current: Option<&[u8]>| {
            let text = current.and_then(|bytes| std::str::from_utf8(bytes).ok());
            (text.map(str::to_owned), Next::Keep)
        };
        let key = Key::new(CLIENT, session.as_bytes());
        Ok(self.store.update(key, now, read).await?)
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
    pub(crate) async fn checkpoint(&self, now: Timestamp) -> Result<Option<Checkpoint>, No> {
        Ok(self.witness.last(now).await?)
    }

    /// What a failed login says: little.
    pub(crate) fn refusal(&self, error: &SignInError) -> No {
        match error {
            SignInError::Overloaded { retry_after } => {
                No::from(Refusal::new(Reason::Overloaded).retry_after(*retry_after))
            }
            error => No::from(error.log_reason()),
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
        self.witness.keep(&self.log.checkpoint(), now).await?;
        self.store.close().await;
        Ok(())
    }
}

const CLIENT: Scope = Scope::new("client-of-session");
/// Work under way for callers who may have hung up.
const TASKS: usize = 4096;
/// Readers of the audit log at once: each may hold a segment in memory.
const READERS: usize = 2;
/// How long a stop waits for work under way.
const REST: Duration = Duration::from_secs(5);

/// Opens the log, and refuses one that is not what it had come to.
async fn open_log(
    settings: &Settings,
    folder: &Path,
    key: &Secret,
    witness: &Witness,
    now: Timestamp,
    announce: &mut impl FnMut(&str),
) -> Result<Log, Fault> {
    let place = folder.display();
    make_folder(folder).map_err(about(&place))?;
    let opened = Log::open(folder, key, LogPolicy::default(), now);
    let (log, recovery) = opened.map_err(|error| match error {
        AuditError::InUse => format!("{place}: another auth-service is running on this data"),
        AuditError::Damaged(finding) if finding.damage == Damage::WrongKey => {
            let file = settings.root_key_file();
            format!(
                "{place}: {} is not the key that this log was made with",
                file.display()
            )
        }
        AuditError::Damaged(finding) => format!(
            "{place}: the log is not as it was written ({finding}); keep a copy for whoever \
             investigates, and move the folder away to begin a new log"
        ),
        error => format!("{place}: {error}"),
    })?;
    if recovery.torn_bytes > 0 {
        announce(&format!(
            "audit log: {} bytes of an unfinished record do not count any more",
            recovery.torn_bytes
        ));
    }
    if let Err(error) = witness.confirm(folder, key, now).await? {
        if !settings.accept_audit_loss {
            return Err(format!(
                "{place}: {error}; put the log back, or start once with --accept-audit-loss"
            )
            .into());
        }
        announce(&format!("audit log: going on although {error}"));
        witness.keep(&log.checkpoint(), now).await?;
    }
    Ok(log)
}

/// Puts what an error is about before it.
fn about<E: Display>(what: impl Display) -> impl FnOnce(E) -> Fault {
    move |error| format!("{what}: {error}").into()
}

fn overloaded() -> No {
    No::from(Refusal::new(Reason::Overloaded).retry_after(Duration::from_secs(1)))
}

/// Makes a folder for its owner alone.
fn make_folder(folder: &std::path::Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
