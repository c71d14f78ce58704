//! What a whole guard over a store refuses, lists, notes and makes room for.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use common::{DAY, LISTS, ROWS, Rig, START, at, new, policy};
use portcullis_api_key::{ApiKey, ApiKeys, Environment, Error, KeyId, NewKey, Policy, Standing};
use portcullis_core::{Cause, Durability, Failure, Index, Key, Memory};

#[tokio::test]
async fn a_key_that_was_made_shows_its_owner_and_its_scopes() {
    let acme = Rig::owned().await;
    let text = acme.made.key.expose();
    let proof = acme
        .verify(&ApiKey::parse(text).unwrap(), at(1))
        .await
        .unwrap();
    assert_eq!((proof.owner(), proof.label()), ("acme", "import"));
    assert_eq!(proof.key_id(), acme.made.info.id);
    assert_eq!(proof.environment(), Environment::Live);
    assert!(proof.has_scope("orders:read"));
    assert!(!proof.has_scope("orders") && !proof.has_scope("orders:read ") && !proof.has_scope(""));
    assert_eq!(proof.expires_at(), at(90 * DAY));
    assert_eq!(proof.rotate_by(), None);
    assert!(!proof.by_previous_secret());
}

#[tokio::test]
async fn a_store_that_forgets_is_refused_unless_somebody_said_so() {
    let strict = Policy::accepting(&[Environment::Live]).unwrap();
    let refused = ApiKeys::new(Memory::new(START), strict);
    assert_eq!(refused.err(), Some(Error::VolatileStore));
    let rig = Rig::new();
    rig.store.store.claim(Durability::Durable);
    assert!(ApiKeys::new(rig.store.clone(), strict).is_ok());
}

#[tokio::test]
async fn a_key_of_the_other_environment_is_refused_before_the_store_is_asked() {
    let both = Policy::accepting(&[Environment::Live, Environment::Test]);
    let rig = Rig::with(both.unwrap().dangerous_allow_volatile());
    let test = NewKey::new("trial", Environment::Test).unwrap();
    let made = rig.keys.create("acme", test.clone(), START).await.unwrap();
    assert!(rig.keys.verify(&made.key, START).await.is_ok());

    let live = rig.replica();
    let calls = rig.store.store.calls();
    let refused = live.verify(&made.key, START).await;
    assert_eq!(refused.err(), Some(Error::OtherEnvironment));
    let refused = live.create("acme", test, START).await;
    assert_eq!(refused.err(), Some(Error::OtherEnvironment));
    assert_eq!(rig.store.store.calls(), calls);
    let refused = live.standing(made.info.id, START).await;
    assert_eq!(refused.err(), Some(Error::OtherEnvironment));
}

