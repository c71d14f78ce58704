//! Routes that each name a policy: what is not covered is not served.

mod elsewhere;
mod error;
mod finish;
mod guarded;
mod methods;
mod policy;
mod table;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::MethodRouter;
use portcullis_core::Clock;

pub use self::error::{RouteFault, RoutesError};
pub use self::guarded::GuardedRoutes;
pub use self::policy::{Gated, Layered, Open, Policy};
pub use self::table::{RouteTable, Row};

use self::elsewhere::{Answers, Elsewhere};
use self::policy::sealed::Cover;
use crate::respond::Speaks;

/// An axum router whose every route names the policy it stands behind.
///
/// With `axum::Router` a layer covers the routes that were put before it: one that is put, or merged,
/// after it is served unguarded, and nothing says so. Here a route cannot be put without a [`Policy`]; what
/// others have put together ([`Routes::pending`], [`Routes::merge_router`]) waits for one, and as long as
/// any route waits, [`Routes::finish`] refuses, and names each of them. What it gives takes no more routes.
///
/// ```
/// use axum::routing::{get, post};
/// use portcullis_core::SystemClock;
/// use portcullis_rate_limit::EndpointClass;
/// use portcullis_tower::{AddressGate, LimitGate, Open, Routes, Stack};
///
/// let gate = |class| Stack::new(AddressGate::direct()).limit(LimitGate::class(class));
/// let app = Routes::new(SystemClock)
///     .route("/login", post(async || "signed in"), gate(EndpointClass::Authentication))
///     .route("/health", get(async || "well"), Open::because("probes carry no credentials"))
///     .finish()?;
/// assert_eq!(
///     app.table().to_string(),
///     "POST       /login   addresses: everyone; 10 in 60 s by client address\n\
///      GET, HEAD  /health  open: probes carry no credentials\n\
///      any        *        404, or 405 with the methods of the path; no handler",
/// );
///
/// let forgotten = Routes::new(SystemClock).pending("/debug", get(async || "all of it"));
/// let refused = forgotten.finish().unwrap_err();
/// assert_eq!(refused.to_string(), "the routes are not served:\n  GET, HEAD /debug has no policy");
/// # Ok::<(), portcullis_tower::RoutesError>(())
/// ```
///
/// Serve it with [`GuardedRoutes::into_make_service_with_connect_info`]. An [`crate::ArrivalLayer`] is
/// part of it.
#[must_use = "routes are served once they are finished"]
pub struct Routes<S = ()> {
    clock: Arc<dyn Clock>,
    listed: Vec<Listed<S>>,
    routers: Vec<Unlisted<S>>,
    elsewhere: Option<Elsewhere<S>>,
    speaks: Speaks,
    faults: Vec<RouteFault>,
}

/// A path with its methods.
struct Listed<S> {
    path: String,
    methods: MethodRouter<S>,
    policy: Option<Arc<dyn Cover>>,
}

