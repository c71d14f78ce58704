//! What each request meets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use http::{HeaderValue, Method, StatusCode, Version, request};
use portcullis_audit::testing::MemorySink;
use portcullis_core::testing::FakeClock;
use portcullis_core::{Reason, Secret};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy as TokenPolicy, Signer, Verifier};
use portcullis_rate_limit::EndpointClass;
use portcullis_session::{Demand, Level};
use portcullis_tower::{
    Arrival, BearerGate, Check, GateLayer, Gated, GuardedRoutes, Layered, LimitGate, PeerAddress,
    RecordLayer, RecordPolicy, Refusal, RequestId, Routes, StepUpGate,
};
use tower::ServiceExt;

use super::{NOW, closed, direct, hello, open, routes, secret};

async fn ask(app: &GuardedRoutes, method: Method, path: &str) -> Response {
    asked(app, method, path, |_| {}).await
}

async fn asked(
    app: &GuardedRoutes,
    method: Method,
    path: &str,
    with: impl FnOnce(&mut Request),
) -> Response {
    let request = Request::builder().method(method).uri(path);
    let mut request = request.body(Body::empty()).unwrap();
    let peer = PeerAddress("192.0.2.7".parse().unwrap());
    request.extensions_mut().insert(peer);
    with(&mut request);
    app.clone().oneshot(request).await.unwrap()
}

async fn text(answer: Response) -> String {
    let bytes = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn status(app: &GuardedRoutes, method: Method, path: &str) -> u16 {
    ask(app, method, path).await.status().as_u16()
}

#[tokio::test]
async fn each_kind_of_policy_is_met_by_a_request() {
    let keys = KeySet::new(HmacKey::new("1", Secret::generate::<32>().unwrap()).unwrap());
    let access = TokenPolicy::access("https://login.example", "shop").unwrap();
    let signer = Signer::new(&keys, access.clone());
    let token = signer.sign(&NoClaims {}, "alice", NOW, Duration::from_secs(900));
    let bearer = HeaderValue::try_from(format!("Bearer {}", token.unwrap())).unwrap();
    let verifier = Arc::new(Verifier::new(&keys, access));
    let token = || BearerGate::<NoClaims>::stateless(Arc::clone(&verifier));
    let step_up = StepUpGate::require(Demand::require(
        Level::Authenticator,
        Duration::from_secs(300),
    ));
    let says_no = |_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing));
    let clerk = Check::new(says_no).named("role: clerk");
    let own = Layered::by(
        GateLayer::new(clerk.clone(), FakeClock::new(NOW)),
        "clerks alone",
    );
    let logins = LimitGate::class(EndpointClass::Authentication);
    let app = routes()
        .route("/open", get(hello), open())
        .route("/list", get(secret), closed())
        .route("/login", post(hello), direct().limit(logins))
        .route("/orders", get(hello), direct().token(token()))
        .route("/pay", post(secret), direct().token(token()).check(step_up))
        .route("/clerk", get(secret), direct().check(clerk.clone()))
        .route("/own", get(secret), own.clone())
        .route("/pair", get(secret), (direct(), own.clone()))
        .route("/triple", get(secret), (direct(), own, open()))
        .route("/gated", get(secret), (direct(), Gated::by(clerk.clone())))
        .finish()
        .unwrap();
    let cases = [
        (Method::GET, "/open", 200),
        (Method::GET, "/list", 403),
        (Method::GET, "/orders", 401),
        (Method::POST, "/pay", 401),
        (Method::GET, "/clerk", 403),
        (Method::GET, "/own", 403),
        (Method::GET, "/pair", 403),
        (Method::GET, "/triple", 403),
        (Method::GET, "/gated", 403),
    ];
    for (method, path, expected) in cases {
        assert_eq!(status(&app, method, path).await, expected, "{path}");
    }
    for at in 1..=11 {
        let expected = if at <= 10 { 200 } else { 429 };
        assert_eq!(status(&app, Method::POST, "/login").await, expected);
    }
    let proven = asked(&app, Method::GET, "/orders", |request| {
        request.headers_mut().insert("authorization", bearer);
    });
    assert_eq!(text(proven.await).await, "hello");
    assert_eq!(
        app.table().to_string(),
        "GET, HEAD  /open    open: a test\n\
         GET, HEAD  /list    addresses: those that the list admits\n\
         POST       /login   addresses: everyone; 10 in 60 s by client address\n\
         GET, HEAD  /orders  addresses: everyone; bearer token\n\
         POST       /pay     addresses: everyone; bearer token; step-up: an enrolled authenticator within 300 s\n\
         GET, HEAD  /clerk   addresses: everyone; role: clerk\n\
         GET, HEAD  /own     clerks alone\n\
         GET, HEAD  /pair    addresses: everyone; clerks alone\n\
         GET, HEAD  /triple  addresses: everyone; clerks alone; open: a test\n\
         GET, HEAD  /gated   addresses: everyone; role: clerk\n\
         any        *        404, or 405 with the methods of the path; no handler"
    );
}

