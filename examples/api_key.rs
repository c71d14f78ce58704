//! An API key from its making to its revocation, and what a typing error, a stranger and a thief who comes
//! too late get.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use portcullis_api_key::{ApiKey, ApiKeys, Environment, Error, NewKey, Policy};
use portcullis_core::{Clock, Memory, SystemClock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let days = |past: u64| now.saturating_add(Duration::from_secs(past.saturating_mul(24 * 3600)));
    // A service gives a durable store here, and then need not say the dangerous word.
    let policy = Policy::accepting(&[Environment::Live])?
        .max_age_days(90)?
        .grace(Duration::from_secs(24 * 3600))?
        .dangerous_allow_volatile();
    let keys = ApiKeys::new(Memory::new(now), policy)?;

    let new = NewKey::new("order import", Environment::Live)?.scope("orders:read")?;
    let made = keys.create("acme", new, now).await?;
    let id = made.info.id;
    let text = made.key.expose();
    println!("shown once:  {text}");
    println!("in the logs: {id}");

    // What a request brings: a text. The checksum refuses a typing error before anything is looked up.
    let key = ApiKey::parse(text)?;
    let proof = keys.verify(&key, now).await?;
    println!(
        "{} may read: {}",
        proof.owner(),
        proof.has_scope("orders:read")
    );
    println!("and write:   {}", proof.has_scope("orders:write"));
    assert!(proof.has_scope("orders:read") && !proof.has_scope("orders:write"));
    let typed = text.replacen(&id.to_string(), "aaaaaaaaaaaaaaaa", 1);
    let mistyped = ApiKey::parse(&typed).err();
    println!("mistyped:    {mistyped:?}");
    assert!(mistyped.is_some());

    // Two weeks before its end every use warns; the owner rotates.
    let proof = keys.verify(&key, days(80)).await?;
    println!(
        "rotate by:   {:?}",
        proof.rotate_by().map(|end| end.to_string())
    );
    let rotated = keys.rotate("acme", id, days(80)).await?;
    let old = keys.verify(&key, days(80)).await?;
    println!("old, within its grace: {}", old.by_previous_secret());
    assert!(proof.rotate_by().is_some() && old.by_previous_secret());
    let new = keys.verify(&rotated.key, days(80)).await?;
    println!("new, until: {}", new.expires_at());
    let again = keys.rotate("acme", id, days(80)).await.err();
    println!("rotated twice: {again:?}");
    assert!(matches!(again, Some(Error::RotationUnderWay(_))));
    let late = keys.verify(&key, days(81)).await.err();
    println!("old, a day later: {late:?}");
    assert!(matches!(late, Some(Error::Expired)));

    // Another owner's key is unknown, and a revoked one is refused at once, wherever it is shown.
    let stranger = keys.revoke("evil", id, days(81)).await.err();
    println!("revoked by a stranger: {stranger:?}");
    assert!(matches!(stranger, Some(Error::Unknown)));
    keys.revoke("acme", id, days(81)).await?;
    let revoked = keys.verify(&rotated.key, days(81)).await.err();
    println!("revoked by its owner: {revoked:?}");
    assert!(matches!(revoked, Some(Error::Revoked)));
    for info in keys.list("acme", days(81)).await? {
        println!(
            "{} {:?}: {:?}",
            info.id,
            info.label,
            info.standing(days(81))
        );
    }
    keys.forget("acme", id, days(81)).await?;
    let left = keys.list("acme", days(81)).await?;
    println!("forgotten; listed: {}", left.len());
    assert!(left.is_empty());
    Ok(())
}
