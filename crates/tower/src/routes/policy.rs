//! What a route stands behind, and how that is said in words.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use portcullis_core::Clock;

use self::sealed::{Cover, LayerOfRoute};
use crate::respond::Speaks;
use crate::{Gate, GateLayer, Stack};

/// What a route stands behind: a [`Stack`], a layer of one's own with words for what it asks
/// ([`Layered`]), or nothing, for a reason ([`Open`]).
///
/// A pair or a triple is one behind the other, the first outermost: `(stack, signatures)` puts the
/// signature layer behind the address and the limit, `(stack, cookies, Gated::by(gate))` a gate behind the
/// session that the cookie layer found.
pub trait Policy: Cover {}

impl<P: Cover> Policy for P {}

/// Admits everyone to a route, and says why.
///
/// ```
/// use portcullis_tower::Open;
///
/// let health = Open::because("probes carry no credentials");
/// assert_eq!(health.reason(), "probes carry no credentials");
/// ```
#[derive(Clone, Debug)]
pub struct Open {
    reason: String,
}

impl Open {
    /// For that reason, which stands in the table of routes. An empty one is refused by
    /// [`crate::Routes::finish`].
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }

    /// Why everyone is admitted.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A layer as a policy, with the words that stand for it in the table of routes. What it does is taken
/// on trust: a layer that admits everyone covers its route as well as any.
#[derive(Clone, Debug)]
pub struct Layered<L> {
    layer: L,
    words: String,
}

impl<L> Layered<L> {
    /// The layer, and what it asks for. Empty words are refused by [`crate::Routes::finish`].
    #[must_use]
    pub fn by(layer: L, words: impl Into<String>) -> Self {
        Self {
            layer,
            words: words.into(),
        }
    }
}

impl<Stage: 'static, G: Gate> Cover for Stack<Stage, G> {
    fn words(&self) -> Option<String> {
        each_said(self.to_string())
    }

    fn over(&self, methods: MethodRouter, clock: &Arc<dyn Clock>) -> MethodRouter {
        methods.layer(self.clone().layer(Arc::clone(clock)))
    }

    fn over_router(&self, router: Router, clock: &Arc<dyn Clock>) -> Router {
        router.route_layer(self.clone().layer(Arc::clone(clock)))
    }
}

/// A gate as a policy of its own, for one that stands behind other policies. What comes first is a
/// [`Stack`], which begins with the address.
#[derive(Clone, Debug)]
pub struct Gated<G> {
    gate: G,
    speaks: Speaks,
}

impl<G: Gate> Gated<G> {
    /// That gate, said in its own words.
    #[must_use]
    pub const fn by(gate: G) -> Self {
        let speaks = Speaks::Http;
        Self { gate, speaks }
    }

    /// Tells that gRPC is served behind it, as [`GateLayer::speaks_grpc`] does, with the same hazard.
    #[must_use]
    pub fn speaks_grpc(self) -> Self {
        let speaks = Speaks::Grpc;
        Self { speaks, ..self }
    }

    fn layer(&self, clock: &Arc<dyn Clock>) -> GateLayer<G> {
        GateLayer::new(self.gate.clone(), Arc::clone(clock)).speaking(self.speaks)
    }
}

impl<G: Gate> Cover for Gated<G> {
    fn words(&self) -> Option<String> {
        each_said(Words(&self.gate).to_string())
    }

    fn over(&self, methods: MethodRouter, clock: &Arc<dyn Clock>) -> MethodRouter {
        methods.layer(self.layer(clock))
    }

    fn over_router(&self, router: Router, clock: &Arc<dyn Clock>) -> Router {
        router.route_layer(self.layer(clock))
    }
}

struct Words<'a, G>(&'a G);

impl<G: Gate> fmt::Display for Words<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// Signed requests; put a [`Stack`] before it, for it reads bodies.
#[cfg(feature = "signature")]
impl<S, D> Cover for crate::SignatureLayer<S, D>
where
    S: portcullis_hmac_signing::Scheme,
    D: crate::SecretDirectory,
{
    fn words(&self) -> Option<String> {
        Some(String::from("signed, once"))
    }

    fn over(&self, methods: MethodRouter, _clock: &Arc<dyn Clock>) -> MethodRouter {
        methods.layer(self.clone())
    }

    fn over_router(&self, router: Router, _clock: &Arc<dyn Clock>) -> Router {
        router.route_layer(self.clone())
    }
}

