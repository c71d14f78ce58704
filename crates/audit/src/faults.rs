//! The writer on a disk that fails on command.

mod handing_over;
mod serving;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use portcullis_core::{Secret, Timestamp};

use crate::folder::{Directory, File, Folder};
use crate::guard::Log;
use crate::header::{HEADER_LEN, Header};
use crate::keys::{Keys, LogId};
use crate::record::Head;
use crate::state::Encoded;
use crate::writer::{Bell, GATHERS, Writer};
use crate::{Action, AuditError, Damage, Event, Field, Filter, LogPolicy, query, verify};

const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

/// What the disk does with one call; when nothing is left of the script it works.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Works,
    /// Writes so many bytes and says so.
    Short(usize),
    /// Writes so many bytes, then fails: the next call meets the next fault.
    Fails(io::ErrorKind),
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<VecDeque<Fault>>>);

impl Script {
    fn then(self, faults: &[Fault]) -> Self {
        self.0.lock().unwrap().extend(faults);
        self
    }

    fn next(&self) -> Fault {
        self.0.lock().unwrap().pop_front().unwrap_or(Fault::Works)
    }
}

struct FaultyFolder {
    directory: Directory,
    writes: Script,
    syncs: Script,
    creates: Script,
}

struct FaultyFile {
    file: fs::File,
    writes: Script,
    syncs: Script,
}

impl Folder for FaultyFolder {
    type File = FaultyFile;

    fn create(&mut self, number: u64, header: &[u8]) -> io::Result<FaultyFile> {
        if let Fault::Fails(kind) = self.creates.next() {
            return Err(kind.into());
        }
        Ok(FaultyFile {
            file: self.directory.create(number, header)?,
            writes: self.writes.clone(),
            syncs: self.syncs.clone(),
        })
    }
}

impl File for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writes.next() {
            Fault::Works => File::write(&mut self.file, bytes),
            Fault::Short(len) => File::write(&mut self.file, &bytes[..len.min(bytes.len())]),
            Fault::Fails(kind) => Err(kind.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.syncs.next() {
            Fault::Fails(kind) => Err(kind.into()),
            _ => self.file.sync(),
        }
    }
}

struct Rig {
    dir: tempfile::TempDir,
    writes: Script,
    syncs: Script,
    creates: Script,
    writer: Writer<FaultyFolder>,
}

fn key() -> Secret {
    Secret::from([7; 32].as_slice())
}

/// A log with one event on disk, and no fault so far.
fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let (writes, syncs, creates) = (Script::default(), Script::default(), Script::default());
    let mut folder = FaultyFolder {
        directory: Directory::make(dir.path()).unwrap(),
        writes: writes.clone(),
        syncs: syncs.clone(),
        creates: creates.clone(),
    };
    let keys = Keys::derive(&key(), LogId([1; 16]));
    let head = Head {
        sequence: 0,
        mac: [0; 32],
        time: NOW,
    };
    let header = Header {
        log: keys.log,
        number: 1,
        before: head,
        previous_end: 0,
        voids: false,
    };
    let file = folder.create(1, &header.encode(&keys)).unwrap();
    let mut writer = Writer {
        folder,
        file,
        keys,
        number: 1,
        len: HEADER_LEN as u64,
        segment_bytes: 4096,
        head,
        synced: Arc::new(Mutex::new(head)),
        lost: Arc::default(),
        bell: Bell::default(),
        gathers: GATHERS,
        broken: false,
    };
    writer.commit(&events(&["first"])).unwrap();
    Rig {
        dir,
        writes,
        syncs,
        creates,
        writer,
    }
}

fn events(users: &[&str]) -> Vec<Encoded> {
    let event = |user: &&str| Encoded::of(&Event::new(Action::Login, NOW).user(user));
    users.iter().map(event).collect()
}

/// The users of the records there are, oldest first, by a reader that knows nothing of the writer.
fn users(dir: &tempfile::TempDir) -> Vec<String> {
    let records = query(dir.path(), &key(), &Filter::default().oldest_first()).unwrap();
    let user = |record: &crate::Record| record.event.text(Field::User).unwrap().to_owned();
    records.iter().map(user).collect()
}

fn reopened(dir: &tempfile::TempDir) -> crate::Recovery {
    let (log, recovery) = Log::open(dir.path(), &key(), LogPolicy::default(), NOW).unwrap();
    futures(log.close());
    recovery
}

fn futures<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn short_and_interrupted_writes_are_gone_on_with_in_the_same_segment() {
    let mut rig = rig();
    rig.writes.clone().then(&[
        Fault::Short(1),
        Fault::Fails(io::ErrorKind::Interrupted),
        Fault::Short(100),
    ]);
    rig.writer.commit(&events(&["second"])).unwrap();
    assert_eq!(rig.writer.number, 1);
    assert_eq!(users(&rig.dir), ["first", "second"]);
    assert_eq!(verify(rig.dir.path(), &key()).unwrap().records, 2);
}

#[test]
fn a_failed_sync_is_not_tried_again_and_a_new_segment_takes_the_same_records() {
    let mut rig = rig();
    rig.syncs
        .clone()
        .then(&[Fault::Fails(io::ErrorKind::Other)]);
    rig.writer.commit(&events(&["second", "third"])).unwrap();
    assert_eq!(rig.writer.number, 2);
    rig.writer.commit(&events(&["fourth"])).unwrap();
    let report = verify(rig.dir.path(), &key()).unwrap();
    assert_eq!((report.records, report.segments), (4, 2));
    assert!(
        report.void_bytes > 0,
        "the old segment's last bytes do not count"
    );
    assert_eq!(users(&rig.dir), ["first", "second", "third", "fourth"]);
    assert_eq!(reopened(&rig.dir).torn_bytes, 0);
}

