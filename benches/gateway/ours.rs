//! The gate of these crates.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::routing::post;
use http::header::USER_AGENT;
use http::request::Parts;
use portcullis_audit::{Action, BufferedLog, Event, HandedOver, Log, LogPolicy, Sink};
use portcullis_core::{
    AnyStore, Durability, Failure, Key, Memory, MemoryPolicy, Next, Scope, Secret, Store,
    SystemClock, Timestamp,
};
use portcullis_hmac_signing::{
    Component, KeyId, Policy as SignaturePolicy, ReplayGuard, ReplayPolicy, Secrets, SignedRequest,
    TimestampBody, Verifier as SignatureVerifier,
};
use portcullis_ip_list::{AddressList, ClientAddress, TrustedProxies};
use portcullis_jwt::{AccessToken, NoClaims, Policy, Verifier};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_tower::{
    AddressGate, Arrival, ArrivalLayer, BearerGate, LimitGate, RecordLayer, RecordPolicy, Refusal,
    SecretDirectory, SignatureLayer, Stack,
};

use super::{AUDIENCE, ISSUER, KEY_IDS, PER_SECOND, Side, WORD, key_id, signing_key, token_keys};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Buffered,
    Durable,
    Whole,
    Unsigned,
    /// Its replay guard is asked and remembers nothing.
    Forgetful,
}

/// The secrets of every partner, in memory.
#[derive(Clone)]
struct Partners(Arc<HashMap<KeyId, Secrets>>);

impl SecretDirectory for Partners {
    async fn find(
        &self,
        key_id: &KeyId,
        _head: &mut Parts,
        _now: Timestamp,
    ) -> Result<Option<Secrets>, Refusal> {
        Ok(self.0.get(key_id).cloned())
    }
}

/// A store in which nothing stays: every step finds its key absent.
struct Forgetful(Timestamp);

impl Store for Forgetful {
    async fn update<T, F>(&self, _key: Key, _now: Timestamp, step: F) -> Result<T, Failure>
    where
        F: Fn(Option<&[u8]>) -> (T, Next) + Send + 'static,
        T: Send + 'static,
    {
        Ok(step(None).0)
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    fn birth(&self) -> Timestamp {
        self.0
    }
}

pub fn side(folder: &Path, kind: Kind, now: Timestamp) -> Side {
    let key = Secret::from(vec![7; 32]);
    let policy = LogPolicy::default().waiting_events(65_536).unwrap();
    let (log, _) = Log::open(folder, &key, policy, now).unwrap();
    let orders = match kind {
        Kind::Durable => post(durable).with_state(log.clone()),
        _ => post(buffered).with_state(log.buffered()),
    };
    let router = Router::new().route("/v1/orders", orders);
    let quota = Quota::per_second(PER_SECOND).unwrap();
    let limiter = Arc::new(Limiter::new(quota, LimiterPolicy::default()));
    let policy = Policy::access(ISSUER, AUDIENCE).unwrap();
    let tokens = Arc::new(Verifier::new(&token_keys(), policy));
    let outer = Stack::new(AddressGate::new(
        TrustedProxies::none(),
        AddressList::everyone(),
    ))
    .limit(LimitGate::in_process(Scope::new("orders"), limiter))
    .token(BearerGate::<NoClaims>::stateless(tokens))
    .layer(SystemClock);
    let room = MemoryPolicy::default().keys_per_scope(8_000_000);
    let signature = match kind {
        Kind::Forgetful => signature(AnyStore::new(Forgetful(now)), now),
        _ => signature(AnyStore::new(Memory::with_policy(now, room)), now),
    };
    let router = match kind {
        Kind::Buffered | Kind::Durable | Kind::Forgetful => router.layer((outer, signature)),
        Kind::Unsigned => router.layer(outer),
        Kind::Whole => {
            let record = RecordLayer::new(log.clone(), RecordPolicy::default(), SystemClock);
            let record = record.unwrap();
            router.layer((ArrivalLayer::new(SystemClock), record, outer, signature))
        }
    };
    let mut side = Side::new(router, move |runtime| {
        // Stands behind all that was handed over.
        let last = Event::new(Action::AuditVerified, now);
        runtime.block_on(log.record(last)).unwrap();
        assert_eq!((log.buffered().shed(), log.buffered().failed()), (0, 0));
    });
    if kind == Kind::Durable {
        side.round = 256;
    }
    side
}

fn signature(store: AnyStore, now: Timestamp) -> SignatureLayer<TimestampBody, Partners> {
    let partner = |number| {
        let key_id = KeyId::parse(&key_id(number)).unwrap();
        (key_id, Secrets::new(signing_key(number)).made_at(now))
    };
    let partners = Partners(Arc::new((0..KEY_IDS).map(partner).collect()));
    let policy = SignaturePolicy::requiring(&[Component::Body]);
    let verifier = SignatureVerifier::new(TimestampBody::named_by_header(), policy).unwrap();
    let replays = ReplayGuard::new(store, ReplayPolicy::default().live_per_key(1_000_000));
    SignatureLayer::new(verifier, partners, Arc::new(replays), SystemClock)
}

async fn buffered(State(log): State<BufferedLog>, request: Request) -> &'static str {
    let (head, body) = request.into_parts();
    to_bytes(body, 1024).await.unwrap();
    assert_eq!(log.hand_over(event(&head)), HandedOver::Waiting);
    WORD
}

async fn durable(State(log): State<Log>, request: Request) -> &'static str {
    let (head, body) = request.into_parts();
    to_bytes(body, 1024).await.unwrap();
    log.record(event(&head)).await.unwrap();
    WORD
}

fn event(head: &Parts) -> Event {
    let Arrival(now) = head.extensions.get().unwrap();
    let client: &ClientAddress = head.extensions.get().unwrap();
    let token: &AccessToken<NoClaims> = head.extensions.get().unwrap();
    let agent = head.headers.get(USER_AGENT).unwrap();
    let event = Event::new(Action::ClientLogin, *now)
        .user(&token.registered().sub)
        .address(client.ip(), client.source().as_str())
        .user_agent(agent.to_str().unwrap());
    match head.extensions.get::<SignedRequest>() {
        Some(signed) => event.target(signed.key_id().as_str()),
        None => event,
    }
}
