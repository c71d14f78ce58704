//! Forms that are good for one sending.
//!
//! What answers with a secret cannot answer with a redirect, and a browser that loads such a page again
//! sends its form again: it must not make a second key by that.

use std::time::Duration;

use data_encoding::HEXLOWER;
use portcullis::core::{Key, Next, Reason, Scope, Store, Timestamp, Value, entropy};

use crate::answer::No;
use crate::app::App;

/// The number of a form that is about to be shown.
pub(crate) fn number() -> Result<String, No> {
    let random = entropy::<16>().map_err(|_| Reason::Internal)?;
    Ok(HEXLOWER.encode(&random))
}

/// Notes that the form of that number was sent; whether it is the first time.
pub(crate) async fn first_sent(app: &App, number: &str, now: Timestamp) -> Result<bool, No> {
    let digits = number.bytes().all(|byte| byte.is_ascii_hexdigit());
    if number.len() != DIGITS || !digits {
        return Err(No::content("The form lacks a field. Load the page again."));
    }
    let sent = Next::Put {
        value: Value::from(vec![SENT_ONCE]),
        expires_at: now.saturating_add(REMEMBERED),
    };
    let note = move |current: Option<&[u8]>| match current {
        Some(_) => (false, Next::Keep),
        None => (true, sent.clone()),
    };
    let key = Key::new(SENT, number.as_bytes());
    Ok(app.store.update(key, now, note).await?)
}

const SENT: Scope = Scope::new("form-sent");
/// A record has something in it.
const SENT_ONCE: u8 = 1;
const DIGITS: usize = 32;
/// Longer than a page with a secret is likely to stay open.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
