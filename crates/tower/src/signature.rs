//! Requests signed by their sender: the layer that reads the body, and admits each request once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use portcullis_core::{AnyStore, Clock, Timestamp};
use portcullis_hmac_signing::{
    Error as SignatureError, KeyId, ReplayGuard, Scheme, Secrets, Verifier,
};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::arrival::arrival;
use crate::body::{READ, ReadBody, read};
use crate::proven::Known;
use crate::respond::Speaks;
use crate::service::refused;
use crate::{Admitted, GateBody, Refusal, Refused};

/// Where the secrets of key ids are kept.
///
/// `key_id` is what the request says of itself: nothing is proved when this is asked. What it leaves in
/// `head.extensions`, such as a [`crate::NamedClient`], is a claim until a
/// [`portcullis_hmac_signing::SignedRequest`] stands beside it; an address that the key's owner does not
/// call from can be refused here, before the body is read.
///
/// Secrets given for a key id that is revoked, or is another's, admit whoever holds them; `None` for one
/// that is good costs its owner a request. The answer says whether the key or the signature was refused:
/// a key id that should be hard to guess is made at random. A store that cannot be asked is a
/// [`Refusal`], never `None`: the sender would take the key for dead.
pub trait SecretDirectory: Clone + Send + Sync + 'static {
    /// The live secrets of that key id at `now`; `None` where there is no such key.
    ///
    /// Asked a second time, with a later `now`, where the body was a second or more under way: a key
    /// that was revoked meanwhile is then not there any more.
    ///
    /// # Errors
    /// The [`Refusal`] that becomes the response.
    fn find(
        &self,
        key_id: &KeyId,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Secrets>, Refusal>> + Send;
}

/// Admits requests that were signed, in time, for the first time; leaves the
/// [`portcullis_hmac_signing::SignedRequest`] in their extensions.
///
/// | Step | Refused there |
/// |---|---|
/// | the head is parsed | what is malformed, says it is too long, or is not in its time |
/// | [`SecretDirectory::find`] | whom the directory refuses |
/// | the body is read | what is longer than the policy admits, breaks off, or takes too long ([`SignatureLayer::body_within_secs`]) |
/// | the directory is asked again where that was long, by the clock or by tokio's timer | a key revoked meanwhile |
/// | the signature, and its time by the clock read again | an unknown key, a wrong signature, a body or a directory that came too late |
/// | the store | what came before; a key that has no room, with `Retry-After`; and everything, while the store cannot be asked |
///
/// Nothing is noted in the store before the signature holds. The handler gets the very bytes that were
/// verified, and no trailers, which no scheme signs. [`crate::Arrival`] stays the request's instant.
///
/// A request whose future is dropped while the store is asked may have been noted: its sender signs the
/// next try anew. Stands behind the address and a limit, for it reads bodies of whoever calls; each
/// holds as much memory as the policy's body limit.
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use http::{Request, Response, StatusCode, request};
/// use http_body_util::Full;
/// use portcullis_core::{AnyStore, Clock, Memory, Secret, SystemClock, Timestamp};
/// use portcullis_hmac_signing::{
///     Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, SignedRequest, Signer, SigningKey,
///     V1, Verifier,
/// };
/// use portcullis_tower::{Refusal, SecretDirectory, SignatureLayer};
/// use tower::{Layer, ServiceExt};
///
/// /// Knows one partner.
/// #[derive(Clone)]
/// struct Partner(Secrets);
///
/// impl SecretDirectory for Partner {
///     async fn find(
///         &self,
///         key_id: &KeyId,
///         _head: &mut request::Parts,
///         _now: Timestamp,
///     ) -> Result<Option<Secrets>, Refusal> {
///         Ok((key_id.as_str() == "partner-7").then(|| self.0.clone()))
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let now = SystemClock.now();
/// let key = SigningKey::new(Secret::generate::<32>()?)?;
/// let partner = Partner(Secrets::new(key.clone()).made_at(now));
/// let verifier = Verifier::new(V1::new("ledger")?, Policy::requiring(Component::ALL))?;
/// let replays = ReplayGuard::new(AnyStore::new(Memory::new(now)), ReplayPolicy::default());
/// let layer = SignatureLayer::new(verifier, partner, Arc::new(replays), SystemClock);
/// let orders = layer.layer(tower::service_fn(|request: Request<_>| async move {
///     let signed = request.extensions().get::<SignedRequest>();
///     let by = signed.map(|signed| signed.key_id().to_string());
///     Ok::<_, std::convert::Infallible>(Response::new(by.unwrap_or_default()))
/// }));
///
/// let signer = Signer::new(V1::new("ledger")?, KeyId::parse("partner-7")?, key);
/// let mut request = Request::post("/orders")
///     .header("host", "ledger.example")
///     .body(Bytes::from_static(b"{\"amount\":7}"))?;
/// signer.sign(&mut request, now)?;
/// let request = request.map(Full::new);
/// let answer = orders.clone().oneshot(request.clone()).await?;
/// assert_eq!(answer.status(), StatusCode::OK);
/// let replayed = orders.oneshot(request).await?;
/// assert_eq!(replayed.status(), StatusCode::UNAUTHORIZED);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SignatureLayer<S, D> {
    shared: Arc<Shared<S, D>>,
    body_within: Duration,
    speaks: Speaks,
}

struct Shared<S, D> {
    verifier: Verifier<S>,
    directory: D,
    replays: Arc<ReplayGuard<AnyStore>>,
    clock: Arc<dyn Clock>,
}

