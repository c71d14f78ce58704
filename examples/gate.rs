//! A handler behind a stack of gates: address, limit, token, and a check of its own.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use portcullis_core::{Clock, Reason, Scope, Secret, SystemClock};
use portcullis_ip_list::{AddressList, TrustedProxies};
use portcullis_jwt::{AccessToken, HmacKey, KeySet, Policy, Signer, Verifier};
use portcullis_rate_limit::{Limiter, LimiterPolicy, Quota};
use portcullis_tower::{AddressGate, BearerGate, Check, LimitGate, PeerAddress, Refusal, Stack};
use serde::{Deserialize, Serialize};
use tower::{Layer, ServiceExt};

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    role: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let keys = KeySet::new(HmacKey::new("2026-11", Secret::generate::<32>()?)?);
    let policy = Policy::access("https://login.example", "orders")?;
    let signer = Signer::new(&keys, policy.clone());
    let limiter = Limiter::new(Quota::per_minute(3)?, LimiterPolicy::default());

    let admins = Check::new(|head: &mut http::request::Parts, _now| {
        let token = head.extensions.get::<AccessToken<Claims>>();
        if token.is_some_and(|token| token.claims().role == "admin") {
            return Ok(());
        }
        Err(Refusal::new(Reason::RoleMissing))
    });
    let gates = Stack::new(AddressGate::new(
        TrustedProxies::none(),
        AddressList::everyone(),
    ))
    .limit(LimitGate::in_process(
        Scope::new("orders"),
        Arc::new(limiter),
    ))
    .token(BearerGate::<Claims>::stateless(Arc::new(Verifier::new(
        &keys, policy,
    ))))
    .check(admins)
    .layer(SystemClock);
    let service = gates.layer(tower::service_fn(|_: Request<String>| async {
        Ok::<_, Infallible>(Response::new(String::from("every order there is")))
    }));

    let hour = Duration::from_secs(3600);
    let sign =
        |role: &str| signer.sign(&Claims { role: role.into() }, "42", SystemClock.now(), hour);
    let (admin, user) = (sign("admin")?, sign("user")?);
    let calls = [
        ("nobody", None, 401),
        ("a user", Some(&user), 403),
        ("an admin", Some(&admin), 200),
        ("again", Some(&admin), 429),
    ];
    for (who, token, expected) in calls {
        let mut request = Request::new(String::new());
        // A server notes the peer when it accepts the connection.
        request
            .extensions_mut()
            .insert(PeerAddress([192, 0, 2, 1].into()));
        if let Some(token) = token {
            request
                .headers_mut()
                .insert("authorization", format!("Bearer {token}").parse()?);
        }
        let answer = service.clone().oneshot(request).await?;
        println!(
            "{who}: {} {:?}",
            answer.status(),
            answer.headers().get("ratelimit")
        );
        assert_eq!(answer.status(), expected);
    }
    Ok(())
}
