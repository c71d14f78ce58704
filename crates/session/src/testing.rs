//! The bodies of this crate's fuzz targets.

mod acts;

use portcullis_core::{Next, Secret, Timestamp};

use crate::decide;
use crate::state::{Record, Row};
use crate::token::{Keyed, Presented};
use crate::{Factor, Method, Revocation, SessionId, SessionPolicy};

pub use acts::fuzz_session_acts;

/// The body of `session_row`: bytes that decode encode to the same bytes, every decision on them
/// leaves bytes that decode, and once they have expired each decides as on none.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_session_row(data: &[u8]) {
    let record = Record::decode(data);
    let ends = record.as_ref().map_or(Timestamp::MAX, Record::expires_at);
    if let Some(record) = &record {
        assert_eq!(record.encode(), data);
    }
    let rotated = match &record {
        Some(Record::Session(row)) => row.rotated,
        _ => Timestamp::UNIX_EPOCH,
    };
    for now in [Timestamp::UNIX_EPOCH, rotated, ends, Timestamp::MAX] {
        let session = SessionId::from_bytes([0; 16]);
        let factor = Factor::new(Method::Totp, now);
        let policy = SessionPolicy::default();
        let (live, _) = decide::live(Some(data), session, now);
        assert!(live.is_err() || now < ends);
        check(&decide::add_factor(Some(data), session, factor, now).1);
        check(&decide::revoke(Some(data), Revocation::SignedOut, now).1);
        check(&decide::revoke_listed(Some(data), Revocation::AllSignedOut, now).1);
        check(&decide::inspect(Some(data), now, &policy, now).1);
        refresh(data, record.as_ref(), now, ends);
        touch(data, record.as_ref(), now);
        if record.is_some() && now >= ends {
            decides_like_none(data, now);
        }
    }
}

fn decides_like_none(data: &[u8], now: Timestamp) {
    let session = SessionId::from_bytes([0; 16]);
    let why = Revocation::SignedOut;
    let factor = Factor::new(Method::Totp, now);
    let policy = SessionPolicy::default();
    assert!(decide::live(Some(data), session, now) == decide::live(None, session, now));
    assert!(decide::revoke(Some(data), why, now) == decide::revoke(None, why, now));
    assert!(decide::revoke_listed(Some(data), why, now) == decide::revoke_listed(None, why, now));
    assert!(
        decide::inspect(Some(data), now, &policy, now) == decide::inspect(None, now, &policy, now)
    );
    assert!(
        decide::add_factor(Some(data), session, factor, now)
            == decide::add_factor(None, session, factor, now)
    );
    assert!(
        decide::touch(Some(data), session, &policy, now)
            == decide::touch(None, session, &policy, now)
    );
}

/// Touches the row: alive it stays what it was with an end that is not nearer, and dead it stays dead.
fn touch(data: &[u8], record: Option<&Record>, now: Timestamp) {
    let session = SessionId::from_bytes([0; 16]);
    let (answer, next) = decide::touch(Some(data), session, &SessionPolicy::default(), now);
    check(&next);
    assert_eq!(
        answer.is_ok(),
        decide::live(Some(data), session, now).0.is_ok()
    );
    assert!(answer.is_ok() || next == Next::Keep);
    if let (Ok(after), Some(Record::Session(row))) = (answer, record) {
        assert!(row.idle <= after.idle && after.idle <= row.absolute);
        assert!(
            after
                == Row {
                    idle: after.idle,
                    ..row.clone()
                }
        );
    }
}

/// Shows the row tokens of every age.
fn refresh(data: &[u8], record: Option<&Record>, now: Timestamp, ends: Timestamp) {
    let (Some(Record::Session(row)), Some(keyed)) =
        (record, Keyed::new(&Secret::from(vec![7; 32])))
    else {
        return;
    };
    let session = SessionId::from_bytes([0; 16]);
    for back in [-1_i64, 0, 1, 2] {
        let counter = row.counter.saturating_add_signed(back.saturating_neg());
        let token = keyed.token(session, counter, &row.nonce);
        let Some(presented) = Presented::parse(token.expose()) else {
            continue;
        };
        let policy = SessionPolicy::default();
        let (answer, next) = decide::refresh(Some(data), &presented, &keyed, &policy, now);
        check(&next);
        assert!(answer.is_err() || now < ends);
        assert!(answer.is_err() || row.revoked.is_none());
    }
}

fn check(next: &Next) {
    if let Next::Put { value, expires_at } = next {
        let left = Record::decode(value.as_bytes());
        assert_eq!(left.map(|record| record.expires_at()), Some(*expires_at));
    }
}

/// The body of `refresh_token`: a text that parses is spelled in the one way its parts are; and the token
/// of a session, counter and nonce made of the data is known again, by that key and nonce alone, and not
/// once one of its characters has changed.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_refresh_token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(presented) = Presented::parse(text)
    {
        assert_eq!(presented.text().expose(), text);
    }
    let key = |byte| Keyed::new(&Secret::from(vec![byte; 32]));
    let (Some(keyed), Some(other), Some((session, rest))) =
        (key(7), key(8), data.split_first_chunk())
    else {
        return;
    };
    let (Some((counter, rest)), Some(nonce)) = (rest.split_first_chunk(), rest.last_chunk()) else {
        return;
    };
    let (session, counter) = (
        SessionId::from_bytes(*session),
        u64::from_be_bytes(*counter),
    );
    let token = keyed.token(session, counter, nonce);
    let text = token.expose();
    let Some(read) = Presented::parse(text) else {
        assert_eq!(Some(text), None, "what was made is not read");
        return;
    };
    assert_eq!((read.session, read.counter), (session, counter));
    assert!(keyed.made(&read, nonce) && !other.made(&read, nonce));
    let mut another = *nonce;
    another[0] ^= 1;
    assert!(!keyed.made(&read, &another));
    if let [place, put, ..] = rest
        && let Some(place) = usize::from(*place).checked_rem(text.len())
    {
        let mut changed = text.as_bytes().to_vec();
        changed.splice(place..place.saturating_add(1), [*put]);
        let changed = String::from_utf8(changed).unwrap_or_default();
        let known = Presented::parse(&changed).is_some_and(|read| keyed.made(&read, nonce));
        assert_eq!(known, changed == text);
    }
}

/// The body of `session_id`: a text that parses is the one spelling of its id, and every id's text
/// parses.
///
/// # Panics
/// When it is not, or does not.
pub fn fuzz_session_id(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(session) = text.parse::<SessionId>()
    {
        assert_eq!(session.to_string(), text);
    }
    if let Some((bytes, _)) = data.split_first_chunk() {
        let session = SessionId::from_bytes(*bytes);
        assert_eq!(session.to_string().parse(), Ok(session));
    }
}