#[test]
fn a_full_disk_halfway_through_a_write_leaves_no_gap() {
    for written in [1, 7, 50, 150, 240] {
        let mut rig = rig();
        let full = Fault::Fails(io::ErrorKind::StorageFull);
        rig.writes.clone().then(&[Fault::Short(written), full]);
        rig.writer.commit(&events(&["second", "third"])).unwrap();
        assert_eq!(rig.writer.number, 2);
        assert_eq!(users(&rig.dir), ["first", "second", "third"]);
        assert_eq!(verify(rig.dir.path(), &key()).unwrap().records, 3);
    }
}

#[test]
fn a_write_of_nothing_is_a_failure_not_a_loop() {
    let mut rig = rig();
    rig.writes.clone().then(&[Fault::Short(0)]);
    rig.writer.commit(&events(&["second"])).unwrap();
    assert_eq!(rig.writer.number, 2);
}

#[test]
fn a_second_failure_refuses_from_then_on_until_the_log_is_opened_again() {
    let fails = Fault::Fails(io::ErrorKind::Other);
    // The new segment cannot be made, cannot be written, cannot be synced.
    for case in 0..3 {
        let mut rig = rig();
        rig.syncs.clone().then(&[fails]);
        match case {
            0 => rig.creates.clone().then(&[fails]),
            1 => rig
                .writes
                .clone()
                .then(&[Fault::Works, Fault::Short(20), fails]),
            _ => rig.syncs.clone().then(&[fails]),
        };
        let failed = rig.writer.commit(&events(&["second"]));
        assert!(
            matches!(failed, Err(AuditError::Io { .. })),
            "{case}: {failed:?}"
        );
        for _ in 0..3 {
            let refused = rig.writer.commit(&events(&["third"]));
            assert_eq!(refused, Err(AuditError::Broken), "{case}");
        }
        assert_eq!(rig.writer.synced.lock().unwrap().sequence, 1, "{case}");
        let Rig { dir, writer, .. } = rig;
        drop(writer);
        reopened(&dir);
        verify(dir.path(), &key()).unwrap();
        assert_eq!(users(&dir).first().map(String::as_str), Some("first"));
        assert!(!users(&dir).contains(&"third".to_owned()));
    }
}

#[test]
fn a_segment_that_cannot_be_begun_when_one_is_full_refuses() {
    let mut rig = rig();
    rig.writer.len = rig.writer.segment_bytes;
    rig.creates
        .clone()
        .then(&[Fault::Fails(io::ErrorKind::StorageFull)]);
    assert!(rig.writer.commit(&events(&["second"])).is_err());
    assert_eq!(
        rig.writer.commit(&events(&["third"])),
        Err(AuditError::Broken)
    );
}

/// After a power cut any sector of the last write may be missing, also one in its middle.
#[test]
fn a_hole_in_the_middle_of_the_last_write_is_torn_and_one_in_an_earlier_write_is_damage() {
    let mut rig = rig();
    let one = usize::try_from(rig.writer.len).unwrap();
    rig.writer
        .commit(&events(&["second", "third", "fourth"]))
        .unwrap();
    let two = usize::try_from(rig.writer.len).unwrap();
    let Rig { dir, writer, .. } = rig;
    let path = writer.folder.directory.path(1);
    drop(writer);
    let whole = fs::read(&path).unwrap();

    let mut hole = whole.clone();
    hole[one + 140..one + 200].fill(0);
    fs::write(&path, &hole).unwrap();
    let damage = verify(dir.path(), &key()).map_err(|error| match error {
        AuditError::Damaged(finding) => (finding.damage, finding.sequence),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        damage,
        Err((Damage::Edited, 3)),
        "who only reads is told of it"
    );
    assert_eq!(reopened(&dir).records, 2);
    assert_eq!(users(&dir), ["first", "second"]);

    fs::remove_file(dir.path().join("audit-00000002.log")).unwrap();
    let mut hole = whole;
    hole[one - 60..one - 10].fill(0);
    assert_eq!(hole.len(), two);
    fs::write(&path, &hole).unwrap();
    let refused = Log::open(dir.path(), &key(), LogPolicy::default(), NOW);
    assert!(
        matches!(refused, Err(AuditError::Damaged(_))),
        "an acknowledged record is gone"
    );
}

#[test]
fn the_time_in_the_chain_never_runs_backwards_and_the_events_own_is_kept() {
    let mut rig = rig();
    let early = Timestamp::from_unix_secs(1_600_000_000);
    let late = Timestamp::from_unix_secs(1_800_000_000);
    for at in [late, early, NOW] {
        rig.writer
            .commit(&[Encoded::of(&Event::new(Action::Login, at).user("x"))])
            .unwrap();
    }
    let records = query(rig.dir.path(), &key(), &Filter::default().oldest_first()).unwrap();
    let times: Vec<_> = records
        .iter()
        .map(|record| (record.at, record.event.at()))
        .collect();
    assert_eq!(
        times,
        [(NOW, NOW), (late, late), (late, early), (late, NOW)]
    );
}
