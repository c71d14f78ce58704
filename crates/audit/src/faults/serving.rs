//! What the writer answers its callers, and callers that go away.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;

use super::*;
use crate::{Recorded, Sink};

/// A log with room for `waiting` events, and what serves it once it is called.
pub(super) fn log_over(
    writer: Writer<FaultyFolder>,
    waiting: usize,
) -> (Log, impl FnOnce() + Send + 'static) {
    let lock = writer.folder.directory.lock().unwrap();
    let (log, jobs, gone) = Log::over(&writer, waiting);
    (log, move || writer.run(jobs, lock, gone))
}

pub(super) fn event(user: &str) -> Event {
    Event::new(Action::Login, NOW).user(user)
}

/// A call polled once, before the log is served: sent, or waiting for room.
pub(super) fn begun<F: Future>(call: F) -> Pin<Box<F>> {
    let mut call = Box::pin(call);
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    call
}

pub(super) fn recorded(sequence: u64) -> Result<Recorded, AuditError> {
    Ok(Recorded { sequence })
}

#[test]
fn a_failed_write_is_answered_to_each_of_its_callers_and_later_ones_are_refused() {
    let fails = Fault::Fails(io::ErrorKind::StorageFull);
    // The new segment cannot be made, cannot be written, cannot be synced; the old one is full.
    let cases = [
        ("begin a segment", [0, 1, 1], false),
        ("write events", [2, 0, 0], false),
        ("write events", [0, 2, 0], false),
        ("begin a segment", [0, 0, 1], true),
    ];
    for (act, [writes, syncs, creates], full) in cases {
        let mut rig = rig();
        rig.writes.then(&vec![fails; writes]);
        rig.syncs.then(&vec![fails; syncs]);
        rig.creates.then(&vec![fails; creates]);
        if full {
            rig.writer.len = rig.writer.segment_bytes;
        }
        let (log, serve) = log_over(rig.writer, 8);
        let together = ["second", "third", "fourth"].map(|user| begun(log.record(event(user))));
        let serving = thread::spawn(serve);
        let kind = io::ErrorKind::StorageFull;
        futures(async {
            for call in together {
                assert_eq!(call.await, Err(AuditError::Io { act, kind }));
            }
            for _ in 0..3 {
                let late = log.record(event("late")).await;
                assert_eq!(late, Err(AuditError::Broken), "{act}");
            }
            log.close().await;
            let closed = log.record(event("late")).await;
            assert_eq!(closed, Err(AuditError::Closed));
        });
        serving.join().unwrap();
        assert_eq!(log.checkpoint().records(), 1, "{act}");

        let records = reopened(&rig.dir).records;
        let (log, _) = Log::open(rig.dir.path(), &key(), LogPolicy::default(), NOW).unwrap();
        let again = futures(log.record(event("again")));
        assert_eq!(again, recorded(records + 1), "{act}");
        futures(log.close());
        let users = users(&rig.dir);
        assert_eq!(users.first().map(String::as_str), Some("first"));
        assert!(!users.contains(&"late".to_owned()), "{act}: {users:?}");
    }
}

#[test]
fn each_caller_of_a_write_is_told_its_own_number_also_when_a_new_segment_takes_it() {
    for faults in [[].as_slice(), &[Fault::Fails(io::ErrorKind::Other)]] {
        let rig = rig();
        rig.syncs.then(faults);
        let (log, serve) = log_over(rig.writer, 8);
        let together = ["second", "third", "fourth"].map(|user| begun(log.record(event(user))));
        let serving = thread::spawn(serve);
        futures(async {
            for (sequence, call) in (2..).zip(together) {
                assert_eq!(call.await, recorded(sequence));
            }
            assert_eq!(log.record(event("fifth")).await, recorded(5));
            log.close().await;
        });
        serving.join().unwrap();
        let written = ["first", "second", "third", "fourth", "fifth"];
        assert_eq!(users(&rig.dir), written);
    }
}

#[test]
fn a_call_dropped_while_it_waits_for_room_leaves_no_event_and_takes_nobodys() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 1);
    drop(log.record(event("never polled")));
    let alice = begun(log.record(event("alice")));
    drop(begun(log.record(event("dropped at once"))));
    let bob = begun(log.record(event("bob")));
    let between = begun(log.record(event("dropped between")));
    let carol = begun(log.record(event("carol")));
    drop(between);
    let serving = thread::spawn(serve);
    futures(async {
        for (sequence, call) in (2..).zip([alice, bob, carol]) {
            assert_eq!(call.await, recorded(sequence));
        }
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!(users(&rig.dir), ["first", "alice", "bob", "carol"]);
}

#[test]
fn a_call_dropped_while_it_waits_for_its_answer_is_recorded_between_the_others() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 8);
    let alice = begun(log.record(event("alice")));
    drop(begun(log.record(event("dropped"))));
    let bob = begun(log.record(event("bob")));
    let serving = thread::spawn(serve);
    futures(async {
        assert_eq!(alice.await, recorded(2));
        assert_eq!(bob.await, recorded(4));
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!(users(&rig.dir), ["first", "alice", "dropped", "bob"]);
}

#[test]
fn a_close_dropped_before_it_was_sent_leaves_the_log_open() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 1);
    drop(log.close());
    let alice = begun(log.record(event("alice")));
    drop(begun(log.close()));
    let serving = thread::spawn(serve);
    futures(async {
        assert_eq!(alice.await, recorded(2));
        assert_eq!(log.record(event("bob")).await, recorded(3));
        log.close().await;
        let closed = log.record(event("late")).await;
        assert_eq!(closed, Err(AuditError::Closed));
    });
    serving.join().unwrap();
    assert_eq!(users(&rig.dir), ["first", "alice", "bob"]);
}

#[test]
fn a_close_dropped_after_it_was_sent_lets_the_log_go_and_another_answers() {
    let rig = rig();
    let folder = Directory::at(rig.dir.path());
    let (log, serve) = log_over(rig.writer, 8);
    let alice = begun(log.record(event("alice")));
    drop(begun(log.close()));
    // Sent before the writer saw that it is to close.
    let bob = begun(log.record(event("bob")));
    // Ends though the log is still there to send more.
    serve();
    assert!(folder.lock().is_ok(), "the log was let go of");
    futures(async {
        assert_eq!(alice.await, recorded(2));
        assert_eq!(bob.await, recorded(3));
        for _ in 0..2 {
            log.close().await;
        }
        let closed = log.record(event("late")).await;
        assert_eq!(closed, Err(AuditError::Closed));
    });
    assert_eq!(users(&rig.dir), ["first", "alice", "bob"]);
}