#[tokio::test]
async fn an_unknown_id_and_a_wrong_secret_are_refused_and_write_nothing() {
    let acme = Rig::owned().await;
    let other = Rig::owned().await;
    let writes = acme.rig.store.store.writes();
    let unknown = acme.verify(&other.made.key, at(1)).await;
    assert_eq!(unknown.err(), Some(Error::Unknown));

    // With the other key's row in its place, this one's secret is a wrong one.
    let place = |id: KeyId| Key::new(ROWS, id.as_bytes());
    let row = other.rig.store.get(place(other.made.info.id)).await;
    acme.rig
        .store
        .put(place(acme.made.info.id), row.clone())
        .await;
    let writes = writes + 1;
    let wrong = acme.verify(&acme.made.key, at(1)).await;
    assert_eq!(wrong.err(), Some(Error::SecretWrong));
    acme.rig.store.put(place(other.made.info.id), row).await;
    assert!(acme.verify(&other.made.key, at(1)).await.is_ok());
    assert_eq!(acme.rig.store.store.writes(), writes + 2);
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_the_next_call_at_every_replica() {
    let acme = Rig::owned().await;
    let replica = acme.rig.replica();
    let rotated = acme.rotate(at(1)).await.unwrap();
    assert!(replica.verify(&acme.made.key, at(2)).await.is_ok());
    let info = acme.rig.keys.revoke("acme", acme.made.info.id, at(2)).await;
    assert_eq!(info.unwrap().standing(at(2)), Standing::Revoked);
    for key in [&acme.made.key, &rotated.key] {
        for now in [at(0), at(2), at(200 * DAY)] {
            assert_eq!(replica.verify(key, now).await.err(), Some(Error::Revoked));
        }
    }
    let standing = replica.standing(acme.made.info.id, at(2)).await;
    assert_eq!(standing.err(), Some(Error::Revoked));
    let rotated = replica.rotate("acme", acme.made.info.id, at(3)).await;
    assert_eq!(rotated.err(), Some(Error::Revoked));
    let again = replica.revoke("acme", acme.made.info.id, at(9)).await;
    assert_eq!(again.unwrap().revoked_at, Some(at(2)));
}

#[tokio::test]
async fn no_verb_touches_another_owners_key() {
    let acme = Rig::owned().await;
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);
    let writes = acme.rig.store.store.writes();
    for owner in ["evil", "", "acm", "acme ", "ACME"] {
        let unknown = Some(Error::Unknown);
        assert_eq!(keys.rotate(owner, id, at(1)).await.err(), unknown);
        assert_eq!(keys.end_grace(owner, id, at(1)).await.err(), unknown);
        assert_eq!(keys.revoke(owner, id, at(1)).await.err(), unknown);
        assert_eq!(keys.forget(owner, id, at(1)).await.err(), unknown);
        assert_eq!(keys.list(owner, at(1)).await.unwrap(), []);
        let unused = keys.revoke_unused(owner, Duration::ZERO, at(900)).await;
        assert_eq!(unused.unwrap(), []);
    }
    assert_eq!(acme.rig.store.store.writes(), writes);
    assert!(acme.verify(&acme.made.key, at(1)).await.is_ok());
}

#[tokio::test]
async fn an_id_smuggled_into_another_owners_list_shows_and_revokes_nothing() {
    let acme = Rig::owned().await;
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);
    let listed = START.as_unix_nanos().to_be_bytes();
    let member = [id.as_bytes().as_slice(), &listed].concat();
    let list = Index::new(LISTS, 1, 20);
    let smuggled = list.insert(&acme.rig.store, b"evil", &member, START).await;
    assert_eq!(smuggled, Ok(()));
    assert_eq!(keys.list("evil", at(1)).await.unwrap(), []);
    let unused = keys.revoke_unused("evil", Duration::ZERO, at(900)).await;
    assert_eq!(unused.unwrap(), []);
    assert!(acme.verify(&acme.made.key, at(900)).await.is_ok());
}

#[tokio::test]
async fn a_rotated_key_counts_under_both_secrets_until_its_grace_ends() {
    let acme = Rig::owned().await;
    let rotated = acme.rotate(at(100)).await.unwrap();
    assert_eq!(rotated.key.id(), acme.made.key.id());
    assert_eq!(rotated.info.previous_until, Some(at(100 + DAY)));
    assert_eq!(rotated.info.secret_made_at, at(100));
    assert_eq!(rotated.info.created_at, START);
    let old = acme.verify(&acme.made.key, at(99 + DAY)).await.unwrap();
    assert!(old.by_previous_secret());
    let over = acme.verify(&acme.made.key, at(100 + DAY)).await;
    assert_eq!(over.err(), Some(Error::Expired));
    assert!(acme.verify(&rotated.key, at(100 + DAY)).await.is_ok());

    let again = acme.rotate(at(100 + DAY)).await.unwrap();
    let keys = &acme.rig.keys;
    keys.end_grace("acme", acme.made.info.id, at(101 + DAY))
        .await
        .unwrap();
    let ended = acme.verify(&rotated.key, at(101 + DAY)).await;
    assert_eq!(ended.err(), Some(Error::Expired));
    assert!(acme.verify(&again.key, at(101 + DAY)).await.is_ok());
}

