use super::*;
use crate::Method;
use crate::state::tests::{record, row};
use portcullis_core::Secret;
use proptest::prelude::*;

mod touch;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_unix_secs(secs)
}

fn keyed() -> Keyed {
    Keyed::new(&Secret::from(vec![7; 32])).unwrap()
}

fn session() -> SessionId {
    SessionId::from_bytes([5; 16])
}

fn policy() -> SessionPolicy {
    SessionPolicy::default()
        .absolute(Duration::from_secs(1000))
        .idle(Duration::from_secs(100))
}

/// A row of generation 3, last rotated at second 1000 of a session started at 500.
fn third() -> Row {
    Row {
        counter: 3,
        rotated: at(1000),
        idle: at(1100),
        ..first(
            "alice",
            [9; 16],
            &[Factor::new(Method::Password, at(500))],
            0,
            &policy(),
            at(500),
        )
    }
}

fn token(row: &Row, counter: u64) -> Presented {
    Presented::parse(keyed().token(session(), counter, &row.nonce).expose()).unwrap()
}

fn bytes(row: &Row) -> Vec<u8> {
    Record::Session(row.clone()).encode()
}

fn shown(row: &Row, counter: u64, now: Timestamp) -> (Result<Granted, Error>, Option<Row>) {
    let (answer, next) = refresh(
        Some(&bytes(row)),
        &token(row, counter),
        &keyed(),
        &policy(),
        now,
    );
    (answer, left(next))
}

fn left(next: Next) -> Option<Row> {
    let Next::Put { value, expires_at } = next else {
        return None;
    };
    let Some(Record::Session(row)) = Record::decode(value.as_bytes()) else {
        panic!("a refresh leaves a session");
    };
    assert_eq!(row.expires_at(), expires_at);
    Some(row)
}

fn reused(row: &Row) -> Error {
    Error::Reused {
        session: session(),
        user: row.user.clone(),
    }
}

#[test]
fn the_live_token_gets_its_child_and_a_new_idle_life() {
    let (answer, row) = shown(&third(), 3, at(1050));
    let row = row.unwrap();
    assert_eq!(
        answer,
        Ok(Granted {
            row: row.clone(),
            repeated: false
        })
    );
    assert_eq!((row.counter, row.rotated, row.repeats), (4, at(1050), 0));
    assert_eq!(row.idle, at(1150));
}

#[test]
fn a_refresh_never_extends_beyond_the_absolute_end() {
    let late = Row {
        rotated: at(1400),
        idle: at(1490),
        ..third()
    };
    let (_, row) = shown(&late, 3, at(1489));
    assert_eq!(row.unwrap().idle, at(1500));
    let last = Row {
        rotated: at(1489),
        idle: at(1500),
        ..third()
    };
    assert_eq!(shown(&last, 3, at(1500)), (Err(Error::NoSuchSession), None));
}

#[test]
fn the_parent_is_answered_twice_within_the_grace_with_the_same_child_and_then_revokes() {
    let mut held = third();
    for repeats in 1..=2 {
        let (answer, row) = shown(&held, 2, at(1009));
        let row = row.unwrap();
        assert_eq!(
            answer,
            Ok(Granted {
                row: row.clone(),
                repeated: true
            })
        );
        assert_eq!((row.counter, row.repeats), (3, repeats));
        assert_eq!((row.idle, row.rotated), (held.idle, held.rotated));
        held = row;
    }
    let (answer, row) = shown(&held, 2, at(1009));
    assert_eq!(answer, Err(reused(&held)));
    assert_eq!(row.unwrap().revoked, Some((Revocation::Reused, at(1009))));
}

#[test]
fn a_used_token_outside_what_the_grace_allows_revokes_the_family() {
    let cases = [
        ("the parent as the grace ends", 2, at(1010)),
        ("the parent much later", 2, at(1099)),
        ("the grandparent in the same instant", 1, at(1000)),
        ("the first token within the grace", 0, at(1001)),
    ];
    for (what, counter, now) in cases {
        let (answer, row) = shown(&third(), counter, now);
        assert_eq!(answer, Err(reused(&third())), "{what}");
        let row = row.unwrap();
        assert_eq!(row.revoked, Some((Revocation::Reused, now)), "{what}");
        assert_eq!(row.expires_at(), row.absolute, "{what}");
    }
}

