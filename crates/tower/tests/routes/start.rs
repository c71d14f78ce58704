//! What is refused before the first request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{MethodRouter, any, delete, get, head, post, put};
use http::request;
use portcullis_core::testing::FakeClock;
use portcullis_core::{Scope, Timestamp};
use portcullis_ip_list::{AddressList, TrustedProxies};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_session::Demand;
use portcullis_tower::{
    AddressGate, Admitted, Check, Gate, GateLayer, Gated, Layered, LimitGate, LimitKey, Open,
    Refusal, RouteFault, Routes, Stack, StepUpGate,
};
use proptest::prelude::*;

use super::{NOW, closed, direct, hello, open, routes, secret};

fn faults(routes: Routes) -> Vec<RouteFault> {
    routes.finish().unwrap_err().faults().to_vec()
}

#[test]
fn a_route_without_a_policy_is_refused_by_its_name_wherever_it_was_put() {
    let uncovered = |methods: &str, path: &str| RouteFault::Uncovered {
        methods: methods.into(),
        path: path.into(),
    };
    let inner = || routes().pending("/keys", post(secret).delete(secret));
    let cases: [(Routes, RouteFault); 5] = [
        (
            routes().pending("/debug", get(secret)),
            uncovered("GET, HEAD", "/debug"),
        ),
        (
            routes().nest("/admin", inner()),
            uncovered("POST, DELETE", "/admin/keys"),
        ),
        (
            routes().nest("/a", routes().nest("/b", inner())),
            uncovered("POST, DELETE", "/a/b/keys"),
        ),
        (routes().merge(inner()), uncovered("POST, DELETE", "/keys")),
        (
            // Put after the others were covered: that is what slips past a layer.
            routes()
                .pending("/early", get(secret))
                .cover(closed())
                .pending("/late", any(secret)),
            uncovered("any", "/late"),
        ),
    ];
    for (routes, expected) in cases {
        let covered = routes.route("/", get(hello), open());
        assert_eq!(faults(covered), [expected]);
    }
}

#[test]
fn a_router_that_nobody_can_list_is_refused_until_it_has_a_policy() {
    let more = || Router::new().route("/debug", get(secret));
    let uncovered = |at: &str| RouteFault::RouterUncovered { at: at.into() };
    assert_eq!(faults(routes().merge_router(more())), [uncovered("/…")]);
    let nested = routes().nest("/x", routes().nest_router("/y", more()));
    assert_eq!(faults(nested), [uncovered("/x/y/…")]);
    let late = routes().cover(closed()).merge_router(more());
    assert_eq!(faults(late), [uncovered("/…")]);
    assert!(
        routes()
            .merge_router(more())
            .cover(closed())
            .finish()
            .is_ok()
    );
    let none = RouteFault::NoRoutes { at: "/…".into() };
    let empty = routes().merge_router(Router::new().fallback(secret));
    assert_eq!(faults(empty.cover(open())), [none]);
}

#[test]
fn a_policy_that_says_nothing_is_refused() {
    let unsaid = |path: &str| RouteFault::Unsaid { path: path.into() };
    for reason in ["", " \t\n"] {
        let routes = routes().route("/health", get(hello), Open::because(reason));
        assert_eq!(faults(routes), [unsaid("/health")]);
    }
    let layer = GateLayer::new(AddressGate::direct(), FakeClock::new(NOW));
    let wordless = Layered::by(layer, "");
    let pair = (direct(), wordless.clone());
    let triple = (direct(), open(), wordless.clone());
    assert_eq!(
        faults(routes().route("/a", get(hello), wordless.clone())),
        [unsaid("/a")]
    );
    assert_eq!(
        faults(routes().route("/b", get(hello), pair)),
        [unsaid("/b")]
    );
    assert_eq!(
        faults(routes().route("/c", get(hello), triple)),
        [unsaid("/c")]
    );
    let router = Router::new().route("/d", get(hello));
    let router = routes().merge_router(router).cover(wordless.clone());
    assert_eq!(faults(router), [unsaid("/…")]);
    assert_eq!(faults(routes().elsewhere(wordless)), [unsaid("*")]);
    // A gate with nothing to say would leave the same gap, alone or among others.
    let wordless = |words| Check::new(|_: &mut request::Parts, _| Ok(())).named(words);
    for words in ["", " "] {
        let gated = routes().route("/e", get(hello), Gated::by(wordless(words)));
        assert_eq!(faults(gated), [unsaid("/e")]);
        let last = direct().check(wordless(words));
        assert_eq!(
            faults(routes().route("/f", get(hello), last)),
            [unsaid("/f")]
        );
        let first = direct().check(wordless(words)).check(wordless("a role"));
        assert_eq!(
            faults(routes().route("/g", get(hello), first)),
            [unsaid("/g")]
        );
    }
}

