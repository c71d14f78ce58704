//! Through the facade alone: password to token to protected call, limited, locked, audited.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use portcullis::audit::{self, Action, Filter, Log, LogPolicy};
use portcullis::core::testing::FakeClock;
use portcullis::core::{AnyStore, Reason, Scope, Sealer, Secret, Timestamp};
use portcullis::ip_list::{AddressList, TrustedProxies};
use portcullis::jwt::{
    AccessToken, HmacKey, KeySet, Policy, Security, Signer, Subject, UserClaims, Verifier,
};
use portcullis::lockout::{AccountName, Lockout, LockoutPolicy, Status};
use portcullis::rate_limit::{EndpointClass, Limiter, LimiterPolicy};
use portcullis::session::{self, SessionPolicy, Sessions};
use portcullis::sign_in::{
    Argon2Pool, Attempt, Credential, Directory, DirectoryError, Entered, Hasher, Origin, Parts,
    SignIn, SignInPolicy, SignedIn,
};
use portcullis::store_sqlite::Sqlite;
use portcullis::totp_mfa::{MfaPolicy, SecondFactors};
use portcullis::tower::{
    AddressGate, ArrivalLayer, BearerGate, LimitGate, PeerAddress, RecordLayer, RecordPolicy, Stack,
};
use tower::{Layer, Service, ServiceExt};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const PASSWORD: &[u8] = b"alice's own long phrase";

/// The application's users: a map.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<HashMap<String, Credential>>>);

impl Directory for Users {
    async fn find(
        &self,
        name: &AccountName,
        _: Timestamp,
    ) -> Result<Option<Credential>, DirectoryError> {
        Ok(self.0.lock().unwrap().get(name.as_str()).cloned())
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        epoch: u64,
        password_hash: String,
        _: Timestamp,
    ) -> Result<Option<u64>, DirectoryError> {
        let mut users = self.0.lock().unwrap();
        let user = users
            .get_mut(name.as_str())
            .filter(|user| user.epoch == epoch);
        Ok(user.map(|user| {
            user.password_hash = password_hash;
            user.epoch = user.epoch.saturating_add(1);
            user.epoch
        }))
    }
}

/// What a service holds.
struct Gate {
    clock: FakeClock,
    sign_in: SignIn<Users, Log>,
    lockout: Arc<Lockout<AnyStore>>,
    sessions: Arc<Sessions<AnyStore>>,
    signer: Signer,
    verifier: Arc<Verifier>,
    log: Log,
    key: Secret,
}

async fn gate(folder: &Path) -> Gate {
    let clock = FakeClock::new(NOW);
    let key = Secret::generate::<32>().unwrap();
    let store = AnyStore::new(Sqlite::open(folder.join("gate.db"), NOW).unwrap());
    let (log, _) = Log::open(&folder.join("audit"), &key, LogPolicy::default(), NOW).unwrap();
    let lockout = Arc::new(Lockout::new(store.clone(), LockoutPolicy::default()));
    let session_key = Secret::generate::<32>().unwrap();
    let policy = SessionPolicy::default();
    let sessions = Arc::new(Sessions::new(store.clone(), session_key, policy).unwrap());
    let sealer = Sealer::new(1, &Secret::generate::<32>().unwrap()).unwrap();
    let pepper = Secret::generate::<32>().unwrap();
    let mfa = MfaPolicy::new("flow").unwrap();

    // As cheap as Argon2 gets: this is about the order of things, not their cost.
    let hasher = Arc::new(Argon2Pool::new(2, 8, 1).unwrap());
    let users = Users::default();
    let alice = Credential {
        user_id: "42".into(),
        password_hash: hasher.hash(Secret::from(PASSWORD)).await.unwrap(),
        enabled: true,
        must_change: false,
        epoch: 1,
    };
    users.0.lock().unwrap().insert("alice".into(), alice);
    let parts = Parts {
        directory: users,
        sink: log.clone(),
        lockout: Arc::clone(&lockout),
        sessions: Arc::clone(&sessions),
        second_factors: SecondFactors::new(sealer, &pepper, mfa).unwrap(),
        store,
    };
    let sign_in = SignIn::new(parts, hasher, clock.clone(), SignInPolicy::default())
        .await
        .unwrap();

    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "api").unwrap();
    let verifier = Arc::new(Verifier::new(&keys, policy.clone()));
    Gate {
        clock,
        sign_in,
        lockout,
        sessions,
        signer: Signer::new(&keys, policy),
        verifier,
        log,
        key,
    }
}

impl Gate {
    async fn login(&self, password: &[u8]) -> Result<SignedIn, Reason> {
        let origin = Origin::new()
            .address([192, 0, 2, 1].into(), "peer")
            .user_agent("flow");
        let attempt = Attempt::new("Alice", Secret::from(password)).origin(origin);
        match self.sign_in.sign_in(attempt, NOW).await {
            Ok(Entered::SignedIn(signed_in)) => Ok(signed_in),
            Ok(Entered::SecondFactor(_)) => Err(Reason::SecondFactorRequired),
            Err(error) => Err(error.log_reason()),
        }
    }