#[test]
fn without_grace_a_replay_in_the_same_instant_revokes() {
    let none = policy().grace(Duration::ZERO);
    let row = third();
    let (answer, _) = refresh(
        Some(&bytes(&row)),
        &token(&row, 2),
        &keyed(),
        &none,
        at(1000),
    );
    assert_eq!(answer, Err(reused(&row)));
}

#[test]
fn a_wrong_tag_changes_nothing_and_is_answered_as_an_unknown_session() {
    let row = third();
    for counter in [0, 2, 3, 4, u64::MAX] {
        let forged = token(
            &Row {
                nonce: [8; 16],
                ..row.clone()
            },
            counter,
        );
        let held = [
            None,
            Some(bytes(&row)),
            Some(bytes(&Row {
                revoked: Some((Revocation::Reused, at(1))),
                ..row.clone()
            })),
        ];
        for current in held {
            for now in [at(0), at(1001), at(1100), at(9999)] {
                let answered = refresh(current.as_deref(), &forged, &keyed(), &policy(), now);
                assert_eq!(answered, (Err(Error::NoSuchSession), Next::Keep));
            }
        }
        let ended = revoke_shown(
            Some(&bytes(&row)),
            &forged,
            &keyed(),
            Revocation::SignedOut,
            at(1001),
        );
        assert_eq!(ended, (Err(Error::NoSuchSession), Next::Keep));
    }
}

#[test]
fn a_token_newer_than_the_row_shows_that_the_store_lost_writes_and_ends_the_session() {
    for counter in [4, 5, u64::MAX] {
        let (answer, row) = shown(&third(), counter, at(1001));
        let why = Revocation::RolledBack;
        assert_eq!(answer, Err(was_revoked(session(), "alice".into(), why)));
        assert_eq!(row.unwrap().revoked, Some((why, at(1001))));
    }
}

#[test]
fn a_revoked_family_refuses_every_generation_until_its_absolute_end() {
    let row = Row {
        revoked: Some((Revocation::SignedOut, at(1001))),
        ..third()
    };
    let refused = || was_revoked(session(), "alice".into(), Revocation::SignedOut);
    for counter in 0..6 {
        for now in [at(1001), at(1200), at(1499)] {
            assert_eq!(shown(&row, counter, now), (Err(refused()), None));
            assert_eq!(live(Some(&bytes(&row)), session(), now).0, Err(refused()));
        }
    }
    assert_eq!(
        live(Some(&bytes(&row)), session(), at(1500)).0,
        Err(Error::NoSuchSession)
    );
}

#[test]
fn bytes_that_do_not_decode_are_refused_and_left_alone() {
    let row = third();
    let (shown, factor) = (token(&row, 3), Factor::new(Method::Totp, at(1)));
    let good = bytes(&row);
    for bad in [&[][..], &[9], &good[..good.len() - 1]] {
        let bad = Some(bad);
        let corrupt = (Err(Error::Corrupt), Next::Keep);
        assert_eq!(refresh(bad, &shown, &keyed(), &policy(), at(1001)), corrupt);
        assert_eq!(
            live(bad, session(), at(1001)),
            (Err(Error::Corrupt), Next::Keep)
        );
        assert_eq!(
            add_factor(bad, session(), factor, at(1001)),
            (Err(Error::Corrupt), Next::Keep)
        );
        assert_eq!(
            touch(bad, session(), &policy(), at(1001)),
            (Err(Error::Corrupt), Next::Keep)
        );
        let corrupt = (Err(Error::Corrupt), Next::Keep);
        assert_eq!(revoke(bad, Revocation::SignedOut, at(1001)), corrupt);
        assert_eq!(
            revoke_listed(bad, Revocation::AllSignedOut, at(1001)),
            corrupt
        );
        assert_eq!(
            inspect(bad, at(1), &policy(), at(1001)),
            (Place::Unreadable, Next::Keep)
        );
        assert_eq!(
            begin(bad, &row, at(1001)),
            (Err(Revocation::Abandoned), Next::Keep)
        );
    }
}