/// `any`, and the fallback of a method router, are handlers as the others are: axum's own `route_layer`
/// leaves them out.
#[tokio::test]
async fn a_handler_for_any_method_stands_behind_the_policy_too() {
    let app = routes()
        .route("/any", any(secret), closed())
        .route("/rest", get(hello).fallback(secret), closed())
        .route("/rest", put(hello), open())
        .merge_router(
            Router::new()
                .route("/router/any", any(secret))
                .route("/router/rest", get(hello).fallback(secret)),
        )
        .cover(closed())
        .finish()
        .unwrap();
    for path in ["/any", "/rest", "/router/any", "/router/rest"] {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::TRACE] {
            let answer = ask(&app, method.clone(), path).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {path}");
            assert!(!text(answer).await.contains("secret"));
        }
    }
    assert_eq!(status(&app, Method::PUT, "/rest").await, 200);
}

#[tokio::test]
async fn what_is_no_route_reaches_no_handler_of_anybody() {
    let with_fallbacks = || {
        Router::new()
            .route("/known", get(hello))
            .nest(
                "/inner",
                Router::new().route("/known", get(hello)).fallback(secret),
            )
            .fallback(secret)
    };
    let app = routes()
        .route("/", get(hello), open())
        .merge_router(with_fallbacks())
        .nest_router("/at", with_fallbacks())
        .cover(open())
        .finish()
        .unwrap();
    for path in [
        "/no",
        "/known/no",
        "/inner/no",
        "/at",
        "/at/no",
        "/at/inner/no",
        "//",
    ] {
        let answer = ask(&app, Method::GET, path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert!(text(answer).await.contains("404_NOT_FOUND"));
    }
    for path in [
        "/",
        "/known",
        "/inner/known",
        "/at/known",
        "/at/inner/known",
    ] {
        assert_eq!(status(&app, Method::GET, path).await, 200, "{path}");
    }
}

#[tokio::test]
async fn another_method_is_a_problem_that_lists_those_there_are_and_head_has_no_body() {
    let app = routes()
        .route("/a", get(hello), open())
        .route("/a", post(secret), closed())
        .merge_router(Router::new().route("/b", put(hello)))
        .cover(open())
        .finish()
        .unwrap();
    for (path, allowed) in [("/a", "GET,HEAD,POST"), ("/b", "PUT")] {
        let answer = ask(&app, Method::DELETE, path).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers()["allow"], allowed);
        assert!(text(answer).await.contains("405_METHOD_NOT_ALLOWED"));
    }
    for (path, expected) in [("/a", 200), ("/no", 404), ("/b", 405)] {
        let answer = ask(&app, Method::HEAD, path).await;
        assert_eq!(answer.status(), expected, "{path}");
        assert_ne!(answer.headers()["content-length"], "0", "{path}");
        assert_eq!(text(answer).await, "", "{path}");
    }
}

/// Asks for each path as a caller who says that it speaks gRPC; the statuses, and what gRPC is told.
async fn claiming_grpc(
    app: &GuardedRoutes,
    method: Method,
    version: Version,
) -> Vec<(u16, Option<String>)> {
    let mut answers = Vec::new();
    for path in ["/no", "/put", "/stack", "/gated"] {
        let answer = asked(app, method.clone(), path, |request| {
            *request.version_mut() = version;
            let kind = HeaderValue::from_static("application/grpc");
            request.headers_mut().insert("content-type", kind);
        });
        let answer = answer.await;
        let told = answer.headers().get("grpc-status");
        let told = told.map(|told| told.to_str().unwrap().to_owned());
        answers.push((answer.status().as_u16(), told));
    }
    answers
}

/// Its refusals have the status 200: no caller must be able to choose that.
#[tokio::test]
async fn a_refusal_is_said_in_grpc_where_that_is_spoken_and_to_a_call_of_it_alone() {
    let says_no = |_: &mut request::Parts, _| Err(Refusal::new(Reason::RoleMissing));
    let no = || Gated::by(Check::new(says_no));
    let base = || routes().route("/put", put(hello), open());
    let http = |elsewhere: bool| {
        let all = base()
            .route("/stack", any(secret), closed())
            .route("/gated", any(secret), no());
        if elsewhere {
            all.elsewhere(open())
        } else {
            all
        }
    };
    let by_status = [(404, None), (405, None), (403, None), (403, None)];
    for app in [http(false), http(true)] {
        let app = app.finish().unwrap();
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(claiming_grpc(&app, method, version).await, by_status);
            }
        }
    }
    let code = |code: &str| (200, Some(code.to_owned()));
    let in_grpc = [code("12"), code("12"), code("7"), code("7")];
    let grpc = |elsewhere: bool| {
        let all = base()
            .route("/stack", any(secret), closed().speaks_grpc())
            .route("/gated", any(secret), no().speaks_grpc());
        // In either order.
        if elsewhere {
            all.speaks_grpc().elsewhere(open())
        } else {
            all.elsewhere(open()).speaks_grpc()
        }
    };
    let plain = grpc(true).with_state(());
    for app in [grpc(false), grpc(true), plain] {
        let app = app.finish().unwrap();
        assert_eq!(
            claiming_grpc(&app, Method::POST, Version::HTTP_2).await,
            in_grpc
        );
        for (method, version) in [
            (Method::POST, Version::HTTP_11),
            (Method::GET, Version::HTTP_2),
        ] {
            assert_eq!(claiming_grpc(&app, method, version).await, by_status);
        }
    }
}

