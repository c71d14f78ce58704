use super::*;

fn touched(row: &Row, now: Timestamp) -> (Result<Row, Error>, Option<Row>) {
    let (answer, next) = touch(Some(&bytes(row)), session(), &policy(), now);
    (answer, left_if_any(next))
}

#[test]
fn a_touch_moves_the_idle_end_and_neither_the_counter_nor_the_grace() {
    let (answer, row) = touched(&third(), at(1050));
    let expected = Row {
        idle: at(1150),
        ..third()
    };
    assert_eq!((answer, row), (Ok(expected.clone()), Some(expected)));
}

#[test]
fn a_touch_does_not_prolong_the_grace_of_a_used_token() {
    let (_, row) = touched(&third(), at(1009));
    let row = row.unwrap();
    assert_eq!(shown(&row, 2, at(1010)).0, Err(reused(&row)));
}

#[test]
fn a_touch_never_goes_beyond_the_absolute_end() {
    let late = Row {
        idle: at(1490),
        ..third()
    };
    let (answer, row) = touched(&late, at(1489));
    assert_eq!(row.unwrap().idle, at(1500));
    assert_eq!(answer.unwrap().expires_at(), at(1500));
    let last = Row {
        idle: at(1500),
        ..third()
    };
    assert_eq!(touched(&last, at(1499)), (Ok(last.clone()), None));
    assert_eq!(touched(&last, at(1500)), (Err(Error::NoSuchSession), None));
}

#[test]
fn no_touch_revives_what_is_over_revoked_or_closed() {
    assert_eq!(
        touched(&third(), at(1100)),
        (Err(Error::NoSuchSession), None)
    );
    let ended = Row {
        revoked: Some((Revocation::SignedOut, at(1001))),
        ..third()
    };
    let refused = was_revoked(session(), "alice".into(), Revocation::SignedOut);
    assert_eq!(touched(&ended, at(1002)), (Err(refused), None));
    let closed = Record::Void {
        why: Revocation::AllSignedOut,
        until: at(2000),
    };
    let closed = closed.encode();
    for current in [None, Some(closed.as_slice())] {
        let answer = touch(current, session(), &policy(), at(1001));
        assert_eq!(answer, (Err(Error::NoSuchSession), Next::Keep));
    }
}

#[test]
fn a_shorter_policy_and_a_clock_that_stepped_back_take_nothing_away() {
    let brief = policy().idle(Duration::from_secs(60));
    let (answer, next) = touch(Some(&bytes(&third())), session(), &brief, at(1001));
    assert_eq!((answer, next), (Ok(third()), Next::Keep));
    assert_eq!(touched(&third(), at(10)), (Ok(third()), None));
}

#[test]
fn a_touch_is_due_after_a_quarter_of_an_hour_or_of_a_shorter_idle_life() {
    let week = SessionPolicy::default();
    let due =
        |row: &Row, policy: &SessionPolicy, now| touch_is_due(row.idle, row.absolute, policy, now);
    let fresh = first("alice", [9; 16], &[], 0, &week, at(0));
    assert!(!due(&fresh, &week, at(899)));
    assert!(due(&fresh, &week, at(900)));
    assert!(!due(&third(), &policy(), at(1024)));
    assert!(due(&third(), &policy(), at(1025)));
    // Nothing is left to move.
    let last = Row {
        idle: at(1500),
        ..third()
    };
    assert!(!due(&last, &policy(), at(1499)));
    // The last touch before the absolute end is not left out for being small.
    let nearly = Row {
        idle: at(1499),
        ..third()
    };
    assert!(due(&nearly, &policy(), at(1498)));
}

#[test]
fn a_touched_session_keeps_its_place_before_one_refreshed_earlier() {
    let place = |row: &Row| inspect(Some(&bytes(row)), at(500), &policy(), at(1060)).0;
    assert_eq!(place(&third()), Place::Taken(at(1000)));
    let (_, row) = touched(&third(), at(1050));
    assert_eq!(place(&row.unwrap()), Place::Taken(at(1050)));
}

/// Under a policy of 100 idle seconds, a row that was written under one of 400.
#[test]
fn a_row_of_a_longer_idle_life_is_not_taken_for_one_touched_in_the_future() {
    let stale = Row {
        idle: at(1400),
        ..third()
    };
    let place = |row: &Row, now| inspect(Some(&bytes(row)), at(500), &policy(), at(now)).0;
    assert_eq!(place(&stale, 1001), Place::Taken(at(1000)));
    assert_eq!(place(&stale, 1240), Place::Taken(at(1000)));
    // Another replica's clock may run ahead by less than a minute: what it touched was touched.
    assert_eq!(place(&stale, 1241), Place::Taken(at(1300)));
    let (_, touched) = touched(&third(), at(1059));
    let touched = touched.unwrap();
    assert_eq!(place(&touched, 1000), Place::Taken(at(1059)));
    assert_eq!(place(&touched, 10), Place::Taken(at(1059)), "stepped back");
}

proptest! {
    #[test]
    fn a_touch_never_shortens_never_revives_and_changes_nothing_else(
        row in row(), now in 0_u64..600, idle in 60_u64..400,
    ) {
        let held = bytes(&row);
        let policy = policy().idle(Duration::from_secs(idle));
        let (answer, next) = touch(Some(&held), session(), &policy, at(now));
        let before = live(Some(&held), session(), at(now)).0;
        prop_assert_eq!(answer.is_ok(), before.is_ok());
        prop_assert!(answer.is_ok() || next == Next::Keep);
        if let Some(after) = left_if_any(next) {
            prop_assert!(row.idle < after.idle && after.idle <= row.absolute);
            prop_assert_eq!(Row { idle: row.idle, ..after.clone() }, row);
            prop_assert_eq!(answer, Ok(after));
        }
    }

    #[test]
    fn a_touch_once_made_is_not_due_again_at_once(row in row(), now in 0_u64..600) {
        let now = at(now);
        if let (Ok(row), _) = touched(&row, now) {
            let over = row.present(now) > now;
            prop_assert!(over || !touch_is_due(row.idle, row.absolute, &policy(), now));
        }
    }
}
