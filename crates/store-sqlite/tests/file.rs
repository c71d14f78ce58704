//! Which files are opened, which are refused, and what they keep.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis_core::{Durability, Failure, Key, Next, Scope, Store, Timestamp, Value};
use portcullis_store_sqlite::{OpenError, Sqlite, SqlitePolicy};
use rusqlite::Connection;

const SMALL: Scope = Scope::new("small");

fn at(secs: u64) -> Timestamp {
    Timestamp::from_unix_secs(1_700_000_000 + secs)
}

/// Puts a value under the key; answers whether there was one.
async fn put(store: &Sqlite, key: Key, now: u64, expires_at: Timestamp) -> Result<bool, Failure> {
    let step = move |current: Option<&[u8]>| {
        let value = Value::new(b"a value that is found again");
        (current.is_some(), Next::Put { value, expires_at })
    };
    store.update(key, at(now), step).await
}

async fn holds(store: &Sqlite, key: Key, now: u64) -> bool {
    let see = |current: Option<&[u8]>| (current.is_some(), Next::Keep);
    store.update(key, at(now), see).await.unwrap()
}

fn rows(path: &Path, table: &str) -> i64 {
    let file = Connection::open(path).unwrap();
    let select = format!("SELECT count(*) FROM {table}");
    file.query_row(&select, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_was_put_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let key = Key::new(SMALL, b"alice@example.org");
    let store = Sqlite::open(&path, at(5)).unwrap();
    assert_eq!(store.durability(), Durability::Durable);
    put(&store, key, 5, Timestamp::MAX).await.unwrap();
    store.close().await;
    let again = Sqlite::open(&path, at(900)).unwrap();
    assert!(holds(&again, key, 900).await);
    assert_eq!(again.birth(), at(5), "the memory begins where it began");
    again.close().await;
    let text = fs::read(&path).unwrap();
    let alice = b"alice@example.org";
    assert!(
        text.windows(alice.len()).all(|bytes| bytes != alice),
        "a key is at rest"
    );
}

#[tokio::test]
async fn a_restored_file_is_born_anew_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    Sqlite::open(&path, at(5)).unwrap().close().await;
    let restored = SqlitePolicy::default().restored(true);
    let store = Sqlite::open_with_policy(&path, at(900), restored.clone()).unwrap();
    assert_eq!(store.birth(), at(900));
    store.close().await;
    let stepped_back = Sqlite::open_with_policy(&path, at(700), restored).unwrap();
    assert_eq!(stepped_back.birth(), at(900));
    stepped_back.close().await;
    assert_eq!(Sqlite::open(&path, at(1_000)).unwrap().birth(), at(900));
}

const HOUR: u64 = 3_600;
const TEN_YEARS: u64 = 10 * 365 * 24 * HOUR;

#[tokio::test]
async fn a_store_made_under_a_clock_that_ran_ahead_is_refused_with_both_instants_until_said_otherwise()
 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(TEN_YEARS)).unwrap();
    let (key, until) = (Key::new(SMALL, b"a"), at(TEN_YEARS + 900));
    put(&store, key, TEN_YEARS, until).await.unwrap();
    store.close().await;
    // Restoring moves a birth forward alone, so it is no way back.
    let restored = SqlitePolicy::default().restored(true);
    for policy in [SqlitePolicy::default(), restored] {
        let refused = Sqlite::open_with_policy(&path, at(0), policy).unwrap_err();
        let OpenError::BirthAhead { birth, now } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((birth, now), (at(TEN_YEARS), at(0)));
        let text = refused.to_string();
        for part in [
            &at(TEN_YEARS).to_string(),
            &at(0).to_string(),
            "dangerous_born_now",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    let now = SqlitePolicy::default().dangerous_born_now();
    let store = Sqlite::open_with_policy(&path, at(60), now.clone()).unwrap();
    assert_eq!(store.birth(), at(60));
    assert!(holds(&store, key, 60).await, "what is noted stays noted");
    assert!(holds(&store, key, TEN_YEARS + 899).await);
    store.close().await;
    // For good, and said again it changes nothing.
    for (policy, secs) in [(SqlitePolicy::default(), 90), (now, 120)] {
        let store = Sqlite::open_with_policy(&path, at(secs), policy).unwrap();
        assert_eq!(store.birth(), at(60));
        store.close().await;
    }
}

#[tokio::test]
async fn a_birth_is_ahead_by_more_than_an_hour_before_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    Sqlite::open(&path, at(HOUR)).unwrap().close().await;
    let store = Sqlite::open(&path, at(0)).unwrap();
    assert_eq!(store.birth(), at(HOUR), "refused what is before it");
    store.close().await;
    let before = at(0).saturating_sub(Duration::from_nanos(2));
    let refused = Sqlite::open(&path, before);
    assert!(matches!(refused, Err(OpenError::BirthAhead { .. })));
    Sqlite::open(&path, at(0)).unwrap().close().await;
}

