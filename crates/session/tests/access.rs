//! An access token and the session it names.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{at, faulty, password, policy};
use portcullis_core::{Reason, Secret, Timestamp};
use portcullis_jwt::{AccessToken, HmacKey, KeySet, NoClaims, Policy, Signer, Subject, Verifier};
use portcullis_session::{Error, Revocation};

fn access(sub: &str, sid: Option<&str>, now: Timestamp) -> AccessToken<NoClaims> {
    let keys = KeySet::new(HmacKey::new("k", Secret::generate::<32>().unwrap()).unwrap());
    let policy = Policy::access("https://login.example", "orders").unwrap();
    let mut subject = Subject::new(sub);
    if let Some(sid) = sid {
        subject = subject.session(sid);
    }
    let signer = Signer::new(&keys, policy.clone());
    let token = signer
        .sign(&NoClaims {}, subject, now, Duration::from_secs(3600))
        .unwrap();
    Verifier::new(&keys, policy).verify(&token, now).unwrap()
}

#[tokio::test]
async fn an_access_token_is_refused_from_the_moment_its_session_is_revoked() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("42", &password(0), at(0)).await.unwrap();
    let sid = started.session.to_string();
    let token = access("42", Some(&sid), at(0));
    assert_eq!(
        sessions.admit(&token, at(1)).await.unwrap().session(),
        started.session
    );
    sessions.revoke(&started.session, at(2)).await.unwrap();
    let refused = sessions.admit(&token, at(2)).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Revoked {
            why: Revocation::SignedOut,
            ..
        }
    ));
    assert_eq!(refused.reason(), Reason::TokenRevoked);
}

#[tokio::test]
async fn an_access_token_without_a_session_or_of_another_user_is_refused() {
    let (sessions, _) = faulty(policy());
    let started = sessions.start("42", &password(0), at(0)).await.unwrap();
    let sid = started.session.to_string();
    let cases = [
        (
            "no session",
            access("42", None, at(0)),
            Error::NotOfThisSession,
        ),
        (
            "no session's name",
            access("42", Some("../42"), at(0)),
            Error::NotOfThisSession,
        ),
        (
            "another user",
            access("43", Some(&sid), at(0)),
            Error::NotOfThisSession,
        ),
        (
            "no such session",
            access("42", Some("AAAAAAAAAAAAAAAAAAAAAA"), at(0)),
            Error::NoSuchSession,
        ),
    ];
    for (what, token, error) in cases {
        assert_eq!(
            sessions.admit(&token, at(1)).await.unwrap_err(),
            error,
            "{what}"
        );
    }
}
