//! A client signs its own tokens with an RSA key; the server knows its public key and nothing else.
//!
//! `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` makes a client's key,
//! `openssl rsa -pubout` the text that it registers. The keys here are the tests' own, and public.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use portcullis_core::{Secret, Timestamp};
use portcullis_jwt::{
    AssertionPolicy, AssertionSigner, Assertions, Error as Refused, NoClaims, RsaPrivateKey,
    RsaPublicKey,
};

const ALICE: &str = "alice@example.com";
const HOUR: Duration = Duration::from_secs(3600);

/// What the server keeps: for each e-mail address the keys that were registered under it.
type Registered = HashMap<String, Vec<RsaPublicKey>>;

fn main() -> Result<(), Box<dyn Error>> {
    let now = Timestamp::from_unix_secs(1_700_000_000);

    // Once: the client sends its public key, the server reads it and remembers.
    let pem = include_str!("../crates/jwt/tests/keys/alice.spki.pem");
    let key = RsaPublicKey::from_pem(pem)?;
    println!("registered {} bits, {}", key.bits(), key.fingerprint());
    let registered = Registered::from([(ALICE.to_owned(), vec![key])]);
    let assertions = Assertions::new(AssertionPolicy::new("https://api.example")?);

    // The client signs a token of `iss`, `iat` and `exp`, and sends it with every request for an hour.
    let signer = AssertionSigner::new(alices_key()?, ALICE, HOUR)?;
    let token = signer.sign(now)?;
    println!("Authorization: Bearer {}…", token.get(..40).unwrap_or(""));
    for secs in [0, 1800, 3540] {
        let later = now.saturating_add(Duration::from_secs(secs));
        let client = admit(&assertions, &registered, &token, later)?;
        println!("after {secs} s: {client}");
    }
    let after = now.saturating_add(Duration::from_secs(7200));
    let late = admit(&assertions, &registered, &token, after);
    assert_eq!(late, Err(Refused::Expired));
    println!("after 7200 s: {}", Refused::Expired);

    // Another client signs in Alice's name, and one speaks that nobody registered.
    let forged = AssertionSigner::new(mallorys_key()?, ALICE, HOUR)?.sign(now)?;
    let forged = admit(&assertions, &registered, &forged, now);
    assert_eq!(forged, Err(Refused::Signature));
    println!("another client's key: {}", Refused::Signature);
    let stranger = AssertionSigner::new(mallorys_key()?, "mallory@example.com", HOUR)?.sign(now)?;
    let stranger = admit(&assertions, &registered, &stranger, now);
    assert_eq!(stranger, Err(Refused::KeyUnknown));
    println!("an unknown client: {}", Refused::KeyUnknown);
    Ok(())
}

/// Who sent the token. Nothing is proved by what it says of itself until its client's key proves it.
fn admit(
    assertions: &Assertions,
    registered: &Registered,
    token: &str,
    now: Timestamp,
) -> Result<String, Refused> {
    let begun = assertions.begin(token)?;
    let keys = registered
        .get(begun.issuer())
        .map_or(&[][..], Vec::as_slice);
    let client = begun.verify::<NoClaims>(keys, now)?;
    Ok(client.into_parts().0)
}

fn alices_key() -> Result<RsaPrivateKey, Refused> {
    let pem = include_str!("../crates/jwt/tests/keys/alice.pkcs8.pem");
    RsaPrivateKey::from_pem(Secret::from(pem.to_owned()))
}

fn mallorys_key() -> Result<RsaPrivateKey, Refused> {
    let pem = include_str!("../crates/jwt/tests/keys/mallory.pkcs8.pem");
    RsaPrivateKey::from_pem(Secret::from(pem.to_owned()))
}
