//! A layer over signed requests, whoever sends them, and bodies that come as told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use portcullis_core::testing::{FakeClock, Faulty};
use portcullis_core::{AnyStore, Clock, Memory, Reason, Secret, Timestamp};
use portcullis_hmac_signing::{
    Component, KeyId, Policy, ReplayGuard, ReplayPolicy, Secrets, SignedRequest, Signer,
    SigningKey, V1, Verifier,
};
use portcullis_tower::{
    Admitted, Arrival, GateBody, NamedClient, ReadBody, Refusal, Refused, SecretDirectory,
    SignatureLayer,
};
use tower::{Layer, ServiceExt};

pub type Answer = Response<GateBody<String, Admitted>>;

pub const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
pub const BODY: &[u8] = b"{ \"amount\" : 7,\r\n\t\"to\":\"\xC3\xA9\" }\n";
pub const LIMIT_BYTES: usize = 1000;

/// A layer over a store and a directory that fail on command, and what came through it.
pub struct Rig {
    pub store: Faulty<Memory>,
    pub clock: FakeClock,
    pub keys: Keys,
    pub layer: SignatureLayer<V1, Keys>,
    pub signer: Signer<V1>,
    pub handled: Arc<Mutex<Vec<Handled>>>,
}

pub struct Handled {
    pub body: Bytes,
    pub had_trailers: bool,
    pub signed: SignedRequest,
    pub arrival: Arrival,
}

impl Rig {
    pub fn new() -> Self {
        let key = SigningKey::new(Secret::from((0..32).collect::<Vec<u8>>())).unwrap();
        let signer = Signer::new(scheme(), KeyId::parse("partner-7").unwrap(), key.clone());
        let keys = Keys::default();
        *keys.secrets.lock().unwrap() = Some(Secrets::new(key).made_at(NOW));
        let (store, clock) = (Faulty::new(Memory::new(NOW)), FakeClock::new(NOW));
        Self {
            layer: layer(&store, &keys, &clock),
            store,
            clock,
            keys,
            signer,
            handled: Arc::default(),
        }
    }

    /// As another process has it: its own guard, the same store.
    pub fn another_layer(&self) -> SignatureLayer<V1, Keys> {
        layer(&self.store, &self.keys, &self.clock)
    }

    /// Signed at [`NOW`], over [`BODY`].
    pub fn signed(&self, nonce: u64) -> Request<Bytes> {
        self.signed_with(nonce, Bytes::from_static(BODY))
    }

    pub fn signed_with(&self, nonce: u64, body: Bytes) -> Request<Bytes> {
        self.signed_at(nonce, body, NOW)
    }

    pub fn signed_at(&self, nonce: u64, body: Bytes, now: Timestamp) -> Request<Bytes> {
        let mut request = Request::post("/orders?dry=no")
            .header("host", "ledger.example")
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let nonce = u128::from(nonce).to_be_bytes();
        self.signer.sign_with(&mut request, nonce, now).unwrap();
        request
    }

    pub async fn send_whole(&self, request: &Request<Bytes>) -> Answer {
        self.send(whole(request)).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.send_to(&self.layer, request).await
    }

