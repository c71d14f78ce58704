//! The names that tell a member that appears twice.

use std::borrow::Cow;

/// Names of the members read so far, of every object that is still open.
///
/// Nothing is allocated for names written without escapes, up to [`NAMES_INLINE`] of them.
pub(super) struct Names<'a> {
    plain: [&'a str; NAMES_INLINE],
    plain_count: usize,
    others: Vec<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    pub(super) const fn new() -> Self {
        Self {
            plain: [""; NAMES_INLINE],
            plain_count: 0,
            others: Vec::new(),
        }
    }

    /// Where the names of an object that opens now begin.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.plain_count, self.others.len())
    }

    pub(super) fn hold_since(&self, (plain, others): (usize, usize), name: &str) -> bool {
        let plain = self.plain.get(plain..self.plain_count).unwrap_or_default();
        let others = self.others.get(others..).unwrap_or_default();
        plain.contains(&name) || others.iter().any(|other| other == name)
    }

    pub(super) fn push(&mut self, name: Cow<'a, str>) {
        match (name, self.plain.get_mut(self.plain_count)) {
            (Cow::Borrowed(name), Some(free)) => {
                *free = name;
                self.plain_count = self.plain_count.saturating_add(1);
            }
            (name, _) => self.others.push(name),
        }
    }

    pub(super) fn forget_since(&mut self, (plain, others): (usize, usize)) {
        self.plain_count = plain;
        self.others.truncate(others);
    }
}

/// Twice as many as the registered claims and a dozen of the caller's: real tokens stay below.
pub(super) const NAMES_INLINE: usize = 32;
