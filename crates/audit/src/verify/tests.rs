#![allow(clippy::indexing_slicing, reason = "tests")]

use portcullis_core::{Secret, Timestamp};

use super::*;
use crate::keys::LogId;
use crate::record;

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);
const EARLY: Timestamp = Timestamp::from_unix_secs(1_600_000_000);
const LOGIN: &[u8] = &[1, 0, 1, 1];

fn keys() -> Keys {
    Keys::derive(&Secret::from([7; 32].as_slice()), LogId([1; 16]))
}

fn header() -> Header {
    Header {
        log: keys().log,
        number: 1,
        before: Head {
            sequence: 0,
            mac: [0; 32],
            time: EARLY,
        },
        previous_end: 0,
        voids: false,
    }
}

/// A record: its time, the first of its write, and what is in it.
type Told<'a> = (Timestamp, u64, &'a [u8]);

/// The header and the sealed records, each as its bytes, and the head behind each.
fn sealed(told: &[Told<'_>]) -> Vec<(Vec<u8>, Head)> {
    let before = header().before;
    let mut parts = vec![(header().encode(&keys()), before)];
    for (time, first, payload) in told {
        let (mut bytes, head) = (Vec::new(), parts.last().map_or(before, |part| part.1));
        let put = |out: &mut Vec<u8>| out.extend_from_slice(payload);
        let head = record::append(&mut bytes, &keys(), &head, *first, *time, put);
        parts.push((bytes, head));
    }
    parts
}

fn bytes(parts: &[(Vec<u8>, Head)]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.0.clone()).collect()
}

fn walk(bytes: &[u8], after: After<'_>) -> (Walk, Result<Option<Tail>, Finding>) {
    let mut walk = Walk::at(keys(), &header());
    let walked = walk.segment(1, bytes, after, &mut |_, _| {});
    (walk, walked)
}

/// What is found in a segment of two good records and this third one.
fn third(told: Told<'_>) -> Result<Option<Tail>, Finding> {
    let told = [(NOW, 1, LOGIN), (NOW, 2, LOGIN), told];
    walk(&bytes(&sealed(&told)), After::Nothing).1
}

#[test]
fn a_sealed_record_that_breaks_a_rule_of_the_format_is_malformed() {
    assert_eq!(third((NOW, 3, LOGIN)), Ok(None));
    let cases = [
        ("time runs backwards", (EARLY, 3, LOGIN)),
        ("written before what comes after it", (NOW, 4, LOGIN)),
        ("no first record", (NOW, 0, LOGIN)),
        ("unknown action", (NOW, 3, &[1, 0, 1, 99])),
        ("nothing in it", (NOW, 3, &[])),
    ];
    for (what, told) in cases {
        let damage = third(told).map_err(|finding| (finding.sequence, finding.damage));
        assert_eq!(damage, Err((3, Damage::Malformed)), "{what}");
    }
}

#[test]
fn a_log_begins_with_nothing_before_it() {
    assert_eq!(Walk::begins(&header()), Ok(()));
    let before = |before| Header { before, ..header() };
    let nothing = header().before;
    for other in [
        before(Head {
            sequence: 1,
            ..nothing
        }),
        before(Head {
            mac: [1; 32],
            ..nothing
        }),
        Header {
            previous_end: 1,
            ..header()
        },
        Header {
            voids: true,
            ..header()
        },
    ] {
        assert_eq!(Walk::begins(&other), Err(Damage::Malformed), "{other:?}");
    }
}

#[test]
fn a_header_that_does_not_go_on_says_what_was_done() {
    let parts = sealed(&[(NOW, 1, LOGIN), (NOW, 2, LOGIN)]);
    let head = parts[2].1;
    let follows = |before| {
        let (mut walk, _) = walk(&bytes(&parts), After::Nothing);
        assert_eq!(walk.head, head);
        let followed = walk.follows(&Header { before, ..header() });
        followed.map(|()| walk.head.time)
    };
    let later = Timestamp::from_unix_secs(1_700_000_001);
    assert_eq!(follows(head), Ok(NOW));
    assert_eq!(
        follows(Head {
            time: later,
            ..head
        }),
        Ok(later)
    );
    let numbered = |sequence| Head { sequence, ..head };
    let mac = [1; 32];
    let cases = [
        (numbered(3), Damage::Deleted),
        (numbered(1), Damage::Forked),
        (Head { mac, ..head }, Damage::Forked),
        (
            Head {
                time: EARLY,
                ..head
            },
            Damage::Malformed,
        ),
    ];
    for (before, damage) in cases {
        assert_eq!(follows(before), Err(damage), "{before:?}");
    }
}

