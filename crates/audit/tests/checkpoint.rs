//! What a checkpoint reveals that the chain alone does not.
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

use portcullis_audit::{AuditError, CheckpointError, verify, verify_against};

use crate::rig::{add, block_on, key, open, parts, segment};

#[test]
fn a_checkpoint_reveals_a_cut_tail_and_the_chain_alone_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = add(dir.path(), 10).checkpoint();
    let path = segment(dir.path(), 1);
    let (header, records) = parts(&fs::read(&path).unwrap());
    fs::write(&path, [header, records[..8].concat()].concat()).unwrap();

    let report = verify(dir.path(), &key()).unwrap();
    assert_eq!((report.records, report.exposed()), (8, Some((1, 8))));
    assert!(
        report
            .to_string()
            .contains("records 1 to 8 are newer than any checkpoint")
    );
    let cut = CheckpointError::TailCut {
        checkpoint: 10,
        found: 8,
    };
    let refused = verify_against(dir.path(), &key(), &checkpoint);
    assert_eq!(refused, Err(AuditError::Checkpoint(cut)));

    // Cut and then gone on with, the count is right again and the head is not.
    add(dir.path(), 5);
    verify(dir.path(), &key()).unwrap();
    let refused = verify_against(dir.path(), &key(), &checkpoint);
    let diverged = CheckpointError::Diverged { record: 10 };
    assert_eq!(refused, Err(AuditError::Checkpoint(diverged)));
}

#[test]
fn a_checkpoint_reveals_an_old_copy_and_a_log_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    add(dir.path(), 3);
    let old = fs::read(segment(dir.path(), 1)).unwrap();
    let checkpoint = add(dir.path(), 3).checkpoint();
    assert_eq!(checkpoint.records(), 6);
    let report = verify_against(dir.path(), &key(), &checkpoint).unwrap();
    assert_eq!((report.confirmed, report.exposed()), (6, None));

    fs::write(segment(dir.path(), 1), old).unwrap();
    let refused = verify_against(dir.path(), &key(), &checkpoint);
    let cut = CheckpointError::TailCut {
        checkpoint: 6,
        found: 3,
    };
    assert_eq!(refused, Err(AuditError::Checkpoint(cut)));

    fs::remove_file(segment(dir.path(), 1)).unwrap();
    let (log, recovery) = open(dir.path()).unwrap();
    assert!(recovery.created, "a log that is gone is said to be new");
    block_on(log.close());
    let refused = verify_against(dir.path(), &key(), &checkpoint);
    assert_eq!(
        refused,
        Err(AuditError::Checkpoint(CheckpointError::OtherLog))
    );
}

#[test]
fn a_checkpoint_stays_good_while_the_log_grows() {
    let dir = tempfile::tempdir().unwrap();
    let empty = add(dir.path(), 0).checkpoint();
    let early = add(dir.path(), 30).checkpoint();
    add(dir.path(), 30);
    for (checkpoint, exposed) in [(empty, (1, 60)), (early, (31, 60))] {
        let checkpoint = checkpoint.to_string().parse().unwrap();
        let report = verify_against(dir.path(), &key(), &checkpoint).unwrap();
        assert_eq!(report.exposed(), Some(exposed));
    }
}
