//! What can be done to a log's files, and what is said of it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod rig;

use std::fs;
use std::path::Path;

use portcullis_audit::{Action, AuditError, Damage, Event, Log, LogPolicy, Sink, query, verify};
use portcullis_core::Secret;

use crate::rig::{HEADER, NOW, add, block_on, key, log_of, open, parts, segment};

/// Makes a record's checksum right again, as one does who knows the format and not the key.
fn with_right_checksum(mut record: Vec<u8>) -> Vec<u8> {
    let mut covered = record[..4].to_vec();
    covered.extend_from_slice(&record[8..]);
    record[4..8].copy_from_slice(&crc32fast::hash(&covered).to_be_bytes());
    record
}

/// What `verify` says after `change` was made to the records of a log of ten; opening refuses too.
fn after(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (Damage, u64, u64) {
    let dir = log_of(10);
    let path = segment(dir.path(), 1);
    let (header, mut records) = parts(&fs::read(&path).unwrap());
    assert_eq!(records.len(), 10);
    change(&mut records);
    fs::write(&path, [header, records.concat()].concat()).unwrap();
    let refused = open(dir.path()).map(|_| ());
    assert!(
        matches!(refused, Err(AuditError::Damaged(_))),
        "{refused:?}"
    );
    found(dir.path())
}

fn found(dir: &Path) -> (Damage, u64, u64) {
    match verify(dir, &key()) {
        Err(AuditError::Damaged(finding)) => (finding.damage, finding.sequence, finding.segment),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_a_record_that_was_edited_with_its_checksum_made_right_or_not() {
    let edit = |records: &mut Vec<Vec<u8>>| records[4][60] ^= 1;
    assert_eq!(after(edit), (Damage::Edited, 5, 1));
    let edit = |records: &mut Vec<Vec<u8>>| {
        records[4][60] ^= 1;
        records[4] = with_right_checksum(records[4].clone());
    };
    assert_eq!(after(edit), (Damage::Edited, 5, 1));
}

#[test]
fn a_last_record_whose_checksum_is_right_and_seal_wrong_was_not_torn() {
    let edit = |records: &mut Vec<Vec<u8>>| {
        records[9][60] ^= 1;
        records[9] = with_right_checksum(records[9].clone());
    };
    assert_eq!(after(edit), (Damage::Edited, 10, 1));
}

#[test]
fn a_record_without_its_seal_is_none() {
    let strip = |records: &mut Vec<Vec<u8>>| {
        let mut bare = records[4].clone();
        bare.truncate(bare.len() - 32);
        let len = u32::try_from(bare.len() - 8).unwrap().to_be_bytes();
        bare[..4].copy_from_slice(&len);
        records[4] = with_right_checksum(bare);
    };
    assert_eq!(after(strip), (Damage::Edited, 5, 1));
}

#[test]
fn names_a_record_that_was_inserted() {
    let insert = |records: &mut Vec<Vec<u8>>| {
        let mut forged = records[2].clone();
        forged[60] ^= 1;
        records.insert(3, with_right_checksum(forged));
    };
    assert_eq!(after(insert), (Damage::Inserted, 4, 1));
    let insert = |records: &mut Vec<Vec<u8>>| records.insert(3, b"free text".to_vec());
    assert_eq!(after(insert), (Damage::Inserted, 4, 1));
}

#[test]
fn names_records_that_were_deleted() {
    let delete = |records: &mut Vec<Vec<u8>>| drop(records.remove(3));
    assert_eq!(after(delete), (Damage::Deleted, 4, 1));
    let delete = |records: &mut Vec<Vec<u8>>| drop(records.drain(0..9));
    assert_eq!(after(delete), (Damage::Deleted, 1, 1));
}

#[test]
fn names_records_that_were_reordered() {
    assert_eq!(
        after(|records| records.swap(3, 4)),
        (Damage::Reordered, 4, 1)
    );
    assert_eq!(
        after(|records| records.swap(0, 9)),
        (Damage::Reordered, 1, 1)
    );
}

#[test]
fn names_a_record_that_was_duplicated() {
    let duplicate = |records: &mut Vec<Vec<u8>>| records.insert(6, records[5].clone());
    assert_eq!(after(duplicate), (Damage::Duplicated, 7, 1));
    let duplicate = |records: &mut Vec<Vec<u8>>| records.push(records[0].clone());
    assert_eq!(after(duplicate), (Damage::Duplicated, 11, 1));
}

#[test]
fn names_a_record_spliced_from_another_log_under_the_same_key() {
    let other = log_of(10);
    let (_, theirs) = parts(&fs::read(segment(other.path(), 1)).unwrap());
    let splice = |records: &mut Vec<Vec<u8>>| records[5] = theirs[5].clone();
    assert_eq!(after(splice), (Damage::Spliced, 6, 1));
}

#[test]
fn names_a_copy_that_went_on_by_itself() {
    let dir = log_of(5);
    let copy = tempfile::tempdir().unwrap();
    fs::copy(segment(dir.path(), 1), segment(copy.path(), 1)).unwrap();
    add(dir.path(), 3);
    let (log, _) = open(copy.path()).unwrap();
    block_on(async {
        for _ in 0..3 {
            log.record(Event::new(Action::Logout, NOW)).await.unwrap();
        }
        log.close().await;
    });
    let path = segment(dir.path(), 1);
    let (header, mut records) = parts(&fs::read(&path).unwrap());
    let (_, theirs) = parts(&fs::read(segment(copy.path(), 1)).unwrap());
    records[6] = theirs[6].clone();
    fs::write(&path, [header, records.concat()].concat()).unwrap();
    assert_eq!(found(dir.path()), (Damage::Forked, 7, 1));
}

#[test]
fn a_wrong_key_is_named_and_changes_nothing() {
    let dir = log_of(3);
    let wrong = Secret::from([8; 32].as_slice());
    let before = fs::read(segment(dir.path(), 1)).unwrap();
    for error in [
        verify(dir.path(), &wrong).unwrap_err(),
        Log::open(dir.path(), &wrong, LogPolicy::default(), NOW).unwrap_err(),
        query(dir.path(), &wrong, &Default::default()).unwrap_err(),
    ] {
        assert!(
            matches!(error, AuditError::Damaged(finding) if finding.damage == Damage::WrongKey),
            "{error:?}"
        );
    }
    assert_eq!(fs::read(segment(dir.path(), 1)).unwrap(), before);
    let short = Secret::from([7; 31].as_slice());
    assert_eq!(
        verify(dir.path(), &short).unwrap_err(),
        AuditError::KeyTooShort
    );
}

#[test]
fn a_bit_flipped_at_any_byte_is_detected() {
    let dir = log_of(4);
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        fs::write(&path, &flipped).unwrap();
        assert!(verify(dir.path(), &key()).is_err(), "byte {place}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(verify(dir.path(), &key()).unwrap().records, 4);
}

#[test]
fn a_bit_flipped_at_any_byte_of_a_finished_segment_refuses_to_open() {
    let dir = log_of(40);
    assert!(segment(dir.path(), 2).exists());
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for place in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x10;
        fs::write(&path, &flipped).unwrap();
        let refused = open(dir.path()).map(|_| ());
        assert!(
            matches!(refused, Err(AuditError::Damaged(_))),
            "byte {place}"
        );
    }
}

#[test]
fn a_last_record_torn_at_any_byte_is_made_void_and_reported() {
    let dir = log_of(3);
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let (_, records) = parts(&whole);
    let start = whole.len() - records[2].len();
    for cut in start + 1..whole.len() {
        let garbage = [whole[..cut].to_vec(), vec![0; whole.len() - cut]].concat();
        for torn in [&whole[..cut], &garbage] {
            if torn == whole.as_slice() {
                continue;
            }
            fs::write(&path, torn).unwrap();
            assert_eq!(found(dir.path()), (Damage::Torn, 3, 1));
            let (log, recovery) = open(dir.path()).unwrap();
            assert_eq!(recovery.records, 2);
            assert_eq!(recovery.torn_bytes, (torn.len() - start) as u64);
            block_on(async {
                let recorded = log.record(Event::new(Action::Logout, NOW)).await.unwrap();
                assert_eq!(recorded.sequence, 3);
                log.close().await;
            });
            let report = verify(dir.path(), &key()).unwrap();
            assert_eq!(
                (report.records, report.void_bytes),
                (3, recovery.torn_bytes)
            );
            fs::remove_file(segment(dir.path(), 2)).unwrap();
        }
    }
}

#[test]
fn nothing_hides_after_the_end_of_a_finished_segment() {
    let dir = log_of(40);
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [whole.as_slice(), b"x"].concat()).unwrap();
    assert_eq!(found(dir.path()).0, Damage::Inserted);
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(found(dir.path()).0, Damage::Deleted);
    let (header, records) = parts(&whole);
    let cut = [header, records[..records.len() - 1].concat()].concat();
    fs::write(&path, cut).unwrap();
    let (damage, sequence, segment) = found(dir.path());
    assert_eq!(
        (damage, sequence, segment),
        (Damage::Deleted, records.len() as u64, 1)
    );
}

#[test]
fn segments_that_are_gone_swapped_or_of_another_log_are_named() {
    let dir = log_of(100);
    let names: Vec<_> = (1..=3).map(|number| segment(dir.path(), number)).collect();
    let whole: Vec<_> = names.iter().map(|name| fs::read(name).unwrap()).collect();
    let restore = || {
        for (name, bytes) in names.iter().zip(&whole) {
            fs::write(name, bytes).unwrap();
        }
    };
    for (number, name) in (1..).zip(&names) {
        fs::remove_file(name).unwrap();
        assert_eq!(found(dir.path()).0, Damage::SegmentMissing, "{number}");
        assert_eq!(found(dir.path()).2, number);
        restore();
    }
    fs::write(&names[1], &whole[2]).unwrap();
    fs::write(&names[2], &whole[1]).unwrap();
    assert_eq!(
        (found(dir.path()).0, found(dir.path()).2),
        (Damage::Reordered, 2)
    );
    restore();
    let other = log_of(100);
    fs::copy(segment(other.path(), 2), &names[1]).unwrap();
    assert_eq!(
        (found(dir.path()).0, found(dir.path()).2),
        (Damage::Spliced, 2)
    );
    restore();
    for place in 0..HEADER {
        let mut flipped = whole[1].clone();
        flipped[place] ^= 1;
        fs::write(&names[1], &flipped).unwrap();
        assert_eq!(
            (found(dir.path()).0, found(dir.path()).2),
            (Damage::Header, 2),
            "{place}"
        );
    }
    restore();
    verify(dir.path(), &key()).unwrap();
}
