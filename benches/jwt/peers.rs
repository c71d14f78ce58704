//! The crates that people use today. Each is asked for `iss`, `aud` and `exp`, with our leeway, and reads
//! the members that we read.

use std::collections::HashSet;
use std::process::Command;

use jsonwebtoken::crypto::{CryptoProvider, aws_lc, rust_crypto};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use jwt_simple::prelude::{
    Claims, Duration, HS256Key, HeaderOptions, JWTClaims, MACLike, RS256KeyPair, RSAKeyPairLike,
    RSAPublicKeyLike, VerificationOptions,
};
use serde::{Deserialize, Serialize};

use super::{
    ALICE, AUDIENCE, BASE64URL_NOPAD, CLIENT, Client, ISSUER, KEY_ID, KeyPair, LIFE_SECS, NoClaims,
    Ours, Read, RsaKeyPair, SECRET, SESSION, SUBJECT, Scratch, Security, Timestamp, UserClaims,
    alice_der, black_box, ratio, written,
};

/// Names the provider to a run of this program that is to measure `jsonwebtoken` alone.
pub(super) const PROVIDER: &str = "PORTCULLIS_BENCH_JSONWEBTOKEN";

static PROVIDERS: [(&str, &CryptoProvider); 2] = [
    ("jsonwebtoken-rust-crypto", &rust_crypto::DEFAULT_PROVIDER),
    ("jsonwebtoken-aws-lc", &aws_lc::DEFAULT_PROVIDER),
];

/// One run of this program for each provider.
pub(super) fn each_provider() {
    for (peer, _) in PROVIDERS {
        let program = std::env::current_exe().unwrap();
        let run = Command::new(program).env(PROVIDER, peer).status();
        assert!(run.unwrap().success(), "the run beside {peer} failed");
    }
}

pub(super) fn jsonwebtoken(peer: &str) {
    let provider = PROVIDERS.iter().find(|(name, _)| *name == peer).unwrap().1;
    provider.install_default().unwrap();
    jsonwebtoken_access(peer);
    jsonwebtoken_assertion(peer);
}

fn jsonwebtoken_access(peer: &str) {
    let (ours, mut scratch) = (Ours::new(), Scratch::new());
    let key = DecodingKey::from_secret(SECRET);
    let mut asked = Validation::new(Algorithm::HS256);
    asked.set_issuer(&[ISSUER]);
    asked.set_audience(&[AUDIENCE]);
    asked.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    let read = |token: &str| decode::<Read<String, Security>>(token, &key, &asked);
    let verify = || read(black_box(&ours.token)).unwrap();
    ratio("jwt", "verify", peer, || ours.verify(), verify);
    // It has no form that borrows: the same owned members are what its callers have.
    ratio(
        "jwt",
        "verify-borrowed",
        peer,
        || ours.verify_borrowed(&mut scratch),
        verify,
    );
    ratio(
        "jwt",
        "refuse-wrong-signature",
        peer,
        || ours.refuse(),
        || {
            let kind = read(black_box(&ours.forged)).err().unwrap().into_kind();
            assert_eq!(kind, jsonwebtoken::errors::ErrorKind::InvalidSignature);
        },
    );
    let key = EncodingKey::from_secret(SECRET);
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(KEY_ID.to_owned());
    header.typ = Some("at+jwt".to_owned());
    let sign = || {
        let jti = BASE64URL_NOPAD.encode(&[7; 16]);
        encode(&header, &written(&ours.claims, &jti, ours.now), &key).unwrap()
    };
    ours.verifier
        .verify::<UserClaims>(&sign(), ours.now)
        .unwrap();
    ratio("jwt", "sign", peer, || ours.sign(), sign);
}

#[derive(Serialize, Deserialize)]
struct Assertion {
    iss: String,
    iat: u64,
    exp: u64,
}

fn jsonwebtoken_assertion(peer: &str) {
    let client = Client::new();
    let keys = [client.key.public()];
    let der = alice_der();
    let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
    let decoding = DecodingKey::from_rsa_der(pair.public_key().as_ref());
    // The PKCS#1 key fills the end of the PKCS#8 one, behind 26 bytes of frame.
    let encoding = EncodingKey::from_rsa_der(&der[26..]);
    let mut asked = Validation::new(Algorithm::RS256);
    asked.set_issuer(&[CLIENT]);
    asked.set_required_spec_claims(&["iss", "exp"]);
    ratio(
        "jwt",
        "verify-assertion",
        peer,
        || client.verify(&keys),
        || decode::<Assertion>(black_box(&client.token), &decoding, &asked).unwrap(),
    );
    let claims = Assertion {
        iss: CLIENT.into(),
        iat: client.now.as_unix_secs(),
        exp: client.now.as_unix_secs() + LIFE_SECS,
    };
    let header = Header::new(Algorithm::RS256);
    ratio(
        "jwt",
        "sign-assertion",
        peer,
        || client.sign(),
        || encode(&header, &claims, &encoding).unwrap(),
    );
}

