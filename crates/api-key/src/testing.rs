//! The bodies of this crate's fuzz targets.

use std::fmt::Debug;
use std::time::Duration;

use portcullis_core::{Next, Timestamp};
use zeroize::Zeroizing;

use crate::decide::{self, Act, Shown};
use crate::key::Digest;
use crate::state::Record;
use crate::{ApiKey, Environment, KeyId, Policy};

/// The body of the fuzz target `api_key_text`: a text that is read as a key is spelled as that key is, and
/// its parts are read back; so is a key made of the data, and not with one of its characters changed.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_api_key_text(data: &[u8]) {
    made_of(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<KeyId>() {
        assert_eq!(id.to_string(), text);
    }
    let Ok(key) = ApiKey::parse(text) else {
        return;
    };
    assert_eq!((key.expose(), text.len()), (text, ApiKey::LEN));
    assert_eq!(key.id().to_string().parse(), Ok(key.id()));
    assert!(text.contains(&format!("_{}_{}_", key.environment(), key.id())));
    assert!(!format!("{key:?}").contains(text.get(33..).unwrap_or(text)));
}

/// A checksum is no secret, but it keeps whatever does not know it from coming far.
fn made_of(data: &[u8]) {
    let Some(([place, put], rest)) = data.split_first_chunk() else {
        return;
    };
    let (Some((id, _)), Some(secret)) = (rest.split_first_chunk(), rest.last_chunk()) else {
        return;
    };
    let environment = if place % 2 == 0 {
        Environment::Live
    } else {
        Environment::Test
    };
    let made = ApiKey::assemble(
        environment,
        KeyId::from_bytes(*id),
        &Zeroizing::new(*secret),
    );
    let text = made.expose();
    let read = ApiKey::parse(text);
    assert!(read.is_ok_and(|read| {
        (read.environment(), read.id(), read.digest()) == (environment, made.id(), made.digest())
    }));
    let mut changed = text.as_bytes().to_vec();
    let place = usize::from(*place).checked_rem(changed.len()).unwrap_or(0);
    changed.splice(place..place.saturating_add(1), [*put]);
    let changed = String::from_utf8(changed).unwrap_or_default();
    assert_eq!(ApiKey::parse(&changed).is_ok(), changed == text);
}

/// The body of the fuzz target `api_key_row`: the first eight bytes are the instant, the rest is what the
/// store holds. What decodes encodes to the same bytes, whatever is decided on it decodes, no secret that
/// it has no digest of is accepted, and a void that is over decides like none.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_api_key_row(data: &[u8]) {
    if let Some((nanos, held)) = data.split_first_chunk() {
        check(held, Timestamp::from_unix_nanos(u64::from_be_bytes(*nanos)));
    }
}

/// Asserts what [`fuzz_api_key_row`] says.
///
/// # Panics
/// When it does not hold.
pub(crate) fn check(held: &[u8], now: Timestamp) {
    let Ok(policy) = Policy::accepting(&[Environment::Live, Environment::Test]) else {
        return;
    };
    let record = Record::decode(held);
    if let Some(record) = &record {
        assert_eq!(record.encode(), held);
    }
    let over = match record {
        Some(Record::Void { until }) => until,
        _ => Timestamp::MAX,
    };
    for now in [Timestamp::UNIX_EPOCH, now, over, Timestamp::MAX] {
        let decided = decide_all(Some(held), record.as_ref(), &policy, now);
        for (_, next) in &decided {
            if let Next::Put { value, .. } = next {
                assert!(Record::decode(value.as_bytes()).is_some());
            }
        }
        if matches!(record, Some(Record::Void { until }) if now >= until) {
            assert_eq!(decided, decide_all(None, record.as_ref(), &policy, now));
        }
    }
}

/// What every verb answers and leaves, by those whom the row knows and by a stranger.
fn decide_all(
    current: Option<&[u8]>,
    record: Option<&Record>,
    policy: &Policy,
    now: Timestamp,
) -> Vec<(String, Next)> {
    let id = KeyId::from_bytes([7; KeyId::LEN]);
    let (mut owner, mut digests, mut environment) =
        (String::from("acme"), vec![STRANGE], Environment::Live);
    if let Some(Record::Key(row)) = record {
        owner.clone_from(&row.owner);
        environment = row.environment;
        digests.push(row.digest);
        digests.extend(row.previous.map(|previous| previous.digest));
        assert!(!digests.iter().skip(1).any(|digest| *digest == STRANGE));
    }
    let act = Act { id, owner };
    let mut all = vec![
        named("owner", decide::owner(current, now)),
        named("info", decide::info(current, id, policy, now)),
        named("standing", decide::standing(current, id, policy, now)),
        named(
            "rotate",
            decide::rotate(current, &act, STRANGE, policy, now),
        ),
        named("end_grace", decide::end_grace(current, &act, now)),
        named("revoke", decide::revoke(current, &act, policy, now)),
        named(
            "unused",
            decide::revoke_unused(current, &act, Duration::ZERO, now),
        ),
        named("forget", decide::forget(current, &act, policy, now)),
        named("vacate", decide::vacate(current, now)),
    ];
    for digest in digests {
        let shown = Shown {
            id,
            environment,
            digest,
        };
        let (answer, next) = decide::verify(current, &shown, policy, now);
        assert!(digest != STRANGE || answer.is_err());
        assert!(answer.is_ok() || next == Next::Keep);
        all.push(named("verify", (answer, next)));
    }
    all
}

fn named(verb: &str, (answer, next): (impl Debug, Next)) -> (String, Next) {
    (format!("{verb} {answer:?}"), next)
}

/// The digest of a secret that no row in the corpus has.
const STRANGE: Digest = [0xa5; 32];
