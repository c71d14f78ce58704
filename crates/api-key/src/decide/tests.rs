use super::*;
use crate::state::tests::{good, record, row as any_row};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
const OLD: Digest = [2; 32];
const NEW: Digest = [1; 32];
const OTHER: Digest = [3; 32];

fn policy() -> Policy {
    Policy::accepting(&[Environment::Live]).unwrap()
}

fn id() -> KeyId {
    KeyId::from_bytes([7; 10])
}

fn at(days: u64) -> Timestamp {
    Timestamp::from_unix_secs(1_700_000_000 + days * 24 * 3600)
}

fn hours(span: u64) -> Duration {
    Duration::from_secs(span * 3600)
}

fn act(owner: &str) -> Act {
    Act {
        id: id(),
        owner: owner.into(),
    }
}

fn shown(digest: Digest) -> Shown {
    Shown {
        id: id(),
        environment: Environment::Live,
        digest,
    }
}

/// A key made on day 0 under the secret `OLD`.
fn made() -> Row {
    let new = NewKey::new("import", Environment::Live).unwrap();
    first("acme", new, OLD, &policy(), at(0)).unwrap()
}

/// The same, rotated on day 10 to the secret `NEW`.
fn rotated() -> Row {
    left(&rotate(Some(&bytes(&made())), &act("acme"), NEW, &policy(), at(10)).1)
}

fn bytes(row: &Row) -> Vec<u8> {
    Record::Key(row.clone()).encode()
}

fn left(next: &Next) -> Row {
    let Next::Put { value, expires_at } = next else {
        panic!("nothing was written");
    };
    assert_eq!(*expires_at, Timestamp::MAX, "a key stands until forgotten");
    match Record::decode(value.as_bytes()) {
        Some(Record::Key(row)) => row,
        other => panic!("{other:?}"),
    }
}

fn seen(row: &Row, digest: Digest, now: Timestamp) -> Result<KeyProof, Error> {
    verify(Some(&bytes(row)), &shown(digest), &policy(), now).0
}

#[test]
fn a_key_counts_until_its_secret_is_as_old_as_the_policy_admits() {
    let row = made();
    let end = at(90);
    let last = end.saturating_sub(Duration::from_nanos(1));
    assert_eq!(seen(&row, OLD, last).unwrap().expires_at(), end);
    for now in [end, at(91), Timestamp::MAX] {
        assert_eq!(seen(&row, OLD, now), Err(Error::Expired));
    }
}

#[test]
fn a_digest_that_differs_in_one_bit_anywhere_is_not_that_of_the_key() {
    let row = rotated();
    for bit in 0..256 {
        for mut digest in [OLD, NEW] {
            assert!(seen(&row, digest, at(10)).is_ok());
            digest[bit / 8] ^= 1 << (bit % 8);
            assert!(seen(&row, digest, at(10)).is_err(), "{bit}");
        }
    }
}

#[test]
fn the_warning_comes_as_many_days_ahead_as_the_policy_says() {
    let before = at(76).saturating_sub(Duration::from_nanos(1));
    assert_eq!(seen(&made(), OLD, before).unwrap().rotate_by(), None);
    assert_eq!(
        seen(&made(), OLD, at(76)).unwrap().rotate_by(),
        Some(at(90))
    );
    let never = policy().warn_days(0).unwrap();
    let proof = verify(Some(&bytes(&made())), &shown(OLD), &never, at(89)).0;
    assert_eq!(proof.unwrap().rotate_by(), None);
}

#[test]
fn a_lowered_age_or_grace_counts_at_once_and_a_raised_one_from_the_next_rotation() {
    let low = policy().max_age_days(5).unwrap();
    let high = policy().max_age_days(365).unwrap();
    let held = bytes(&made());
    let judged = |policy: &Policy, days| verify(Some(&held), &shown(OLD), policy, at(days)).0;
    assert_eq!(judged(&low, 5), Err(Error::Expired));
    assert!(judged(&low, 4).is_ok());
    assert_eq!(judged(&high, 90), Err(Error::Expired));

    let held = bytes(&rotated());
    let none = policy().grace(Duration::ZERO).unwrap();
    let long = policy().grace(DAY * 7).unwrap();
    let judged = |policy: &Policy, now| verify(Some(&held), &shown(OLD), policy, now).0;
    assert_eq!(judged(&none, at(10)), Err(Error::Expired));
    assert_eq!(judged(&long, at(11)), Err(Error::Expired));
    assert!(judged(&policy(), at(10)).is_ok());
}