/// What `jwt-simple` keeps beside the registered claims.
#[derive(Clone, Serialize, Deserialize)]
struct Custom {
    sid: Option<String>,
    email: String,
    role: String,
    client_id: String,
    security: Security,
}

/// It takes its options and its claims by value: a caller with a fixed policy clones them for each
/// call, as here.
pub(super) fn jwt_simple() {
    let (ours, mut scratch, peer) = (Ours::new(), Scratch::new(), "jwt-simple");
    let key = HS256Key::from_bytes(SECRET).with_key_id(KEY_ID);
    let asked = VerificationOptions {
        required_signature_type: Some("at+jwt".to_owned()),
        allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
        ..asked(ISSUER, ours.now)
    };
    let read = |token: &str| key.verify_token::<Custom>(token, Some(asked.clone()));
    let verify = || read(black_box(&ours.token)).unwrap();
    ratio("jwt", "verify", peer, || ours.verify(), verify);
    ratio(
        "jwt",
        "verify-borrowed",
        peer,
        || ours.verify_borrowed(&mut scratch),
        verify,
    );
    ratio(
        "jwt",
        "refuse-wrong-signature",
        peer,
        || ours.refuse(),
        || {
            assert!(read(black_box(&ours.forged)).is_err());
        },
    );
    let custom = Custom {
        sid: Some(SESSION.to_owned()),
        email: ours.claims.email.clone(),
        role: ours.claims.role.clone(),
        client_id: ours.claims.client_id.clone(),
        security: ours.claims.security.clone(),
    };
    let claims = timed(
        Claims::with_custom_claims(custom, Duration::from_secs(LIFE_SECS)),
        ours.now,
    )
    .with_issuer(ISSUER)
    .with_audience(AUDIENCE)
    .with_subject(SUBJECT)
    .with_jwt_id(BASE64URL_NOPAD.encode(&[7; 16]));
    let header = HeaderOptions {
        signature_type: Some("at+jwt".to_owned()),
        ..HeaderOptions::default()
    };
    let sign = || {
        key.authenticate_with_options(claims.clone(), &header)
            .unwrap()
    };
    ours.verifier
        .verify::<UserClaims>(&sign(), ours.now)
        .unwrap();
    ratio("jwt", "sign", peer, || ours.sign(), sign);
    jwt_simple_assertion(peer);
}

fn jwt_simple_assertion(peer: &str) {
    let client = Client::new();
    let keys = [client.key.public()];
    let pair = RS256KeyPair::from_pem(ALICE).unwrap();
    let (public, asked) = (pair.public_key(), asked(CLIENT, client.now));
    ratio(
        "jwt",
        "verify-assertion",
        peer,
        || client.verify(&keys),
        || {
            let token = black_box(&client.token);
            public
                .verify_token::<NoClaims>(token, Some(asked.clone()))
                .unwrap()
        },
    );
    let claims = Claims::with_custom_claims(NoClaims {}, Duration::from_secs(LIFE_SECS));
    let claims = timed(claims, client.now).with_issuer(CLIENT);
    ratio(
        "jwt",
        "sign-assertion",
        peer,
        || client.sign(),
        || pair.sign(claims.clone()).unwrap(),
    );
}

fn asked(issuer: &str, now: Timestamp) -> VerificationOptions {
    VerificationOptions {
        allowed_issuers: Some(HashSet::from([issuer.to_owned()])),
        time_tolerance: Some(Duration::from_secs(60)),
        max_validity: Some(Duration::from_secs(LIFE_SECS)),
        artificial_time: Some(Duration::from_secs(now.as_unix_secs())),
        ..VerificationOptions::default()
    }
}

/// Ours' dates, and no `nbf`.
fn timed<C>(mut claims: JWTClaims<C>, now: Timestamp) -> JWTClaims<C> {
    let now = now.as_unix_secs();
    claims.issued_at = Some(Duration::from_secs(now));
    claims.expires_at = Some(Duration::from_secs(now + LIFE_SECS));
    claims.invalid_before = None;
    claims
}
