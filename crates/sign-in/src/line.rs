//! Attempts of one account stand in line.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as Table, MutexGuard as TableGuard, PoisonError};

use portcullis_lockout::AccountName;
use tokio::sync::{Mutex, MutexGuard};

/// A line for each account that is being tried, in this process.
///
/// Whoever came first asks first, and of each line one alone asks the store: a crowd costs it one
/// question at a time. No line is longer than a share of all attempts, so that the crowd of one
/// account leaves room for the others.
pub(crate) struct Lines {
    lines: Table<HashMap<AccountName, Line>>,
    longest: usize,
}

struct Line {
    turn: Arc<Mutex<()>>,
    standing: usize,
}

/// A place in an account's line, given up when dropped.
pub(crate) struct Place<'a> {
    lines: &'a Lines,
    name: AccountName,
    turn: Arc<Mutex<()>>,
}

impl Lines {
    /// Lines of at most `longest` attempts each, at least one.
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            lines: Table::default(),
            longest: longest.max(1),
        }
    }

    /// A place in the line of `name`; none when it is as long as it may be.
    pub(crate) fn join(&self, name: &AccountName) -> Option<Place<'_>> {
        let mut lines = self.lines();
        let line = lines.entry(name.clone()).or_insert_with(|| Line {
            turn: Arc::default(),
            standing: 0,
        });
        if line.standing >= self.longest {
            return None;
        }
        line.standing = line.standing.saturating_add(1);
        Some(Place {
            lines: self,
            name: name.clone(),
            turn: Arc::clone(&line.turn),
        })
    }

    fn lines(&self) -> TableGuard<'_, HashMap<AccountName, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits until those who came before have had their turn.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.lines.lines();
        if let Some(line) = lines.get_mut(&self.name) {
            line.standing = line.standing.saturating_sub(1);
            if line.standing == 0 {
                lines.remove(&self.name);
            }
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::parse(text).unwrap()
    }

    #[test]
    fn a_line_ends_at_its_length_and_leaves_room_for_other_accounts() {
        let lines = Lines::new(2);
        let (alice, bob) = (name("alice"), name("bob"));
        let first = lines.join(&alice);
        let second = lines.join(&alice);
        assert!(first.is_some() && second.is_some());
        assert!(lines.join(&alice).is_none());
        assert!(lines.join(&bob).is_some());
        drop(first);
        assert!(lines.join(&alice).is_some());
    }

    #[test]
    fn nothing_is_kept_of_a_line_that_nobody_stands_in() {
        let lines = Lines::new(0);
        let alice = name("alice");
        for _ in 0..3 {
            let place = lines.join(&alice);
            assert!(place.is_some() && lines.join(&alice).is_none());
        }
        assert!(lines.lines().is_empty());
    }

    #[tokio::test]
    async fn turns_come_in_the_order_of_arrival() {
        let lines = Lines::new(9);
        let alice = name("alice");
        let places: Vec<_> = (0..3).map(|_| lines.join(&alice).unwrap()).collect();
        let order = Table::new(Vec::new());
        let head = places[0].turn().await;
        let wait = async |at: usize| {
            let _turn = places[at].turn().await;
            order.lock().unwrap().push(at);
        };
        let free = async {
            tokio::task::yield_now().await;
            drop(head);
        };
        tokio::join!(wait(1), wait(2), wait(0), free);
        assert_eq!(order.into_inner().unwrap(), [1, 2, 0]);
    }
}
