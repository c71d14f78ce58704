//! Which records a query answers with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod rig;

use std::path::Path;

use portcullis_audit::{Action, Event, Filter, Sink, query};

fn sequences(dir: &Path, filter: &Filter) -> Vec<u64> {
    let records = query(dir, &rig::key(), filter).unwrap();
    records.iter().map(|record| record.sequence).collect()
}

#[test]
fn a_target_finds_the_records_that_name_exactly_it() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(1000);
    let token = "Bearer abcdefghijklmnopqrstuvwxyz012345";
    let event = |action| Event::new(action, rig::NOW);
    let events = [
        event(Action::UserCreated).user("admin").target("alice"),
        event(Action::UserDisabled).user("admin").target("alice2"),
        event(Action::Unlock).user("root").target("alice"),
        // The user of a record is not its target.
        event(Action::Login).user("alice"),
        event(Action::UserCreated).user("admin").target(&long),
        event(Action::UserCreated).user("admin").target(token),
        event(Action::UserCreated).user("admin").target(""),
    ];
    let (log, _) = rig::open(dir.path()).unwrap();
    rig::block_on(async {
        for event in events {
            log.record(event).await.unwrap();
        }
        log.close().await;
    });
    let ask = |filter: Filter| sequences(dir.path(), &filter.oldest_first());
    let of = |target: &str| Filter::default().target(target);
    assert_eq!(ask(of("alice")), [1, 3]);
    assert_eq!(ask(of("alice").user("admin")), [1]);
    assert_eq!(ask(of("alice").action(Action::Unlock)), [3]);
    assert_eq!(ask(of("alice").limit(1)), [1]);
    // What was cut or redacted when it was kept is found by what was sent.
    assert_eq!(ask(of(&long)), [5]);
    assert_eq!(ask(of(token)), [6]);
    for stranger in ["Alice", "alic", "alice ", "admin", "mallory"] {
        assert_eq!(ask(of(stranger)), [], "{stranger}");
    }
}