#[test]
fn a_wrong_secret_is_told_nothing_but_that() {
    let mut revoked = made();
    revoked.revoked_at = Some(at(1));
    for (row, now) in [
        (made(), at(1)),
        (made(), at(91)),
        (revoked, at(2)),
        (rotated(), at(10)),
    ] {
        assert_eq!(seen(&row, OTHER, now), Err(Error::SecretWrong));
        assert_eq!(seen(&row, NO_DIGEST, now), Err(Error::SecretWrong));
    }
}

#[test]
fn what_stands_for_no_secret_opens_nothing() {
    let (unknown, next) = verify(None, &shown(NO_DIGEST), &policy(), at(1));
    assert_eq!((unknown, next), (Err(Error::Unknown), Next::Keep));
    assert_eq!(seen(&made(), NO_DIGEST, at(1)), Err(Error::SecretWrong));
}

#[test]
fn a_key_relabelled_for_another_environment_has_a_wrong_secret() {
    let both = Policy::accepting(&[Environment::Live, Environment::Test]).unwrap();
    let shown = Shown {
        environment: Environment::Test,
        ..shown(OLD)
    };
    let (answer, next) = verify(Some(&bytes(&made())), &shown, &both, at(1));
    assert_eq!((answer, next), (Err(Error::SecretWrong), Next::Keep));
}

#[test]
fn a_revoked_key_is_refused_by_name_with_both_its_secrets() {
    let (info, next) = revoke(Some(&bytes(&rotated())), &act("acme"), &policy(), at(10));
    assert_eq!(info.unwrap().revoked_at, Some(at(10)));
    for digest in [OLD, NEW] {
        assert_eq!(seen(&left(&next), digest, at(10)), Err(Error::Revoked));
        assert_eq!(seen(&left(&next), digest, at(200)), Err(Error::Revoked));
        assert_eq!(seen(&left(&next), digest, at(0)), Err(Error::Revoked));
    }
    let again = revoke(Some(&bytes(&left(&next))), &act("acme"), &policy(), at(50));
    assert_eq!(again.0.unwrap().revoked_at, Some(at(10)));
    assert_eq!(again.1, Next::Keep);
}

#[test]
fn the_secret_before_counts_through_its_grace_and_is_told_apart() {
    let row = rotated();
    let until = at(11);
    let proof = seen(&row, OLD, until.saturating_sub(Duration::from_nanos(1))).unwrap();
    assert!(proof.by_previous_secret());
    assert_eq!(
        (proof.expires_at(), proof.rotate_by()),
        (until, Some(until))
    );
    assert_eq!(seen(&row, OLD, until), Err(Error::Expired));
    let proof = seen(&row, NEW, at(10)).unwrap();
    assert!(!proof.by_previous_secret());
    assert_eq!(proof.expires_at(), at(100));
}

#[test]
fn a_grace_does_not_reach_past_the_end_of_its_own_secret() {
    let late = at(90).saturating_sub(hours(1));
    let next = rotate(Some(&bytes(&made())), &act("acme"), NEW, &policy(), late).1;
    let row = left(&next);
    assert!(seen(&row, OLD, late).is_ok());
    assert_eq!(seen(&row, OLD, at(90)), Err(Error::Expired));
    assert!(seen(&row, NEW, at(90)).is_ok());
}

#[test]
fn a_second_rotation_waits_for_the_grace_of_the_first() {
    let held = bytes(&rotated());
    let again = |now| rotate(Some(&held), &act("acme"), OTHER, &policy(), now);
    let last = at(11).saturating_sub(Duration::from_nanos(1));
    for now in [at(0), at(10), last] {
        let under_way = Err(Error::RotationUnderWay(at(11)));
        assert_eq!(again(now), (under_way, Next::Keep));
    }
    let row = left(&again(at(11)).1);
    assert!(seen(&row, OTHER, at(11)).is_ok() && seen(&row, NEW, at(11)).is_ok());
    assert_eq!(seen(&row, OLD, at(11)), Err(Error::SecretWrong));
}

