//! A sign-in that lasts, a lost answer, a thief, and the end of all sessions.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use portcullis_core::{AnyStore, Clock, Memory, Secret, SystemClock};
use portcullis_session::{Demand, Error, Factor, Method, SessionPolicy, Sessions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    // A service gives a durable store here, and then need not say the dangerous word.
    let store = AnyStore::new(Memory::new(now));
    let policy = SessionPolicy::default().dangerous_allow_volatile();
    let sessions = Sessions::new(store, Secret::generate::<32>()?, policy)?;

    let shown = [Factor::new(Method::Password, now)];
    let started = sessions.start("42", &shown, now).await?;
    println!(
        "started {} until {}",
        started.session, started.refresh_expires_at
    );

    let hour = |hours: u64| now.saturating_add(Duration::from_secs(hours.saturating_mul(3600)));
    let first = started.refresh_token;
    let second = sessions.refresh(first.expose(), hour(1)).await?;
    println!("after an hour the first token was replaced by a second");

    // The answer got lost; the client asks again with the token it has.
    let again = sessions.refresh(first.expose(), hour(1)).await?;
    println!(
        "asked again at once: the same second token ({}), flagged as repeated ({})",
        again.refresh_token == second.refresh_token,
        again.repeated
    );
    assert!(again.refresh_token == second.refresh_token && again.repeated);

    let demand = Demand::second_factor().within(Duration::from_secs(300));
    let live = sessions.live(&started.session, hour(1)).await?;
    println!("may change keys now: {}", live.meets(&demand, hour(1)));
    assert!(!live.meets(&demand, hour(1)));
    let totp = Factor::new(Method::Totp, hour(1));
    let live = sessions.add_factor(&started.session, totp, hour(1)).await?;
    println!(
        "and after a code was shown: {}",
        live.meets(&demand, hour(1))
    );
    assert!(live.meets(&demand, hour(1)));

    // An hour later the first token turns up again: a thief's copy.
    let Err(Error::Reused { session, .. }) = sessions.refresh(first.expose(), hour(2)).await else {
        return Err("a thief was served".into());
    };
    println!("replayed: {session} is revoked for everyone");
    let owners = second.refresh_token.expose();
    let owner = sessions.refresh(owners, hour(2)).await.err();
    println!("the owner signs in again: {owner:?}");
    assert!(matches!(owner, Some(Error::Revoked { .. })));

    for _ in 0..3 {
        sessions.start("42", &shown, hour(2)).await?;
    }
    let listed = sessions.list("42", hour(2)).await?.len();
    let ended = sessions.revoke_all("42", hour(2)).await?;
    println!("{listed} sessions listed, {ended} ended");
    assert_eq!((listed, ended), (3, 3));
    Ok(())
}