#[tokio::test]
async fn what_was_given_for_a_secret_counts_as_long_as_the_secret() {
    let acme = Rig::owned().await;
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);
    let tag = async |key: &ApiKey, now| keys.verify(key, now).await.unwrap().secret_tag();
    let counts = async |tag, now| keys.standing(id, now).await.unwrap().counts_for(tag);
    let first = tag(&acme.made.key, at(1)).await;
    assert!(counts(first, at(1)).await);
    let second = acme.rotate(at(100)).await.unwrap();
    let second = tag(&second.key, at(100)).await;
    assert!(counts(first, at(101)).await && counts(second, at(101)).await);
    keys.end_grace("acme", id, at(102)).await.unwrap();
    assert!(!counts(first, at(102)).await && counts(second, at(102)).await);
    let third = acme.rotate(at(200)).await.unwrap();
    assert!(!counts(first, at(201)).await && counts(second, at(201)).await);
    let third = tag(&third.key, at(201)).await;
    let over = at(200 + DAY);
    assert!(!counts(second, over).await && counts(third, over).await);
}

#[tokio::test]
async fn a_last_use_is_written_at_most_once_a_minute() {
    let acme = Rig::owned().await;
    let before = acme.rig.store.store.writes();
    for secs in 0..600 {
        assert!(acme.verify(&acme.made.key, at(secs)).await.is_ok());
    }
    assert_eq!(acme.rig.store.store.writes() - before, 10);
    // One update each, whether it writes or not.
    let calls = acme.rig.store.store.calls();
    acme.verify(&acme.made.key, at(600)).await.unwrap();
    acme.verify(&acme.made.key, at(600)).await.unwrap();
    assert_eq!(acme.rig.store.store.calls() - calls, 2);
    let listed = acme.rig.keys.list("acme", at(600)).await.unwrap();
    assert_eq!(listed[0].last_used_at, Some(at(600)));
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let acme = Rig::owned().await;
    acme.rotate(at(1)).await.unwrap();
    let writes = acme.rig.store.store.writes();
    let late = at(2 * DAY);
    assert_eq!(
        acme.verify(&acme.made.key, late).await.err(),
        Some(Error::Expired)
    );
    acme.rig
        .keys
        .revoke("acme", acme.made.info.id, late)
        .await
        .unwrap();
    assert_eq!(
        acme.verify(&acme.made.key, late).await.err(),
        Some(Error::Revoked)
    );
    assert_eq!(acme.rig.store.store.writes(), writes + 1);
}

#[tokio::test]
async fn unused_keys_are_revoked_and_the_others_stay() {
    let rig = Rig::new();
    let idle = rig.create("acme", START).await.unwrap();
    let used = rig.create("acme", at(1)).await.unwrap();
    let others = rig.create("other", START).await.unwrap();
    rig.keys.verify(&used.key, at(20 * DAY)).await.unwrap();
    let young = rig.create("acme", at(10 * DAY)).await.unwrap();
    let month = Duration::from_secs(30 * DAY);
    let revoked = rig
        .keys
        .revoke_unused("acme", month, at(31 * DAY))
        .await
        .unwrap();
    assert_eq!(revoked, [idle.info.id]);
    let now = at(31 * DAY);
    assert_eq!(
        rig.keys.verify(&idle.key, now).await.err(),
        Some(Error::Revoked)
    );
    for kept in [&used, &young, &others] {
        assert!(rig.keys.verify(&kept.key, now).await.is_ok());
    }
}

