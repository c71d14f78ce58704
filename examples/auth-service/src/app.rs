//! Everything the handlers share, put together once.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::Response;
use portcullis::audit::{Action, AuditError, Event, Log, LogPolicy, Sink};
use portcullis::core::{AnyStore, Clock, Reason, Secret, SystemClock, Timestamp};
use portcullis::ip_list::ClientAddress;
use portcullis::jwt::{HmacKey, KeySet, Policy, Security, Signer, Subject, UserClaims, Verifier};
use portcullis::lockout::{AccountName, Lockout, LockoutPolicy};
use portcullis::session::{RefreshToken, Refreshed, SessionId, SessionPolicy, Sessions};
use portcullis::sign_in::{
    Argon2Pool, ChangeError, Hasher, Parts, SignIn, SignInError, SignInPolicy,
};
use portcullis::store_sqlite::Sqlite;
use portcullis::tower::{Refusal, RequestId};
use serde_json::json;
use tracing::error;

use crate::answer::{No, private};
use crate::keys::RootKey;
use crate::settings::Settings;
use crate::users::{Role, User, Users, one_time_password};

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
        let database = settings.data.join("portcullis.db");
        let key_file = settings.root_key_file();
        let (root, made) = RootKey::open_or_make(&key_file, &settings.data, database.exists())?;
        if made {
            let file = key_file.display();
            announce(&format!(
                "root key made: {file} (back it up apart from the data)"
            ));
        }

        let audit_folder = settings.data.join("audit");
        make_folder(&settings.data)?;
        make_folder(&audit_folder)?;
        let sqlite = Sqlite::open(&database, now)?;
        let store = AnyStore::new(sqlite.clone());
        let audit_key = root.derive("audit");
        let (log, recovery) = Log::open(&audit_folder, &audit_key, LogPolicy::default(), now)?;
        if recovery.torn_bytes > 0 {
            announce(&format!(
                "audit log: {} bytes of an unfinished record do not count any more",
                recovery.torn_bytes
            ));
        }

        let session_policy =
            SessionPolicy::default().grace(Duration::from_secs(settings.refresh_grace_secs));
        let sessions = Arc::new(Sessions::new(
            store.clone(),
            root.derive("sessions"),
            session_policy,
        )?);
        let lockout_policy = LockoutPolicy::new(5, Duration::from_secs(settings.lockout_secs))?;
        let lockout = Arc::new(Lockout::new(store.clone(), lockout_policy));
        let users = Users::new(store);
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
            settings,
        };
        app.first_admin(announce, now).await?;
        Ok(Arc::new(app))
    }

    /// Makes the first administrator where there is no user at all, and gives the administrator a new
    /// one-time password where that is asked for.
    async fn first_admin(
        &self,
        announce: &mut impl FnMut(&str),
        now: Timestamp,
    ) -> Result<(), Fault> {
        let first = self.users.list(now).await?.is_empty();
        if !first && !self.settings.reset_admin {
            return Ok(());
        }
        let name = AccountName::parse(&self.settings.admin)?;
        let email = self.settings.admin_email.clone();
        let made = self.new_user(&name, email, Role::Admin, now).await;
        let (user, password) =
            made.map_err(|_| "the administrator's password could not be hashed")?;
        let action = if first {
            Action::UserCreated
        } else {
            Action::PasswordChanged
        };
        let event = Event::new(action, now).target(&user.name);
        self.record(event)
            .await
            .map_err(|_| "the audit log takes no record")?;
        if first {
            self.users.create(user, now).await?;
        } else {
            self.users.reset_password(&user, now).await?;
            self.sessions.revoke_all(&user.name, now).await?;
            self.lockout.unlock(&name, now).await?;
        }
        announce(&format!("administrator: {}", name.as_str()));
        let password = String::from_utf8_lossy(password.expose()).into_owned();
        announce(&format!(
            "one-time password: {password} (shown once; change it at the first login)"
        ));
        Ok(())
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

    /// An event of a request, with where it came from.
    pub(crate) fn event(
        &self,
        action: Action,
        now: Timestamp,
        client: &ClientAddress,
        request: &RequestId,
    ) -> Event {
        Event::new(action, now)
            .address(client.ip(), client.source().as_str())
            .request_id(&request.to_string())
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
            ChangeError::NewPassword(_) => {
                No::content("The new password has 12 to 128 characters and is not the user name.")
            }
            ChangeError::SignIn(error) => self.refusal(error),
            _ => No::from(Reason::Internal),
        }
    }

    /// Records the stop and closes log and store.
    pub(crate) async fn close(&self, now: Timestamp) -> Result<(), Fault> {
        self.record(Event::new(Action::ServiceStopped, now))
            .await
            .map_err(|_| "the stop was not recorded")?;
        self.log.close().await;
        self.store.close().await;
        Ok(())
    }
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
