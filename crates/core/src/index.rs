//! A bounded list kept in a store, for what must be listed.

use crate::{Failure, Key, Next, Scope, Store, Timestamp, Value};

/// A set of short byte strings kept in a store, spread over pages by hash, each page bounded.
///
/// A store has no scan. What must be listed (users, a user's sessions) is written
/// here *before* the record it points to, and taken out after it: a member without a record is
/// skipped by whoever lists, a record without a member would be lost.
///
/// ```
/// use portcullis_core::{Index, Memory, Scope, Timestamp};
///
/// const USERS: Index = Index::new(Scope::new("users"), 4, 100);
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let now = Timestamp::from_unix_secs(1_700_000_000);
/// let store = Memory::new(now);
/// USERS.insert(&store, b"", b"alice", now).await?;
/// USERS.insert(&store, b"", b"bob", now).await?;
/// USERS.remove(&store, b"", b"alice", now).await?;
/// assert_eq!(USERS.members(&store, b"", now).await?, [b"bob"]);
/// # Ok::<(), portcullis_core::IndexError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Index {
    scope: Scope,
    pages: u8,
    members_per_page: u16,
}

/// Why an index did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The member's page is full.
    #[error("index {0} has no room for another member")]
    Full(Scope),
    /// The member is empty or longer than 255 bytes.
    #[error("a member of an index has 1 to 255 bytes")]
    MemberRefused,
    /// What the store holds is not an index page; nothing is changed.
    #[error("a page of index {0} does not decode")]
    Corrupt(Scope),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Failure),
}

impl Index {
    /// An index of at most `pages` × `members_per_page` members for each owner.
    ///
    /// # Panics
    /// Unless `pages` is at least 1 and `members_per_page` 1 to 1000; in a `const` that stops the
    /// build.
    #[must_use]
    #[expect(clippy::panic, reason = "evaluated when a constant is built")]
    pub const fn new(scope: Scope, pages: u8, members_per_page: u16) -> Self {
        if pages == 0 || members_per_page == 0 || members_per_page > 1000 {
            panic!("an index has 1 to 255 pages of 1 to 1000 members");
        }
        Self {
            scope,
            pages,
            members_per_page,
        }
    }

    /// Adds `member` to `owner`'s list. Adding one that is there changes nothing.
    ///
    /// # Errors
    /// [`IndexError::Full`] when its page has no room; the others as they say.
    pub async fn insert<S: Store>(
        &self,
        store: &S,
        owner: &[u8],
        member: &[u8],
        now: Timestamp,
    ) -> Result<(), IndexError> {
        let this = *self;
        let member = checked(member)?;
        let key = self.key(owner, self.page_of(&member));
        let step = move |current: Option<&[u8]>| this.with(current, &member);
        store.update(key, now, step).await?
    }

    /// Takes `member` out of `owner`'s list. Taking out one that is not there changes nothing.
    ///
    /// # Errors
    /// As they say.
    pub async fn remove<S: Store>(
        &self,
        store: &S,
        owner: &[u8],
        member: &[u8],
        now: Timestamp,
    ) -> Result<(), IndexError> {
        let this = *self;
        let member = checked(member)?;
        let key = self.key(owner, self.page_of(&member));
        let step = move |current: Option<&[u8]>| this.without(current, &member);
        store.update(key, now, step).await?
    }

