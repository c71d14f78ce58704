//! What one transaction does: the steps of a batch over cells read once, then the cells written back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use portcullis_core::{Cause, Failure, Next, Scope, Timestamp, Value};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, params};

use crate::SqlitePolicy;
use crate::job::{Address, Job};
use crate::place::{Place, to_column};

/// Runs as many of the jobs as one transaction should hold and writes what they left. Answers how
/// many that were and whether anything was written.
///
/// The transaction must have been begun; on an error it must be rolled back.
pub(crate) fn run(
    connection: &Connection,
    policy: &SqlitePolicy,
    jobs: &mut [Box<dyn Job>],
) -> Result<(usize, bool)> {
    let swept = sweep(connection, policy, jobs)?;
    let mut batch = Batch {
        connection,
        policy,
        cells: HashMap::new(),
        counts: HashMap::new(),
        held_bytes: 0,
    };
    let mut covered = 0_usize;
    for job in jobs {
        if batch.held_bytes > HELD_BYTES {
            break;
        }
        covered = covered.saturating_add(1);
        if !job.is_abandoned() {
            batch.step(job.as_mut())?;
        }
    }
    let written = batch.flush()?;
    Ok((covered, swept || written))
}

struct Batch<'a> {
    connection: &'a Connection,
    policy: &'a SqlitePolicy,
    cells: HashMap<Place, Cell>,
    counts: HashMap<Scope, Count>,
    held_bytes: usize,
}

/// A row as the batch sees it.
struct Cell {
    value: Option<Value>,
    expires_at: Timestamp,
    scope: Scope,
    is_row: bool,
    is_changed: bool,
}

/// A scope's keys: as the file has them, and after the steps so far.
struct Count {
    id: Option<i64>,
    before: i64,
    keys: i64,
}