/// It keeps other sites out and asks nobody for a session: a gate behind it does.
#[cfg(feature = "cookie")]
impl Cover for crate::CookieSessionLayer {
    fn words(&self) -> Option<String> {
        Some(String::from("no other site's page; session by cookie"))
    }

    fn over(&self, methods: MethodRouter, _clock: &Arc<dyn Clock>) -> MethodRouter {
        methods.layer(self.clone())
    }

    fn over_router(&self, router: Router, _clock: &Arc<dyn Clock>) -> Router {
        router.route_layer(self.clone())
    }
}

impl<L: LayerOfRoute> Cover for Layered<L> {
    fn words(&self) -> Option<String> {
        said(&self.words).map(str::to_owned)
    }

    fn over(&self, methods: MethodRouter, _clock: &Arc<dyn Clock>) -> MethodRouter {
        methods.layer(self.layer.clone())
    }

    fn over_router(&self, router: Router, _clock: &Arc<dyn Clock>) -> Router {
        router.route_layer(self.layer.clone())
    }
}

impl Cover for Open {
    fn words(&self) -> Option<String> {
        said(&self.reason).map(|reason| format!("open: {reason}"))
    }

    fn over(&self, methods: MethodRouter, _clock: &Arc<dyn Clock>) -> MethodRouter {
        methods
    }

    fn over_router(&self, router: Router, _clock: &Arc<dyn Clock>) -> Router {
        router
    }
}

impl<A: Cover, B: Cover> Cover for (A, B) {
    fn words(&self) -> Option<String> {
        Some(format!("{}; {}", self.0.words()?, self.1.words()?))
    }

    fn over(&self, methods: MethodRouter, clock: &Arc<dyn Clock>) -> MethodRouter {
        self.0.over(self.1.over(methods, clock), clock)
    }

    fn over_router(&self, router: Router, clock: &Arc<dyn Clock>) -> Router {
        self.0.over_router(self.1.over_router(router, clock), clock)
    }
}

impl<A: Cover, B: Cover, C: Cover> Cover for (A, B, C) {
    fn words(&self) -> Option<String> {
        let (first, second, third) = (self.0.words()?, self.1.words()?, self.2.words()?);
        Some(format!("{first}; {second}; {third}"))
    }

    fn over(&self, methods: MethodRouter, clock: &Arc<dyn Clock>) -> MethodRouter {
        let inner = self.1.over(self.2.over(methods, clock), clock);
        self.0.over(inner, clock)
    }

    fn over_router(&self, router: Router, clock: &Arc<dyn Clock>) -> Router {
        let inner = self.1.over_router(self.2.over_router(router, clock), clock);
        self.0.over_router(inner, clock)
    }
}

/// The words of gates, unless one of them has none.
fn each_said(words: String) -> Option<String> {
    let all = words.split("; ").all(|words| said(words).is_some());
    all.then_some(words)
}

fn said(words: &str) -> Option<&str> {
    Some(words.trim()).filter(|words| !words.is_empty())
}

/// A policy is made of the types here, so that no route is covered by what was forgotten to be.
pub(crate) mod sealed {
    use std::convert::Infallible;
    use std::sync::Arc;

    use axum::Router;
    use axum::extract::Request;
    use axum::response::IntoResponse;
    use axum::routing::{MethodRouter, Route};
    use portcullis_core::Clock;
    use tower_layer::Layer;
    use tower_service::Service;

    /// Covers routes.
    pub trait Cover: Send + Sync + 'static {
        /// What it asks for; `None` where nothing is said.
        fn words(&self) -> Option<String>;
        /// Over every method, and over what answers to any other: a handler may stand there, too.
        fn over(&self, methods: MethodRouter, clock: &Arc<dyn Clock>) -> MethodRouter;
        /// Over every route of a router that has one, and not over its fallback.
        fn over_router(&self, router: Router, clock: &Arc<dyn Clock>) -> Router;
    }

    /// A layer as `axum::Router::layer` takes it.
    pub trait LayerOfRoute:
        Layer<
            Route,
            Service: Service<
                Request,
                Response: IntoResponse + 'static,
                Error: Into<Infallible> + 'static,
                Future: Send + 'static,
            > + Clone
                         + Send
                         + Sync
                         + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
    {
    }

    impl<L> LayerOfRoute for L
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
    }
}