#[test]
fn the_last_write_begins_where_its_first_record_does() {
    for (writes, last) in [
        (&[1, 1, 1][..], 1),
        (&[1, 2, 2], 2),
        (&[1, 1, 3], 3),
        (&[1, 2, 2, 4], 4),
    ] {
        let told: Vec<Told<'_>> = writes.iter().map(|first| (NOW, *first, LOGIN)).collect();
        let parts = sealed(&told);
        let (walk, walked) = walk(&bytes(&parts), After::Nothing);
        assert_eq!(walked, Ok(None));
        assert_eq!(walk.last_write, bytes(&parts[..last]).len(), "{writes:?}");
    }
}

#[test]
fn damage_before_the_last_segment_is_named_as_in_it() {
    let told = [(NOW, 1, LOGIN), (NOW, 2, LOGIN), (NOW, 3, LOGIN)];
    let parts = sealed(&told);
    let whole = bytes(&parts);
    let next = Header {
        number: 2,
        before: parts[3].1,
        previous_end: span(0, whole.len()),
        ..header()
    };
    let next = next.encode(&keys());
    let found = |order: &[usize]| {
        let parts: Vec<_> = order.iter().map(|at| parts[*at].clone()).collect();
        let walked = walk(&bytes(&parts), After::Segment(&next)).1;
        walked.map_err(|finding| (finding.sequence, finding.damage))
    };
    assert_eq!(found(&[0, 1, 2, 3]), Ok(None));
    assert_eq!(found(&[0, 1, 1, 2]), Err((2, Damage::Duplicated)));
    assert_eq!(found(&[0, 1, 3, 2]), Err((2, Damage::Reordered)));
    assert_eq!(found(&[0, 1, 2]), Err((3, Damage::Deleted)));
    let mut cut = whole.clone();
    cut.truncate(whole.len() - 1);
    let walked = walk(&cut, After::Segment(&next)).1;
    assert_eq!(
        walked.map_err(|finding| finding.damage),
        Err(Damage::Deleted)
    );
}

#[test]
fn bytes_put_before_the_last_record_are_no_crash() {
    let parts = sealed(&[(NOW, 1, LOGIN), (NOW, 2, LOGIN)]);
    let with = |put: &[u8]| [&bytes(&parts[..2]), put, &parts[2].0].concat();
    assert_eq!(walk(&with(&[]), After::Nothing).1, Ok(None));
    let found = walk(&with(&[0; 7]), After::Nothing).1;
    let found = found.map_err(|finding| (finding.sequence, finding.damage));
    assert_eq!(found, Err((2, Damage::Inserted)));
}

#[test]
fn what_nobody_with_the_key_sealed_does_not_make_damage_of_a_torn_end() {
    let parts = sealed(&[(NOW, 1, LOGIN), (NOW, 2, LOGIN)]);
    let other = Keys::derive(&Secret::from([8; 32].as_slice()), LogId([1; 16]));
    let mut forged = Vec::new();
    let put = |out: &mut Vec<u8>| out.extend_from_slice(LOGIN);
    let _ = record::append(&mut forged, &other, &parts[2].1, 3, NOW, put);
    let torn = [&bytes(&parts), &[0; 7][..], &forged].concat();
    let (walk, walked) = walk(&torn, After::Nothing);
    let tail = walked.unwrap().unwrap();
    assert_eq!((walk.head.sequence, tail.finding.damage), (2, Damage::Torn));
}

#[test]
fn a_changed_record_is_told_from_one_put_in_by_what_comes_after() {
    let parts = sealed(&[(NOW, 1, LOGIN), (NOW, 2, LOGIN), (NOW, 3, LOGIN)]);
    let other = Keys::derive(&Secret::from([8; 32].as_slice()), LogId([1; 16]));
    let mut forged = Vec::new();
    let put = |out: &mut Vec<u8>| out.extend_from_slice(LOGIN);
    let _ = record::append(&mut forged, &other, &parts[1].1, 2, NOW, put);
    let found = |middle: &[&[u8]]| {
        let middle = middle.concat();
        let log = [&bytes(&parts[..2]), &middle[..], &parts[3].0].concat();
        let walked = walk(&log, After::Nothing).1;
        walked.map_err(|finding| (finding.sequence, finding.damage))
    };
    assert_eq!(found(&[&parts[2].0]), Ok(None));
    assert_eq!(found(&[&forged]), Err((2, Damage::Edited)));
    assert_eq!(found(&[&forged, &parts[2].0]), Err((2, Damage::Inserted)));
    // The third is sealed and far on: it was left out, or stands behind it.
    assert_eq!(found(&[]), Err((2, Damage::Deleted)));
    let log = [&bytes(&parts[..2]), &parts[3].0[..], &parts[2].0].concat();
    let walked = walk(&log, After::Nothing).1;
    assert_eq!(
        walked.map_err(|finding| finding.damage),
        Err(Damage::Reordered)
    );
}