#[tokio::test]
async fn a_full_list_takes_no_key_until_one_that_counts_no_more_is_forgotten() {
    let rig = Rig::with(policy().keys_per_owner(3).unwrap());
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(rig.create("acme", START).await.unwrap());
    }
    assert_eq!(
        rig.create("acme", at(100)).await.err(),
        Some(Error::TooManyKeys)
    );
    assert!(rig.create("other", at(100)).await.is_ok());
    let id = made[0].info.id;
    let counts = rig.keys.forget("acme", id, at(100)).await;
    assert_eq!(counts.err(), Some(Error::StillCounts));
    rig.keys.revoke("acme", id, at(100)).await.unwrap();
    assert_eq!(
        rig.create("acme", at(100)).await.err(),
        Some(Error::TooManyKeys)
    );
    rig.keys.forget("acme", id, at(100)).await.unwrap();
    assert_eq!(
        rig.keys.verify(&made[0].key, at(100)).await.err(),
        Some(Error::Unknown)
    );
    assert_eq!(rig.keys.list("acme", at(100)).await.unwrap().len(), 2);
    assert!(rig.create("acme", at(100)).await.is_ok());
    assert_eq!(
        rig.keys.forget("acme", id, at(100)).await.err(),
        Some(Error::Unknown)
    );
}

#[tokio::test]
async fn a_place_that_a_creation_left_behind_is_freed_and_takes_no_late_key() {
    let rig = Rig::with(policy().keys_per_owner(1).unwrap());
    rig.store.store.pause(true);
    let mut create = std::pin::pin!(rig.create("acme", START));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // The list is written, the row is not.
    for _ in 0..3 {
        assert!(create.as_mut().poll(&mut context).is_pending());
    }
    rig.store.store.pause(false);
    // Within the minute it may be under way.
    let full = rig.create("acme", at(59)).await;
    assert_eq!(full.err(), Some(Error::TooManyKeys));
    let made = rig.create("acme", at(60)).await.unwrap();
    // The one that hung goes on: its id is closed, and there is no room for another.
    let late = create.as_mut().await;
    assert_eq!(late.err(), Some(Error::TooManyKeys));
    let listed = rig.keys.list("acme", at(61)).await.unwrap();
    assert_eq!(listed, [made.info]);
}

#[tokio::test]
async fn owners_that_are_none_or_too_long_make_no_key() {
    let rig = Rig::new();
    for owner in [String::new(), "x".repeat(256)] {
        assert_eq!(
            rig.create(&owner, START).await.err(),
            Some(Error::OwnerRefused)
        );
    }
    assert!(rig.create(&"x".repeat(255), START).await.is_ok());
    let over = new().expires_at(START);
    let refused = rig.keys.create("acme", over, START).await;
    assert_eq!(refused.err(), Some(Error::EndPassed));
    assert_eq!(rig.keys.list("acme", START).await.unwrap(), []);
}

#[tokio::test]
async fn the_owner_of_a_key_is_told_unproved_and_of_no_key_nobody() {
    let acme = Rig::owned().await;
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);
    keys.revoke("acme", id, at(1)).await.unwrap();
    assert_eq!(keys.owner(id, at(1)).await, Ok(Some("acme".into())));
    let nobody = KeyId::from_bytes([0; 10]);
    assert_eq!(keys.owner(nobody, at(1)).await, Ok(None));
    assert_eq!(
        keys.standing(nobody, at(1)).await.err(),
        Some(Error::Unknown)
    );
}

#[tokio::test]
async fn a_list_shows_how_each_key_stands_oldest_first_and_no_secret() {
    let acme = Rig::owned().await;
    let second = acme.rig.create("acme", at(80 * DAY)).await.unwrap();
    let listed = acme.rig.keys.list("acme", at(80 * DAY)).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|info| info.id).collect();
    assert_eq!(ids, [acme.made.info.id, second.info.id]);
    let by = at(90 * DAY);
    assert_eq!(listed[0].standing(at(76 * DAY - 1)), Standing::Active);
    assert_eq!(listed[0].standing(at(76 * DAY)), Standing::RotateBy(by));
    assert_eq!(listed[0].standing(by), Standing::Expired);
    assert_eq!(listed[0].age(at(80 * DAY)), Duration::from_secs(80 * DAY));
    let shown = format!("{listed:?} {:?} {:?}", acme.made, acme.rig.keys);
    let secret = &acme.made.key.expose()[33..];
    assert!(!shown.contains(secret) && !shown.contains(&secret[..52]));
}

