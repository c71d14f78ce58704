//! What becomes of events that nobody waits for.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use super::serving::{begun, event, log_over, recorded};
use super::*;
use crate::{BufferedLog, HandedOver, Sink};

fn handed(log: &BufferedLog, users: &[&str]) -> Vec<HandedOver> {
    let hand_over = |user: &&str| log.hand_over(event(user));
    users.iter().map(hand_over).collect()
}

#[test]
fn what_has_no_room_while_the_writer_stalls_is_shed_and_counted_and_the_rest_keeps_its_order() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 3);
    let buffered = log.buffered();
    let answers = handed(&buffered, &["a", "b", "c", "d", "e"]);
    assert_eq!(
        answers,
        [[HandedOver::Waiting; 3].as_slice(), &[HandedOver::Shed; 2]].concat()
    );
    // Counted for all who hand over to the log.
    assert_eq!((buffered.shed(), log.buffered().shed()), (2, 2));
    let serving = thread::spawn(serve);
    futures(async {
        assert_eq!(log.record(event("f")).await, recorded(5));
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!(users(&rig.dir), ["first", "a", "b", "c", "f"]);
    assert_eq!((buffered.shed(), buffered.failed()), (2, 0));
}

#[test]
fn those_who_wait_for_room_get_it_before_those_who_do_not_wait() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 1);
    let buffered = log.buffered();
    assert_eq!(buffered.hand_over(event("a")), HandedOver::Waiting);
    let waits = begun(log.record(event("b")));
    assert_eq!(buffered.hand_over(event("c")), HandedOver::Shed);
    let serving = thread::spawn(serve);
    futures(async {
        assert_eq!(waits.await, recorded(3));
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!(users(&rig.dir), ["first", "a", "b"]);
}

#[test]
fn events_of_both_kinds_stand_in_one_line_and_each_caller_is_told_its_own_number() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 8);
    let buffered = log.buffered();
    let _ = handed(&buffered, &["a"]);
    let first = begun(log.record(event("b")));
    let _ = handed(&buffered, &["c", "d"]);
    let second = begun(log.record(event("e")));
    let _ = handed(&buffered, &["f"]);
    let serving = thread::spawn(serve);
    futures(async {
        assert_eq!(first.await, recorded(3));
        assert_eq!(second.await, recorded(6));
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!(users(&rig.dir), ["first", "a", "b", "c", "d", "e", "f"]);
}

#[test]
fn what_could_not_be_written_is_counted_and_no_part_of_it_is_in_the_log() {
    let rig = rig();
    let full = Fault::Fails(io::ErrorKind::StorageFull);
    rig.writes.clone().then(&[full, full]);
    let (log, serve) = log_over(rig.writer, 8);
    let buffered = log.buffered();
    let _ = handed(&buffered, &["a", "b"]);
    let serving = thread::spawn(serve);
    futures(async {
        // Behind the two; the log refuses from then on.
        assert!(log.record(event("c")).await.is_err());
        let _ = handed(&buffered, &["d"]);
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!((buffered.shed(), buffered.failed()), (0, 3));
    let _ = reopened(&rig.dir);
    assert_eq!(users(&rig.dir), ["first"]);
}

#[test]
fn what_is_handed_over_to_a_closed_log_is_shed() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 8);
    let buffered = log.buffered();
    let _ = handed(&buffered, &["a"]);
    let serving = thread::spawn(serve);
    futures(log.close());
    serving.join().unwrap();
    assert_eq!(handed(&buffered, &["b"]), [HandedOver::Shed]);
    assert_eq!(buffered.shed(), 1);
    assert_eq!(users(&rig.dir), ["first", "a"]);
}

#[test]
fn what_waits_is_written_when_the_last_who_could_hand_over_is_gone() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 8);
    let buffered = log.buffered();
    drop(log);
    let _ = handed(&buffered, &["a", "b"]);
    drop(buffered);
    // Ends, though nobody closed it.
    serve();
    assert_eq!(users(&rig.dir), ["first", "a", "b"]);
}

/// A log with one record, whose writer keeps back for an hour what nobody waits for.
fn log_that_gathers(mut rig: Rig, waiting: usize) -> (Log, JoinHandle<()>, TempDir) {
    rig.writer.gathers = Duration::from_secs(3600);
    let (log, serve) = log_over(rig.writer, waiting);
    (log, thread::spawn(serve), rig.dir)
}

fn settle() {
    thread::sleep(Duration::from_millis(20));
}

/// Comes back when this is so, which it soon is.
fn until(so: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it never is");
}

#[test]
fn whoever_waits_for_the_disk_does_not_wait_for_more_events() {
    let (log, serving, _dir) = log_that_gathers(rig(), 8);
    let buffered = log.buffered();
    futures(async {
        for round in 0..20 {
            let _ = handed(&buffered, &["a"]);
            // The writer waits for more already, or comes to it.
            if round % 2 == 0 {
                settle();
                assert_eq!(log.checkpoint().records(), 1 + 2 * round, "kept back");
            }
            assert_eq!(log.record(event("b")).await, recorded(3 + 2 * round));
        }
        let _ = handed(&buffered, &["last"]);
        settle();
        log.close().await;
    });
    serving.join().unwrap();
    assert_eq!(log.checkpoint().records(), 42);
}

#[test]
fn events_that_are_kept_back_are_written_once_they_take_half_of_the_room() {
    let (log, serving, _dir) = log_that_gathers(rig(), 8);
    let buffered = log.buffered();
    let _ = handed(&buffered, &["a"]);
    // Taken out of the line, and kept back by the writer.
    until(|| buffered.0.jobs.capacity() == 8);
    let _ = handed(&buffered, &["b", "c", "d"]);
    settle();
    assert_eq!(log.checkpoint().records(), 1);
    let _ = handed(&buffered, &["e"]);
    until(|| log.checkpoint().records() == 6);
    futures(log.close());
    serving.join().unwrap();
}

#[test]
fn what_is_kept_back_is_written_though_nothing_more_comes() {
    let rig = rig();
    let (log, serve) = log_over(rig.writer, 8);
    let serving = thread::spawn(serve);
    let _ = handed(&log.buffered(), &["a"]);
    until(|| log.checkpoint().records() == 2);
    futures(log.close());
    serving.join().unwrap();
}

#[test]
fn what_is_kept_back_is_written_when_the_last_who_could_hand_over_is_gone() {
    for round in 0..20 {
        let (log, serving, dir) = log_that_gathers(rig(), 8);
        let buffered = log.buffered();
        drop(log);
        let _ = handed(&buffered, &["a"]);
        // The writer keeps it back already, or comes to it.
        if round % 2 == 0 {
            until(|| buffered.0.jobs.capacity() == 8);
        }
        drop(buffered);
        until(|| serving.is_finished());
        assert_eq!(users(&dir), ["first", "a"]);
    }
}
