//! What an administrator does, and what a user does to all sessions at once; for the calls and the pages
//! alike.
//!
//! Each act is in the audit log before it is done: one that failed after is over-reported, none goes
//! unseen.

use portcullis::audit::Action;
use portcullis::core::{Reason, Secret, Timestamp};
use portcullis::lockout::{self, AccountName, Status};
use portcullis::session::{Live, SessionId};
use portcullis::sign_in::{FactorError, Shown};
use portcullis::totp_mfa::Enrolment;

use crate::answer::No;
use crate::app::{App, overloaded};
use crate::caller::Caller;
use crate::origin::Origin;
use crate::users::{Role, User, one_time_password};

impl App {
    /// Makes a user with a one-time password.
    pub(crate) async fn create_user(
        &self,
        by: &str,
        new: (&AccountName, String, Role),
        origin: &Origin,
    ) -> Result<(User, Secret), No> {
        let (now, (name, email, role)) = (origin.now, new);
        if self.users.get(name.as_str(), now).await?.is_some() {
            return Err(No::TAKEN);
        }
        let (user, password) = self.new_user(name, email, role, now).await?;
        let event = origin.event(Action::UserCreated);
        self.record(event.user(by).target(&user.name)).await?;
        self.users.create(user.clone(), now).await?;
        Ok((user, password))
    }

    /// Closes an account: its sessions end and nobody signs in to it.
    pub(crate) async fn disable_user(
        &self,
        by: &str,
        name: &AccountName,
        origin: &Origin,
    ) -> Result<User, No> {
        if name.as_str() == by {
            return Err(No::content(
                "An administrator does not close the account in use.",
            ));
        }
        self.about_to(Action::UserDisabled, by, name, origin)
            .await?;
        let user = self
            .users
            .set_enabled(name.as_str(), false, origin.now)
            .await?;
        self.end_sessions(name.as_str(), origin.now).await?;
        Ok(user)
    }

    /// Opens an account that was closed.
    pub(crate) async fn enable_user(
        &self,
        by: &str,
        name: &AccountName,
        origin: &Origin,
    ) -> Result<User, No> {
        self.about_to(Action::UserEnabled, by, name, origin).await?;
        Ok(self
            .users
            .set_enabled(name.as_str(), true, origin.now)
            .await?)
    }

    /// Gives a user a new one-time password in place of one that was lost.
    pub(crate) async fn reset_user(
        &self,
        by: &str,
        name: &AccountName,
        origin: &Origin,
    ) -> Result<(User, Secret), No> {
        self.about_to(Action::PasswordChanged, by, name, origin)
            .await?;
        self.reset(name, origin.now).await
    }

    /// Takes a user's second factor away, in place of an authenticator and recovery codes that were lost.
    /// The sessions end first, and again after: none that the factor had opened outlives it, nor one that
    /// it opened meanwhile. Whether there was one.
    pub(crate) async fn reset_second_factor(
        &self,
        by: &str,
        name: &AccountName,
        origin: &Origin,
    ) -> Result<bool, No> {
        if name.as_str() == by {
            // Without a code: a session left open must not be worth more than it is.
            return Err(No::content(
                "Remove your own second factor with a code of it.",
            ));
        }
        self.about_to(Action::FactorRemoved, by, name, origin)
            .await?;
        self.end_sessions(name.as_str(), origin.now).await?;
        let (factors, store) = (&self.second_factors, &self.store);
        let reset = factors
            .dangerous_reset(store, name.as_str(), origin.now)
            .await;
        let reset = reset.map_err(|error| error.reason())?;
        self.end_sessions(name.as_str(), origin.now).await?;
        Ok(reset)
    }

    /// Removes the account's own second factor for a code. An administrator's goes for a code of the
    /// authenticator alone: by way of a new one a found recovery code would open every act.
    pub(crate) async fn remove_second_factor(
        &self,
        caller: &Caller,
        shown: Shown,
        now: Timestamp,
    ) -> Result<(), FactorError> {
        if caller.user.role == Role::Admin && shown.is_recovery_code() {
            return Err(FactorError::NotByRecoveryCode);
        }
        self.sign_in.remove(&caller.session, shown, now).await
    }

    /// Begins an enrolment under the account's name, as far as an authenticator can show it.
    pub(crate) async fn enrol(
        &self,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Enrolment, FactorError> {
        let name = caller.user.name.replace(':', "-");
        let end = name.floor_char_boundary(LABEL_BYTES);
        let name = name.get(..end).unwrap_or_default();
        match self.sign_in.enrol(&caller.session, name, now).await {
            Err(FactorError::AccountRefused) => {
                self.sign_in.enrol(&caller.session, "account", now).await
            }
            enrolled => enrolled,
        }
    }

    /// Lifts the lock of an account. A state that does not decode locks, too: nobody else could lift it.
    pub(crate) async fn unlock(
        &self,
        by: &str,
        name: &AccountName,
        origin: &Origin,
    ) -> Result<(), No> {
        let now = origin.now;
        match self.lockout.status(name, now).await {
            Ok(Status::Locked { .. }) | Err(lockout::Error::Corrupt) => {}
            Ok(Status::Open { .. }) => return Err(No::unknown("The account is not locked.")),
            Err(error) => return Err(No::from(error.reason())),
        }
        let event = origin.event(Action::Unlock);
        self.record(event.user(by).target(name.as_str())).await?;
        let unlocked = self.lockout.unlock(name, now).await;
        unlocked.map(drop).map_err(|error| No::from(error.reason()))
    }

    /// Ends a session by its own user's wish.
    pub(crate) async fn sign_out(
        &self,
        user: &str,
        session: &SessionId,
        origin: &Origin,
    ) -> Result<(), No> {
        let event = origin.event(Action::Logout).user(user);
        // Ended, recorded or not: it was asked for, and it opens nothing.
        let recorded = self.record(event.session(&session.to_string())).await;
        let ended = self.sessions.revoke(session, origin.now).await;
        ended.map_err(|error| error.reason())?;
        recorded
    }

    /// Ends all of a user's sessions by the user's own wish, the one that asks too.
    pub(crate) async fn sign_out_everywhere(&self, user: &str, origin: &Origin) -> Result<(), No> {
        let event = origin.event(Action::Logout).user(user);
        let recorded = self.record(event.target("everywhere")).await;
        self.end_sessions(user, origin.now).await?;
        recorded
    }

    /// Records that a session ends because its browser signs in anew.
    pub(crate) async fn signed_in_over(&self, session: &Live, origin: &Origin) -> Result<(), No> {
        let event = origin.event(Action::SessionRevoked).user(session.user());
        self.record(event.session(&session.session().to_string()))
            .await
    }

    /// Records what is about to be done to a user who exists.
    async fn about_to(
        &self,
        action: Action,
        by: &str,
        name: &AccountName,
        origin: &Origin,
    ) -> Result<(), No> {
        let found = self.users.get(name.as_str(), origin.now).await?;
        found.ok_or(No::unknown("There is no such user."))?;
        let event = origin.event(action);
        self.record(event.user(by).target(name.as_str())).await
    }

    async fn end_sessions(&self, user: &str, now: Timestamp) -> Result<(), No> {
        let ended = self.sessions.revoke_all(user, now).await;
        ended.map(drop).map_err(|error| No::from(error.reason()))
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
}

/// As much of a name as an authenticator shows.
const LABEL_BYTES: usize = 128;