#[test]
fn without_a_grace_a_second_rotation_waits_for_seconds_and_the_old_secret_is_over() {
    let none = policy().grace(Duration::ZERO).unwrap();
    let next = rotate(Some(&bytes(&made())), &act("acme"), NEW, &none, at(10)).1;
    let held = bytes(&left(&next));
    assert_eq!(
        verify(Some(&held), &shown(OLD), &none, at(10)).0,
        Err(Error::Expired)
    );
    let settled = at(10).saturating_add(SETTLING);
    // The use that is noted in between does not open the way.
    let used = verify(Some(&held), &shown(NEW), &none, at(10));
    assert!(used.0.is_ok());
    for held in [held, bytes(&left(&used.1))] {
        let again = |now| rotate(Some(&held), &act("acme"), OTHER, &none, now).0;
        assert_eq!(again(at(10)).err(), Some(Error::RotationUnderWay(settled)));
        assert!(again(settled).is_ok());
    }
}

#[test]
fn a_grace_that_was_ended_is_over_and_lets_the_next_rotation_begin() {
    let (done, next) = end_grace(Some(&bytes(&rotated())), &act("acme"), at(10));
    assert_eq!(done, Ok(()));
    let row = left(&next);
    assert_eq!(seen(&row, OLD, at(10)), Err(Error::Expired));
    assert_eq!(
        seen(&row, OLD, at(0)),
        Err(Error::Expired),
        "the clock back"
    );
    assert!(seen(&row, NEW, at(10)).is_ok());
    let again = end_grace(Some(&bytes(&row)), &act("acme"), at(10));
    assert_eq!(again, (Ok(()), Next::Keep));
    let rotated = rotate(Some(&bytes(&row)), &act("acme"), OTHER, &policy(), at(10));
    assert!(rotated.0.is_ok());
}

#[test]
fn a_key_whose_secret_is_too_old_is_rotated_and_its_old_secret_stays_dead() {
    let next = rotate(Some(&bytes(&made())), &act("acme"), NEW, &policy(), at(100)).1;
    let row = left(&next);
    assert!(seen(&row, NEW, at(100)).is_ok());
    assert_eq!(seen(&row, OLD, at(100)), Err(Error::Expired));
    assert_eq!(row.expires_at, at(190));
}

#[test]
fn no_rotation_moves_the_end_that_a_key_was_made_with() {
    let new = NewKey::new("trial", Environment::Live)
        .unwrap()
        .expires_at(at(20));
    let row = first("acme", new.clone(), OLD, &policy(), at(0)).unwrap();
    assert_eq!(seen(&row, OLD, at(19)).unwrap().expires_at(), at(20));
    let next = rotate(Some(&bytes(&row)), &act("acme"), NEW, &policy(), at(19)).1;
    assert_eq!(left(&next).expires_at, at(20));
    for digest in [OLD, NEW] {
        assert_eq!(seen(&left(&next), digest, at(20)), Err(Error::Expired));
    }
    let late = rotate(Some(&bytes(&row)), &act("acme"), NEW, &policy(), at(20));
    assert_eq!(late, (Err(Error::Expired), Next::Keep));
    let over = first("acme", new, OLD, &policy(), at(20));
    assert_eq!(over, Err(Error::EndPassed));
}

#[test]
fn a_use_is_noted_once_a_minute_and_never_moved_back() {
    let row = made();
    let noted = |row: &Row, now| verify(Some(&bytes(row)), &shown(OLD), &policy(), now).1;
    let used = left(&noted(&row, at(1)));
    assert_eq!(used.last_used_at, Some(at(1)));
    let soon = at(1).saturating_add(NOTED_EVERY);
    for now in [at(0), at(1), soon.saturating_sub(Duration::from_nanos(1))] {
        assert_eq!(noted(&used, now), Next::Keep);
    }
    assert_eq!(left(&noted(&used, soon)).last_used_at, Some(soon));
}

#[test]
fn a_grace_that_was_seen_over_is_not_revived_by_a_clock_that_steps_back() {
    let after = verify(Some(&bytes(&rotated())), &shown(NEW), &policy(), at(12));
    let row = left(&after.1);
    for now in [at(10), at(0), at(12)] {
        assert_eq!(seen(&row, OLD, now), Err(Error::Expired));
    }
    assert!(seen(&row, NEW, at(10)).is_ok());
}