#[test]
fn the_first_reason_for_an_end_remains() {
    let row = Row {
        revoked: Some((Revocation::Reused, at(1001))),
        ..third()
    };
    let (answer, next) = revoke(Some(&bytes(&row)), Revocation::SignedOut, at(1002));
    assert_eq!(
        (answer, next),
        (Ok(Some(Ended { row, now: false })), Next::Keep)
    );
}

#[test]
fn an_id_closed_before_its_row_came_stays_closed() {
    let (answer, next) = revoke_listed(None, Revocation::AllSignedOut, at(10));
    assert_eq!(answer, Ok(None));
    let Next::Put { value, .. } = next else {
        panic!("nothing was closed")
    };
    let begun = begin(Some(value.as_bytes()), &third(), at(9));
    assert_eq!(begun, (Err(Revocation::AllSignedOut), Next::Keep));
}

#[test]
fn a_start_under_way_keeps_its_place_for_a_minute_and_is_closed_before_it_loses_it() {
    assert_eq!(
        inspect(None, at(100), &policy(), at(159)),
        (Place::Pending, Next::Keep)
    );
    assert_eq!(
        inspect(None, at(100), &policy(), at(50)),
        (Place::Pending, Next::Keep)
    );
    let (place, next) = inspect(None, at(100), &policy(), at(160));
    assert_eq!(place, Place::Free);
    let Next::Put { value, .. } = next else {
        panic!("nothing was closed")
    };
    let begun = begin(Some(value.as_bytes()), &third(), at(100));
    assert_eq!(begun, (Err(Revocation::Abandoned), Next::Keep));
}

/// What remains of a key's value, as later callers see it: `Keep` of an expired value and `Remove`
/// leave the same.
fn remains(current: Option<&[u8]>, next: Next) -> Option<Vec<u8>> {
    match next {
        Next::Put { value, .. } => Some(value.as_bytes().to_vec()),
        Next::Remove => None,
        Next::Keep | Next::Settled => current.map(<[u8]>::to_vec),
    }
}

#[test]
fn a_first_row_is_written_where_nothing_stands_and_nowhere_else() {
    let row = third();
    let (begun, next) = begin(None, &row, at(1001));
    assert_eq!((begun, next), (Ok(()), row.put()));
    let again = begin(Some(&bytes(&row)), &row, at(1001));
    assert_eq!(again, (Err(Revocation::Abandoned), Next::Keep));
}

#[test]
fn a_session_ends_once_and_its_member_may_go_then() {
    let row = third();
    let why = Revocation::SignedOut;
    let (answer, _) = revoke(Some(&bytes(&row)), why, at(1002));
    let ended = |row, now| Ok(Some(Ended { row, now }));
    assert_eq!(answer, ended(row.clone(), true));
    let over = revoked(row.clone(), why, at(1002));
    let again = revoke(Some(&bytes(&over)), Revocation::Evicted, at(1003));
    assert_eq!(again, (ended(over.clone(), false), Next::Keep));
    let place = |row: &Row| inspect(Some(&bytes(row)), at(500), &policy(), at(1003));
    assert_eq!(place(&row), (Place::Taken(at(1000)), Next::Keep));
    assert_eq!(place(&over), (Place::Free, Next::Keep));
}

