//! All faults first, then the router.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::MethodRouter;
use portcullis_core::Clock;

use super::elsewhere::Elsewhere;
use super::methods::Methods;
use super::policy::sealed::Cover;
use super::table::{RouteTable, Row};
use super::{GuardedRoutes, Listed, RouteFault, Routes, RoutesError, Unlisted};
use crate::ArrivalLayer;

impl Routes {
    /// The routes, each behind its policy. Taken before the first request, a fault stops the start of a
    /// service and no request.
    ///
    /// # Errors
    /// [`RoutesError`] with everything that is wrong: routes without a policy, policies without a reason,
    /// one path and method twice, paths that cannot be routed. Nothing panics.
    pub fn finish(self) -> Result<GuardedRoutes, RoutesError> {
        let Self {
            clock,
            listed,
            routers,
            elsewhere,
            speaks,
            mut faults,
        } = self;
        let elsewhere = elsewhere.unwrap_or_else(Elsewhere::standard);
        let methods: Vec<Methods> = listed.iter().map(|one| Methods::of(&one.methods)).collect();
        let rows = rows(&listed, &methods, &routers, &elsewhere, &mut faults);
        faults.extend(unroutable(&listed, &methods));
        if !faults.is_empty() {
            return Err(RoutesError::new(faults));
        }
        let elsewhere = elsewhere.covered(&clock, speaks);
        let router = router(listed, routers, elsewhere, &clock);
        let table = RouteTable::new(rows);
        Ok(GuardedRoutes::new(router, ArrivalLayer::new(clock), table))
    }
}

/// The rows of the table; what would leave a gap in it is a fault.
fn rows(
    listed: &[Listed<()>],
    methods: &[Methods],
    routers: &[Unlisted<()>],
    elsewhere: &Elsewhere<()>,
    faults: &mut Vec<RouteFault>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (Listed { path, policy, .. }, methods) in listed.iter().zip(methods) {
        let methods = methods.to_string();
        match policy.as_ref().map(|policy| policy.words()) {
            Some(Some(policy)) => rows.push(Row {
                methods,
                path: path.clone(),
                policy,
            }),
            Some(None) => faults.push(RouteFault::Unsaid { path: path.clone() }),
            None => faults.push(RouteFault::Uncovered {
                methods,
                path: path.clone(),
            }),
        }
    }
    for router in routers {
        let at = format!("{}/…", router.prefix);
        if !router.router.has_routes() {
            faults.push(RouteFault::NoRoutes { at: at.clone() });
        }
        match router.policy.as_ref().map(|policy| policy.words()) {
            Some(Some(policy)) => rows.push(Row {
                methods: String::from("router"),
                path: at,
                policy,
            }),
            Some(None) => faults.push(RouteFault::Unsaid { path: at }),
            None => faults.push(RouteFault::RouterUncovered { at }),
        }
    }
    match elsewhere.words() {
        Some(policy) => rows.push(Row {
            methods: String::from("any"),
            path: String::from(ELSEWHERE),
            policy,
        }),
        None => faults.push(RouteFault::Unsaid {
            path: String::from(ELSEWHERE),
        }),
    }
    rows
}

/// Whatever axum would panic about.
fn unroutable(listed: &[Listed<()>], methods: &[Methods]) -> Vec<RouteFault> {
    let mut faults = Vec::new();
    let mut paths = matchit::Router::new();
    let mut taken: HashMap<&str, Vec<&Methods>> = HashMap::new();
    for (Listed { path, .. }, methods) in listed.iter().zip(methods) {
        if methods.is_empty() {
            faults.push(RouteFault::NoMethod { path: path.clone() });
        }
        let others = taken.entry(path).or_default();
        let refused = others.is_empty().then(|| refused_path(path, &mut paths));
        if let Some(why) = refused.flatten() {
            let path = path.clone();
            faults.push(RouteFault::Path { path, why });
        }
        for method in others.iter().flat_map(|other| other.common(methods)) {
            faults.push(RouteFault::Twice {
                method: method.to_owned(),
                path: path.clone(),
            });
        }
        others.push(methods);
    }
    faults
}

/// Why axum would not take the path, besides those it has: the same router is under it.
fn refused_path(path: &str, paths: &mut matchit::Router<()>) -> Option<String> {
    if !path.starts_with('/') {
        // Said where it was put, before it went behind a prefix.
        return None;
    }
    if path.split('/').any(is_of_the_old_syntax) {
        return Some(String::from(
            "a capture is written {name}, and the rest of a path {*name}",
        ));
    }
    let refused = paths.insert(path, ()).err()?;
    Some(refused.to_string())
}

/// Whether routes can be put behind it.
pub(super) fn is_prefix(prefix: &str) -> bool {
    let wildcard = |segment: &str| segment.contains("{*") || is_of_the_old_syntax(segment);
    let routable = || matchit::Router::new().insert(prefix, ()).is_ok();
    prefix.starts_with('/')
        && !prefix.ends_with('/')
        && !prefix.split('/').any(wildcard)
        && routable()
}

fn is_of_the_old_syntax(segment: &str) -> bool {
    segment.starts_with(':') || segment.starts_with('*')
}

fn router(
    listed: Vec<Listed<()>>,
    routers: Vec<Unlisted<()>>,
    (not_found, method_not_allowed): (MethodRouter, MethodRouter),
    clock: &Arc<dyn Clock>,
) -> Router {
    let mut all = Router::new();
    for route in listed {
        all = all.route(&route.path, covered(route.policy, route.methods, clock));
    }
    let all = all.method_not_allowed_fallback(method_not_allowed.clone());
    // One behind the other, and none merged into another: axum would panic where two of them take one
    // path, and nobody can tell beforehand.
    let mut behind = Router::new().fallback_service(not_found);
    for unlisted in routers.into_iter().rev() {
        let Unlisted {
            prefix,
            router,
            policy,
        } = unlisted;
        let mut router = router.method_not_allowed_fallback(method_not_allowed.clone());
        if !prefix.is_empty() {
            // The router's own paths may be of the old syntax, and it said so.
            router = Router::new().without_v07_checks().nest(&prefix, router);
        }
        // Without a policy, a fault before this, it is left out.
        if let Some(policy) = policy {
            behind = policy
                .over_router(router, clock)
                .route_layer(from_fn(tell_path))
                .fallback_service(behind);
        }
    }
    all.fallback_service(behind)
}

fn covered(
    policy: Option<Arc<dyn Cover>>,
    methods: MethodRouter,
    clock: &Arc<dyn Clock>,
) -> MethodRouter {
    match policy {
        Some(policy) => policy.over(methods, clock),
        // A fault before this; should it ever get here, it takes no method.
        None => MethodRouter::new(),
    }
}

/// A layer around all routes is met before such a router matches: it learns the path from the response.
async fn tell_path(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(path);
    }
    response
}

const ELSEWHERE: &str = "*";
