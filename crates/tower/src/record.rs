//! Refusals of the gates, in the audit log.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::header::USER_AGENT;
use http::{Extensions, HeaderValue, Request, Response};
use portcullis_audit::{Action, Event, Sink};
use portcullis_core::{Clock, Reason, Timestamp};
use portcullis_ip_list::{ClientAddress, rate_key};
use portcullis_rate_limit::{Charge, Limiter, LimiterPolicy, PolicyError, Quota};
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
    /// Ten a second, and one a second of one client: enough to see who is refused, and why. They add at most
    /// 1.6 GB a day to a log, and those of one client 159 MB.
    fn default() -> Self {
        Self { per_second: 10 }
    }
}

impl RecordPolicy {
    /// At most `per_second` refusals a second are recorded, from all callers together, and a tenth of that
    /// from one client address, an IPv6 one by its /64; counted by the minute, so that a minute's worth may
    /// come at once. The rest are counted by [`RecordLayer::shed`]: whoever calls from ten networks can keep
    /// the refusals of others out, and that is where it shows. Where no [`crate::AddressGate`] tells an
    /// address, all callers share the whole.
    ///
    /// This bounds how fast refusals fill a disk. Nothing here keeps them from filling it in the end, and a
    /// log that has no room refuses every sign-in. A record has at most [`Event::MAX_RECORD_BYTES`], which
    /// is 1836: the longest ones add 1836 × 86 400 = 158 630 400 bytes a day for each one a second. Leave
    /// the log that much room for as many days as it takes to notice and to make some. What sign-in records
    /// itself, such as a wrong password, comes on top.
    #[must_use]
    pub const fn per_second(per_second: u32) -> Self {
        Self { per_second }
    }
}

/// Writes what the gates inside it refuse to an audit sink, before the refusal is answered.
///
/// Stands outside the gates. A handler that answers with [`crate::respond`] is recorded like them, with
/// the address that an [`crate::AddressGate`] before it told, and the [`NamedClient`] and [`NamedKey`] that
/// a gate noted: of a request that names a key every refusal is recorded, whatever its reason. A missing
/// credential is no event: it says nothing about anyone. What more comes than the [`RecordPolicy`] admits
/// is counted, before anything is made of it; what [`portcullis_audit`] cannot take is counted, too; and
/// the refusal stands.
pub struct RecordLayer<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    sink: K,
    /// Of all callers together.
    whole: Limiter,
    /// Of each client address.
    each: Limiter,
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
        let whole = Quota::per_minute(policy.per_second.saturating_mul(60))?;
        // A tenth of it.
        let each = Quota::per_minute(policy.per_second.saturating_mul(6))?;
        let shared = Shared {
            sink,
            // One key.
            whole: Limiter::new(whole, LimiterPolicy::keys(1)?),
            each: Limiter::new(each, LimiterPolicy::default()),
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
            let told = response.extensions();
            let refused = told.get::<Refused>().copied();
            let of_client = told.get::<NamedKey>().is_some();
            let recorded = |reason| action(reason).or(of_client.then_some(Action::ClientRefused));
            if let Some((Refused(reason), action)) = refused.and_then(|r| Some((r, recorded(r.0)?)))
            {
                let refusal = Event::new(action, now).reason(reason);
                let event = shared.room_for(told.get(), now, || {
                    described(refusal, told, agent.as_ref(), id)
                });
                if let Some(event) = event {
                    // Apart: what most requests never do is no part of the future that each has.
                    Box::pin(shared.record(event)).await;
                }
            }
            Ok(response)
        })
    }
}

/// The event, with what the gates learned and the request says of itself.
fn described(
    mut event: Event,
    told: &Extensions,
    agent: Option<&HeaderValue>,
    id: Option<RequestId>,
) -> Event {
    if let Some(client) = told.get::<ClientAddress>() {
        event = event.address(client.ip(), client.source().as_str());
    }
    if let Some(proven) = told.get::<ProvenUser>() {
        event = event.user(proven.user());
        if let Some(session) = proven.session() {
            event = event.session(session);
        }
    }
    if let Some(client) = told.get::<NamedClient>() {
        event = event.client_system(client.name());
    }
    if let Some(key) = told.get::<NamedKey>() {
        event = event.target(key.id());
    }
    if let Some(agent) = agent {
        event = event.user_agent(&String::from_utf8_lossy(agent.as_bytes()));
    }
    if let Some(id) = id {
        event = event.request_id(&id.to_string());
    }
    event
}

impl<K: Sink> Shared<K> {
    /// The event, if there is room for it: what is shed costs no more than asking, however long the texts
    /// are that its caller chose.
    fn room_for(
        &self,
        client: Option<&ClientAddress>,
        now: Timestamp,
        event: impl FnOnce() -> Event,
    ) -> Option<Event> {
        let whole = Charge {
            limiter: &self.whole,
            // One key for all: nothing a caller chooses decides what is shed, but the address it floods from.
            key: b"",
            cost: 1,
        };
        let decision = match client.map(|client| rate_key(client.ip())) {
            None => Limiter::check_all(&[whole], now),
            Some(key) => {
                let each = Charge {
                    limiter: &self.each,
                    key: key.as_bytes(),
                    cost: 1,
                };
                // The client's first: a flood from one address does not touch the counter of all.
                Limiter::check_all(&[each, whole], now)
            }
        };
        if decision.decision.is_admitted() {
            return Some(event());
        }
        self.shed.fetch_add(1, Ordering::Relaxed);
        None
    }

    async fn record(&self, event: Event) {
        if self.sink.record(event).await.is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_audit::testing::MemorySink;
    use portcullis_core::testing::FakeClock;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    #[test]
    fn of_what_is_shed_nothing_is_made() {
        let (sink, clock) = (MemorySink::new(), FakeClock::new(NOW));
        let layer = RecordLayer::new(sink, RecordPolicy::per_second(1), clock).unwrap();
        let mut made = 0;
        for _ in 0..1_000 {
            let event = || {
                made += 1;
                Event::new(Action::AccessDenied, NOW)
            };
            let _event = layer.shared.room_for(None, NOW, event);
        }
        assert_eq!((made, layer.shed()), (60, 940));
    }
}
