//! The one Layer and the one Service of every gate.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;
use portcullis_core::Clock;
use tower_layer::Layer;
use tower_service::Service;

use crate::arrival::arrival;
use crate::proven::Known;
use crate::respond::Speaks;
use crate::{Gate, Pass, Refusal, Refused};

/// Puts a gate in front of a service.
///
/// The request's instant is the [`crate::Arrival`] in its extensions; where no
/// [`crate::ArrivalLayer`] stands outside, the gate's own clock is read, once.
#[derive(Clone)]
pub struct GateLayer<G> {
    /// Behind one count: each request's future holds it, and a router clones its services per request.
    shared: Arc<Shared<G>>,
    speaks: Speaks,
}

struct Shared<G> {
    gate: G,
    clock: Box<dyn Clock>,
}

impl<G: Gate> GateLayer<G> {
    /// A layer of `gate`, with the clock for requests that carry no instant.
    pub fn new(gate: G, clock: impl Clock) -> Self {
        let clock = Box::new(clock);
        Self {
            shared: Arc::new(Shared { gate, clock }),
            speaks: Speaks::Http,
        }
    }

    /// Tells that gRPC is served behind this: a refused gRPC call (a `POST` over HTTP/2 whose content type
    /// is that of gRPC) gets its `grpc-status`, and the HTTP status 200. Without this every refusal has its
    /// HTTP status.
    ///
    /// Never where a proxy asks before it forwards (forward-auth): it takes the 200 for a yes, and any
    /// caller can send that content type.
    #[must_use]
    pub fn speaks_grpc(self) -> Self {
        self.speaking(Speaks::Grpc)
    }

    pub(crate) fn speaking(self, speaks: Speaks) -> Self {
        Self { speaks, ..self }
    }
}

impl<G: fmt::Debug> fmt::Debug for GateLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GateLayer").field(&self.shared.gate).finish()
    }
}

impl<S, G: Gate> Layer<S> for GateLayer<G> {
    type Service = GateService<S, G>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService {
            inner,
            shared: Arc::clone(&self.shared),
            speaks: self.speaks,
        }
    }
}

/// A service behind a gate; made by [`GateLayer`].
#[derive(Clone)]
pub struct GateService<S, G> {
    inner: S,
    shared: Arc<Shared<G>>,
    speaks: Speaks,
}

impl<S: fmt::Debug, G: fmt::Debug> fmt::Debug for GateService<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService")
            .field("inner", &self.inner)
            .field("gate", &self.shared.gate)
            .finish_non_exhaustive()
    }
}

impl<S, G, In, Out> Service<Request<In>> for GateService<S, G>
where
    S: Service<Request<In>, Response = Response<Out>> + Clone + Send + 'static,
    S::Future: Send,
    G: Gate,
    In: Send + 'static,
{
    type Response = Response<GateBody<Out, G::Pass>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        // The service that was polled ready is the one to call; the fresh clone is not ready yet.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let (shared, speaks) = (Arc::clone(&self.shared), self.speaks);
        let (mut head, body) = request.into_parts();
        let now = arrival(&mut head.extensions, &*shared.clock);
        Box::pin(async move {
            let mut pass = match shared.gate.admit(&mut head, now).await {
                Ok(pass) => pass,
                Err(refusal) => return Ok(refused(&refusal, &head, speaks)),
            };
            let known = Known::of(&head.extensions);
            let response = inner.call(Request::from_parts(head, body)).await?;
            let (mut head, body) = response.into_parts();
            // What the handler refuses is recorded outside as well, where only the response is seen.
            if head.extensions.get::<Refused>().is_some() {
                known.tell(&mut head.extensions);
            }
            pass.settle(&mut head);
            Ok(Response::from_parts(head, GateBody::admitted(body, pass)))
        })
    }
}

/// The response to a request that is refused, with what is known of it for whoever stands outside.
pub(crate) fn refused<B, P>(
    refusal: &Refusal,
    head: &request::Parts,
    speaks: Speaks,
) -> Response<GateBody<B, P>> {
    let mut refused = speaks.answer(refusal, &head.method, head.version, &head.headers);
    Known::of(&head.extensions).tell(refused.extensions_mut());
    refused.map(GateBody::refused)
}

pin_project! {
    /// The body of a response that passed a gate, or of the gate's own refusal. Holds the pass until
    /// the body is dropped.
    pub struct GateBody<B, P> {
        #[pin]
        answer: Answer<B, P>,
    }
}

pin_project! {
    #[project = AnswerProjection]
    enum Answer<B, P> {
        Admitted { #[pin] body: B, pass: P },
        Refused { #[pin] body: Full<Bytes> },
    }
}

impl<B, P> GateBody<B, P> {
    pub(crate) const fn admitted(body: B, pass: P) -> Self {
        Self {
            answer: Answer::Admitted { body, pass },
        }
    }

    pub(crate) const fn refused(body: Full<Bytes>) -> Self {
        Self {
            answer: Answer::Refused { body },
        }
    }
}

impl<B, P> fmt::Debug for GateBody<B, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.answer {
            Answer::Admitted { .. } => "GateBody(admitted)",
            Answer::Refused { .. } => "GateBody(refused)",
        })
    }
}

impl<B: Body<Data = Bytes>, P> Body for GateBody<B, P> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().answer.project() {
            AnswerProjection::Admitted { body, .. } => body.poll_frame(context),
            AnswerProjection::Refused { body } => {
                body.poll_frame(context).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.answer {
            Answer::Admitted { body, .. } => body.is_end_stream(),
            Answer::Refused { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.answer {
            Answer::Admitted { body, .. } => body.size_hint(),
            Answer::Refused { body } => body.size_hint(),
        }
    }
}
