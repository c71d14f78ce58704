//! Who calls: the account behind the token, as it is now.

use std::fmt;

use http::request;
use portcullis::core::{Reason, Timestamp};
use portcullis::session::{Demand, Live};
use portcullis::tower::{Admitted, Gate, Refusal};

use crate::answer::No;
use crate::users::{Role, User, Users};

/// The caller, in the extensions of a request that the account gate admitted.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account as it is now, not as it was when the session began.
    pub(crate) user: User,
    /// The session of the request.
    pub(crate) session: Live,
}

/// Looks the account up on every request: a closed account, a changed credential and a lost role
/// count at once. An account whose password must be changed first may do nothing else, nor may an
/// administrator without a second factor but enrol one.
#[derive(Clone, Debug)]
pub(crate) struct AccountGate {
    users: Users,
    role: Option<Role>,
    before_password_change: bool,
    before_enrolment: bool,
}

impl AccountGate {
    /// Admits every account in good standing.
    pub(crate) const fn any(users: Users) -> Self {
        Self {
            users,
            role: None,
            before_password_change: false,
            before_enrolment: false,
        }
    }

    /// Admits administrators.
    pub(crate) fn admin(users: Users) -> Self {
        Self {
            role: Some(Role::Admin),
            ..Self::any(users)
        }
    }

    /// Admits those who must enrol a second factor, too.
    pub(crate) const fn before_enrolment(mut self) -> Self {
        self.before_enrolment = true;
        self
    }

    /// Admits those whose password must be changed, too, which comes before an enrolment.
    pub(crate) const fn before_password_change(mut self) -> Self {
        self.before_password_change = true;
        self.before_enrolment()
    }

    fn decide(&self, user: &User, session: &Live, now: Timestamp) -> Result<(), Reason> {
        match standing(user, session, now) {
            Err(Reason::PasswordChangeRequired) if self.before_password_change => {}
            Err(Reason::SecondFactorMissing) if self.before_enrolment => {}
            refused => refused?,
        }
        if self.role.is_some_and(|role| role != user.role) {
            return Err(Reason::RoleMissing);
        }
        Ok(())
    }
}

/// Whether an account may do anything in that session, and if not, what it must do first.
pub(crate) fn standing(user: &User, session: &Live, now: Timestamp) -> Result<(), Reason> {
    // The epoch tells also where ending the sessions was interrupted.
    if !user.enabled || user.epoch != session.epoch() {
        return Err(Reason::TokenRevoked);
    }
    if user.must_change_password {
        return Err(Reason::PasswordChangeRequired);
    }
    if user.role == Role::Admin && !session.meets(&Demand::second_factor(), now) {
        return Err(Reason::SecondFactorMissing);
    }
    Ok(())
}

impl Gate for AccountGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        let session = head.extensions.get::<Live>().ok_or(Reason::Internal)?;
        let session = session.clone();
        let found = self.users.get(session.user(), now).await;
        let user = match found.map_err(No::from) {
            Ok(user) => user.ok_or(Reason::TokenRevoked)?,
            Err(No::Refused(refusal)) => return Err(refusal),
            Err(No::Problem(..)) => return Err(Refusal::new(Reason::Internal)),
        };
        self.decide(&user, &session, now)?;
        head.extensions.insert(Caller { user, session });
        Ok(Admitted)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.role {
            Some(_) => "administrator",
            None => "account",
        })?;
        f.write_str(match (self.before_password_change, self.before_enrolment) {
            (true, _) => ", before a due change of its password",
            (false, true) => ", before its second factor is set up",
            (false, false) => " in good standing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::core::{AnyStore, Memory, Secret};
    use portcullis::jwt::{
        HmacKey, KeySet, Policy, Security, Signer, Subject, UserClaims, Verifier,
    };
    use portcullis::session::{Factor, Method, SessionPolicy, Sessions};
    use portcullis::tower::BearerGate;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    /// A closing, an opening or a change of password that was interrupted before it ended the
    /// sessions must not leave them open.
    #[tokio::test]
    async fn a_session_of_an_older_credential_is_refused_even_if_nobody_ended_it() {
        let store = AnyStore::new(Memory::new(NOW));
        let users = Users::new(store.clone());
        let alice = User {
            name: "alice".into(),
            email: "alice@example.org".into(),
            role: Role::User,
            password_hash: "$argon2id$".into(),
            enabled: true,
            must_change_password: false,
            epoch: 1,
            created_at: NOW.as_unix_nanos(),
        };
        users.create(alice, NOW).await.unwrap();
        let secret = || Secret::generate::<32>().unwrap();
        let policy = SessionPolicy::default().dangerous_allow_volatile();
        let sessions = Arc::new(Sessions::new(store, secret(), policy).unwrap());
        let shown = [Factor::new(Method::Password, NOW)];
        let started = sessions.start_at_epoch("alice", &shown, 1, NOW).await;
        let session = started.unwrap().session.to_string();

        let keys = KeySet::new(HmacKey::new("1", secret()).unwrap());
        let policy = Policy::access("http://localhost", "auth-service").unwrap();
        let claims = UserClaims {
            email: "alice@example.org".into(),
            role: "user".into(),
            client_id: "tests".into(),
            security: Security {
                second_factor_verified: false,
                ip: "127.0.0.1".into(),
            },
        };
        let subject = Subject::new("alice").session(&session);
        let token = Signer::new(&keys, policy.clone())
            .sign(&claims, subject, NOW, UserClaims::LIFE)
            .unwrap();
        let bearer = BearerGate::<UserClaims>::of_sessions(
            Arc::new(Verifier::new(&keys, policy)),
            Arc::clone(&sessions),
        );
        let admit = async || {
            let request = http::Request::builder()
                .header("authorization", format!("Bearer {token}"))
                .body(())
                .unwrap();
            let mut head = request.into_parts().0;
            bearer.admit(&mut head, NOW).await.unwrap();
            let admitted = AccountGate::any(users.clone()).admit(&mut head, NOW).await;
            admitted.map(drop).map_err(|refusal| refusal.reason())
        };
        assert_eq!(admit().await, Ok(()));
        users.set_enabled("alice", false, NOW).await.unwrap();
        users.set_enabled("alice", true, NOW).await.unwrap();
        assert_eq!(admit().await, Err(Reason::TokenRevoked));
    }
}
