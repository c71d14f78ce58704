//! What is seen of requests from outside, read back as an operator would.
#![cfg(all(feature = "axum", feature = "metrics", feature = "tracing"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::{HeaderMap, Method, StatusCode};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis_core::testing::FakeClock;
use portcullis_core::{Reason, Timestamp};
use portcullis_jwt::{HmacKey, KeySet, NoClaims, Policy as TokenPolicy, Verifier};
use portcullis_tower::{
    AddressGate, BearerGate, GuardedRoutes, ObserveLayer, Open, PeerAddress, REFUSALS,
    REQUEST_SECONDS, REQUESTS, Refusal, RequestId, Routes, SPAN, SPAN_FIELDS, SPAN_TARGET, Stack,
    describe_metrics, respond,
};
use tower::{Layer as _, ServiceExt};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
/// Stands for everything a caller sends: it must be nowhere.
const CALLERS: &str = "hunter2";

type Fields = BTreeMap<String, String>;
/// An event's level, its message, and the span it was in.
type Told = (Level, String, Option<String>);

/// Keeps spans, and events with the span they were in.
#[derive(Clone, Default)]
struct Kept {
    spans: Arc<Mutex<Vec<(String, String, Fields)>>>,
    events: Arc<Mutex<Vec<Told>>>,
    declared: Arc<Mutex<BTreeSet<String>>>,
    twice: Arc<Mutex<Vec<String>>>,
}

struct Read<'a>(&'a mut Fields, &'a Kept);

impl Visit for Read<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some(before) = self.0.insert(field.name().into(), format!("{value:?}")) {
            let told = format!("{} was {before}", field.name());
            self.1.twice.lock().unwrap().push(told);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Kept {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Read(&mut fields, self));
        let names = attributes.fields().iter().map(|field| field.name().into());
        self.declared.lock().unwrap().extend(names);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut extensions = span.extensions_mut();
        values.record(&mut Read(extensions.get_mut().unwrap(), self));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Read(&mut fields, self));
        let inside = context.event_span(event).map(|span| span.name().into());
        let message = fields.remove("message").unwrap_or_default();
        let level = *event.metadata().level();
        self.events.lock().unwrap().push((level, message, inside));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions().get::<Fields>().unwrap().clone();
        let metadata = span.metadata();
        let closed = (metadata.target().into(), metadata.name().into(), fields);
        self.spans.lock().unwrap().push(closed);
    }
}

/// Each counter and histogram by its name and its labels.
type Counted = BTreeMap<(String, Vec<(String, String)>), DebugValue>;

/// Runs `requests` with a recorder and a subscriber of its own.
fn seen<F: Future<Output = ()>>(requests: impl FnOnce() -> F) -> (Kept, Counted) {
    let (kept, recorder) = (Kept::default(), DebuggingRecorder::new());
    let snapshotter = recorder.snapshotter();
    let _subscribed = tracing::subscriber::set_default(Registry::default().with(kept.clone()));
    metrics::with_local_recorder(&recorder, || {
        describe_metrics();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.unwrap().block_on(requests());
    });
    let counted = snapshotter.snapshot().into_vec();
    let counted = counted.into_iter().map(|(key, unit, description, value)| {
        assert!(unit.is_some() && description.is_some(), "{key:?}");
        let (_, key) = key.into_parts();
        let labels = key.labels();
        let labels = labels.map(|label| (label.key().to_owned(), label.value().to_owned()));
        ((key.name().to_owned(), labels.collect()), value)
    });
    (kept, counted.collect())
}

fn app(clock: &FakeClock) -> GuardedRoutes {
    let later = clock.clone();
    let keys =
        KeySet::new(HmacKey::new("1", portcullis_core::Secret::generate::<32>().unwrap()).unwrap());
    let access = TokenPolicy::access("https://login.example", "shop").unwrap();
    let verifier = Verifier::new(&keys, access);
    let open = || Open::because("a test");
    Routes::new(clock.clone())
        .route(
            "/open/{name}",
            any(async move || later.advance(Duration::from_millis(250))),
            Stack::new(AddressGate::direct()),
        )
        .route(
            "/orders/{id}",
            get(async || "secret"),
            Stack::new(AddressGate::direct()).token(BearerGate::<NoClaims>::stateless(verifier)),
        )
        .route("/broken", get(async || StatusCode::BAD_GATEWAY), open())
        .route("/login", post(wrong_password), open())
        .route("/slow", get(std::future::pending::<()>), open())
        .merge_router(Router::new().route("/listed/{no}", get(async || ())))
        .cover(open())
        .finish()
        .unwrap()
        .layer(ObserveLayer::new(clock.clone()))
}

