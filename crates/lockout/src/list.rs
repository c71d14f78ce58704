//! The list of locked accounts, pure: its pages, and what may be put in and taken out.
//!
//! A row is written before its lock begins and holds the lock's end. Until that end nobody takes it out,
//! however open the account looks: the lock may begin right after the look. So no order of events and no
//! dropped future leaves a lock without its row. The price is that an account unlocked early keeps its
//! row, which nobody is shown, until the lock would have ended.
//!
//! | Byte | Page |
//! |---|---|
//! | 0 | version 1 |
//! | then each row | until, 8 bytes; the name's length, 1 byte; the name |
//!
//! Instants are big-endian nanoseconds. Rows stand in ascending order of names, each once. A page with
//! nothing in it is not kept.

use portcullis_core::{IndexError, Key, Next, Scope, Timestamp, Value};

use crate::AccountName;

/// How many pages there are; names are spread over them by hash.
pub(crate) const PAGES: u8 = 64;

/// An account that is locked until then, or was about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) until: Timestamp,
}

type Change = (Result<(), IndexError>, Next);

pub(crate) fn key(page: u8) -> Key {
    Key::new(LIST, &[page])
}

/// FNV-1a: stable across releases, and an unlucky spread costs room, not safety.
pub(crate) fn page_of(account: &AccountName) -> u8 {
    let bytes = account.as_str().bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from((hash >> 32).checked_rem(u64::from(PAGES)).unwrap_or(0)).unwrap_or(0)
}

/// The page's rows.
pub(crate) fn rows(page: Option<&[u8]>) -> Result<Vec<Row>, IndexError> {
    match page {
        None => Ok(Vec::new()),
        Some(page) => decode(page).ok_or(IndexError::Corrupt(LIST)),
    }
}

/// Puts `account` in, until then; a row that it has is made to last as long.
pub(crate) fn with(page: Option<&[u8]>, account: &AccountName, until: Timestamp) -> Change {
    let mut rows = match rows(page) {
        Ok(rows) => rows,
        Err(error) => return (Err(error), Next::Keep),
    };
    match rows.binary_search_by(|row| row.name.as_str().cmp(account.as_str())) {
        Ok(place) => match rows.get_mut(place) {
            Some(row) if row.until < until => row.until = until,
            _ => return (Ok(()), Next::Keep),
        },
        Err(_) if rows.len() >= ROWS => return (Err(IndexError::Full(LIST)), Next::Keep),
        Err(place) => {
            let name = account.as_str().to_owned();
            rows.insert(place, Row { name, until });
        }
    }
    (Ok(()), put(&rows))
}

/// Takes out those of `names` whose rows are over. The rows are judged as they are now, and not as they
/// were when the names were looked at: a lock that began meanwhile has made its row last.
pub(crate) fn without(page: Option<&[u8]>, names: &[String], now: Timestamp) -> Change {
    let mut rows = match rows(page) {
        Ok(rows) => rows,
        Err(error) => return (Err(error), Next::Keep),
    };
    let held = rows.len();
    rows.retain(|row| now < row.until || !names.contains(&row.name));
    let next = match rows.len() {
        0 if held > 0 => Next::Remove,
        left if left < held => put(&rows),
        _ => Next::Keep,
    };
    (Ok(()), next)
}

/// The rows in `page`, if it is exactly one.
pub(crate) fn decode(page: &[u8]) -> Option<Vec<Row>> {
    let mut rest = page.strip_prefix(&[VERSION])?;
    let mut rows: Vec<Row> = Vec::new();
    while !rest.is_empty() {
        let (until, after) = rest.split_first_chunk()?;
        let (len, after) = after.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*len))?;
        let row = Row {
            name: String::from_utf8(name.to_vec()).ok()?,
            until: Timestamp::from_unix_nanos(u64::from_be_bytes(*until)),
        };
        let ordered = rows.last().is_none_or(|last| last.name < row.name);
        if row.name.is_empty() || !ordered {
            return None;
        }
        rows.push(row);
        rest = after;
    }
    (!rows.is_empty()).then_some(rows)
}

pub(crate) fn encode(rows: &[Row]) -> Vec<u8> {
    let mut page = vec![VERSION];
    for row in rows {
        page.extend_from_slice(&row.until.as_unix_nanos().to_be_bytes());
        page.push(u8::try_from(row.name.len()).unwrap_or(u8::MAX));
        page.extend_from_slice(row.name.as_bytes());
    }
    page
}

/// No expiry: a row whose account's state does not decode is kept beyond its end.
fn put(rows: &[Row]) -> Next {
    Next::Put {
        value: Value::from(encode(rows)),
        expires_at: Timestamp::MAX,
    }
}