/// A path that a prefix and what stands behind it make together.
#[test]
fn a_router_behind_a_prefix_never_panics() {
    for (prefix, path) in [
        ("/{a}", "/{a}"),
        ("/{a}", "/{*a}"),
        ("/a-{b}", "/x"),
        ("/{{a}}", "/{a}"),
        ("/a/{b}", "/"),
    ] {
        let router = Router::new().route(path, get(hello));
        let nested = routes().nest(
            "/{a}",
            routes().nest_router(prefix, router.nest_service("/files", any(hello))),
        );
        let finished = catch_unwind(AssertUnwindSafe(|| nested.cover(open()).finish().is_ok()));
        assert!(finished.is_ok(), "{prefix} {path}");
    }
}

#[test]
fn a_method_that_a_path_has_already_is_refused() {
    let twice = |method: &str| RouteFault::Twice {
        method: method.into(),
        path: "/a".into(),
    };
    let cases: [(MethodRouter, MethodRouter, Vec<RouteFault>); 6] = [
        (get(hello), get(secret), vec![twice("GET"), twice("HEAD")]),
        (get(hello), head(secret), vec![twice("HEAD")]),
        (post(hello).put(hello), put(secret), vec![twice("PUT")]),
        (any(hello), any(secret), vec![twice("any other")]),
        (any(hello).post(hello), post(secret), vec![twice("POST")]),
        (
            get(hello).fallback(hello),
            post(hello).fallback(secret),
            vec![twice("any other")],
        ),
    ];
    for (first, second, expected) in cases {
        let routes = routes()
            .route("/a", first, closed())
            .route("/a", second, open());
        assert_eq!(faults(routes), expected);
    }
    let nested = routes().route("/a", get(hello), open());
    let root = routes().route("/", get(secret), open());
    let both = nested.nest("/a", root);
    assert_eq!(faults(both), [twice("GET"), twice("HEAD")]);
}

#[test]
fn a_path_that_axum_would_panic_about_is_refused_and_every_fault_is_named() {
    for path in [
        "", "a", "*", "/{", "/{}", "/{a", "/{*}", "/{*a}/b", "/{a}{b}", "/{a}x", "/:a", "/*a",
        "/a/{*b}c", "/}",
    ] {
        let routes = routes().route(path, get(hello), open());
        let [RouteFault::Path { path: named, .. }] = &faults(routes)[..] else {
            panic!("{path:?}");
        };
        assert_eq!(named, path);
        assert!(axum_panics(&[(path.into(), 0)]), "{path:?}");
    }
    for prefix in ["", "/", "a", "/a/", "/{*a}", "/{a", "/:a"] {
        let nested = routes().nest(prefix, routes().route("/x", get(hello), open()));
        assert!(!faults(nested).is_empty(), "{prefix:?}");
        let router = routes().nest_router(prefix, Router::new().route("/x", get(hello)));
        assert!(!faults(router.cover(open())).is_empty(), "{prefix:?}");
    }
    // Behind the prefix it would read as one path.
    let sly = routes().nest("/admin", routes().route("x", get(hello), open()));
    assert_eq!(faults(sly).len(), 1);
    let several = routes()
        .route("/{a}", get(hello), open())
        .route("/{b}", get(hello), open())
        .route("/none", MethodRouter::new(), open())
        .pending("/debug", get(secret));
    let refused = several.finish().unwrap_err();
    assert_eq!(refused.faults().len(), 3, "{refused}");
    assert_eq!(refused.to_string().lines().count(), 4);
}