impl<S: Scheme, D: SecretDirectory> SignatureLayer<S, D> {
    /// A layer of `verifier`, whose keys are in `directory`. Every layer, of every process, that takes
    /// the same keys has to remember in the same store, or a request is admitted once by each.
    ///
    /// `clock` is read after each wait for the body or the directory, and for requests that carry no [`crate::Arrival`].
    pub fn new(
        verifier: Verifier<S>,
        directory: D,
        replays: Arc<ReplayGuard<AnyStore>>,
        clock: impl Clock,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                verifier,
                directory,
                replays,
                clock: Arc::new(clock),
            }),
            body_within: READ,
            speaks: Speaks::Http,
        }
    }

    /// Tells that gRPC is served behind it, as [`crate::GateLayer::speaks_grpc`] does, with the same hazard.
    #[must_use]
    pub fn speaks_grpc(self) -> Self {
        let speaks = Speaks::Grpc;
        Self { speaks, ..self }
    }

    /// How long a body may be under way, in seconds by tokio's timer: ten unless set, which is enough for
    /// a megabyte on a line of one megabit a second. It takes no request past the time of its signature.
    #[must_use]
    pub fn body_within_secs(self, secs: u64) -> Self {
        Self {
            body_within: Duration::from_secs(secs),
            ..self
        }
    }

    /// Cheap refusals first: the head, then the directory, then the body, then the store. What was proved
    /// is left in the head, and the body is answered.
    async fn admit<B>(
        &self,
        head: &mut request::Parts,
        body: B,
        now: Timestamp,
    ) -> Result<Bytes, Refusal>
    where
        B: Body<Data = Bytes>,
    {
        let Shared {
            verifier,
            directory,
            replays,
            clock,
        } = &*self.shared;
        let began = Instant::now();
        let begun = verifier.begin(head, now).map_err(refusal)?;
        let mut secrets = directory.find(begun.key_id(), head, now).await?;
        let body = read(body, begun.body_limit_bytes(), self.body_within).await?;
        // A clock that stepped back does not make a late body early.
        let mut later = clock.now().max(now);
        // Within the second the answer is as old as that of any look-up may be; asked always, every request
        // would pay twice for the few whose bodies are slow. Nor does such a clock make an answer young.
        if later.saturating_since(now) >= STALE || began.elapsed() >= STALE {
            secrets = directory.find(begun.key_id(), head, later).await?;
            // A directory that takes its time takes it from the request's.
            later = clock.now().max(later);
        }
        let unclaimed = begun.verify(secrets.as_ref(), body, later);
        // Not kept through the store's wait.
        drop(secrets);
        let unclaimed = unclaimed.map_err(refusal)?;
        let later = clock.now().max(later);
        // Boxed: a future that holds all of it at once is slow to make and to free.
        let claimed = Box::pin(unclaimed.claim(replays, later)).await;
        let signed = claimed.map_err(refusal)?;
        let body = signed.body().clone();
        head.extensions.insert(signed);
        Ok(body)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "for map_err, which hands it over"
)]
fn refusal(error: SignatureError) -> Refusal {
    let refusal = Refusal::new(error.reason());
    match error {
        SignatureError::TooMany { retry_after } => refusal.retry_after(retry_after),
        _ => refusal,
    }
}

impl<S, D> Clone for SignatureLayer<S, D> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            body_within: self.body_within,
            speaks: self.speaks,
        }
    }
}

impl<S: fmt::Debug, D> fmt::Debug for SignatureLayer<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureLayer")
            .field("verifier", &self.shared.verifier)
            .finish_non_exhaustive()
    }
}

impl<I, S, D> Layer<I> for SignatureLayer<S, D> {
    type Service = SignatureService<I, Self>;

    fn layer(&self, inner: I) -> Self::Service {
        SignatureService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service that only signed requests reach; made by a [`SignatureLayer`], `L`.
#[derive(Clone)]
pub struct SignatureService<I, L> {
    inner: I,
    layer: L,
}

impl<I: fmt::Debug, L: fmt::Debug> fmt::Debug for SignatureService<I, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<I, S, D, In, Out> Service<Request<In>> for SignatureService<I, SignatureLayer<S, D>>
where
    I: Service<Request<ReadBody<In>>, Response = Response<Out>> + Clone + Send + 'static,
    I::Future: Send,
    S: Scheme,
    D: SecretDirectory,
    In: Body<Data = Bytes> + Send + 'static,
    Out: Send,
{
    type Response = Response<GateBody<Out, Admitted>>;
    type Error = I::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, I::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        // The service that was polled ready is the one to call; the fresh clone is not ready yet.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let layer = self.layer.clone();
        let (mut head, body) = request.into_parts();
        let now = arrival(&mut head.extensions, &*layer.shared.clock);
        Box::pin(async move {
            let body = match layer.admit(&mut head, body, now).await {
                Ok(body) => ReadBody::read(body),
                Err(refusal) => return Ok(refused(&refusal, &head, layer.speaks)),
            };
            let known = Known::of(&head.extensions);
            let response = inner.call(Request::from_parts(head, body)).await?;
            let (mut head, body) = response.into_parts();
            // What the handler refuses is recorded outside as well, where only the response is seen.
            if head.extensions.get::<Refused>().is_some() {
                known.tell(&mut head.extensions);
            }
            let body = GateBody::admitted(body, Admitted);
            Ok(Response::from_parts(head, body))
        })
    }
}

/// How old a directory's answer may be when it is used.
const STALE: Duration = Duration::from_secs(1);
