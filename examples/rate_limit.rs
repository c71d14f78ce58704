//! A login page under attack, a burst of validations, and one rule shared by two processes.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use portcullis_core::{AnyStore, Clock, Memory, Scope, SystemClock};
use portcullis_rate_limit::{
    Charge, Decision, EndpointClass, Limiter, LimiterPolicy, StoreLimiter, Tier, tuple_key,
};

const LOGIN: Scope = Scope::new("login");

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();

    // One process: no store, no await.
    let logins = Limiter::new(
        EndpointClass::Authentication.quota(),
        LimiterPolicy::default(),
    );
    let guesses = (0..1_000).filter(|_| logins.check(b"203.0.113.9", now).is_admitted());
    let tried = guesses.count();
    println!("of 1000 guesses at once {tried} were tried");
    assert_eq!(tried, 10);

    let refused = logins.check(b"203.0.113.9", now);
    println!("RateLimit-Policy: {}", logins.quota().policy_field(LOGIN));
    println!("RateLimit: {}", refused.field(LOGIN));

    // A flood of other addresses does not make it forget.
    for id in 0_u32..1_000_000 {
        let _ = logins.check(&id.to_be_bytes(), now);
    }
    let again = logins.check(b"203.0.113.9", now).is_admitted();
    println!("admitted after a flood of a million addresses: {again}");
    assert!(!again);

    let secs = refused.retry_after_secs().ok_or("not refused")?;
    println!("Retry-After: {secs}");
    let later = now.saturating_add(Duration::from_secs(secs));
    let obeyed = logins.check(b"203.0.113.9", later).is_admitted();
    println!("who waits {secs} s is admitted: {obeyed}");
    assert!(obeyed);

    // Two limits on one request: the second refuses, the first is given back.
    let calls = Limiter::new(EndpointClass::Validation.quota(), LimiterPolicy::default());
    let tier = Limiter::new(Tier::Standard.quota(), LimiterPolicy::default());
    let endpoint = tuple_key(&[b"/validate", b"client-7"]);
    let charges = [(&calls, b"client-7".as_slice()), (&tier, &endpoint)].map(|(limiter, key)| {
        let cost = 1;
        Charge { limiter, key, cost }
    });
    let admitted = (0..20).filter(|_| Limiter::check_all(&charges, now).decision.is_admitted());
    let admitted = admitted.count();
    println!("of 20 calls at once the tier admits {admitted}");
    let left = calls.check_cost(b"client-7", 0, now);
    println!("and the other limit is charged for those alone: {left:?}");
    assert!(admitted == 1 && matches!(left, Decision::Admitted { remaining: 99, .. }));

    // Many processes: the same rule over a shared store (here memory; SQLite or a server otherwise).
    let store = AnyStore::new(Memory::new(now));
    let quota = EndpointClass::Authentication.quota();
    let here = StoreLimiter::new(store.clone(), LOGIN, quota);
    let there = StoreLimiter::new(store, LOGIN, quota);
    let first = here.admit(b"203.0.113.9", 6, now).await?;
    let second = there.admit(b"203.0.113.9", 6, now).await?;
    println!("six here: {}", first.is_admitted());
    println!("six more there: {}", second.is_admitted());
    assert!(first.is_admitted() && !second.is_admitted());
    Ok(())
}
