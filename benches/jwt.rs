//! Verifying and signing an access token, and a client's own assertion by RSA: beside the same work
//! written by hand for one shape of it and, with `--features peers`, beside `jwt-simple` and
//! `jsonwebtoken`.
//!
//! `jsonwebtoken` takes its cryptography from one provider for the whole process, so this program runs
//! itself once more for each of the two it ships. Those runs measure ours anew, in turn with the peer.
//!
//! `jwt-simple` is built with `pure-rust`, not with its default `optimal`, which builds BoringSSL. Its HMAC is
//! the same code under both; its RSA is not, so the rows of an assertion beside it are not its fastest.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

#[cfg(feature = "peers")]
#[path = "jwt/peers.rs"]
mod peers;

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use criterion::{Criterion, criterion_group};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use portcullis_benches::ratio;
use portcullis_core::{Clock, Secret, SystemClock, Timestamp};
use portcullis_jwt::{
    AssertionPolicy, AssertionSigner, Assertions, HmacKey, KeySet, NoClaims, Policy, RsaPrivateKey,
    Scratch, Security, Signer, Subject, UserClaims, Verifier,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "orders";
const KEY_ID: &str = "k1";
const SUBJECT: &str = "42";
const SESSION: &str = "u3yH0dVb";
const CLIENT: &str = "alice@example.com";
const LIFE_SECS: u64 = 3600;
const ALICE: &str = include_str!("../crates/jwt/tests/keys/alice.pkcs8.pem");

fn user_claims() -> UserClaims {
    UserClaims {
        email: "alice@example.com".into(),
        role: "admin".into(),
        client_id: "web".into(),
        security: Security {
            second_factor_verified: true,
            ip: "203.0.113.5".into(),
        },
    }
}

/// [`UserClaims`] whose texts are the payload's.
#[derive(Deserialize)]
struct BorrowedClaims<'a> {
    email: &'a str,
    role: &'a str,
    client_id: &'a str,
    #[serde(borrow)]
    security: BorrowedSecurity<'a>,
}

#[derive(Deserialize)]
struct BorrowedSecurity<'a> {
    #[serde(rename = "2fa_verified")]
    second_factor_verified: bool,
    ip: &'a str,
}

/// The whole payload as the floor and `jsonwebtoken` read it: known members, no duplicates looked for.
#[derive(Deserialize)]
#[expect(dead_code, reason = "a peer reads members that nobody asks for")]
struct Read<T, S> {
    iss: T,
    aud: T,
    sub: T,
    iat: u64,
    exp: u64,
    jti: T,
    sid: Option<T>,
    email: T,
    role: T,
    client_id: T,
    security: S,
}

/// What the floor and `jsonwebtoken` write.
#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    sid: &'a str,
    email: &'a str,
    role: &'a str,
    client_id: &'a str,
    security: &'a Security,
}

fn written<'a>(claims: &'a UserClaims, jti: &'a str, now: Timestamp) -> Written<'a> {
    Written {
        iss: ISSUER,
        aud: AUDIENCE,
        sub: SUBJECT,
        iat: now.as_unix_secs(),
        exp: now.as_unix_secs() + LIFE_SECS,
        jti,
        sid: SESSION,
        email: &claims.email,
        role: &claims.role,
        client_id: &claims.client_id,
        security: &claims.security,
    }
}

/// Ours, with one token of its own. The instant is the true one: `jsonwebtoken` takes no other.
struct Ours {
    signer: Signer,
    verifier: Verifier,
    claims: UserClaims,
    now: Timestamp,
    token: String,
    /// The same token with another signature.
    forged: String,
}

impl Ours {
    fn new() -> Self {
        let keys = KeySet::new(HmacKey::new(KEY_ID, Secret::from(SECRET)).unwrap());
        let policy = Policy::access(ISSUER, AUDIENCE).unwrap();
        let mut ours = Self {
            signer: Signer::new(&keys, policy.clone()),
            verifier: Verifier::new(&keys, policy),
            claims: user_claims(),
            now: SystemClock.now(),
            token: String::new(),
            forged: String::new(),
        };
        ours.token = ours.sign();
        ours.forged.clone_from(&ours.token);
        let at = ours.token.len() - 9;
        let other = if ours.token[at..].starts_with('-') {
            "_"
        } else {
            "-"
        };
        ours.forged.replace_range(at..=at, other);
        assert!((400..=450).contains(&ours.token.len()), "another length");
        ours
    }

