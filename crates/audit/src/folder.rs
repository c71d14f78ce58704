//! The folder that a log lives in: names, locks, and files that appear whole or not at all.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::AuditError;
use crate::header::HEADER_LEN;

/// What the writer needs of a folder; a double of it fails on command.
pub(crate) trait Folder: Send + 'static {
    type File: File;

    /// Makes segment `number` with its header, on disk under its name before this answers.
    fn create(&mut self, number: u64, header: &[u8]) -> io::Result<Self::File>;
}

/// What the writer needs of a segment's file.
pub(crate) trait File: Send + 'static {
    /// Writes some of `bytes` at the file's end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits until all that was written is on disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

/// Held for as long as a writer lives; the system lets go of it when the process dies.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used")] fs::File);

impl Directory {
    /// The folder at `path`, made if it is not there, for its owner alone.
    pub(crate) fn make(path: &Path) -> Result<Self, AuditError> {
        let act = "make the log's folder";
        if !path.is_dir() {
            let parents = parents_of_new(path);
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(path).map_err(AuditError::io(act))?;
            for parent in parents {
                sync_folder(&parent).map_err(AuditError::io(act))?;
            }
        }
        Ok(Self::at(path))
    }

    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The writer's lock, or [`AuditError::InUse`] when it is held for longer than those hold it who only
    /// ask ([`Directory::is_locked`]), or a child process that is about to close what it inherited.
    pub(crate) fn lock(&self) -> Result<Lock, AuditError> {
        self.lock_pausing(|| thread::sleep(LOCK_PAUSE))
    }

    fn lock_pausing(&self, mut pause: impl FnMut()) -> Result<Lock, AuditError> {
        let act = "lock the log";
        let file = owners_own(OpenOptions::new().write(true).create(true).truncate(false))
            .open(self.0.join(LOCK))
            .map_err(AuditError::io(act))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Lock(file)),
                Err(TryLockError::WouldBlock) => pause(),
                Err(TryLockError::Error(error)) => return Err(AuditError::io(act)(error)),
            }
        }
        Err(AuditError::InUse)
    }

    /// Whether a writer holds the log at the moment.
    pub(crate) fn is_locked(&self) -> bool {
        fs::File::open(self.0.join(LOCK))
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Takes away headers that never got their name, and makes sure of the names there are.
    pub(crate) fn tidy(&self) -> Result<(), AuditError> {
        let act = "tidy the log's folder";
        for entry in fs::read_dir(&self.0).map_err(AuditError::io(act))? {
            let entry = entry.map_err(AuditError::io(act))?;
            let name = entry.file_name();
            let half_made = name.to_str().and_then(|name| name.strip_suffix(HALF_MADE));
            if half_made.and_then(number_of).is_some() {
                fs::remove_file(entry.path()).map_err(AuditError::io(act))?;
            }
        }
        sync_folder(&self.0).map_err(AuditError::io(act))
    }

    /// The numbers of the segments there are, ascending.
    pub(crate) fn segments(&self) -> Result<Vec<u64>, AuditError> {
        let act = "list the log's folder";
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(AuditError::io(act))? {
            let name = entry.map_err(AuditError::io(act))?.file_name();
            numbers.extend(name.to_str().and_then(number_of));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// All of a segment's bytes.
    pub(crate) fn read(&self, number: u64) -> Result<Vec<u8>, AuditError> {
        self.read_up_to(number, MAX_SEGMENT_BYTES)
    }

    /// The bytes of a segment's header, fewer if there are fewer.
    pub(crate) fn read_header(&self, number: u64) -> Result<Vec<u8>, AuditError> {
        self.read_up_to(number, u64::try_from(HEADER_LEN).unwrap_or(u64::MAX))
    }

    fn read_up_to(&self, number: u64, limit: u64) -> Result<Vec<u8>, AuditError> {
        let act = "read a segment";
        let file = fs::File::open(self.path(number)).map_err(AuditError::io(act))?;
        let mut bytes = Vec::new();
        let read = file.take(limit).read_to_end(&mut bytes);
        read.map_err(AuditError::io(act))?;
        Ok(bytes)
    }

    /// Segment `number`, to be written to at its end, `bytes`.
    ///
    /// What was written last is written once more, the same bytes in the same place, and synced: after
    /// a sync that failed, the system may hold pages as clean that never reached the disk.
    pub(crate) fn reopen(
        &self,
        number: u64,
        bytes: &[u8],
        last_write: usize,
    ) -> Result<fs::File, AuditError> {
        let again = || {
            let mut file = OpenOptions::new().write(true).open(self.path(number))?;
            let from = u64::try_from(last_write).map_err(io::Error::other)?;
            file.seek(SeekFrom::Start(from))?;
            file.write_all(bytes.get(last_write..).unwrap_or_default())?;
            file.sync_all()?;
            Ok(file)
        };
        again().map_err(AuditError::io("write the last records again"))
    }

    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.0.join(name_of(number))
    }
}

impl Folder for Directory {
    type File = fs::File;

    fn create(&mut self, number: u64, header: &[u8]) -> io::Result<fs::File> {
        let path = self.path(number);
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let half_made = self.0.join(format!("{}{HALF_MADE}", name_of(number)));
        let mut file = owners_own(OpenOptions::new().write(true).create(true).truncate(true))
            .open(&half_made)?;
        file.write_all(header)?;
        file.sync_all()?;
        fs::rename(&half_made, &path)?;
        sync_folder(&self.0)?;
        Ok(file)
    }
}

impl File for fs::File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A name survives a power cut once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// The folders in which names are made when `path` is, the innermost first.
fn parents_of_new(path: &Path) -> Vec<PathBuf> {
    let new = path.ancestors().take_while(|path| !path.is_dir());
    let parents = new.filter_map(Path::parent);
    parents
        .map(|parent| match parent.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => parent.to_owned(),
        })
        .collect()
}

