//! A front desk whose every part writes down when it is asked, and fails on command.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each file of tests uses a part of it"
)]

pub mod factor;

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use portcullis_audit::testing::MemorySink;
use portcullis_audit::{Action, AuditError, Event, Recorded, Sink};
use portcullis_core::testing::{FakeClock, Faulty};
use portcullis_core::{
    AnyStore, Cause, Durability, Failure, Key, Memory, Next, Secret, Store, Timestamp,
};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy, Status};
use portcullis_session::{SessionPolicy, Sessions};
use portcullis_sign_in::testing::{MapDirectory, StubHasher, trial_factors};
use portcullis_sign_in::{
    Attempt, Credential, Directory, DirectoryError, Entered, HashError, Hasher, Hashing, Parts,
    SignIn, SignInError, SignInPolicy, SignedIn,
};
use portcullis_totp_mfa::SecondFactors;
use tokio::sync::Notify;
use tokio::time::sleep;

pub const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
pub const HASH: Duration = Duration::from_millis(50);
pub const RIGHT: &[u8] = b"correct horse battery";
pub const WRONG: &[u8] = b"Tr0ub4dor&3";

pub type Answer = Result<SignedIn, SignInError>;

/// What was asked of whom, in order.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

pub struct Desk {
    pub sign_in: SignIn<Users, Ear>,
    pub users: Users,
    pub hasher: StubHasher,
    pub sink: MemorySink,
    pub store: Cabinet,
    pub lockout: Arc<Lockout<AnyStore>>,
    pub sessions: Arc<Sessions<AnyStore>>,
    pub factors: SecondFactors,
    pub clock: FakeClock,
    pub trace: Trace,
}

pub async fn desk() -> Desk {
    desk_with(SignInPolicy::default()).await
}

/// Alice may sign in, and so may bob; carol is closed.
pub async fn desk_with(policy: SignInPolicy) -> Desk {
    let trace = Trace::default();
    let store = Cabinet {
        store: Faulty::new(Memory::new(NOW)),
        trace: trace.clone(),
        plan: Arc::default(),
    };
    let any = AnyStore::new(store.clone());
    let trial = SessionPolicy::default().dangerous_allow_volatile();
    let key = Secret::from(vec![7; 32]);
    let sessions = Arc::new(Sessions::new(any.clone(), key, trial).unwrap());
    let lockout = Arc::new(Lockout::new(any.clone(), LockoutPolicy::default()));
    let factors = trial_factors().unwrap();
    let users = Users {
        map: MapDirectory::new(),
        trace: trace.clone(),
        plan: Arc::default(),
    };
    for user in ["alice", "bob", "carol"] {
        users
            .map
            .insert(&name(user), StubHasher::phc(&RIGHT.into()));
    }
    users
        .map
        .change(&name("carol"), |user| user.enabled = false);
    let (hasher, sink) = (StubHasher::new(HASH), MemorySink::new());
    let parts = Parts {
        directory: users.clone(),
        sink: Ear(sink.clone(), trace.clone()),
        lockout: Arc::clone(&lockout),
        sessions: Arc::clone(&sessions),
        second_factors: factors.clone(),
        store: any,
    };
    let clock = FakeClock::new(NOW);
    let traced = Arc::new(Judge(hasher.clone(), trace.clone()));
    let sign_in = SignIn::new(parts, traced, clock.clone(), policy).await;
    trace.take();
    Desk {
        sign_in: sign_in.unwrap(),
        users,
        hasher,
        sink,
        store,
        lockout,
        sessions,
        factors,
        clock,
        trace,
    }
}

impl Desk {
    pub async fn try_as(&self, user: &str, password: &[u8]) -> Answer {
        let attempt = attempt(user, password);
        self.sign_in.sign_in(attempt, NOW).await.map(signed_in)
    }

    /// All at once; the answers in the order of the attempts.
    pub async fn all_at_once(&self, attempts: Vec<Attempt>) -> Vec<Answer> {
        let started = attempts.into_iter().map(|attempt| {
            let sign_in = self.sign_in.clone();
            tokio::spawn(async move { sign_in.sign_in(attempt, NOW).await.map(signed_in) })
        });
        let started: Vec<_> = started.collect();
        let mut answers = Vec::new();
        for answer in started {
            answers.push(answer.await.unwrap());
        }
        answers
    }

    pub async fn failures(&self, user: &str) -> Status {
        self.lockout.status(&name(user), NOW).await.unwrap()
    }

    pub async fn sessions_of(&self, user: &str) -> usize {
        self.sessions.list(user, NOW).await.unwrap().len()
    }

    pub async fn lock(&self, user: &str) {
        for _ in 0..5 {
            refused(self.try_as(user, WRONG).await);
        }
        assert!(matches!(self.failures(user).await, Status::Locked { .. }));
    }

    /// Nothing is under way any more: no attempt holds its permit.
    pub async fn drained(&self) {
        sleep(Duration::from_secs(120)).await;
        let text = format!("{:?}", self.sign_in);
        assert!(text.contains("free: 512"), "{text}");
    }

    pub fn reasons(&self) -> Vec<String> {
        let events = self.sink.events();
        let reasons = events.iter().filter_map(Event::reason_name);
        reasons.map(str::to_owned).collect()
    }

    pub fn count(&self, action: Action) -> usize {
        let actions = self.sink.actions();
        actions.iter().filter(|done| **done == action).count()
    }
}

pub fn attempt(user: &str, password: &[u8]) -> Attempt {
    Attempt::new(user, Secret::from(password))
}

pub fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

/// Of a user without a second factor.
#[track_caller]
pub fn signed_in(entered: Entered) -> SignedIn {
    match entered {
        Entered::SignedIn(signed_in) => signed_in,
        other => panic!("not signed in: {other:?}"),
    }
}

