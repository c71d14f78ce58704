//! A guesser, twenty logins of the owner at once, a crash, and an administrator.
#![allow(
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "an example talks to its reader, and counts to twenty"
)]

use std::time::Duration;

use portcullis_core::{Clock, Memory, SystemClock};
use portcullis_lockout::{AccountName, Lockout, LockoutPolicy, Outcome, Reserved, Settled, Status};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let policy = LockoutPolicy::default();
    println!("a guesser has {} guesses a year", policy.guesses_per_year());
    let lockout = Lockout::new(Memory::new(now), policy);

    // However the name is spelled, it is one account: the K here is the Kelvin sign.
    let kim = AccountName::parse("kim@example.org")?;
    for spelling in [
        "kim@example.org",
        "KIM@example.org",
        "\u{212a}im@example.org ",
    ] {
        let account = AccountName::parse(spelling)?;
        if let Reserved::Granted(reservation) = lockout.reserve(&account, now).await? {
            let settled = lockout.settle(reservation, Outcome::Failure, now).await?;
            println!("a wrong password: {settled:?}");
        }
    }

    // Two attempts are left, so of twenty at once two go ahead and the others wait for them.
    let (mut granted, mut crowded) = (Vec::new(), 0);
    for _ in 0..20 {
        match lockout.reserve(&kim, now).await? {
            Reserved::Granted(reservation) => granted.push(reservation),
            Reserved::Crowded => crowded += 1,
            Reserved::Locked { .. } => return Err("locked, and nothing was settled".into()),
        }
    }
    println!("{} go ahead, {crowded} wait", granted.len());
    assert_eq!((granted.len(), crowded), (2, 18));
    for reservation in granted {
        let settled = lockout.settle(reservation, Outcome::Success, now).await?;
        println!("the right password: {settled:?}");
        assert_eq!(settled, Settled::Cleared);
    }

    // A process that dies with five attempts under way leaves one to try.
    for _ in 0..5 {
        if let Reserved::Granted(lost) = lockout.reserve(&kim, now).await? {
            drop(lost);
        }
    }
    let later = now.saturating_add(Duration::from_secs(30));
    let crashed = lockout.status(&kim, later).await?;
    println!("after a crash: {crashed:?}");
    assert_eq!(crashed, Status::Open { failures: 4 });

    // A settled failure locks.
    if let Reserved::Granted(reservation) = lockout.reserve(&kim, later).await? {
        let settled = lockout.settle(reservation, Outcome::Failure, later).await?;
        if let Settled::Counted {
            newly_locked: Some(until),
            ..
        } = settled
        {
            println!("locked until {until}");
        }
    }
    let locked = lockout.locked(later).await?;
    assert_eq!(locked.len(), 1);
    for row in locked {
        println!(
            "the administrator sees {} and lifts it",
            row.account.as_str()
        );
        lockout.unlock(&row.account, later).await?;
    }
    let open = lockout.status(&kim, later).await?;
    println!("open again: {open:?}");
    assert_eq!(open, Status::Open { failures: 0 });
    Ok(())
}
