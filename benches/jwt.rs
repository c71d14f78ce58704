//! Verifying and signing an access token, beside the same work written by hand for one shape of it; and
//! a client's own assertion by RSA, beside the signature alone.
//!
//! `--features peers` adds `jsonwebtoken` with its backend in Rust.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench has no callers"
)]

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use criterion::{Criterion, criterion_group, criterion_main};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use portcullis_benches::ratio;
use portcullis_core::{Secret, Timestamp};
use portcullis_jwt::{
    AssertionPolicy, AssertionSigner, Assertions, HmacKey, KeySet, NoClaims, Policy, RsaPrivateKey,
    Security, Signer, Subject, UserClaims, Verifier,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://login.example";
const AUDIENCE: &str = "orders";
const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// What the floor reads: one struct, known members, no duplicates looked for.
#[derive(Deserialize)]
struct Read<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    sid: Option<String>,
    email: String,
    role: String,
    client_id: String,
    security: Security,
}

/// What the floor writes.
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

    fn verify(&self, token: &str) -> Option<(String, String, Option<String>, UserClaims)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let mut tag = [0; 32];
        BASE64URL_NOPAD
            .decode_mut(signature.as_bytes(), &mut tag)
            .ok()?;
        let keyed = self.keyed.clone().chain_update(signed.as_bytes());
        keyed.verify_slice(&tag).ok()?;
        let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let read: Read<'_> = serde_json::from_slice(&bytes).ok()?;
        let now = NOW.as_unix_secs();
        let good = header == self.header
            && read.iss == ISSUER
            && read.aud == AUDIENCE
            && read.iat <= now
            && now < read.exp;
        let claims = UserClaims {
            email: read.email,
            role: read.role,
            client_id: read.client_id,
            security: read.security,
        };
        good.then_some((read.sub, read.jti, read.sid, claims))
    }

    fn sign(&self, claims: &UserClaims) -> String {
        let written = Written {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: "42",
            iat: NOW.as_unix_secs(),
            exp: NOW.as_unix_secs() + 3600,
            jti: &BASE64URL_NOPAD.encode(&[7; 16]),
            sid: "u3yH0dVb",
            email: &claims.email,
            role: &claims.role,
            client_id: &claims.client_id,
            security: &claims.security,
        };
        let mut token = self.header.clone();
        token.push('.');
        let payload = serde_json::to_vec(&written).unwrap();
        BASE64URL_NOPAD.encode_append(&payload, &mut token);
        let tag = self.keyed.clone().chain_update(token.as_bytes());
        token.push('.');
        BASE64URL_NOPAD.encode_append(&tag.finalize().into_bytes(), &mut token);
        token
    }
}

fn jwt(criterion: &mut Criterion) {
    let keys = KeySet::new(HmacKey::new("k1", Secret::from(SECRET)).unwrap());
    let policy = Policy::access(ISSUER, AUDIENCE).unwrap();
    let signer = Signer::new(&keys, policy.clone());
    let verifier = Verifier::new(&keys, policy);
    let floor = Floor::new();
    let claims = UserClaims {
        email: "alice@example.com".into(),
        role: "admin".into(),
        client_id: "web".into(),
        security: Security {
            second_factor_verified: true,
            ip: "203.0.113.5".into(),
        },
    };
    let subject = Subject::new("42").session("u3yH0dVb");
    let sign = || {
        signer
            .sign_with([7; 16], &claims, subject, NOW, UserClaims::LIFE)
            .unwrap()
    };
    let token = sign();
    let verify = || {
        verifier
            .verify::<UserClaims>(black_box(&token), NOW)
            .unwrap()
    };
    assert_eq!(floor.verify(&token).unwrap().3, claims);
    verifier
        .verify::<UserClaims>(&floor.sign(&claims), NOW)
        .unwrap();

    criterion.bench_function("jwt/verify", |b| b.iter(verify));
    criterion.bench_function("jwt/sign", |b| b.iter(sign));
    ratio("jwt", "verify", "floor", verify, || {
        floor.verify(black_box(&token)).unwrap()
    });
    ratio("jwt", "sign", "floor", sign, || floor.sign(&claims));
    let mut forged = token.clone();
    forged.replace_range(token.len() - 9..token.len() - 8, "-");
    forged.replace_range(token.len() - 8..token.len() - 7, "_");
    ratio(
        "jwt",
        "refuse a wrong signature",
        "floor",
        || {
            verifier
                .verify::<UserClaims>(black_box(&forged), NOW)
                .is_ok()
        },
        || floor.verify(black_box(&forged)).is_some(),
    );
}

const ALICE: &str = include_str!("../crates/jwt/tests/keys/alice.pkcs8.pem");

/// The key in DER, for those who do not read PEM.
fn alice_der() -> Vec<u8> {
    let body: String = ALICE.lines().filter(|line| !line.contains('-')).collect();
    BASE64.decode(body.as_bytes()).unwrap()
}

fn rsa(criterion: &mut Criterion) {
    let key = RsaPrivateKey::from_pem(Secret::from(ALICE.to_owned())).unwrap();
    let keys = [key.public()];
    let signer = AssertionSigner::new(key, "alice@example.com", UserClaims::LIFE).unwrap();
    let assertions = Assertions::new(AssertionPolicy::new(AUDIENCE).unwrap());
    let token = signer.sign(NOW).unwrap();
    let verify = || {
        let begun = assertions.begin(black_box(&token)).unwrap();
        begun.verify::<NoClaims>(&keys, NOW).unwrap()
    };
    let sign = || signer.sign(black_box(NOW)).unwrap();

    let floor = RsaKeyPair::from_pkcs8(&alice_der()).unwrap();
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, floor.public_key()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();

    criterion.bench_function("jwt/verify an assertion", |b| b.iter(verify));
    criterion.bench_function("jwt/sign an assertion", |b| b.iter(sign));
    ratio("jwt", "verify an assertion", "floor", verify, || {
        public
            .verify_sig(black_box(signed).as_bytes(), &signature)
            .unwrap();
    });
    ratio("jwt", "sign an assertion", "floor", sign, || {
        let mut out = [0; 256];
        let (random, message) = (SystemRandom::new(), black_box(signed).as_bytes());
        floor
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut out)
            .unwrap();
        out
    });
    #[cfg(feature = "peers")]
    peers(&token, verify, sign);
}

#[cfg(feature = "peers")]
fn peers<A, B>(token: &str, verify: impl FnMut() -> A, sign: impl FnMut() -> B) {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};

    #[derive(Serialize, Deserialize)]
    struct Claims {
        iss: String,
        iat: u64,
        exp: u64,
    }

    let der = alice_der();
    let floor = RsaKeyPair::from_pkcs8(&der).unwrap();
    let decoding = DecodingKey::from_rsa_der(floor.public_key().as_ref());
    // The PKCS#1 key fills the end of the PKCS#8 one, behind 26 bytes of frame.
    let encoding = EncodingKey::from_rsa_der(&der[26..]);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    ratio("jwt", "verify an assertion", "jsonwebtoken", verify, || {
        decode::<Claims>(black_box(token), &decoding, &validation).unwrap()
    });
    let claims = Claims {
        iss: "alice@example.com".into(),
        iat: NOW.as_unix_secs(),
        exp: NOW.as_unix_secs() + 3600,
    };
    ratio("jwt", "sign an assertion", "jsonwebtoken", sign, || {
        encode(&Header::new(Algorithm::RS256), &claims, &encoding).unwrap()
    });
}

criterion_group!(benches, jwt, rsa);
criterion_main!(benches);