    fn sign(&self) -> String {
        let subject = Subject::new(SUBJECT).session(SESSION);
        let signed =
            self.signer
                .sign_with([7; 16], &self.claims, subject, self.now, UserClaims::LIFE);
        signed.unwrap()
    }

    fn verify(&self) -> (portcullis_jwt::Registered, UserClaims) {
        let verified = self.verifier.verify(black_box(&self.token), self.now);
        verified.unwrap().into_parts()
    }

    /// Reads every text, so that none is left out of the reckoning.
    fn verify_borrowed(&self, scratch: &mut Scratch) -> usize {
        let token = black_box(&self.token);
        let verified = self
            .verifier
            .verify_borrowed::<BorrowedClaims<'_>>(token, scratch, self.now);
        let (registered, claims) = verified.unwrap().into_parts();
        assert!(claims.security.second_factor_verified);
        let own = claims.email.len() + claims.role.len() + claims.client_id.len();
        own + registered.sub.len() + registered.jti.len() + claims.security.ip.len()
    }

    fn refuse(&self) {
        let refused = self
            .verifier
            .verify::<UserClaims>(black_box(&self.forged), self.now);
        assert_eq!(refused.map(|_| ()), Err(portcullis_jwt::Error::Signature));
    }
}

struct Floor {
    keyed: Hmac<Sha256>,
    header: String,
}

impl Floor {
    fn new() -> Self {
        let header = br#"{"alg":"HS256","kid":"k1","typ":"at+jwt"}"#;
        Self {
            keyed: Hmac::new_from_slice(SECRET).unwrap(),
            header: BASE64URL_NOPAD.encode(header),
        }
    }

    /// The payload segment of a token with a right header and signature.
    fn open<'t>(&self, token: &'t str) -> Option<&'t str> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let mut tag = [0; 32];
        BASE64URL_NOPAD
            .decode_mut(signature.as_bytes(), &mut tag)
            .ok()?;
        let keyed = self.keyed.clone().chain_update(signed.as_bytes());
        keyed.verify_slice(&tag).ok()?;
        (header == self.header).then_some(payload)
    }

    fn verify(&self, token: &str, now: Timestamp) -> Option<Read<String, Security>> {
        let bytes = BASE64URL_NOPAD.decode(self.open(token)?.as_bytes()).ok()?;
        let read = serde_json::from_slice::<Read<String, Security>>(&bytes).ok()?;
        read.is_good(now).then_some(read)
    }

    fn verify_borrowed(&self, token: &str, buffer: &mut [u8], now: Timestamp) -> Option<usize> {
        let payload = self.open(token)?.as_bytes();
        let length = BASE64URL_NOPAD.decode_len(payload.len()).ok()?;
        let bytes = &mut buffer[..length];
        BASE64URL_NOPAD.decode_mut(payload, bytes).ok()?;
        let read: Read<&str, BorrowedSecurity<'_>> = serde_json::from_slice(bytes).ok()?;
        let own = read.email.len() + read.role.len() + read.client_id.len();
        let all = own + read.sub.len() + read.jti.len() + read.security.ip.len();
        read.is_good(now).then_some(all)
    }

    fn sign(&self, claims: &UserClaims, now: Timestamp) -> String {
        let mut token = self.header.clone();
        token.push('.');
        let jti = BASE64URL_NOPAD.encode(&[7; 16]);
        let payload = serde_json::to_vec(&written(claims, &jti, now)).unwrap();
        BASE64URL_NOPAD.encode_append(&payload, &mut token);
        let tag = self.keyed.clone().chain_update(token.as_bytes());
        token.push('.');
        BASE64URL_NOPAD.encode_append(&tag.finalize().into_bytes(), &mut token);
        token
    }
}

impl<T: AsRef<str>, S> Read<T, S> {
    fn is_good(&self, now: Timestamp) -> bool {
        let now = now.as_unix_secs();
        let named = self.iss.as_ref() == ISSUER && self.aud.as_ref() == AUDIENCE;
        named && self.iat <= now && now < self.exp
    }
}

