//! What is opened before there is an [`crate::app::App`].

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use portcullis::audit::{AuditError, Damage, Log, LogPolicy};
use portcullis::core::{Secret, Timestamp};
use portcullis::store_sqlite::{OpenError, Sqlite, SqlitePolicy};

use crate::settings::Settings;
use crate::witness::Witness;

pub(crate) type Fault = Box<dyn Error + Send + Sync>;

/// Opens the database, or makes it.
pub(crate) fn open_database(
    settings: &Settings,
    file: &Path,
    now: Timestamp,
) -> Result<Sqlite, Fault> {
    let mut policy = SqlitePolicy::default().restored(settings.database_restored);
    if settings.clock_was_ahead {
        policy = policy.dangerous_born_now();
    }
    let place = file.display();
    Sqlite::open_with_policy(file, now, policy).map_err(|error| match error {
        OpenError::BirthAhead { birth, now } => format!(
            "{place}: the database was made at {birth}, and the clock says {now}: correct the clock if it is \
             behind, or start once with --clock-was-ahead"
        )
        .into(),
        error => about(place)(error),
    })
}

/// Opens the log, and refuses one that is not what it had come to.
pub(crate) async fn open_log(
    settings: &Settings,
    folder: &Path,
    key: &Secret,
    witness: &Witness,
    now: Timestamp,
    announce: &mut impl FnMut(&str),
) -> Result<Log, Fault> {
    let place = folder.display();
    make_folder(folder).map_err(about(&place))?;
    let opened = Log::open(folder, key, LogPolicy::default(), now);
    let (log, recovery) = opened.map_err(|error| match error {
        AuditError::InUse => format!(
            "{place}: another auth-service is running on this data; give this one a name with --instance"
        ),
        AuditError::Damaged(finding) if finding.damage == Damage::WrongKey => {
            let file = settings.root_key_file();
            format!(
                "{place}: {} is not the key that this log was made with",
                file.display()
            )
        }
        AuditError::Damaged(finding) => format!(
            "{place}: the log is not as it was written ({finding}); keep a copy for whoever \
             investigates, and move the folder away to begin a new log"
        ),
        error => format!("{place}: {error}"),
    })?;
    if recovery.torn_bytes > 0 {
        announce(&format!(
            "audit log: {} bytes of an unfinished record do not count any more",
            recovery.torn_bytes
        ));
    }
    let confirmed = witness.confirm(folder, key, recovery.records, now).await?;
    if let Err(error) = confirmed {
        if !settings.accept_audit_loss {
            return Err(format!("{place}: {error}, or start once with --accept-audit-loss").into());
        }
        announce(&format!("audit log: going on although: {error}"));
    }
    // Before the first record: a log with records that is not remembered is then one whose database is gone.
    witness.begin(&log.checkpoint(), now).await?;
    Ok(log)
}

/// Whether the data folder was used before. Refuses one with a log and no database, and makes nothing:
/// SQLite throws a write-ahead log away that lies beside a new database, and what was in it alone would be lost
/// to the old one when that is put back.
pub(crate) fn used_before(data: &Path, database: &Path, accept_loss: bool) -> Result<bool, Fault> {
    let (kept, logged) = (
        database.exists(),
        has_log(data).map_err(about(data.display()))?,
    );
    if logged && !kept && !accept_loss {
        return Err(about(data.display())(
            "an audit log and no database; put the database back, or start once with --accept-audit-loss",
        ));
    }
    Ok(kept || logged)
}

/// Whether an audit log lies among the data, of whichever process.
fn has_log(data: &Path) -> std::io::Result<bool> {
    for folder in fs::read_dir(data)? {
        let folder = folder?;
        let audit = folder.file_name().to_string_lossy().starts_with("audit");
        if !(audit && folder.file_type()?.is_dir()) {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            if file?.path().extension().is_some_and(|end| end == "log") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Puts what an error is about before it.
pub(crate) fn about<E: Display>(what: impl Display) -> impl FnOnce(E) -> Fault {
    move |error| format!("{what}: {error}").into()
}

/// Makes a folder for its owner alone.
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