    /// All of `owner`'s members, sorted. Pages are read one after another: a member added or taken
    /// out meanwhile may or may not be among them.
    ///
    /// # Errors
    /// As they say; a page that cannot be read fails the whole list.
    pub async fn members<S: Store>(
        &self,
        store: &S,
        owner: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, IndexError> {
        let this = *self;
        let mut all = Vec::new();
        for page in 0..self.pages {
            let step = move |current: Option<&[u8]>| (this.decode(current), Next::Keep);
            all.append(&mut store.update(self.key(owner, page), now, step).await??);
        }
        all.sort_unstable();
        Ok(all)
    }

    fn key(&self, owner: &[u8], page: u8) -> Key {
        Key::of(self.scope, &[owner, &[page]])
    }

    /// FNV-1a: stable across releases, and an unlucky spread costs room, not safety.
    fn page_of(&self, member: &[u8]) -> u8 {
        let hash = member.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        u8::try_from((hash >> 32).checked_rem(u64::from(self.pages)).unwrap_or(0)).unwrap_or(0)
    }

    fn with(self, page: Option<&[u8]>, member: &[u8]) -> (Result<(), IndexError>, Next) {
        let mut members = match self.decode(page) {
            Ok(members) => members,
            Err(error) => return (Err(error), Next::Keep),
        };
        let Err(place) = members.binary_search_by(|held| held.as_slice().cmp(member)) else {
            return (Ok(()), Next::Keep);
        };
        if members.len() >= usize::from(self.members_per_page) {
            return (Err(IndexError::Full(self.scope)), Next::Keep);
        }
        members.insert(place, member.to_vec());
        (Ok(()), encode(&members))
    }

    fn without(self, page: Option<&[u8]>, member: &[u8]) -> (Result<(), IndexError>, Next) {
        let mut members = match self.decode(page) {
            Ok(members) => members,
            Err(error) => return (Err(error), Next::Keep),
        };
        let Ok(place) = members.binary_search_by(|held| held.as_slice().cmp(member)) else {
            return (Ok(()), Next::Keep);
        };
        members.remove(place);
        (
            Ok(()),
            if members.is_empty() {
                Next::Remove
            } else {
                encode(&members)
            },
        )
    }

    fn decode(self, page: Option<&[u8]>) -> Result<Vec<Vec<u8>>, IndexError> {
        let Some(page) = page else {
            return Ok(Vec::new());
        };
        decode_page(page).ok_or(IndexError::Corrupt(self.scope))
    }
}

fn checked(member: &[u8]) -> Result<Vec<u8>, IndexError> {
    if member.is_empty() || member.len() > 255 {
        return Err(IndexError::MemberRefused);
    }
    Ok(member.to_vec())
}

/// One version byte, then each member as a length byte and its bytes, sorted and distinct.
fn encode(members: &[Vec<u8>]) -> Next {
    let mut page = vec![VERSION];
    for member in members {
        page.push(u8::try_from(member.len()).unwrap_or(u8::MAX));
        page.extend_from_slice(member);
    }
    Next::Put {
        value: Value::from(page),
        expires_at: Timestamp::MAX,
    }
}

fn decode_page(page: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = page.strip_prefix(&[VERSION])?;
    let mut members: Vec<Vec<u8>> = Vec::new();
    while let Some((len, after)) = rest.split_first() {
        let (member, after) = after.split_at_checked(usize::from(*len))?;
        if member.is_empty() || members.last().is_some_and(|last| last.as_slice() >= member) {
            return None;
        }
        members.push(member.to_vec());
        rest = after;
    }
    (!members.is_empty()).then_some(members)
}

const VERSION: u8 = 1;

/// Asserts that a page which decodes encodes to the same bytes.
#[cfg(feature = "testing")]
pub(crate) fn fuzz_page(page: &[u8]) {
    if let Some(members) = decode_page(page) {
        let Next::Put { value, .. } = encode(&members) else {
            return;
        };
        assert_eq!(value.as_bytes(), page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SMALL: Index = Index::new(Scope::new("small"), 1, 3);

    fn bytes_of(next: Next) -> Option<Vec<u8>> {
        match next {
            Next::Put { value, .. } => Some(value.as_bytes().to_vec()),
            _ => None,
        }
    }

    #[test]
    fn a_full_page_refuses_and_keeps_what_it_has() {
        let page = bytes_of(encode(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]));
        let (answer, next) = SMALL.with(page.as_deref(), b"d");
        assert_eq!(answer, Err(IndexError::Full(SMALL.scope)));
        assert_eq!(next, Next::Keep);
        assert_eq!(SMALL.with(page.as_deref(), b"b"), (Ok(()), Next::Keep));
    }

    #[test]
    fn a_corrupt_page_is_neither_read_nor_overwritten() {
        for page in [
            &[9, 1, b'a'][..],
            &[1],
            &[1, 0],
            &[1, 2, b'a'],
            &[1, 1, b'b', 1, b'a'],
        ] {
            let corrupt = Err(IndexError::Corrupt(SMALL.scope));
            assert_eq!(SMALL.with(Some(page), b"x"), (corrupt.clone(), Next::Keep));
            assert_eq!(SMALL.without(Some(page), b"a"), (corrupt, Next::Keep));
        }
    }

    #[test]
    fn members_without_a_length_byte_of_room_are_refused() {
        assert_eq!(checked(b""), Err(IndexError::MemberRefused));
        assert_eq!(checked(&[b'a'; 256]), Err(IndexError::MemberRefused));
        assert!(checked(&[b'a'; 255]).is_ok());
    }

    proptest! {
        #[test]
        fn a_page_behaves_as_a_set(acts in proptest::collection::vec((any::<bool>(), 0_u8..6), 0..40)) {
            let index = Index::new(Scope::new("set"), 1, 1000);
            let (mut page, mut model): (Option<Vec<u8>>, BTreeSet<Vec<u8>>) = (None, BTreeSet::new());
            for (add, member) in acts {
                let member = vec![b'm', member];
                let (answer, next) = if add {
                    model.insert(member.clone());
                    index.with(page.as_deref(), &member)
                } else {
                    model.remove(&member);
                    index.without(page.as_deref(), &member)
                };
                prop_assert_eq!(answer, Ok(()));
                match next {
                    Next::Put { .. } => page = bytes_of(next),
                    Next::Remove => page = None,
                    Next::Keep | Next::Settled => {}
                }
            }
            let held: BTreeSet<_> = index.decode(page.as_deref()).unwrap().into_iter().collect();
            prop_assert_eq!(held, model);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(page in proptest::collection::vec(0_u8..4, 0..12)) {
            if let Some(members) = decode_page(&page) {
                prop_assert_eq!(bytes_of(encode(&members)), Some(page));
            }
        }
    }
}
