//! A key's requests one after another, beside a plain list of those that were taken.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_core::{Next, Timestamp};

use crate::Error;
use crate::decide::Claim;
use crate::policy::{SPAN_SECS, Window, over_at};

/// The body of the fuzz target `signed_request_acts`: the first byte is how many requests are remembered,
/// then each three are which nonce a request has, how far its timestamp lies from now, and how long to wait
/// before it.
///
/// No request is taken twice, nor a nonce while an earlier one of it could still be sent; no more than that
/// many are remembered at once; and a key is told that there are too many only if there were.
///
/// # Panics
/// When one of those does not hold.
pub fn fuzz_signed_request_acts(data: &[u8]) {
    let Some((most, acts)) = data.split_first() else {
        return;
    };
    let mut key = Key {
        most: (most % 8).saturating_add(1),
        now: Timestamp::from_unix_secs(1_700_000_000),
        count: None,
        seen: BTreeMap::new(),
        taken: Vec::new(),
    };
    for [nonce, off, wait] in acts.as_chunks().0 {
        let wait = WAITS_SECS.get(usize::from(wait % 8)).copied();
        let wait = Duration::from_secs(wait.unwrap_or_default());
        key.now = key.now.saturating_add(wait);
        let off = OFFS_SECS.get(usize::from(off % 8)).copied();
        let secs = key
            .now
            .as_unix_secs()
            .saturating_add_signed(off.unwrap_or_default());
        key.request(nonce % 8, Timestamp::from_unix_secs(secs));
    }
}

struct Key {
    most: u8,
    now: Timestamp,
    count: Option<Held>,
    seen: BTreeMap<u8, Held>,
    /// Nonces and timestamps.
    taken: Vec<(u8, Timestamp)>,
}

type Held = (Vec<u8>, Timestamp);

impl Key {
    /// What a guard does with a request whose signature holds.
    fn request(&mut self, nonce: u8, timestamp: Timestamp) {
        let claim = Claim {
            timestamp,
            window: WINDOW,
            made_at: None,
        };
        if claim.admit(Timestamp::UNIX_EPOCH, self.now).is_err() {
            return;
        }
        let most = u32::from(self.most);
        self.expire();
        let (counted, next) = claim.count(bytes_of(self.count.as_ref()), most, self.now);
        take(&mut self.count, next);
        match counted {
            Ok(()) => {}
            Err(Error::TooMany { .. }) => return self.had_many(),
            Err(other) => return assert_eq!(None, Some(other), "counted or too many"),
        }
        let mut held = self.seen.remove(&nonce);
        let (noted, next) = claim.note(bytes_of(held.as_ref()), self.now);
        take(&mut held, next);
        if let Some(held) = held {
            self.seen.insert(nonce, held);
        }
        let before = |(known, at): &&(u8, Timestamp)| *known == nonce && self.now < over_at(*at);
        let is_replay = self.taken.iter().any(|taken| before(&taken));
        assert_eq!(
            noted,
            if is_replay {
                Err(Error::Replayed)
            } else {
                Ok(())
            }
        );
        if noted.is_err() {
            let ((), next) = claim.uncount(bytes_of(self.count.as_ref()), self.now);
            take(&mut self.count, next);
            return;
        }
        assert!(!self.taken.contains(&(nonce, timestamp)), "taken twice");
        self.taken.push((nonce, timestamp));
        let live = self.taken.iter().filter(|(_, at)| self.now < over_at(*at));
        assert!(
            live.count() <= usize::from(self.most),
            "more are remembered"
        );
    }

    /// Two spans count, and the present one is not over.
    fn had_many(&self) {
        let spans = Duration::from_secs(SPAN_SECS.saturating_mul(3));
        let since = self.now.saturating_sub(spans);
        let lately = self.taken.iter().filter(|(_, at)| since <= *at);
        assert!(lately.count() >= usize::from(self.most), "too many of none");
    }

    /// As a store does.
    fn expire(&mut self) {
        let now = self.now;
        self.count = self.count.take().filter(|(_, ends)| now < *ends);
        self.seen.retain(|_, (_, ends)| now < *ends);
    }
}

fn bytes_of(held: Option<&Held>) -> Option<&[u8]> {
    held.map(|(bytes, _)| bytes.as_slice())
}

fn take(held: &mut Option<Held>, next: Next) {
    match next {
        Next::Put { value, expires_at } => *held = Some((value.as_bytes().to_vec(), expires_at)),
        Next::Remove => *held = None,
        Next::Keep | Next::Settled => {}
    }
}

/// As wide as a policy may be.
const WINDOW: Window = Window {
    skew: Duration::from_secs(900),
    ahead: Duration::from_secs(60),
};
const OFFS_SECS: [i64; 8] = [0, 0, 1, 60, -1, -300, -899, -900];
/// Around the end of what is remembered, and of a span.
const WAITS_SECS: [u64; 8] = [0, 0, 1, 60, 840, 901, 961, 3_000];
