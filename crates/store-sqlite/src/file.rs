//! The file: made, recognised, refused.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use portcullis_core::{Secret, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::place::{from_column, to_column};
use crate::{OpenError, SqlitePolicy};

/// A store that was recognised, with what its file says of it.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) secret: Secret,
    pub(crate) birth: Timestamp,
}

pub(crate) fn open(
    path: &Path,
    now: Timestamp,
    policy: &SqlitePolicy,
) -> Result<Opened, OpenError> {
    // Closing any descriptor of a file gives up this process's POSIX locks on it: while one is being
    // made here, no other connection of this process may come to hold locks.
    static OPENING: Mutex<()> = Mutex::new(());
    let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    // An absolute path is never one of SQLite's special names, such as `:memory:`.
    let path = std::path::absolute(path)?;
    touch(&path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    prepare(Connection::open_with_flags(&path, flags)?, now, policy)
}

/// Makes an empty file that only its owner may read, unless there is a file.
fn touch(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // The file's name is in its folder, which is synced apart.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn prepare(
    mut connection: Connection,
    now: Timestamp,
    policy: &SqlitePolicy,
) -> Result<Opened, OpenError> {
    connection.busy_timeout(policy.patience)?;
    // Until the file is known to be ours, not even its log is folded into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if look(&*connection.unchecked_transaction()?)? == Found::Nothing {
        if connection.is_readonly("main")? {
            return Err(OpenError::ReadOnly);
        }
        make(&mut connection, now)?;
    }
    if connection.is_readonly("main")? {
        return Err(OpenError::ReadOnly);
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    configure(&connection, policy)?;
    if policy.check_on_open {
        let verdict: String =
            connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if verdict != "ok" {
            return Err(OpenError::Damaged(verdict));
        }
    }
    let secret: Vec<u8> = recorded(&connection, "secret")?;
    let secret = Secret::from(secret);
    if secret.len() != SECRET_LEN {
        return Err(OpenError::Damaged("its secret has another length".into()));
    }
    let mut birth = from_column(recorded(&connection, "birth")?);
    if (policy.restored && now > birth) || (policy.born_now && now < birth) {
        connection.execute(
            "UPDATE meta SET value = ?1 WHERE name = 'birth'",
            [to_column(now)],
        )?;
        birth = now;
    }
    // Every guard would refuse until then, and no restart would end it.
    if birth > now.saturating_add(APART) {
        return Err(OpenError::BirthAhead { birth, now });
    }
    // From here on the writer waits in steps of its own.
    connection.busy_timeout(Duration::ZERO)?;
    Ok(Opened {
        connection,
        secret,
        birth,
    })
}

#[derive(PartialEq, Eq)]
enum Found {
    Ours,
    Nothing,
}

/// What the file is, read within one transaction.
fn look(transaction: &Connection) -> Result<Found, OpenError> {
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get(0));
    let application: i32 = pragma("application_id")?;
    let format: i32 = pragma("user_version")?;
    let objects: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, format, objects) {
        (0, 0, 0) => Ok(Found::Nothing),
        (APPLICATION, 1..=FORMAT, 1..) => Ok(Found::Ours),
        (APPLICATION, found, _) if found > FORMAT => Err(OpenError::NewerFormat {
            found,
            known: FORMAT,
        }),
        (APPLICATION, ..) => Err(OpenError::Damaged("its format is unknown".into())),
        _ => Err(OpenError::NotOurs),
    }
}

/// Makes the tables in one transaction, unless another process did so meanwhile.
fn make(connection: &mut Connection, now: Timestamp) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    if look(&transaction)? == Found::Ours {
        return Ok(());
    }
    // To SQLite a file shorter than a page is empty too, and it would write over what is there.
    if let Some(path) = transaction.path().filter(|path| !path.is_empty())
        && std::fs::metadata(path)?.len() > 0
    {
        return Err(OpenError::NotOurs);
    }
    let secret = Secret::generate::<SECRET_LEN>()?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute(
        "INSERT INTO meta (name, value) VALUES ('secret', ?1), ('birth', ?2)",
        rusqlite::params![secret.expose(), to_column(now)],
    )?;
    Ok(transaction.commit()?)
}

fn configure(connection: &Connection, policy: &SqlitePolicy) -> Result<(), OpenError> {
    let mut waited = Duration::ZERO;
    loop {
        let mode = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => break,
            Ok(mode) => return Err(OpenError::Backend(format!("no log but {mode}"))),
            // Others are opening it too; SQLite does not wait here of itself.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waited < policy.patience =>
            {
                sleep(PAUSE);
                waited = waited.saturating_add(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // FULL: the log is synced at every commit, so what was answered survives power loss.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On Apple's systems a plain sync leaves the data in the drive's cache.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // What is forgotten is also wiped from pages that are written anyway.
    connection.execute_batch("PRAGMA secure_delete = FAST")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.execute_batch("PRAGMA journal_size_limit = 67108864")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// What the table `meta` says under `name`.
fn recorded<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> Result<T, OpenError> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()
        .map_err(|error| OpenError::Damaged(error.to_string()))?
        .ok_or_else(|| OpenError::Damaged(format!("it has no {name}")))
}

/// `expires_at` is an order-preserving image of nanoseconds; its greatest value never expires, so
/// only rows that can expire are in the index. `fence` is written when a commit's fate must be known.
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE scope (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        keys INTEGER NOT NULL CHECK (keys >= 0)
    ) STRICT;
    CREATE TABLE cell (
        place BLOB PRIMARY KEY CHECK (length(place) = 32),
        scope INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        value BLOB NOT NULL CHECK (length(value) BETWEEN 1 AND 262144)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX cell_expiry ON cell (expires_at) WHERE expires_at < 9223372036854775807;
    CREATE TABLE fence (id INTEGER PRIMARY KEY CHECK (id = 1), times INTEGER NOT NULL) STRICT;
    INSERT INTO fence (id, times) VALUES (1, 0);
";
/// `port`.
const APPLICATION: i32 = 0x706f_7274;
const FORMAT: i32 = 1;
const SECRET_LEN: usize = 32;
/// The clocks of those who share the file differ by less, as by the margin that rows have by default.
const APART: Duration = Duration::from_secs(3_600);
const PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    #[test]
    fn a_file_that_cannot_be_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.db");
        drop(open(&path, NOW, &SqlitePolicy::default()).unwrap());
        let read_only =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let refused = prepare(read_only, NOW, &SqlitePolicy::default());
        assert!(matches!(refused, Err(OpenError::ReadOnly)));
    }

    #[test]
    fn the_memory_of_sqlite_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(":memory:");
        drop(open(&path, NOW, &SqlitePolicy::default()).unwrap());
        assert!(path.exists());
        let memory = prepare(
            Connection::open_in_memory().unwrap(),
            NOW,
            &SqlitePolicy::default(),
        );
        assert!(
            matches!(memory, Err(OpenError::Backend(_))),
            "it has no log"
        );
    }

    #[test]
    fn what_is_said_to_be_durable_is_configured_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gate.db");
        let opened = open(&path, NOW, &SqlitePolicy::default()).unwrap();
        let number = |name: &str| -> i64 {
            let read = |row: &rusqlite::Row<'_>| row.get(0);
            opened
                .connection
                .pragma_query_value(None, name, read)
                .unwrap()
        };
        assert_eq!(number("synchronous"), 2, "FULL");
        assert_eq!(number("fullfsync"), 1);
        assert_eq!(number("secure_delete"), 2, "FAST");
    }
}
