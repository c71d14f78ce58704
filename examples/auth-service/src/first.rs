//! The first administrator, and what whoever can start the service may do for an administrator who lost
//! something.

use portcullis::audit::{Action, Event};
use portcullis::core::Timestamp;
use portcullis::lockout::AccountName;

use crate::app::App;
use crate::opening::Fault;
use crate::users::Role;

impl App {
    /// Makes the first administrator where there is no user at all; where it is asked for, gives the
    /// administrator a new one-time password, and opens the account if it was closed.
    pub(crate) async fn first_admin(
        &self,
        name: &AccountName,
        announce: &mut impl FnMut(&str),
        now: Timestamp,
    ) -> Result<(), Fault> {
        if self.settings.reset_second_factor {
            self.reset_admins_factor(name, announce, now).await?;
        }
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
            self.refuse_no_admin("--reset-admin", name, now).await?;
            let event = Event::new(Action::PasswordChanged, now).target(name.as_str());
            self.record(event).await.map_err(unrecorded)?;
            let (user, password) = self.reset(name, now).await.map_err(unhashed)?;
            if !user.enabled {
                // After the reset: the password before must not open the account again.
                self.let_in(name, announce, now).await?;
            }
            password
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

    /// Opens the administrator's account, which another administrator has closed: of two who close each other's
    /// at once nobody is left to open them.
    async fn let_in(
        &self,
        name: &AccountName,
        announce: &mut impl FnMut(&str),
        now: Timestamp,
    ) -> Result<(), Fault> {
        let event = Event::new(Action::UserEnabled, now).target(name.as_str());
        let recorded = self.record(event).await;
        recorded.map_err(|_| "the audit log takes no record")?;
        self.users.set_enabled(name.as_str(), true, now).await?;
        announce(&format!("{} was closed, and is open", name.as_str()));
        Ok(())
    }

    /// Takes the administrator's second factor away, for whoever can start the service.
    async fn reset_admins_factor(
        &self,
        name: &AccountName,
        announce: &mut impl FnMut(&str),
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.refuse_no_admin("--reset-second-factor", name, now)
            .await?;
        let (factors, store) = (&self.second_factors, &self.store);
        let standing = factors.standing(store, name.as_str(), now).await;
        // One that does not decode is there, too.
        if standing.is_ok_and(|standing| !standing.enrolled && !standing.pending) {
            announce(&format!("{} has no second factor to remove", name.as_str()));
            return Ok(());
        }
        let event = Event::new(Action::FactorRemoved, now).target(name.as_str());
        let recorded = self.record(event).await;
        recorded.map_err(|_| "the audit log takes no record")?;
        self.sessions.revoke_all(name.as_str(), now).await?;
        factors.dangerous_reset(store, name.as_str(), now).await?;
        announce(&format!(
            "second factor of {} removed: enrol anew",
            name.as_str()
        ));
        Ok(())
    }

    async fn refuse_no_admin(
        &self,
        flag: &str,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let found = self.users.get(name.as_str(), now).await?;
        if found.is_some_and(|user| user.role == Role::Admin) {
            return Ok(());
        }
        let name = name.as_str();
        Err(format!("{flag}: {name} is no administrator; say which with --admin").into())
    }
}