#[tokio::test]
async fn a_row_that_does_not_decode_is_refused_by_every_verb_and_stays() {
    let acme = Rig::owned().await;
    let (keys, id) = (&acme.rig.keys, acme.made.info.id);
    let place = Key::new(ROWS, id.as_bytes());
    let mut row = acme.rig.store.get(place).await.unwrap();
    row[0] = 9;
    acme.rig.store.put(place, Some(row.clone())).await;
    let corrupt = Some(Error::Corrupt);
    assert_eq!(acme.verify(&acme.made.key, at(1)).await.err(), corrupt);
    assert_eq!(acme.rotate(at(1)).await.err(), corrupt);
    assert_eq!(keys.end_grace("acme", id, at(1)).await.err(), corrupt);
    assert_eq!(keys.revoke("acme", id, at(1)).await.err(), corrupt);
    assert_eq!(keys.forget("acme", id, at(1)).await.err(), corrupt);
    assert_eq!(keys.owner(id, at(1)).await.err(), corrupt);
    assert_eq!(keys.standing(id, at(1)).await.err(), corrupt);
    assert_eq!(keys.list("acme", at(1)).await.err(), corrupt);
    let unused = keys.revoke_unused("acme", Duration::ZERO, at(900)).await;
    assert_eq!(unused.err(), corrupt);
    assert_eq!(acme.rig.store.get(place).await, Some(row));
}

#[tokio::test]
async fn a_store_that_fails_refuses_every_verb_and_a_lost_reply_grants_nothing() {
    let down = || Failure::Unavailable(Cause::Closed);
    let lost = || Failure::Unknown(Cause::Backend("lost".into()));
    for failure in [Failure::Contended, down(), lost()] {
        let acme = Rig::owned().await;
        let (keys, id) = (&acme.rig.keys, acme.made.info.id);
        acme.rig.store.store.fail_next(9, failure.clone());
        let refused = Some(Error::Store(failure));
        assert_eq!(acme.verify(&acme.made.key, at(1)).await.err(), refused);
        assert_eq!(acme.rotate(at(1)).await.err(), refused);
        assert_eq!(keys.end_grace("acme", id, at(1)).await.err(), refused);
        assert_eq!(keys.revoke("acme", id, at(1)).await.err(), refused);
        assert_eq!(keys.forget("acme", id, at(1)).await.err(), refused);
        assert_eq!(keys.owner(id, at(1)).await.err(), refused);
        assert_eq!(keys.standing(id, at(1)).await.err(), refused);
        assert_eq!(keys.list("acme", at(1)).await.err(), refused);
        assert_eq!(acme.rig.create("acme", at(1)).await.err(), refused);
        assert!(acme.verify(&acme.made.key, at(1)).await.is_ok());
    }
    let acme = Rig::owned().await;
    acme.rig.store.store.lose_reply(1);
    let lost = acme.verify(&acme.made.key, at(1)).await;
    assert!(matches!(lost, Err(Error::Store(Failure::Unknown(_)))));
    acme.rig.store.store.lose_reply(1);
    assert!(acme.rotate(at(1)).await.is_err());
    // The rotation was applied: its secret has no holder, and the one before still counts.
    let proof = acme.verify(&acme.made.key, at(1)).await.unwrap();
    assert!(proof.by_previous_secret());
    assert!(matches!(
        acme.rotate(at(2)).await,
        Err(Error::RotationUnderWay(_))
    ));
}
