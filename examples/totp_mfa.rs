//! A second factor from its first code to its removal, a replay, a guesser and a lost phone.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use portcullis_core::{Clock, Memory, Sealer, Secret, SystemClock};
// The authenticator's part; a service has no use for it.
use portcullis_totp_mfa::testing::codes;
use portcullis_totp_mfa::{Code, Error, MfaPolicy, SecondFactors};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let minutes = |past: u64| now.saturating_add(Duration::from_secs(past.saturating_mul(60)));
    // A service gives a durable store here, and then need not say the dangerous word.
    let store = Memory::new(now);
    let policy = MfaPolicy::new("Example Bank")?.dangerous_allow_volatile();
    println!(
        "a guesser who has the password gets in within a year with a chance of {:.4} %",
        policy.guess_chance_per_year(0) * 100.0
    );
    let sealer = Sealer::new(1, &Secret::generate::<32>()?)?;
    let factors = SecondFactors::new(sealer, &Secret::generate::<32>()?, policy)?;

    let enrolment = factors
        .enrol(&store, "42", "alice@example.org", now)
        .await?;
    println!("scan {}", enrolment.uri());
    println!("({} characters of PNG)", enrolment.png_data_uri().len());
    let shown = |past: u64| codes::at(enrolment.secret(), minutes(past));

    let first = Code::parse(&shown(0))?;
    let confirmed = factors.confirm(&store, "42", &first, now).await?;
    let mut written_down = confirmed.recovery_codes().iter();
    println!("enrolled; write these down:");
    assert_eq!(confirmed.recovery_codes().iter().count(), 10);
    for code in confirmed.recovery_codes().iter() {
        println!("  {code}");
    }

    let typed = shown(1);
    let presented = factors.present("42", Code::parse(&typed)?);
    let proof = presented.consume(&store, minutes(1)).await?;
    println!("signed in with {:?} at {}", proof.kind(), proof.at());
    let presented = factors.present("42", Code::parse(&typed)?);
    let again = presented.consume(&store, minutes(1)).await.err();
    println!("the same code again: {again:?}");
    assert!(matches!(again, Some(Error::Replayed)));

    // A code of two hours ago is a guess like any other.
    let stale = codes::at(
        enrolment.secret(),
        now.saturating_sub(Duration::from_secs(7200)),
    );
    let presented = factors.present("42", Code::parse(&stale)?);
    let wrong = presented.consume(&store, minutes(2)).await.err();
    let standing = factors.standing(&store, "42", minutes(2)).await?;
    println!("a wrong one: {wrong:?}, {} so far", standing.failures);
    assert!(matches!(wrong, Some(Error::Wrong { .. })) && standing.failures == 1);

    let made = factors.regenerate(&store, proof, minutes(3)).await?;
    let old = written_down.next().unwrap_or_default();
    let presented = factors.present("42", Code::parse(old)?);
    let refused = presented.consume(&store, minutes(3)).await.err();
    println!("an old recovery code after new ones were made: {refused:?}");
    assert!(matches!(refused, Some(Error::Wrong { .. })));

    // The phone is lost: one recovery code signs in and removes, and does not make ten more.
    let mut new = made.iter();
    let presented = factors.present("42", Code::parse(new.next().unwrap_or_default())?);
    let proof = presented.consume(&store, minutes(4)).await?;
    let refused = factors.regenerate(&store, proof, minutes(4)).await.err();
    println!("new recovery codes by a recovery code: {refused:?}");
    assert!(matches!(refused, Some(Error::NotByRecoveryCode)));
    let presented = factors.present("42", Code::parse(new.next().unwrap_or_default())?);
    let proof = presented.consume(&store, minutes(4)).await?;
    factors.remove(&store, proof, minutes(4)).await?;
    let standing = factors.standing(&store, "42", minutes(4)).await?;
    println!(
        "removed; asked for a code from now on: {}",
        standing.enrolled
    );
    assert!(!standing.enrolled);
    Ok(())
}