fn owners_own(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn name_of(number: u64) -> String {
    format!("audit-{number:08}.log")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".log")?;
    let number = digits.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

const LOCK: &str = "audit.lock";
/// A tenth of a second in all.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(2);
const HALF_MADE: &str = ".new";
/// No more of a file is read than a segment can have: the greatest size, and the writes that end it.
const MAX_SEGMENT_BYTES: u64 = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_whether_the_log_is_held_keeps_no_writer_out() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Directory::make(dir.path()).unwrap();
        drop(folder.lock().unwrap());
        let asker = fs::File::open(dir.path().join(LOCK)).unwrap();
        asker.lock_shared().unwrap();
        // Held for longer than the first tries take, and let go of before the last.
        let mut pauses = 0;
        let locked = folder.lock_pausing(|| {
            pauses += 1;
            if pauses == LOCK_TRIES - 1 {
                asker.unlock().unwrap();
            }
        });
        assert_eq!((locked.map(drop), pauses), (Ok(()), LOCK_TRIES - 1));
        asker.lock().unwrap();
        let refused = folder.lock_pausing(|| {}).map(drop);
        assert_eq!(refused, Err(AuditError::InUse));
    }

    #[test]
    fn each_folder_that_gets_a_new_name_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        assert_eq!(
            parents_of_new(&deep),
            [dir.path().join("a"), dir.path().into()]
        );
        assert!(parents_of_new(dir.path()).is_empty());
        // A name alone is in the folder that the process works in.
        assert_eq!(
            parents_of_new("no such folder".as_ref()),
            [PathBuf::from(".")]
        );
    }

    #[test]
    fn only_the_names_of_segments_are_taken_for_segments() {
        assert_eq!(number_of("audit-00000001.log"), Some(1));
        assert_eq!(number_of("audit-123456789.log"), Some(123_456_789));
        for name in [
            "audit-1.log",
            "audit-+0000001.log",
            "audit-000000001.log",
            "audit-00000001.log.new",
            "audit-.log",
            "xaudit-00000001.log",
        ] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