fn access(criterion: &mut Criterion) {
    let (ours, floor, mut scratch) = (Ours::new(), Floor::new(), Scratch::new());
    let now = ours.now;
    // Each reads what the other writes, and both read the same.
    let read = floor.verify(&ours.token, now).unwrap();
    assert_eq!(
        (read.email, read.security),
        (ours.claims.email.clone(), ours.claims.security.clone())
    );
    let theirs = floor.sign(&ours.claims, now);
    ours.verifier.verify::<UserClaims>(&theirs, now).unwrap();
    let mut buffer = [0; 1024];
    assert_eq!(
        floor.verify_borrowed(&ours.token, &mut buffer, now),
        Some(ours.verify_borrowed(&mut scratch)),
    );

    criterion.bench_function("jwt/verify", |b| b.iter(|| ours.verify()));
    criterion.bench_function("jwt/verify-borrowed", |b| {
        b.iter(|| ours.verify_borrowed(&mut scratch));
    });
    criterion.bench_function("jwt/sign", |b| b.iter(|| ours.sign()));
    ratio(
        "jwt",
        "verify",
        "floor",
        || ours.verify(),
        || floor.verify(black_box(&ours.token), now).unwrap(),
    );
    ratio(
        "jwt",
        "verify-borrowed",
        "floor",
        || ours.verify_borrowed(&mut scratch),
        || {
            floor
                .verify_borrowed(black_box(&ours.token), &mut buffer, now)
                .unwrap()
        },
    );
    ratio(
        "jwt",
        "sign",
        "floor",
        || ours.sign(),
        || floor.sign(&ours.claims, now),
    );
    ratio(
        "jwt",
        "refuse-wrong-signature",
        "floor",
        || ours.refuse(),
        || {
            assert!(floor.verify(black_box(&ours.forged), now).is_none());
        },
    );
}

/// Ours for assertions: alice's key, and one token of hers.
struct Client {
    key: RsaPrivateKey,
    signer: AssertionSigner,
    assertions: Assertions,
    now: Timestamp,
    token: String,
}

impl Client {
    fn new() -> Self {
        let key = RsaPrivateKey::from_pem(Secret::from(ALICE.to_owned())).unwrap();
        let signer = AssertionSigner::new(key.clone(), CLIENT, UserClaims::LIFE).unwrap();
        let now = SystemClock.now();
        Self {
            token: signer.sign(now).unwrap(),
            assertions: Assertions::new(AssertionPolicy::new(AUDIENCE).unwrap()),
            key,
            signer,
            now,
        }
    }

    fn verify(&self, keys: &[portcullis_jwt::RsaPublicKey]) {
        let begun = self.assertions.begin(black_box(&self.token)).unwrap();
        let verified = begun.verify::<NoClaims>(keys, self.now).unwrap();
        assert_eq!(verified.issuer(), CLIENT);
    }

    fn sign(&self) -> String {
        self.signer.sign(black_box(self.now)).unwrap()
    }
}

/// The key in DER, for those who do not read PEM.
fn alice_der() -> Vec<u8> {
    let body: String = ALICE.lines().filter(|line| !line.contains('-')).collect();
    BASE64.decode(body.as_bytes()).unwrap()
}

/// The floor is the signature alone.
fn assertion(criterion: &mut Criterion) {
    let client = Client::new();
    let keys = [client.key.public()];
    let floor = RsaKeyPair::from_pkcs8(&alice_der()).unwrap();
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, floor.public_key()).unwrap();
    let (signed, signature) = client.token.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();

    criterion.bench_function("jwt/verify-assertion", |b| b.iter(|| client.verify(&keys)));
    criterion.bench_function("jwt/sign-assertion", |b| b.iter(|| client.sign()));
    ratio(
        "jwt",
        "verify-assertion",
        "floor",
        || client.verify(&keys),
        || {
            public
                .verify_sig(black_box(signed).as_bytes(), &signature)
                .unwrap();
        },
    );
    ratio(
        "jwt",
        "sign-assertion",
        "floor",
        || client.sign(),
        || {
            let mut out = [0; 256];
            let (random, message) = (SystemRandom::new(), black_box(signed).as_bytes());
            floor
                .sign(&RSA_PKCS1_SHA256, &random, message, &mut out)
                .unwrap();
            out
        },
    );
}

criterion_group!(benches, access, assertion);

fn main() {
    #[cfg(feature = "peers")]
    if let Ok(peer) = std::env::var(peers::PROVIDER) {
        return peers::jsonwebtoken(&peer);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    #[cfg(feature = "peers")]
    {
        peers::jwt_simple();
        peers::each_provider();
    }
}