#[track_caller]
pub fn refused(answer: Answer) -> SignInError {
    match answer {
        Err(error @ SignInError::Refused(_)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// One poll, as a caller that then does not come back.
pub fn poll_once<F: Future>(future: &mut Pin<Box<F>>) {
    let mut context = Context::from_waker(Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
}

pub async fn steps(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// The application's users, and what happens at which look-up.
#[derive(Clone)]
pub struct Users {
    pub map: MapDirectory,
    trace: Trace,
    plan: Arc<Mutex<LookUps>>,
}

type Change = Box<dyn FnOnce(&MapDirectory) + Send>;

#[derive(Default)]
struct LookUps {
    done: usize,
    before: Option<(usize, Change)>,
    stall: bool,
}

impl Users {
    /// Does `change` just before the look-up after the next `skip`.
    pub fn before(&self, skip: usize, change: impl FnOnce(&MapDirectory) + Send + 'static) {
        let mut plan = self.plan.lock().unwrap();
        plan.before = Some((plan.done + skip, Box::new(change)));
    }

    pub fn stall(&self, stall: bool) {
        self.plan.lock().unwrap().stall = stall;
    }
}

impl Directory for Users {
    async fn find(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Option<Credential>, DirectoryError> {
        self.trace.note("find");
        tokio::task::yield_now().await;
        let (change, stall) = {
            let mut plan = self.plan.lock().unwrap();
            let done = plan.done;
            plan.done += 1;
            (plan.before.take_if(|(at, _)| *at == done), plan.stall)
        };
        if stall {
            std::future::pending::<()>().await;
        }
        if let Some((_, change)) = change {
            change(&self.map);
        }
        self.map.find(name, now).await
    }

    async fn replace_password(
        &self,
        name: &AccountName,
        epoch: u64,
        hash: String,
        now: Timestamp,
    ) -> Result<Option<u64>, DirectoryError> {
        self.trace.note("replace");
        self.map.replace_password(name, epoch, hash, now).await
    }
}

struct Judge(StubHasher, Trace);

impl Hasher for Judge {
    fn verify(&self, hash: String, password: Secret) -> Hashing<'_, bool> {
        Box::pin(async move {
            let calls = self.0.calls();
            let answer = self.0.verify(hash, password).await;
            if self.0.calls() > calls {
                self.1.note("verify");
            }
            answer
        })
    }

    fn hash(&self, password: Secret) -> Hashing<'_, String> {
        self.1.note("hash");
        self.0.hash(password)
    }

    fn is_outdated(&self, hash: &str) -> bool {
        self.0.is_outdated(hash)
    }
}

pub struct Ear(MemorySink, Trace);

impl Sink for Ear {
    async fn record(&self, event: Event) -> Result<Recorded, AuditError> {
        self.1.note(format!("record {}", event.action().as_str()));
        tokio::task::yield_now().await;
        self.0.record(event).await
    }
}

/// A store that writes down each call's scope and what came of it, and fails those it is told to.
#[derive(Clone)]
pub struct Cabinet {
    pub store: Faulty<Memory>,
    trace: Trace,
    plan: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    done: usize,
    held: Option<(usize, Held)>,
    failing: Range<usize>,
    failure: Option<Failure>,
}

impl Cabinet {
    /// Fails `count` calls after the next `skip`; an unknown outcome was applied.
    pub fn fail(&self, skip: usize, count: usize, failure: Failure) {
        let mut plan = self.plan.lock().unwrap();
        plan.failing = plan.done + skip..plan.done + skip + count;
        plan.failure = Some(failure);
    }

    /// The call after the next `skip` waits until it is released.
    pub fn hold(&self, skip: usize) -> Held {
        let mut plan = self.plan.lock().unwrap();
        let held = Held::default();
        plan.held = Some((plan.done + skip, held.clone()));
        held
    }

    pub fn mend(&self) {
        self.plan.lock().unwrap().failing = 0..0;
    }
}

/// A call that waits.
#[derive(Clone, Default)]
pub struct Held(Arc<Notify>, Arc<Notify>);

impl Held {
    pub async fn reached(&self) {
        self.0.notified().await;
    }

    pub fn release(&self) {
        self.1.notify_one();
    }
}

impl Store for Cabinet {
    async fn update<T, F>(&self, key: Key, now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        let (failure, held) = {
            let mut plan = self.plan.lock().unwrap();
            let done = plan.done;
            plan.done += 1;
            let fails = plan.failing.contains(&done);
            let failure = plan.failure.clone().filter(|_| fails);
            (failure, plan.held.take_if(|(at, _)| *at == done))
        };
        if let Some((_, held)) = held {
            held.0.notify_one();
            held.1.notified().await;
        }
        match failure {
            None => {}
            Some(failure @ Failure::Unknown(_)) => {
                self.store.update(key, now, step).await?;
                return Err(failure);
            }
            Some(failure) => return Err(failure),
        }
        let trace = self.trace.clone();
        let traced = move |current: Option<&[u8]>| {
            let (answer, next) = step(current);
            let what = match next {
                Next::Put { .. } => "puts",
                Next::Remove => "removes",
                _ => "reads",
            };
            trace.note(format!("{} {what}", key.scope()));
            (answer, next)
        };
        self.store.update(key, now, traced).await
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }

    fn birth(&self) -> Timestamp {
        self.store.birth()
    }
}

pub fn failures() -> [Failure; 3] {
    let backend = || Cause::Backend("on command".into());
    [
        Failure::Contended,
        Failure::Unavailable(backend()),
        Failure::Unknown(backend()),
    ]
}

pub fn overloaded() -> HashError {
    HashError::Overloaded {
        retry_after: Duration::from_secs(3),
    }
}
