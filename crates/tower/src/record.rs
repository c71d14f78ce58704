//! Refusals of the gates, in the audit log.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::header::USER_AGENT;
use http::{Request, Response};
use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{Clock, Reason, Timestamp};
use portcullis_ip_list::ClientAddress;
use portcullis_rate_limit::{Limiter, LimiterPolicy, PolicyError, Quota};
use tower_layer::Layer;
use tower_service::Service;

use crate::arrival::arrival;
use crate::{NamedClient, NamedKey, ProvenUser, Refused, RequestId};

/// How many refusals are recorded.
#[derive(Clone, Copy, Debug)]
pub struct RecordPolicy {
    per_second: u32,
}

impl Default for RecordPolicy {
    /// 100 a second: more than any honest client base is refused, and a flood cannot fill the disk.
    fn default() -> Self {
        Self { per_second: 100 }
    }
}

impl RecordPolicy {
    /// At most `per_second` refusals a second are recorded, from all callers together; the rest are
    /// counted by [`RecordLayer::shed`].
    #[must_use]
    pub const fn per_second(per_second: u32) -> Self {
        Self { per_second }
    }
}

/// Writes what the gates inside it refuse to an audit sink, before the refusal is answered.
///
/// Stands outside the gates. A handler that answers with [`crate::respond`] is recorded like them, with
/// the address that an [`crate::AddressGate`] before it told, and the [`NamedClient`] and [`NamedKey`] that
/// a gate noted: of a request that names a key every refusal is recorded, whatever its reason. A missing credential is no event: it says nothing about anyone. What
/// [`portcullis_audit`] cannot take is counted, and the refusal stands.
pub struct RecordLayer<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    sink: K,
    limiter: Limiter,
    shed: AtomicU64,
    failed: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl<K: Sink + 'static> RecordLayer<K> {
    /// Records to `sink`.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy admits no event at all.
    pub fn new(sink: K, policy: RecordPolicy, clock: impl Clock) -> Result<Self, PolicyError> {
        let limiter = Limiter::new(
            Quota::per_second(policy.per_second)?,
            LimiterPolicy::default(),
        );
        let shared = Shared {
            sink,
            limiter,
            shed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            clock: Arc::new(clock),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// How many refusals were not recorded because more came than the policy admits.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shared.shed.load(Ordering::Relaxed)
    }

    /// How many refusals the sink failed to take.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl<K> Clone for RecordLayer<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K> fmt::Debug for RecordLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordLayer")
            .field("shed", &self.shared.shed)
            .finish_non_exhaustive()
    }
}

impl<S, K> Layer<S> for RecordLayer<K> {
    type Service = RecordService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordService {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

/// A service whose refusals are recorded; made by [`RecordLayer`].
pub struct RecordService<S, K> {
    inner: S,
    shared: Arc<Shared<K>>,
}

impl<S: Clone, K> Clone for RecordService<S, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for RecordService<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, K, In, Out> Service<Request<In>> for RecordService<S, K>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    K: Sink + 'static,
    Out: Send + 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let now = arrival(request.extensions_mut(), &*shared.clock);
        let agent = request.headers().get(USER_AGENT).cloned();
        let id = request.extensions().get::<RequestId>().copied();
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = answered.await?;
            let refused = response.extensions().get::<Refused>().copied();
            let of_client = response.extensions().get::<NamedKey>().is_some();
            let recorded = |reason| action(reason).or(of_client.then_some(Action::ClientRefused));
            if let Some((Refused(reason), action)) = refused.and_then(|r| Some((r, recorded(r.0)?)))
            {
                let mut event = Event::new(action, now).reason(reason);
                if let Some(client) = response.extensions().get::<ClientAddress>() {
                    event = event.address(client.ip(), client.source().as_str());
                }
                if let Some(proven) = response.extensions().get::<ProvenUser>() {
                    event = event.user(proven.user());
                    if let Some(session) = proven.session() {
                        event = event.session(session);
                    }
                }
                if let Some(client) = response.extensions().get::<NamedClient>() {
                    event = event.client_system(client.name());
                }
                if let Some(key) = response.extensions().get::<NamedKey>() {
                    event = event.target(key.id());
                }
                if let Some(agent) = &agent {
                    event = event.user_agent(&String::from_utf8_lossy(agent.as_bytes()));
                }
                if let Some(id) = id {
                    event = event.request_id(&id.to_string());
                }
                // Apart: what most requests never do is no part of the future that each has.
                Box::pin(shared.record(event, now)).await;
            }
            Ok(response)
        })
    }
}

impl<K: Sink> Shared<K> {
    async fn record(&self, event: Event, now: Timestamp) {
        // One key for all: nothing a caller chooses decides what is shed.
        if !self.limiter.check(b"", now).is_admitted() {
            self.shed.fetch_add(1, Ordering::Relaxed);
        } else if self.sink.record(event).await.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a gate's refusal is called in the log; `None` for what says nothing, and for what sign-in
/// and the handlers record themselves.
const fn action(reason: Reason) -> Option<Action> {
    match reason {
        Reason::RateLimited => Some(Action::RateLimited),
        Reason::AddressUnknown
        | Reason::AddressRefused
        | Reason::RoleMissing
        | Reason::PasswordChangeRequired
        | Reason::SecondFactorRequired
        | Reason::SecondFactorMissing
        | Reason::CrossSite => Some(Action::AccessDenied),
        Reason::TokenMalformed
        | Reason::TokenInvalid
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenRevoked => Some(Action::TokenRefused),
        Reason::SignatureMalformed
        | Reason::SignatureInvalid
        | Reason::SignatureExpired
        | Reason::SignatureNotYetValid
        | Reason::SignatureReplayed
        | Reason::KeyMalformed
        | Reason::KeyUnknown
        | Reason::KeyWrong
        | Reason::KeyExpired
        | Reason::KeyRevoked
        | Reason::KeyOfOtherEnvironment
        | Reason::ClientUnknown
        | Reason::ClientDisabled
        | Reason::ClientAddressRefused
        | Reason::ScopeMissing => Some(Action::ClientRefused),
        _ => None,
    }
}