#[test]
fn anothers_key_is_as_good_as_none() {
    let held = bytes(&rotated());
    let (act, held, now) = (act("evil"), Some(held.as_slice()), at(10));
    let unknown = (Error::Unknown, Next::Keep);
    let refused = |(answer, next): (Option<Error>, Next)| (answer.unwrap(), next);
    let rotate = rotate(held, &act, OTHER, &policy(), now);
    let grace = end_grace(held, &act, now);
    let revoke = revoke(held, &act, &policy(), now);
    let unused = revoke_unused(held, &act, Duration::ZERO, Timestamp::MAX);
    let forget = forget(held, &act, &policy(), Timestamp::MAX);
    for (answer, next) in [
        refused((rotate.0.err(), rotate.1)),
        refused((grace.0.err(), grace.1)),
        refused((revoke.0.err(), revoke.1)),
        refused((unused.0.err(), unused.1)),
        refused((forget.0.err(), forget.1)),
    ] {
        assert_eq!((answer, next), unknown);
    }
}

#[test]
fn unused_keys_are_revoked_and_used_young_and_revoked_ones_stay() {
    let (month, now) = (DAY * 30, at(60).saturating_add(NOTED_EVERY));
    let old = made();
    let used = Row {
        last_used_at: Some(at(30).saturating_add(Duration::from_nanos(1))),
        ..made()
    };
    let idle = Row {
        last_used_at: Some(at(30)),
        ..made()
    };
    let fresh = Row {
        last_used_at: Some(at(1)),
        made_at: at(40),
        expires_at: at(130),
        ..made()
    };
    let revoked = Row {
        revoked_at: Some(at(3)),
        ..made()
    };
    for (row, expected) in [
        (old, true),
        (idle, true),
        (used, false),
        (fresh, false),
        (revoked, false),
    ] {
        let (answer, next) = revoke_unused(Some(&bytes(&row)), &act("acme"), month, now);
        assert_eq!(answer, Ok(expected));
        if expected {
            assert_eq!(left(&next).revoked_at, Some(now));
        } else {
            assert_eq!(next, Next::Keep);
        }
    }
}

/// A use is noted to the minute: up to a minute of use lies behind the last one noted.
#[test]
fn a_key_used_within_the_span_is_not_revoked_for_want_of_a_note() {
    let month = DAY * 30;
    let used = left(&verify(Some(&bytes(&made())), &shown(OLD), &policy(), at(1)).1);
    let unnoted = at(1).saturating_add(NOTED_EVERY - Duration::from_nanos(1));
    let again = verify(Some(&bytes(&used)), &shown(OLD), &policy(), unnoted);
    assert!(again.0.is_ok() && again.1 == Next::Keep);
    for span in [
        Duration::ZERO,
        Duration::from_secs(1),
        Duration::from_secs(59),
        NOTED_EVERY,
        Duration::from_secs(75),
        month,
    ] {
        let revoked = |now| revoke_unused(Some(&bytes(&used)), &act("acme"), span, now);
        let last = unnoted.saturating_add(span);
        assert_eq!(revoked(last), (Ok(false), Next::Keep), "{span:?}");
        let over = last.saturating_add(Duration::from_nanos(1));
        assert_eq!(revoked(over).0, Ok(true), "{span:?}");
    }
    let longest = revoke_unused(Some(&bytes(&used)), &act("acme"), Duration::MAX, at(400));
    assert_eq!(longest, (Ok(false), Next::Keep));
}

#[test]
fn only_what_counts_no_more_is_forgotten() {
    let forget = |row: &Row, now| forget(Some(&bytes(row)), &act("acme"), &policy(), now);
    assert_eq!(
        forget(&made(), at(89)),
        (Err(Error::StillCounts), Next::Keep)
    );
    assert_eq!(forget(&made(), at(90)), (Ok(at(0)), Next::Remove));
    let revoked = Row {
        revoked_at: Some(at(1)),
        ..made()
    };
    assert_eq!(forget(&revoked, at(1)), (Ok(at(0)), Next::Remove));
}

#[test]
fn the_standing_of_a_key_is_told_only_where_it_counts() {
    let judged = |row: &Row, policy: &Policy, now| standing(Some(&bytes(row)), id(), policy, now).0;
    let revoked = Row {
        revoked_at: Some(at(1)),
        ..made()
    };
    let test = Policy::accepting(&[Environment::Test]).unwrap();
    assert!(judged(&made(), &policy(), at(89)).is_ok());
    assert_eq!(judged(&made(), &policy(), at(90)), Err(Error::Expired));
    assert_eq!(judged(&revoked, &policy(), at(1)), Err(Error::Revoked));
    assert_eq!(judged(&made(), &test, at(1)), Err(Error::OtherEnvironment));
    assert_eq!(
        standing(None, id(), &policy(), at(1)).0,
        Err(Error::Unknown)
    );
    let rotated = rotate(Some(&bytes(&made())), &act("acme"), NEW, &test, at(1));
    assert_eq!(rotated, (Err(Error::OtherEnvironment), Next::Keep));
}

