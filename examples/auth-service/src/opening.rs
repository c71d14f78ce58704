//! What is opened before there is an [`crate::app::App`].

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::path::Path;

use portcullis::audit::{AuditError, Damage, Log, LogPolicy};
use portcullis::core::{Secret, Timestamp};

use crate::settings::Settings;
use crate::witness::Witness;

pub(crate) type Fault = Box<dyn Error + Send + Sync>;

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
    witness.keep(&log.checkpoint(), now).await?;
    Ok(log)
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