proptest! {
    #[test]
    fn an_expired_record_decides_like_none(record in record(), after in 0_u64..1000, back in 0_u64..4) {
        let ends = match &record {
            Record::Session(row) => row.expires_at().max(row.rotated),
            Record::Void { until, .. } => *until,
        };
        let now = ends.saturating_add(Duration::from_secs(after));
        let held = record.encode();
        let presented = match &record {
            Record::Session(row) => token(row, row.counter.saturating_sub(back).saturating_add(1)),
            Record::Void { .. } => token(&third(), 0),
        };
        let factor = Factor::new(Method::Totp, now);
        let (keyed, policy) = (keyed(), policy());
        let (expired, next) = refresh(Some(&held), &presented, &keyed, &policy, now);
        prop_assert_eq!(expired, refresh(None, &presented, &keyed, &policy, now).0);
        prop_assert!(matches!(next, Next::Keep | Next::Remove));
        prop_assert_eq!(live(Some(&held), session(), now), live(None, session(), now));
        prop_assert_eq!(
            add_factor(Some(&held), session(), factor, now),
            add_factor(None, session(), factor, now)
        );
        prop_assert_eq!(
            touch(Some(&held), session(), &policy, now),
            touch(None, session(), &policy, now)
        );
        let why = Revocation::SignedOut;
        prop_assert_eq!(revoke(Some(&held), why, now), revoke(None, why, now));
        prop_assert_eq!(revoke_listed(Some(&held), why, now), revoke_listed(None, why, now));
        prop_assert_eq!(inspect(Some(&held), now, &policy, now), inspect(None, now, &policy, now));
        let fresh = first("bob", [1; 16], &[factor], 0, &policy, now);
        prop_assert_eq!(begin(Some(&held), &fresh, now), begin(None, &fresh, now));
    }

    #[test]
    fn a_clock_that_stepped_back_grants_what_one_that_stood_still_would(
        row in row(), back in 0_u64..10_000, behind in 0_u64..3,
    ) {
        let then = row.rotated;
        let before = then.saturating_sub(Duration::from_secs(back));
        let held = bytes(&row);
        let presented = token(&row, row.counter.saturating_sub(behind));
        let (keyed, policy) = (keyed(), policy());
        prop_assert_eq!(
            refresh(Some(&held), &presented, &keyed, &policy, before),
            refresh(Some(&held), &presented, &keyed, &policy, then)
        );
        prop_assert_eq!(live(Some(&held), session(), before), live(Some(&held), session(), then));
        prop_assert_eq!(
            touch(Some(&held), session(), &policy, before),
            touch(Some(&held), session(), &policy, then)
        );
    }

    #[test]
    fn a_session_once_over_stays_over_when_the_clock_steps_back(row in row(), back in 0_u64..10_000) {
        let over = row.expires_at().max(row.rotated);
        let held = bytes(&row);
        let presented = token(&row, row.counter);
        let (keyed, policy) = (keyed(), policy());
        let (_, next) = refresh(Some(&held), &presented, &keyed, &policy, over);
        let remains = remains(Some(&held), next);
        let before = over.saturating_sub(Duration::from_secs(back));
        let (again, _) = refresh(remains.as_deref(), &presented, &keyed, &policy, before);
        prop_assert_eq!(again, Err(Error::NoSuchSession));
    }

    #[test]
    fn no_decision_revives_what_was_revoked_or_moves_an_end_out(row in row(), now in 0_u64..600, behind in 0_u64..3) {
        let now = at(now);
        let held = bytes(&row);
        let presented = token(&row, row.counter.saturating_sub(behind));
        let steps = [
            refresh(Some(&held), &presented, &keyed(), &policy(), now).1,
            add_factor(Some(&held), session(), Factor::new(Method::Totp, now), now).1,
            touch(Some(&held), session(), &policy(), now).1,
            revoke(Some(&held), Revocation::SignedOut, now).1,
        ];
        for next in steps {
            if let Some(after) = left_if_any(next) {
                prop_assert!(row.revoked.is_none() || after.revoked == row.revoked);
                prop_assert_eq!(after.absolute, row.absolute);
                prop_assert!(after.counter >= row.counter && after.rotated >= row.rotated);
            }
        }
    }
}

fn left_if_any(next: Next) -> Option<Row> {
    match next {
        Next::Put { .. } => left(next),
        _ => None,
    }
}