    fn access_token(&self, session: session::SessionId) -> String {
        let claims = UserClaims {
            email: "alice@example.org".into(),
            role: "user".into(),
            client_id: "flow".into(),
            security: Security {
                second_factor_verified: false,
                ip: "192.0.2.1".into(),
            },
        };
        let session = session.to_string();
        let subject = Subject::new("42").session(&session);
        self.signer
            .sign(&claims, subject, NOW, UserClaims::LIFE)
            .unwrap()
    }
}

async fn call<S, B>(service: &S, token: Option<&str>) -> (StatusCode, String)
where
    S: Service<Request<String>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    let mut request = Request::new(String::new());
    request
        .extensions_mut()
        .insert(PeerAddress([192, 0, 2, 1].into()));
    if let Some(token) = token {
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let answer = service.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn password_to_token_to_protected_call_limited_locked_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let gate = gate(folder.path()).await;
    let signed_in = locked_until_lifted(&gate).await;
    let token = gate.access_token(signed_in.session);

    let limiter = Limiter::new(
        EndpointClass::Authentication.quota(),
        LimiterPolicy::default(),
    );
    let (verifier, sessions) = (Arc::clone(&gate.verifier), Arc::clone(&gate.sessions));
    let address = AddressGate::new(TrustedProxies::none(), AddressList::everyone());
    let stack = Stack::new(address)
        .limit(LimitGate::in_process(Scope::new("api"), Arc::new(limiter)))
        .token(BearerGate::<UserClaims>::of_sessions(verifier, sessions))
        .layer(gate.clock.clone());
    let clock = gate.clock.clone();
    let record = RecordLayer::new(gate.log.clone(), RecordPolicy::default(), clock).unwrap();
    let service = ArrivalLayer::new(gate.clock.clone())
        .layer(record.layer(stack.layer(tower::service_fn(email))));

    let admitted = call(&service, Some(&token)).await;
    assert_eq!(admitted, (StatusCode::OK, "alice@example.org".into()));
    assert!(call(&service, None).await.1.contains("401_UNAUTHORIZED"));

    // A refresh token used a second time, too late, ends its family and the access tokens with it.
    let first = signed_in.refresh_token;
    let second = gate.sessions.refresh(first.expose(), NOW).await.unwrap();
    assert_eq!((second.user.as_str(), second.repeated), ("42", false));
    let late = NOW.saturating_add(Duration::from_secs(60));
    let reused = gate.sessions.refresh(first.expose(), late).await;
    let reused = reused.unwrap_err();
    assert!(matches!(reused, session::Error::Reused { .. }), "{reused}");
    assert_eq!(
        call(&service, Some(&token)).await.0,
        StatusCode::UNAUTHORIZED
    );

    // Three calls were made; seven are left of ten in the minute.
    for _ in 0..7 {
        assert_eq!(call(&service, None).await.0, StatusCode::UNAUTHORIZED);
    }
    assert!(
        call(&service, Some(&token))
            .await
            .1
            .contains("429_RATE_LIMITED")
    );

    let mut expected = vec![Action::FailedLogin; 5];
    expected.extend([Action::Lockout, Action::FailedLogin, Action::Login]);
    expected.extend([Action::TokenRefused, Action::RateLimited]);
    assert_eq!(
        recorded(&gate, &folder.path().join("audit")).await,
        expected
    );
}

/// Locked after five failures, for the right password too, until somebody lifts it.
async fn locked_until_lifted(gate: &Gate) -> SignedIn {
    for _ in 0..5 {
        let wrong = gate.login(b"not her phrase at all").await.unwrap_err();
        assert_eq!(wrong, Reason::PasswordWrong);
    }
    assert_eq!(
        gate.login(PASSWORD).await.unwrap_err(),
        Reason::AccountLocked
    );
    let alice = AccountName::parse("alice").unwrap();
    let until = NOW.saturating_add(Duration::from_secs(1800));
    let status = gate.lockout.status(&alice, NOW).await.unwrap();
    assert_eq!(status, Status::Locked { until });
    assert!(gate.lockout.unlock(&alice, NOW).await.unwrap());
    gate.login(PASSWORD).await.unwrap()
}

/// The handler: whose token it was.
async fn email(request: Request<String>) -> Result<Response<String>, Infallible> {
    let token = request.extensions().get::<AccessToken<UserClaims>>();
    let token = token.expect("left by the gate");
    Ok(Response::new(token.claims().email.clone()))
}

/// The actions in the log, oldest first, once it is closed and verified.
async fn recorded(gate: &Gate, folder: &Path) -> Vec<Action> {
    gate.log.close().await;
    let records = audit::query(folder, &gate.key, &Filter::default().oldest_first()).unwrap();
    let report = audit::verify(folder, &gate.key).unwrap();
    assert_eq!(usize::try_from(report.records).unwrap(), records.len());
    records.iter().map(|record| record.event.action()).collect()
}