async fn wrong_password() -> Response {
    tracing::info!("wrong");
    let refusal = Refusal::new(Reason::PasswordWrong);
    respond(&refusal, &HeaderMap::new()).map(Body::new)
}

fn request(method: &str, path: &str) -> Request {
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(format!("{path}?password={CALLERS}"))
        .header("authorization", format!("Bearer {CALLERS}"))
        .header("x-request-id", CALLERS)
        .header("user-agent", CALLERS);
    let mut request = request.body(Body::from(CALLERS)).unwrap();
    let peer = PeerAddress("192.0.2.7".parse().unwrap());
    request.extensions_mut().insert(peer);
    request
}

async fn all_kinds() {
    let app = app(&FakeClock::new(NOW));
    for (method, path, status) in [
        ("GET", "/open/hunter2", 200),
        ("HUNTER2", "/open/hunter2", 200),
        ("GET", "/orders/hunter2", 401),
        ("GET", "/broken", 502),
        ("POST", "/login", 401),
        ("GET", "/hunter2", 404),
        ("DELETE", "/broken", 405),
        ("GET", "/listed/hunter2", 200),
    ] {
        let answer = app.clone().oneshot(request(method, path)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    let hung_up = app.clone().oneshot(request("GET", "/slow"));
    let waited = tokio::time::timeout(Duration::ZERO, hung_up);
    assert!(waited.await.is_err());
}

#[test]
fn every_request_is_counted_once_by_bounded_labels() {
    let (_, counted) = seen(all_kinds);
    let count = |name: &str, labels: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let key = (name.to_owned(), labels.iter().map(owned).collect());
        match counted.get(&key) {
            Some(DebugValue::Counter(count)) => *count,
            Some(DebugValue::Histogram(values)) => values.len() as u64,
            other => panic!("{key:?}: {other:?} in {counted:?}"),
        }
    };
    let requests = [
        ("answered", "/open/{name}", 2),
        ("refused", "/orders/{id}", 1),
        ("failed", "/broken", 1),
        ("refused", "/login", 1),
        ("refused", "none", 1),
        ("refused", "/broken", 1),
        ("answered", "/listed/{no}", 1),
        ("abandoned", "/slow", 1),
    ];
    for (outcome, route, expected) in requests {
        let labels = [("outcome", outcome), ("route", route)];
        assert_eq!(count(REQUESTS, &labels), expected, "{outcome} {route}");
    }
    let refusals = [
        Reason::TokenMalformed,
        Reason::PasswordWrong,
        Reason::RouteUnknown,
        Reason::MethodNotAllowed,
    ];
    for reason in refusals {
        assert_eq!(
            count(REFUSALS, &[("reason", reason.as_str())]),
            1,
            "{reason}"
        );
    }
    let outcomes = [
        ("answered", 3),
        ("refused", 4),
        ("failed", 1),
        ("abandoned", 1),
    ];
    for (outcome, expected) in outcomes {
        assert_eq!(count(REQUEST_SECONDS, &[("outcome", outcome)]), expected);
    }
    // Nothing else is counted.
    assert_eq!(
        counted.len(),
        requests.len() + refusals.len() + outcomes.len()
    );
}

/// Filters, dashboards and alarms are written with these.
#[test]
fn the_names_of_what_is_observed_are_those_that_are_documented() {
    let metrics = [
        ("portcullis_requests_total", REQUESTS),
        ("portcullis_refusals_total", REFUSALS),
        ("portcullis_request_seconds", REQUEST_SECONDS),
    ];
    let text = include_str!("../src/observe.rs");
    for (name, constant) in metrics {
        assert_eq!(name, constant);
        assert!(text.contains(&format!("/// | `{name}` (")), "{name}");
    }
    assert_eq!((SPAN_TARGET, SPAN), ("portcullis", "request"));
    for field in SPAN_FIELDS {
        assert!(text.contains(&format!("/// | `{field}` | ")), "{field}");
    }
}

#[test]
fn every_request_is_one_span_with_the_fields_that_are_documented() {
    let (kept, _) = seen(all_kinds);
    let spans = kept.spans.lock().unwrap().clone();
    assert_eq!(spans.len(), 9);
    assert!(
        spans
            .iter()
            .all(|(target, name, _)| target == SPAN_TARGET && name == SPAN)
    );
    let documented: BTreeSet<String> = SPAN_FIELDS.iter().map(|name| (*name).into()).collect();
    assert_eq!(*kept.declared.lock().unwrap(), documented);
    let told: BTreeSet<String> = spans
        .iter()
        .flat_map(|span| span.2.keys().cloned())
        .collect();
    assert_eq!(told, documented);
    assert_eq!(*kept.twice.lock().unwrap(), [""; 0]);
    let of = |at: usize, name: &str| spans[at].2.get(name).map(String::as_str);
    let expected = [
        ("GET", "/open/{name}", Some("200"), "answered", None),
        ("other", "/open/{name}", Some("200"), "answered", None),
        (
            "GET",
            "/orders/{id}",
            Some("401"),
            "refused",
            Some("token_malformed"),
        ),
        ("GET", "/broken", Some("502"), "failed", None),
        (
            "POST",
            "/login",
            Some("401"),
            "refused",
            Some("password_wrong"),
        ),
        ("GET", "none", Some("404"), "refused", Some("route_unknown")),
        (
            "DELETE",
            "/broken",
            Some("405"),
            "refused",
            Some("method_not_allowed"),
        ),
        ("GET", "/listed/{no}", Some("200"), "answered", None),
        ("GET", "/slow", None, "abandoned", None),
    ];
    for (at, (method, route, status, outcome, reason)) in expected.into_iter().enumerate() {
        assert_eq!(of(at, "method"), Some(method), "{at}");
        assert_eq!(of(at, "route"), Some(route), "{at}");
        assert_eq!(of(at, "status"), status, "{at}");
        assert_eq!(of(at, "outcome"), Some(outcome), "{at}");
        assert_eq!(of(at, "reason"), reason, "{at}");
        assert_eq!(of(at, "request_id").unwrap().len(), 32);
    }
    assert_eq!(of(0, "seconds"), Some("0.25"));
    assert_eq!(of(0, "client_address"), Some("192.0.2.7"));
    assert_eq!(of(3, "client_address"), None);
    let inside = (Level::INFO, String::from("wrong"), Some(String::from(SPAN)));
    assert_eq!(*kept.events.lock().unwrap(), [inside]);
}

#[test]
fn nothing_that_the_caller_sent_is_in_a_span_or_a_label() {
    let (kept, counted) = seen(all_kinds);
    let all = format!(
        "{:?} {:?} {counted:?}",
        kept.spans.lock().unwrap(),
        kept.events.lock().unwrap()
    );
    assert!(all.contains("/orders/{id}"));
    assert!(!all.to_lowercase().contains(CALLERS), "{all}");
}

/// Also outside the layer that gives the id.
#[test]
fn the_id_is_told_wherever_the_layer_stands_and_a_service_that_fails_is_counted() {
    let (kept, counted) = seen(|| async {
        let clock = FakeClock::new(NOW);
        let observe = ObserveLayer::new(clock.clone());
        let inner = tower::service_fn(|request: http::Request<()>| async move {
            match request.uri().path() {
                "/fails" => Err("no answer"),
                _ => Ok(Response::new(())),
            }
        });
        let arrival = portcullis_tower::ArrivalLayer::new(clock);
        let both = arrival.layer(observe.layer(arrival.layer(inner)));
        both.oneshot(http::Request::new(())).await.unwrap();
        let service = observe.layer(arrival.layer(inner));
        let answer = service.clone().oneshot(http::Request::new(())).await;
        assert!(answer.unwrap().extensions().get::<RequestId>().is_some());
        let mut fails = http::Request::new(());
        *fails.uri_mut() = "/fails".parse().unwrap();
        assert_eq!(service.oneshot(fails).await.unwrap_err(), "no answer");
        let plain = tower::service_fn(async |_: http::Request<()>| {
            Ok::<_, Infallible>(http::Response::new(()))
        });
        observe
            .layer(plain)
            .oneshot(http::Request::new(()))
            .await
            .unwrap();
    });
    let spans = kept.spans.lock().unwrap();
    assert_eq!(*kept.twice.lock().unwrap(), [""; 0]);
    assert_eq!(spans[1].2.get("request_id").map(String::len), Some(32));
    assert_eq!(spans[2].2.get("outcome").unwrap(), "failed");
    assert_eq!(spans[3].2.get("request_id"), None);
    let name = |key: &(String, Vec<(String, String)>)| key.0 == REQUESTS;
    assert_eq!(counted.keys().filter(|key| name(key)).count(), 2);
}

#[test]
fn a_handler_that_panics_failed_and_nobody_abandoned_it() {
    let (kept, counted) = seen(|| async {
        let panics = tower::service_fn(
            async |_: http::Request<()>| -> Result<Response, Infallible> { panic!("a bug") },
        );
        let service = ObserveLayer::new(FakeClock::new(NOW)).layer(panics);
        let answer = tokio::spawn(service.oneshot(http::Request::new(()))).await;
        assert!(answer.unwrap_err().is_panic());
    });
    let spans = kept.spans.lock().unwrap();
    assert_eq!(spans[0].2.get("outcome").unwrap(), "failed");
    let labels = vec![("outcome".into(), "failed".into())];
    assert!(counted.contains_key(&(REQUEST_SECONDS.into(), labels)));
}