/// A router whose routes nobody can list, and where it is put; empty for the root.
struct Unlisted<S> {
    prefix: String,
    router: Router<S>,
    policy: Option<Arc<dyn Cover>>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet. `clock` is read once for each request, by the outermost routes.
    pub fn new(clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            listed: Vec::new(),
            routers: Vec::new(),
            elsewhere: None,
            speaks: Speaks::Http,
            faults: Vec::new(),
        }
    }

    /// Puts `methods` at `path`, both as for `axum::Router::route`, behind `policy`; a handler for any
    /// method stands behind it, too.
    pub fn route<P: Policy>(mut self, path: &str, methods: MethodRouter<S>, policy: P) -> Self {
        self.put(path, methods, Some(Arc::new(policy)));
        self
    }

    /// Puts `methods` at `path`, and leaves the policy to a later [`Routes::cover`], here or of the routes
    /// that these are nested in or merged into.
    pub fn pending(mut self, path: &str, methods: MethodRouter<S>) -> Self {
        self.put(path, methods, None);
        self
    }

    /// Puts everything that has no policy yet behind this one. What is put afterwards is not covered by
    /// it.
    pub fn cover<P: Policy>(mut self, policy: P) -> Self {
        let policy: Arc<dyn Cover> = Arc::new(policy);
        let listed = self.listed.iter_mut().map(|route| &mut route.policy);
        let routers = self.routers.iter_mut().map(|router| &mut router.policy);
        for uncovered in listed.chain(routers) {
            uncovered.get_or_insert_with(|| Arc::clone(&policy));
        }
        self
    }

    /// Puts all of `routes` here, with the policies they have.
    pub fn merge(self, routes: Self) -> Self {
        self.join("", routes)
    }

    /// Puts all of `routes` here, each at `prefix` and its own path, with the policies they have. `/` is
    /// then the prefix itself. Handlers and gates see the whole path.
    pub fn nest(mut self, prefix: &str, routes: Self) -> Self {
        self.check_prefix(prefix);
        self.join(prefix, routes)
    }

    /// Puts an axum router here, without its fallback. Nobody can list its routes: all of them wait for
    /// [`Routes::cover`]. A path that is listed here answers before one of the router's.
    pub fn merge_router(mut self, router: Router<S>) -> Self {
        self.put_router(String::new(), router);
        self
    }

    /// The same at a prefix. As with `axum::Router::nest`, its handlers see what is behind the prefix; the
    /// policy sees the whole path.
    pub fn nest_router(mut self, prefix: &str, router: Router<S>) -> Self {
        self.check_prefix(prefix);
        self.put_router(prefix.to_owned(), router);
        self
    }

    /// What is no route here, and what takes other methods, is answered behind `policy`. Without this it is
    /// answered at once: no handler stands there that could be reached, the answer costs less than any
    /// refusal, and a limit would need the address of the peer, which a mistyped path should not.
    ///
    /// Of the outermost routes only.
    pub fn elsewhere<P: Policy>(self, policy: P) -> Self {
        self.answer_elsewhere(Answers::Standard, policy)
    }

    /// The same with answers of one's own, such as pages: `axum::routing::any(no_such_page)`.
    pub fn elsewhere_by<P: Policy>(
        self,
        not_found: MethodRouter<S>,
        method_not_allowed: MethodRouter<S>,
        policy: P,
    ) -> Self {
        let own = Box::new([not_found, method_not_allowed]);
        self.answer_elsewhere(Answers::Own(own), policy)
    }

    fn answer_elsewhere<P: Policy>(mut self, answers: Answers<S>, policy: P) -> Self {
        if self.elsewhere.is_some() {
            self.faults.push(RouteFault::ElsewhereTwice);
        }
        let policy: Option<Arc<dyn Cover>> = Some(Arc::new(policy));
        self.elsewhere = Some(Elsewhere { answers, policy });
        self
    }

    /// Tells that gRPC is served here: a gRPC call (a `POST` over HTTP/2 whose content type is that of gRPC)
    /// to what is no route gets its `grpc-status`, and the HTTP status 200. Without this it is a 404. What a
    /// policy refuses, its own [`Stack::speaks_grpc`](crate::Stack::speaks_grpc) decides.
    ///
    /// Of the outermost routes only. Never where a proxy asks before it forwards (forward-auth): it takes
    /// the 200 for a yes, and any caller can send that content type.
    pub fn speaks_grpc(self) -> Self {
        let speaks = Speaks::Grpc;
        Self { speaks, ..self }
    }

    /// Gives the handlers their state.
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        let listed = self.listed.into_iter().map(|route| Listed {
            methods: route.methods.with_state(state.clone()),
            path: route.path,
            policy: route.policy,
        });
        let routers = self.routers.into_iter().map(|unlisted| Unlisted {
            router: unlisted.router.with_state(state.clone()),
            prefix: unlisted.prefix,
            policy: unlisted.policy,
        });
        Routes {
            clock: self.clock,
            listed: listed.collect(),
            routers: routers.collect(),
            elsewhere: self.elsewhere.map(|answers| answers.with_state(&state)),
            speaks: self.speaks,
            faults: self.faults,
        }
    }

    fn put(&mut self, path: &str, methods: MethodRouter<S>, policy: Option<Arc<dyn Cover>>) {
        // Behind a prefix it could no longer be told.
        if !path.starts_with('/') {
            self.fault(path, "it does not start with /");
        }
        self.listed.push(Listed {
            path: path.to_owned(),
            methods,
            policy,
        });
    }

    fn put_router(&mut self, prefix: String, router: Router<S>) {
        self.routers.push(Unlisted {
            prefix,
            // Its answer to what is no route of its own would be one to every path there is.
            router: router.reset_fallback(),
            policy: None,
        });
    }

    fn join(mut self, prefix: &str, mut routes: Self) -> Self {
        if routes.elsewhere.is_some() {
            self.faults.push(RouteFault::ElsewhereTwice);
        }
        self.faults.append(&mut routes.faults);
        for route in routes.listed {
            let path = joined(prefix, &route.path);
            self.listed.push(Listed { path, ..route });
        }
        for router in routes.routers {
            let inner = router.prefix.as_str();
            let prefix = format!("{prefix}{inner}");
            self.routers.push(Unlisted { prefix, ..router });
        }
        self
    }

    fn check_prefix(&mut self, prefix: &str) {
        if !finish::is_prefix(prefix) {
            self.fault(
                prefix,
                "a prefix starts with / and does not end with it, and its segments are no wildcards",
            );
        }
    }

    fn fault(&mut self, path: &str, why: &str) {
        self.faults.push(RouteFault::Path {
            path: path.to_owned(),
            why: why.to_owned(),
        });
    }
}

fn joined(prefix: &str, path: &str) -> String {
    match path {
        "/" if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{prefix}{path}"),
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.listed.iter().map(|route| route.path.as_str());
        f.debug_tuple("Routes")
            .field(&paths.collect::<Vec<_>>())
            .finish()
    }
}
