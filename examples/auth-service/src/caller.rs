//! Who calls: the account behind the token, as it is now.

use http::request;
use portcullis::core::{Reason, Timestamp};
use portcullis::jwt::{AccessToken, UserClaims};
use portcullis::session::{Live, SessionId};
use portcullis::tower::{Admitted, Gate, Refusal};

use crate::answer::No;
use crate::users::{Role, User, Users};

/// The caller, in the extensions of a request that the account gate admitted.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account as it is now, not as it was when the token was made.
    pub(crate) user: User,
    /// The session the token belongs to.
    pub(crate) session: SessionId,
}

/// Looks the account up on every request: a closed account, a changed credential and a lost role
/// count at once, and an account whose password must be changed first may do nothing else.
#[derive(Clone, Debug)]
pub(crate) struct AccountGate {
    users: Users,
    role: Option<Role>,
    before_password_change: bool,
}

impl AccountGate {
    /// Admits every account in good standing.
    pub(crate) const fn any(users: Users) -> Self {
        Self {
            users,
            role: None,
            before_password_change: false,
        }
    }

    /// Admits administrators.
    pub(crate) const fn admin(users: Users) -> Self {
        Self {
            users,
            role: Some(Role::Admin),
            before_password_change: false,
        }
    }

    /// Admits those whose password must be changed, too.
    pub(crate) const fn before_password_change(mut self) -> Self {
        self.before_password_change = true;
        self
    }
}

impl Gate for AccountGate {
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        let token = head
            .extensions
            .get::<AccessToken<UserClaims>>()
            .ok_or(Reason::Internal)?;
        let live = head.extensions.get::<Live>().ok_or(Reason::Internal)?;
        let (session, epoch) = (live.session(), live.epoch());
        let found = self.users.get(&token.registered().sub, now).await;
        let user = match found.map_err(No::from) {
            Ok(user) => user.ok_or(Reason::TokenRevoked)?,
            Err(No::Refused(refusal)) => return Err(refusal),
            Err(No::Problem(..)) => return Err(Refusal::new(Reason::Internal)),
        };
        // The epoch tells also where ending the sessions was interrupted.
        if !user.enabled || user.epoch != epoch {
            return Err(Refusal::new(Reason::TokenRevoked));
        }
        if user.must_change_password && !self.before_password_change {
            return Err(Refusal::new(Reason::PasswordChangeRequired));
        }
        if self.role.is_some_and(|role| role != user.role) {
            return Err(Refusal::new(Reason::RoleMissing));
        }
        head.extensions.insert(Caller { user, session });
        Ok(Admitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::core::{AnyStore, Memory, Secret};
    use portcullis::jwt::{HmacKey, KeySet, Policy, Security, Signer, Subject, Verifier};
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
