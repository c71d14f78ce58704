//! What stands in the store, looked at and put there past the guard.

use portcullis_core::{Key, Next, Scope, Store, Timestamp, Value};

use super::NOW;

/// How many rows there are, of live locks and of others.
pub async fn rows(store: &impl Store) -> usize {
    let mut rows = 0;
    for page in 0..64 {
        let step = |page: Option<&[u8]>| (page.map(<[u8]>::to_vec), Next::Keep);
        let page = store.update(page_key(page), NOW, step).await.unwrap();
        let page = page.unwrap_or_default();
        let mut rest = page.get(1..).unwrap_or_default();
        while let Some((len, after)) = rest.get(8..).and_then(<[u8]>::split_first) {
            rest = after.get(usize::from(*len)..).unwrap();
            rows += 1;
        }
    }
    rows
}

/// Fills every page with accounts that are locked until then.
pub async fn fill(store: &impl Store, until: Timestamp) {
    let until = until.as_unix_nanos().to_be_bytes();
    let lock = [&[1, 1][..], &until].concat();
    for page in 0..64 {
        let mut bytes = vec![1];
        for row in 0..250 {
            let account = filler(page, row);
            bytes.extend_from_slice(&until);
            bytes.push(6);
            bytes.extend_from_slice(account.as_bytes());
            put(store, account_key(&account), &lock).await;
        }
        put(store, page_key(page), &bytes).await;
    }
}

pub fn filler(page: u8, row: u8) -> String {
    format!("x{page:02}{row:03}")
}

pub fn account_key(account: &str) -> Key {
    Key::new(Scope::new("lockout"), account.as_bytes())
}

pub fn page_key(page: u8) -> Key {
    Key::new(Scope::new("locked-accounts"), &[page])
}

pub async fn put(store: &impl Store, key: Key, bytes: &[u8]) {
    let value = Value::new(bytes);
    let step = move |_: Option<&[u8]>| {
        let next = Next::Put {
            value: value.clone(),
            expires_at: Timestamp::MAX,
        };
        ((), next)
    };
    store.update(key, NOW, step).await.unwrap();
}