#[tokio::test]
async fn a_patience_beyond_what_sqlite_can_count_is_its_longest() {
    let folder = tempfile::tempdir().unwrap();
    let longest = Duration::from_millis(1 << 31);
    for patience in [Duration::MAX, longest, Duration::ZERO] {
        let policy = SqlitePolicy::default().patience(patience).margin(patience);
        let path = folder.path().join("gate.db");
        let store = Sqlite::open_with_policy(&path, at(0), policy).unwrap();
        put(&store, Key::new(SMALL, b"a"), 0, Timestamp::MAX)
            .await
            .unwrap();
        store.close().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_file_and_its_log() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("gate.db"), at(0)).unwrap();
    put(&store, Key::new(SMALL, b"a"), 0, Timestamp::MAX)
        .await
        .unwrap();
    for name in ["gate.db", "gate.db-wal", "gate.db-shm"] {
        let mode = fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "no database, and longer than a header ".repeat(200)).unwrap();
    let short = folder.path().join("short");
    fs::write(&short, "x").unwrap();
    let rolled = folder.path().join("rolled.db");
    let theirs = Connection::open(&rolled).unwrap();
    theirs
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    drop(theirs);
    let marked = folder.path().join("marked.db");
    let theirs = Connection::open(&marked).unwrap();
    theirs.execute_batch("PRAGMA application_id = 77").unwrap();
    drop(theirs);
    for path in [text, short, rolled, marked] {
        let before = fs::read(&path).unwrap();
        let refused = Sqlite::open(&path, at(0));
        assert!(
            matches!(refused, Err(OpenError::NotOurs)),
            "{path:?}: {refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), before, "{path:?}");
    }
}

#[test]
fn a_log_of_others_is_not_folded_into_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (
        folder.path().join("theirs.db"),
        folder.path().join("copy.db"),
    );
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        .unwrap();
    // As a killed process leaves them.
    fs::copy(&path, &copy).unwrap();
    fs::copy(
        folder.path().join("theirs.db-wal"),
        folder.path().join("copy.db-wal"),
    )
    .unwrap();
    let before = fs::read(&copy).unwrap();
    assert!(matches!(
        Sqlite::open(&copy, at(0)),
        Err(OpenError::NotOurs)
    ));
    assert_eq!(fs::read(&copy).unwrap(), before);
    assert_eq!(rows(&copy, "t"), 0, "their table is still in the log");
}

#[tokio::test]
async fn a_file_of_a_later_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    Sqlite::open(&path, at(0)).unwrap().close().await;
    let later = Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 2).unwrap();
    drop(later);
    let refused = Sqlite::open(&path, at(0));
    let expected = Err(OpenError::NewerFormat { found: 2, known: 1 });
    assert_eq!(
        format!("{refused:?}"),
        format!("{:?}", expected as Result<Sqlite, _>)
    );
}

#[tokio::test]
async fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.db");
    let store = Sqlite::open(&path, at(0)).unwrap();
    for id in 0_u32..500 {
        put(
            &store,
            Key::new(SMALL, &id.to_be_bytes()),
            0,
            Timestamp::MAX,
        )
        .await
        .unwrap();
    }
    store.close().await;
    let whole = fs::read(&path).unwrap();
    for page in 1..whole.len() / 4096 {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0x5a);
        fs::write(&path, bytes).unwrap();
        let refused = Sqlite::open(&path, at(0));
        assert!(
            matches!(refused, Err(OpenError::Damaged(_))),
            "page {page}: {refused:?}"
        );
    }
    fs::write(&path, &whole[..whole.len() - 8192]).unwrap();
    assert!(
        matches!(Sqlite::open(&path, at(0)), Err(OpenError::Damaged(_))),
        "cut short"
    );
    for meta in ["secret", "birth"] {
        fs::write(&path, &whole).unwrap();
        let file = Connection::open(&path).unwrap();
        file.execute("DELETE FROM meta WHERE name = ?1", [meta])
            .unwrap();
        drop(file);
        assert!(
            matches!(Sqlite::open(&path, at(0)), Err(OpenError::Damaged(_))),
            "no {meta}"
        );
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_error_of_the_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Sqlite::open(folder.path().join("no/gate.db"), at(0));
    assert!(matches!(refused, Err(OpenError::Io(_))));
}