const LIST: Scope = Scope::new("locked-accounts");
/// Of 263 bytes at most: a full page is a quarter of what a store keeps.
const ROWS: usize = 250;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(nanos)
    }

    fn name(text: &str) -> AccountName {
        AccountName::parse(text).unwrap()
    }

    fn page(rows: &[(&str, u64)]) -> Vec<u8> {
        let row = |(name, until): &(&str, u64)| Row {
            name: (*name).to_owned(),
            until: at(*until),
        };
        encode(&rows.iter().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn refuses_bytes_that_no_page_encodes_to() {
        assert!(decode(&page(&[("a", 1), ("b", 0)])).is_some());
        let cut = |by: usize| {
            let mut bytes = page(&[("ab", 1)]);
            bytes.truncate(bytes.len() - by);
            bytes
        };
        let mut no_text = page(&[("a", 1)]);
        *no_text.last_mut().unwrap() = 0xff;
        let mut other = page(&[("a", 1)]);
        other[0] = 2;
        let cases = [
            ("nothing", vec![]),
            ("a version alone", vec![1]),
            ("another version", other),
            ("a name cut short", cut(1)),
            ("no name", cut(2)),
            ("no length", cut(3)),
            ("an instant cut short", cut(4)),
            ("an empty name", page(&[("", 1)])),
            ("a name that is no text", no_text),
            ("names out of order", page(&[("b", 1), ("a", 1)])),
            ("a name twice", page(&[("a", 1), ("a", 2)])),
        ];
        for (what, bytes) in cases {
            assert_eq!(decode(&bytes), None, "{what}");
            let corrupt = (Err(IndexError::Corrupt(LIST)), Next::Keep);
            assert_eq!(with(Some(&bytes), &name("c"), at(9)), corrupt, "{what}");
            let names = ["a".to_owned()];
            assert_eq!(without(Some(&bytes), &names, at(9)), corrupt, "{what}");
        }
    }

    #[test]
    fn a_full_page_refuses_and_still_makes_a_row_last() {
        let names: Vec<String> = (0..ROWS).map(|row| format!("x{row:03}")).collect();
        let full: Vec<_> = names.iter().map(|name| (name.as_str(), 5)).collect();
        let full = page(&full);
        let refused = (Err(IndexError::Full(LIST)), Next::Keep);
        assert_eq!(with(Some(&full), &name("alice"), at(9)), refused);
        let (answer, next) = with(Some(&full), &name("x007"), at(9));
        assert_eq!(answer, Ok(()));
        assert!(matches!(next, Next::Put { value, .. } if value.check().is_ok()));
    }

    #[test]
    fn the_fullest_page_is_a_value_that_a_store_keeps() {
        let names: Vec<String> = (0..ROWS).map(|row| format!("{row:0>254}")).collect();
        let full: Vec<_> = names.iter().map(|name| (name.as_str(), 5)).collect();
        assert_eq!(Value::from(page(&full)).check(), Ok(()));
    }

    proptest! {
        #[test]
        fn a_page_behaves_as_a_map_whose_rows_only_time_takes_out(acts in proptest::collection::vec((any::<bool>(), "[a-d]", 0_u64..20), 0..40)) {
            let (mut held, mut model): (Option<Vec<u8>>, BTreeMap<String, u64>) = (None, BTreeMap::new());
            for (add, who, time) in acts {
                let (answer, next) = if add {
                    let until = model.entry(who.clone()).or_default();
                    *until = time.max(*until);
                    with(held.as_deref(), &name(&who), at(time))
                } else {
                    model.retain(|name, until| *name != who || time < *until);
                    without(held.as_deref(), &[who], at(time))
                };
                prop_assert_eq!(answer, Ok(()));
                match next {
                    Next::Put { value, .. } => held = Some(value.as_bytes().to_vec()),
                    Next::Remove => held = None,
                    Next::Keep | Next::Settled => {}
                }
                let rows: Vec<_> = model.iter().map(|(name, until)| (name.as_str(), *until)).collect();
                prop_assert_eq!(held.clone(), (!rows.is_empty()).then(|| page(&rows)));
            }
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(rows in proptest::collection::vec((any::<u64>(), 0_u8..3, "[a-c]{0,2}"), 0..4)) {
            let mut bytes = vec![VERSION];
            for (until, len, name) in rows {
                bytes.extend(until.to_be_bytes());
                bytes.push(len);
                bytes.extend(name.bytes());
            }
            if let Some(rows) = decode(&bytes) {
                prop_assert_eq!(encode(&rows), bytes);
            }
        }
    }
}