#[test]
fn a_row_that_does_not_decode_grants_nothing_and_is_not_written_over() {
    for held in [&[][..], &[9], b"\x01\x01garbage"] {
        let (held, now) = (Some(held), at(1));
        let verified = verify(held, &shown(OLD), &policy(), now);
        assert_eq!(verified, (Err(Error::Corrupt), Next::Keep));
        let rotated = rotate(held, &act("acme"), NEW, &policy(), now);
        assert_eq!(rotated, (Err(Error::Corrupt), Next::Keep));
        let revoked = revoke(held, &act("acme"), &policy(), now);
        assert_eq!(revoked, (Err(Error::Corrupt), Next::Keep));
        let forgotten = forget(held, &act("acme"), &policy(), now);
        assert_eq!(forgotten, (Err(Error::Corrupt), Next::Keep));
        assert_eq!(begin(held, &made(), now), (false, Next::Keep));
        assert_eq!(vacate(held, now), (false, Next::Keep));
        assert_eq!(owner(held, now), (Err(Error::Corrupt), Next::Keep));
    }
}

#[test]
fn an_id_that_was_closed_or_taken_takes_no_key() {
    let (closed, next) = vacate(None, at(1));
    let Next::Put { value, expires_at } = next else {
        panic!("an id without a key is closed");
    };
    assert!(closed && expires_at == at(2));
    let held = Some(value.as_bytes());
    assert_eq!(begin(held, &made(), at(1)), (false, Next::Keep));
    assert!(begin(held, &made(), at(2)).0, "an expired void is none");
    assert_eq!(
        verify(held, &shown(OLD), &policy(), at(1)).0,
        Err(Error::Unknown)
    );
    assert_eq!(owner(held, at(1)).0, Ok(None));
    let taken = bytes(&made());
    assert_eq!(begin(Some(&taken), &made(), at(1)), (false, Next::Keep));
    assert_eq!(vacate(Some(&taken), at(1)), (false, Next::Keep));
}

proptest! {
    #[test]
    fn before_its_secret_was_made_a_key_stands_as_when_it_was(row in any_row(), back in any::<u64>(), old in any::<bool>()) {
        let early = row.made_at.saturating_sub(Duration::from_nanos(back));
        let digest = match row.previous {
            Some(previous) if old => previous.digest,
            _ => row.digest,
        };
        let shown = Shown { environment: row.environment, ..shown(digest) };
        let both = Policy::accepting(&[Environment::Live, Environment::Test]).unwrap();
        let held = bytes(&row);
        prop_assert_eq!(
            verify(Some(&held), &shown, &both, early),
            verify(Some(&held), &shown, &both, row.made_at)
        );
        prop_assert_eq!(
            rotate(Some(&held), &act(&row.owner), OTHER, &both, early),
            rotate(Some(&held), &act(&row.owner), OTHER, &both, row.made_at)
        );
    }

    #[test]
    fn what_is_refused_now_is_refused_ever_after_unless_somebody_changes_it(row in any_row(), digest in any::<bool>(), now in any::<u64>(), span in any::<u64>()) {
        let (now, both) = (Timestamp::from_unix_nanos(now), Policy::accepting(&[Environment::Live, Environment::Test]).unwrap());
        let digest = if digest { row.digest } else { row.previous.map_or(OTHER, |it| it.digest) };
        let shown = Shown { environment: row.environment, ..shown(digest) };
        let held = bytes(&row);
        if verify(Some(&held), &shown, &both, now).0.is_err() {
            let later = now.saturating_add(Duration::from_nanos(span));
            prop_assert!(verify(Some(&held), &shown, &both, later).0.is_err());
        }
    }

    #[test]
    fn whatever_is_decided_leaves_what_decodes(record in record(), now in any::<u64>()) {
        let held = record.encode();
        crate::testing::check(&held, Timestamp::from_unix_nanos(now));
    }
}

#[test]
fn the_row_with_everything_in_it_is_revoked() {
    let row = good();
    assert_eq!(seen(&row, row.digest, row.made_at), Err(Error::Revoked));
}
