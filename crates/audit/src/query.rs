//! Asking a log for its records.

use std::path::Path;

use portcullis_core::{Secret, Timestamp};

use crate::event::Field;
use crate::folder::Directory;
use crate::header::Header;
use crate::keys::Keys;
use crate::read::contiguous;
use crate::text::clean;
use crate::verify::{After, Walk};
use crate::{Action, AuditError, Damage, Finding, Record};

/// Which records are asked for. Nothing set: the newest 100.
///
/// ```
/// use portcullis_audit::{Action, Filter};
///
/// let filter = Filter::default().user("alice").action(Action::FailedLogin).limit(20);
/// # let _ = filter;
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    user: Option<Box<str>>,
    target: Option<Box<str>>,
    action: Option<Action>,
    since: Timestamp,
    until: Timestamp,
    after: u64,
    limit: usize,
    oldest_first: bool,
}

impl Default for Filter {
    /// The newest 100 records: a page that a person reads.
    fn default() -> Self {
        Self {
            user: None,
            target: None,
            action: None,
            since: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
            after: 0,
            limit: 100,
            oldest_first: false,
        }
    }
}

impl Filter {
    /// Only records of this user. The text is cut and redacted as a record's is, so that one finds
    /// what was kept.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        Self {
            user: Some(clean(user, Field::User.max_bytes())),
            ..self
        }
    }

    /// Only records that name exactly this target: what an administrator's act was done to. The text
    /// is cut and redacted as [`Filter::user`]'s is.
    #[must_use]
    pub fn target(self, target: &str) -> Self {
        Self {
            target: Some(clean(target, Field::Target.max_bytes())),
            ..self
        }
    }

    /// Only records of this action.
    #[must_use]
    pub fn action(self, action: Action) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }

    /// Only records of this time or later.
    #[must_use]
    pub fn since(self, since: Timestamp) -> Self {
        Self { since, ..self }
    }

    /// Only records of this time or earlier.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until, ..self }
    }

    /// Only records of a higher sequence than this. With [`Filter::oldest_first`] the way to read a
    /// log page by page: ask again after the last sequence that came.
    #[must_use]
    pub fn after(self, sequence: u64) -> Self {
        Self {
            after: sequence,
            ..self
        }
    }

    /// At most so many records; no more than 10 000 at once.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self {
            limit: limit.min(MAX_RECORDS),
            ..self
        }
    }

    /// The oldest first; else the newest.
    #[must_use]
    pub fn oldest_first(self) -> Self {
        Self {
            oldest_first: true,
            ..self
        }
    }

    fn admits(&self, record: &Record) -> bool {
        let names = |field, wanted: &Option<Box<str>>| match wanted {
            None => true,
            Some(text) => record.event.text(field) == Some(text),
        };
        names(Field::User, &self.user)
            && names(Field::Target, &self.target)
            && self
                .action
                .is_none_or(|action| record.event.action() == action)
            && (self.since..=self.until).contains(&record.at)
            && record.sequence > self.after
    }
}

/// The records in `dir` that `filter` admits, the newest first unless it says otherwise. Needs no
/// lock: it runs beside the writer, and then sees what was written, acknowledged or about to be.
///
/// Whatever is answered was verified: each segment that is read is walked from its sealed header, and
/// segments that cannot matter are not read. That a log is whole from its beginning is for
/// [`verify`](crate::verify) to say.
///
/// # Errors
/// [`AuditError::Damaged`] when a segment that had to be read is not as it was written; a torn end of
/// the last one is passed over.
pub fn query(dir: &Path, key: &Secret, filter: &Filter) -> Result<Vec<Record>, AuditError> {
    Keys::admit(key)?;
    let folder = Directory::at(dir);
    let mut numbers = folder.segments()?;
    contiguous(&numbers)?;
    let last = numbers.last().copied();
    if !filter.oldest_first {
        numbers.reverse();
    }
    let mut log = None;
    let mut answer = Vec::new();
    for number in numbers {
        if answer.len() >= filter.limit {
            break;
        }
        let first = folder.read_header(number)?;
        let damaged = |damage| Finding {
            segment: number,
            offset: 0,
            sequence: Header::parse(&first).map_or(0, |(header, _)| header.before.next()),
            damage,
        };
        let (header, keys) = Header::open(key, &first).map_err(damaged)?;
        if *log.get_or_insert(keys.log) != keys.log {
            return Err(damaged(Damage::Spliced).into());
        }
        let begins_late = header.before.time > filter.until;
        if begins_late && filter.oldest_first {
            break;
        }
        let next = match number.checked_add(1) {
            Some(next) if Some(number) != last => Some(folder.read_header(next)?),
            _ => None,
        };
        if !begins_late && !ends_early(&keys, number, next.as_deref(), filter) {
            let bytes = folder.read(number)?;
            let after = next.as_deref().map_or(After::Nothing, After::Segment);
            answer_from(
                number,
                &bytes,
                after,
                Walk::at(keys, &header),
                filter,
                &mut answer,
            )?;
        }
        let reached = header.before.time < filter.since || header.before.sequence <= filter.after;
        if reached && !filter.oldest_first {
            break;
        }
    }
    Ok(answer)
}

/// Whether all of segment `number` is before what is asked for, as the sealed header of the next says.
fn ends_early(keys: &Keys, number: u64, next: Option<&[u8]>, filter: &Filter) -> bool {
    let following = number.saturating_add(1);
    let next = next.and_then(|next| Header::of(keys, following, next).ok());
    next.is_some_and(|next| next.before.sequence <= filter.after || next.before.time < filter.since)
}

/// Adds what one segment has to the answer, up to the limit.
fn answer_from(
    number: u64,
    bytes: &[u8],
    after: After<'_>,
    mut walk: Walk,
    filter: &Filter,
    answer: &mut Vec<Record>,
) -> Result<(), AuditError> {
    let room = filter.limit.saturating_sub(answer.len());
    let mut found = std::collections::VecDeque::new();
    walk.segment(number, bytes, after, &mut |_, record| {
        if !filter.admits(&record) {
            return;
        }
        if filter.oldest_first && found.len() >= room {
            return;
        }
        found.push_back(record);
        if found.len() > room {
            found.pop_front();
        }
    })?;
    if filter.oldest_first {
        answer.extend(found);
    } else {
        answer.extend(found.into_iter().rev());
    }
    Ok(())
}

/// The most records of one answer: a bound on memory, whatever a caller asks for.
const MAX_RECORDS: usize = 10_000;