#[tokio::test]
async fn elsewhere_stands_behind_the_policy_it_is_given() {
    let plain = routes().route("/a", get(hello), open());
    let app = plain.elsewhere(closed()).finish().unwrap();
    assert_eq!(status(&app, Method::GET, "/no").await, 403);
    assert_eq!(status(&app, Method::POST, "/a").await, 403);
    let pages = routes().route("/a", get(hello), open()).elsewhere_by(
        any(async || (StatusCode::NOT_FOUND, "no such page")),
        any(async || (StatusCode::METHOD_NOT_ALLOWED, "no such form")),
        direct(),
    );
    let app = pages.finish().unwrap();
    let answer = ask(&app, Method::GET, "/no").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(text(answer).await, "no such page");
    let answer = ask(&app, Method::POST, "/a").await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
    assert_eq!(text(answer).await, "no such form");
}

/// Where routers overlap axum panics, and only there would that be seen: here the first one answers.
#[tokio::test]
async fn a_listed_path_answers_before_a_routers_and_a_router_before_a_later_one() {
    let app = routes()
        .merge_router(
            Router::new()
                .route("/a", get(secret))
                .route("/b", get(hello)),
        )
        .merge_router(
            Router::new()
                .route("/b", get(secret))
                .route("/c", get(hello)),
        )
        .cover(open())
        .route("/a", get(hello), open())
        .finish()
        .unwrap();
    for path in ["/a", "/b", "/c"] {
        assert_eq!(text(ask(&app, Method::GET, path).await).await, "hello");
    }
}

/// A signature is over the whole path, and so is a limit's key.
#[tokio::test]
async fn behind_a_prefix_the_policy_sees_the_whole_path() {
    let whole = |head: &mut request::Parts, _| match head.uri.path() {
        "/a/b/x" => Ok(()),
        _ => Err(Refusal::new(Reason::BadRequest)),
    };
    let policy = || direct().check(Check::new(whole));
    let router = Router::new().route(
        "/x",
        get(async |request: Request| request.uri().path().to_owned()),
    );
    let listed = routes().route("/x", get(hello), policy());
    let app = routes().nest("/a", routes().nest("/b", listed));
    let app = app.finish().unwrap();
    assert_eq!(status(&app, Method::GET, "/a/b/x").await, 200);
    let app = routes().nest("/a", routes().nest_router("/b", router).cover(policy()));
    let app = app.finish().unwrap();
    assert_eq!(text(ask(&app, Method::GET, "/a/b/x").await).await, "/x");
}

#[tokio::test]
async fn a_layer_sees_every_answer_and_the_arrival_comes_before_it() {
    let sink = MemorySink::new();
    let clock = FakeClock::new(NOW);
    let record = RecordLayer::new(sink.clone(), RecordPolicy::default(), clock).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let counted = axum::middleware::map_request(move |request: Request| {
        let arrived = request.extensions().get::<Arrival>() == Some(&Arrival(NOW));
        count.fetch_add(usize::from(arrived), Ordering::SeqCst);
        async { request }
    });
    let app = routes()
        .route("/open", get(hello), open())
        .route("/closed", get(secret), closed())
        .finish()
        .unwrap()
        .layer(record)
        .layer(counted);
    let cases = [("/open", 200), ("/closed", 403), ("/no", 404)];
    for (at, (path, expected)) in cases.into_iter().enumerate() {
        let answer = ask(&app, Method::GET, path).await;
        assert_eq!(answer.status(), expected, "{path}");
        assert!(answer.extensions().get::<RequestId>().is_some());
        assert!(answer.headers().contains_key("x-request-id"));
        assert_eq!(seen.load(Ordering::SeqCst), at + 1, "{path}");
    }
    assert_eq!(sink.events().len(), 1);
}

#[tokio::test]
async fn a_state_reaches_the_handlers_of_every_kind_of_route() {
    #[derive(Clone)]
    struct Shop(&'static str);
    async fn name(State(shop): State<Shop>) -> &'static str {
        shop.0
    }
    let app = Routes::new(FakeClock::new(NOW))
        .route("/a", get(name), open())
        .nest(
            "/b",
            Routes::new(FakeClock::new(NOW)).route("/", any(name), open()),
        )
        .merge_router(Router::new().route("/c", get(name)))
        .cover(open())
        .elsewhere_by(any(name), any(name), open())
        .with_state(Shop("the shop"))
        .finish()
        .unwrap();
    for path in ["/a", "/b", "/c", "/no"] {
        assert_eq!(text(ask(&app, Method::GET, path).await).await, "the shop");
    }
}

#[tokio::test]
async fn a_service_that_is_told_no_peer_answers_500_behind_a_gate_and_not_elsewhere() {
    let app = routes()
        .route("/a", get(secret), direct())
        .finish()
        .unwrap();
    for (path, expected) in [("/a", 500), ("/no", 404)] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), expected);
    }
}
