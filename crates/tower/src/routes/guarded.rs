//! Routes that are all covered, and take no more.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::response::Response;
use axum::{Router, ServiceExt};
use tower_layer::Layer;
use tower_service::Service;

use super::policy::sealed::LayerOfRoute;
use super::table::RouteTable;
use crate::ArrivalLayer;

/// Routes that each stand behind a policy; made by [`crate::Routes::finish`]. A tower service.
///
/// It takes no route any more, and is no axum router that would:
///
/// ```compile_fail
/// # fn late(app: portcullis_tower::GuardedRoutes, more: axum::Router) {
/// let app = app.merge(more);
/// # }
/// ```
///
/// ```compile_fail
/// # fn late(app: portcullis_tower::GuardedRoutes) {
/// let app = app.route("/late", axum::routing::get(async || "unguarded"));
/// # }
/// ```
///
/// Every request is given its [`crate::Arrival`] and its [`crate::RequestId`] first of all: no
/// [`ArrivalLayer`] is needed around it.
#[derive(Clone)]
pub struct GuardedRoutes {
    router: Router,
    arrival: ArrivalLayer,
    table: Arc<RouteTable>,
}

impl GuardedRoutes {
    pub(super) fn new(router: Router, arrival: ArrivalLayer, table: RouteTable) -> Self {
        Self {
            router,
            arrival,
            table: Arc::new(table),
        }
    }

    /// Each route with its policy.
    #[must_use]
    pub fn table(&self) -> &RouteTable {
        &self.table
    }

    /// Puts a layer around every route, its policy, and what answers elsewhere; the last one is the
    /// outermost. For what sees all requests: [`crate::RecordLayer`], security headers, a body limit.
    ///
    /// As with `axum::Router::layer`, the path has been matched by then.
    #[must_use]
    pub fn layer<L: LayerOfRoute>(self, layer: L) -> Self {
        Self {
            router: self.router.layer(layer),
            ..self
        }
    }

    /// For `axum::serve`: the peer's address goes with every request, as an
    /// [`AddressGate`](crate::AddressGate) needs it. Another connect info than that of a plain
    /// `SocketAddr` comes by `axum::ServiceExt`, for this is a service.
    #[must_use]
    pub fn into_make_service_with_connect_info(
        self,
    ) -> IntoMakeServiceWithConnectInfo<Self, SocketAddr> {
        ServiceExt::into_make_service_with_connect_info(self)
    }
}

impl Service<Request> for GuardedRoutes {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // axum's router is always ready: each route waits for its own service inside the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.arrival.layer(self.router.clone()).call(request)
    }
}

impl fmt::Debug for GuardedRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedRoutes")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