    pub async fn send_to(
        &self,
        layer: &SignatureLayer<V1, Keys>,
        request: Request<Body>,
    ) -> Answer {
        let handled = Arc::clone(&self.handled);
        let handler = tower::service_fn(move |request: Request<ReadBody<Body>>| {
            let handled = Arc::clone(&handled);
            async move {
                let (head, body) = request.into_parts();
                let whole = body.collect().await.unwrap();
                handled.lock().unwrap().push(Handled {
                    had_trailers: whole.trailers().is_some(),
                    body: whole.to_bytes(),
                    signed: head.extensions.get().cloned().unwrap(),
                    arrival: head.extensions.get().copied().unwrap(),
                });
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        });
        layer.layer(handler).oneshot(request).await.unwrap()
    }

    pub fn handled(&self) -> usize {
        self.handled.lock().unwrap().len()
    }
}

pub fn scheme() -> V1 {
    V1::new("ledger").unwrap()
}

pub fn layer(store: &Faulty<Memory>, keys: &Keys, clock: &FakeClock) -> SignatureLayer<V1, Keys> {
    layer_of(store, keys, clock.clone(), ReplayPolicy::default())
}

pub fn layer_of(
    store: &Faulty<Memory>,
    keys: &Keys,
    clock: impl Clock,
    replays: ReplayPolicy,
) -> SignatureLayer<V1, Keys> {
    let policy = Policy::requiring(Component::ALL);
    let policy = policy.body_limit_bytes(LIMIT_BYTES).unwrap();
    let verifier = Verifier::new(scheme(), policy).unwrap();
    let replays = ReplayGuard::new(AnyStore::new(store.clone()), replays);
    SignatureLayer::new(verifier, keys.clone(), Arc::new(replays), clock)
}

pub fn reason(answer: &Answer) -> Option<Reason> {
    let refused: Option<&Refused> = answer.extensions().get();
    refused.map(|refused| refused.0)
}

/// The secrets of one key id, which may go, and a client, who may be refused.
#[derive(Clone, Default)]
pub struct Keys {
    pub secrets: Arc<Mutex<Option<Secrets>>>,
    pub refuses: Arc<Mutex<Option<Reason>>>,
    pub asked: Arc<AtomicUsize>,
    pub at: Arc<Mutex<Vec<Timestamp>>>,
    /// What happens while it is asked, each time one of them.
    pub meanwhile: Arc<Mutex<VecDeque<Happens>>>,
}

type Happens = Box<dyn FnOnce() + Send>;

impl SecretDirectory for Keys {
    async fn find(
        &self,
        key_id: &KeyId,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<Option<Secrets>, Refusal> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.at.lock().unwrap().push(now);
        tokio::task::yield_now().await;
        if let Some(happens) = self.meanwhile.lock().unwrap().pop_front() {
            happens();
        }
        head.extensions.insert(NamedClient::new("partner"));
        if let Some(reason) = *self.refuses.lock().unwrap() {
            return Err(Refusal::new(reason));
        }
        let known = self.secrets.lock().unwrap().clone();
        Ok(known.filter(|_| key_id.as_str() == "partner-7"))
    }
}

pub fn whole(request: &Request<Bytes>) -> Request<Body> {
    with(request, [Step::Data(request.body().clone())])
}

/// The same head with that body.
pub fn with(request: &Request<Bytes>, steps: impl IntoIterator<Item = Step>) -> Request<Body> {
    request.clone().map(|_| Body(steps.into_iter().collect()))
}

/// What comes of a body, in turn.
pub enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing comes this once.
    Wait,
    /// Something happens meanwhile.
    Run(Happens),
    /// Nothing comes for a while, by tokio's timer.
    Sleep(Pin<Box<tokio::time::Sleep>>),
    Break,
    Hang,
}

impl Step {
    pub fn data(bytes: &[u8]) -> Self {
        Self::Data(Bytes::copy_from_slice(bytes))
    }

    pub fn sleep(secs: u64) -> Self {
        Self::Sleep(Box::pin(tokio::time::sleep(Duration::from_secs(secs))))
    }
}

pub struct Body(pub VecDeque<Step>);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            return match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(Step::Data(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Some(Step::Wait) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Step::Run(happens)) => {
                    happens();
                    continue;
                }
                Some(Step::Sleep(mut sleep)) => {
                    if sleep.as_mut().poll(context).is_ready() {
                        continue;
                    }
                    self.0.push_front(Step::Sleep(sleep));
                    Poll::Pending
                }
                Some(Step::Break) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                Some(Step::Hang) => {
                    self.0.push_front(Step::Hang);
                    Poll::Pending
                }
            };
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}
