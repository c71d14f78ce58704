//! A login hands out an access token; a service reads it, and refuses what only looks like one.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::time::Duration;

use portcullis_core::{Clock, Secret, SystemClock};
use portcullis_jwt::{
    AccessToken, Error, HmacKey, KeySet, Policy, Security, Signer, Subject, UserClaims, Verifier,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemClock.now();
    let policy = Policy::access("https://login.example", "orders")?.require("client_id")?;

    // The key of last month still verifies; the new one signs.
    let old = HmacKey::new("2026-10", Secret::generate::<32>()?)?;
    let new = HmacKey::new("2026-11", Secret::generate::<32>()?)?;
    let keys = KeySet::new(new).verify_also(old)?;
    let signer = Signer::new(&keys, policy.clone());
    let verifier = Verifier::new(&keys, policy.clone());

    let claims = UserClaims {
        email: "alice@example.com".into(),
        role: "admin".into(),
        client_id: "web".into(),
        security: Security {
            second_factor_verified: true,
            ip: "203.0.113.5".into(),
        },
    };
    let alice = Subject::new("42").session("u3yH0dVb");
    let token = signer.sign(&claims, alice, now, UserClaims::LIFE)?;
    println!("a token of {} bytes was signed", token.len());

    let access = verifier.verify::<UserClaims>(&token, now)?;
    let registered = access.registered();
    println!(
        "it speaks for user {} as {}, until {}",
        registered.sub,
        access.claims().role,
        registered.exp
    );
    assert_eq!(&*registered.sub, "42");

    let later = now.saturating_add(Duration::from_secs(2 * 3600));
    let late = verifier.verify::<UserClaims>(&token, later);
    tell("two hours later", late, Error::Expired);
    let stranger = KeySet::new(HmacKey::new("2026-11", Secret::generate::<32>()?)?);
    let forged = Signer::new(&stranger, policy).sign(&claims, "1", now, UserClaims::LIFE)?;
    let forged = verifier.verify::<UserClaims>(&forged, now);
    tell(
        "of a stranger's key by our key's id",
        forged,
        Error::Signature,
    );
    // The header says {"alg":"none","typ":"at+jwt","kid":"2026-11"}.
    let header = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiMjAyNi0xMSJ9";
    let payload = token.split('.').nth(1).unwrap_or_default();
    let unsigned = verifier.verify::<UserClaims>(&format!("{header}.{payload}."), now);
    tell("with algorithm none", unsigned, Error::Algorithm);
    let short = verifier.verify::<UserClaims>("eyJhbGciOiJIUzI1NiJ9", now);
    tell("cut short", short, Error::NotCompact);
    Ok(())
}

fn tell(what: &str, answer: Result<AccessToken<UserClaims>, Error>, expected: Error) {
    match &answer {
        Ok(_) => println!("{what}: accepted"),
        Err(Error::Expired) => println!("{what}: expired, the client may refresh"),
        Err(error) => println!("{what}: {error} ({})", error.reason()),
    }
    assert_eq!(answer.err(), Some(expected));
}