impl Batch<'_> {
    fn step(&mut self, job: &mut dyn Job) -> Result<()> {
        let Address { place, scope, .. } = job.address();
        let mut cell = match self.cells.remove(&place) {
            Some(cell) => cell,
            None => self.load(&place, scope)?,
        };
        // A step that panicked leaves nothing behind; its caller is told when the batch ends.
        if let Some(next) = job.run(cell.value.as_ref().map(Value::as_bytes))
            && let Err(failure) = self.apply(&mut cell, next)?
        {
            job.refuse(failure);
        }
        self.cells.insert(place, cell);
        Ok(())
    }

    fn load(&mut self, place: &Place, scope: Scope) -> Result<Cell> {
        let mut select = self.connection.prepare_cached(SELECT)?;
        let value = select
            .query_row([place], |row| match row.get_ref(0)?.as_blob()? {
                // Nothing empty is ever written: a row that shows it is damaged.
                [] => Err(Error::InvalidColumnType(0, "value".into(), Type::Blob)),
                bytes => Ok(Value::new(bytes)),
            })
            .optional()?;
        self.held(&value);
        Ok(Cell {
            is_row: value.is_some(),
            value,
            expires_at: Timestamp::UNIX_EPOCH,
            scope,
            is_changed: false,
        })
    }

    /// Does to the cell what the step said, or says why it cannot be.
    fn apply(&mut self, cell: &mut Cell, next: Next) -> Result<std::result::Result<(), Failure>> {
        let change = match next {
            Next::Keep | Next::Settled => return Ok(Ok(())),
            Next::Put { value, expires_at } => {
                if let Err(failure) = value.check() {
                    return Ok(Err(failure));
                }
                Some((value, expires_at))
            }
            Next::Remove => None,
        };
        let scope = cell.scope;
        match (&cell.value, &change) {
            (None, None) => return Ok(Ok(())),
            (None, Some(_)) => {
                let cap = i64::try_from(self.policy.cap_of(scope)).unwrap_or(i64::MAX);
                let count = self.count(scope)?;
                if count.keys >= cap {
                    return Ok(Err(Failure::Unavailable(Cause::Full { scope })));
                }
                count.keys = count.keys.saturating_add(1);
            }
            (Some(_), None) => {
                let count = self.count(scope)?;
                count.keys = count.keys.saturating_sub(1);
            }
            (Some(_), Some(_)) => {}
        }
        cell.is_changed = true;
        match change {
            Some((value, expires_at)) => {
                cell.value = Some(value);
                cell.expires_at = expires_at;
                self.held(&cell.value);
            }
            None => cell.value = None,
        }
        Ok(Ok(()))
    }

    fn count(&mut self, scope: Scope) -> Result<&mut Count> {
        match self.counts.entry(scope) {
            Entry::Occupied(count) => Ok(count.into_mut()),
            Entry::Vacant(place) => {
                let mut select = self.connection.prepare_cached(SELECT_SCOPE)?;
                let found = select
                    .query_row([scope.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                let (id, keys) = found.map_or((None, 0), |(id, keys)| (Some(id), keys));
                let before = keys;
                Ok(place.insert(Count { id, before, keys }))
            }
        }
    }

    fn held(&mut self, value: &Option<Value>) {
        let bytes = value.as_ref().map_or(0, |value| value.as_bytes().len());
        self.held_bytes = self.held_bytes.saturating_add(bytes);
    }

    /// Writes the changed cells in the order of their places, and the counts.
    fn flush(mut self) -> Result<bool> {
        let mut changed: Vec<(Place, Cell)> = std::mem::take(&mut self.cells)
            .into_iter()
            .filter(|(_, cell)| cell.is_changed)
            .collect();
        changed.sort_unstable_by_key(|(place, _)| *place);
        for (place, cell) in &changed {
            self.write(place, cell)?;
        }
        for count in self
            .counts
            .values()
            .filter(|count| count.keys != count.before)
        {
            let mut update = self.connection.prepare_cached(UPDATE_SCOPE)?;
            exactly_one(update.execute(params![count.id, count.keys])?)?;
        }
        Ok(!changed.is_empty())
    }

    fn write(&mut self, place: &Place, cell: &Cell) -> Result<()> {
        match (&cell.value, cell.is_row) {
            (Some(value), true) => {
                let mut update = self.connection.prepare_cached(UPDATE)?;
                let expires_at = to_column(cell.expires_at);
                exactly_one(update.execute(params![place, expires_at, value.as_bytes()])?)
            }
            (Some(value), false) => {
                let scope = self.scope_id(cell.scope)?;
                let mut insert = self.connection.prepare_cached(INSERT)?;
                let expires_at = to_column(cell.expires_at);
                insert.execute(params![place, scope, expires_at, value.as_bytes()])?;
                Ok(())
            }
            (None, true) => {
                let mut delete = self.connection.prepare_cached(DELETE)?;
                exactly_one(delete.execute([place])?)
            }
            // Put and removed within the batch.
            (None, false) => Ok(()),
        }
    }

    /// The scope's number in the file, given at its first key.
    fn scope_id(&mut self, scope: Scope) -> Result<i64> {
        if let Some(id) = self.count(scope)?.id {
            return Ok(id);
        }
        let id = self
            .connection
            .prepare_cached(INSERT_SCOPE)?
            .insert([scope.as_str()])?;
        self.count(scope)?.id = Some(id);
        Ok(id)
    }
}

/// A row that the transaction has read cannot have gone: if it has, nothing may be committed.
fn exactly_one(rows: usize) -> Result<()> {
    if rows == 1 {
        return Ok(());
    }
    Err(Error::StatementChangedRows(rows))
}

/// Deletes some rows that expired more than the margin ago, before any cell is read. Twice as many
/// as the batch could add, so that a backlog shrinks.
fn sweep(connection: &Connection, policy: &SqlitePolicy, jobs: &[Box<dyn Job>]) -> Result<bool> {
    // The earliest of the callers' instants: a caller that is ahead takes nothing from one that lags.
    let Some(now) = jobs.iter().map(|job| job.address().now).min() else {
        return Ok(false);
    };
    let gone_before = to_column(now.saturating_sub(policy.margin));
    let slice = i64::try_from(jobs.len().saturating_mul(2)).unwrap_or(MIN_SLICE);
    let mut statement = connection.prepare_cached(SWEEP)?;
    let mut gone: HashMap<i64, i64> = HashMap::new();
    let mut rows = statement.query(params![gone_before, slice.max(MIN_SLICE)])?;
    while let Some(row) = rows.next()? {
        let keys = gone.entry(row.get(0)?).or_default();
        *keys = keys.saturating_add(1);
    }
    for (scope, keys) in &gone {
        let mut update = connection.prepare_cached(UPDATE_SWEPT)?;
        exactly_one(update.execute([scope, keys])?)?;
    }
    Ok(!gone.is_empty())
}

const SELECT: &str = "SELECT value FROM cell WHERE place = ?1";
const UPDATE: &str = "UPDATE cell SET expires_at = ?2, value = ?3 WHERE place = ?1";
const INSERT: &str = "INSERT INTO cell (place, scope, expires_at, value) VALUES (?1, ?2, ?3, ?4)";
const DELETE: &str = "DELETE FROM cell WHERE place = ?1";
const SELECT_SCOPE: &str = "SELECT id, keys FROM scope WHERE name = ?1";
const INSERT_SCOPE: &str = "INSERT INTO scope (name, keys) VALUES (?1, 0)";
const UPDATE_SCOPE: &str = "UPDATE scope SET keys = ?2 WHERE id = ?1";
/// The literal lets SQLite use the index, which leaves out what never expires.
const SWEEP: &str = "DELETE FROM cell WHERE place IN (
        SELECT place FROM cell
        WHERE expires_at < 9223372036854775807 AND expires_at < ?1
        ORDER BY expires_at LIMIT ?2
    ) RETURNING scope";
const UPDATE_SWEPT: &str = "UPDATE scope SET keys = keys - ?2 WHERE id = ?1";
const MIN_SLICE: i64 = 64;
/// Values read and left within one transaction: beyond this the rest of the batch waits for the next.
const HELD_BYTES: usize = 8 * 1024 * 1024;