/// What answers elsewhere is one thing for all routes.
#[test]
fn answers_for_elsewhere_are_refused_inside_and_twice() {
    let inside = || routes().elsewhere(closed());
    let twice = [RouteFault::ElsewhereTwice];
    assert_eq!(faults(routes().nest("/a", inside())), twice);
    assert_eq!(faults(routes().merge(inside())), twice);
    assert_eq!(faults(inside().elsewhere(open())), twice);
}

const SETS: [fn() -> MethodRouter; 6] = [
    || get(hello),
    || post(hello),
    || delete(hello).put(hello),
    || any(hello),
    || get(hello).fallback(hello),
    || any(hello).post(hello),
];

fn axum_panics(routes: &[(String, usize)]) -> bool {
    let put = || {
        routes
            .iter()
            .fold(Router::<()>::new(), |router, (path, set)| {
                router.route(path, SETS[*set]())
            })
    };
    catch_unwind(AssertUnwindSafe(put)).is_err()
}

proptest! {
    #[test]
    fn what_is_refused_is_what_axum_panics_about(
        routes in proptest::collection::vec(
            ("(/(a|b|\\{a\\}|\\{b\\}|\\{\\*a\\}|a-\\{b\\}|\\{\\{|:a|\\*|)){1,3}|a|", 0..SETS.len()),
            1..5,
        ),
    ) {
        let put = |all: Routes, (path, set): &(String, usize)| all.route(path, SETS[*set](), open());
        let refused = routes.iter().fold(self::routes(), put).finish().is_err();
        prop_assert_eq!(refused, axum_panics(&routes));
    }
}

#[test]
fn a_stack_says_what_its_gates_ask_for() {
    #[derive(Clone)]
    struct ClerkGate;
    impl Gate for ClerkGate {
        type Pass = Admitted;
        async fn admit(&self, _: &mut request::Parts, _: Timestamp) -> Result<Admitted, Refusal> {
            Ok(Admitted)
        }
    }
    let limit = |quota, key| {
        let limiter = Limiter::new(quota, LimiterPolicy::default());
        LimitGate::in_process(Scope::new("x"), Arc::new(limiter)).by(key)
    };
    let short = Quota::per(3, Duration::from_millis(250)).unwrap();
    let own = LimitKey::Of(Arc::new(|_| None));
    let both =
        limit(Quota::per_minute(100).unwrap(), LimitKey::ClientAddress).and(limit(short, own));
    let denied = AddressList::everyone().deny(["192.0.2.0/24"]).unwrap();
    let step_up = StepUpGate::require(Demand::second_factor());
    let strong = StepUpGate::require(Demand::second_factor().phishing_resistant());
    let words = [
        (
            direct().limit(both).to_string(),
            "addresses: everyone; 100 in 60 s by client address, and 3 in 250ms by a key of the service's own",
        ),
        (
            Stack::new(AddressGate::new(TrustedProxies::none(), denied)).to_string(),
            "addresses: those that the list admits",
        ),
        (
            direct().check(step_up).check(strong).to_string(),
            "addresses: everyone; step-up: a second factor; step-up: a phishing-resistant factor",
        ),
        (
            direct().token(ClerkGate).to_string(),
            "addresses: everyone; ClerkGate",
        ),
    ];
    for (said, expected) in words {
        assert_eq!(said, expected);
    }
}
