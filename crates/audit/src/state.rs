//! An event as the bytes of a record: tag (1 byte), length (2, big-endian), value; tags ascending.
//!
//! What decodes encodes to the same bytes: no tag twice, none unknown, nothing left over.

use std::borrow::Cow;
use std::net::IpAddr;

use portcullis_core::Timestamp;

use crate::event::{Address, MAX_NAME_BYTES, is_name};
use crate::{Action, Event, Field};

/// An event's bytes, but for what its record's time decides. Made where the event is, so that the one
/// thread that writes copies them and no more.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) at: Timestamp,
    bytes: Vec<u8>,
}

impl Encoded {
    pub(crate) fn of(event: &Event) -> Self {
        let mut bytes = Vec::with_capacity(encoded_len(event));
        put(&mut bytes, ACTION, &[&[event.action.code()]]);
        if let Some(Address { ip, source }) = &event.address {
            let source = source.as_bytes();
            match ip {
                IpAddr::V4(ip) => put(&mut bytes, ADDRESS, &[&[4], &ip.octets(), source]),
                IpAddr::V6(ip) => put(&mut bytes, ADDRESS, &[&[6], &ip.octets(), source]),
            }
        }
        if let Some(reason) = &event.reason {
            put(&mut bytes, REASON, &[reason.as_bytes()]);
        }
        for (tag, text) in (FIRST_TEXT..).zip(&event.texts) {
            if let Some(text) = text {
                put(&mut bytes, tag, &[text.as_bytes()]);
            }
        }
        Self {
            at: event.at,
            bytes,
        }
    }

    /// Appends the bytes of a record of `time`: the event's own time is kept beside it when its clock
    /// ran behind the chain's.
    pub(crate) fn put(&self, time: Timestamp, out: &mut Vec<u8>) {
        let (action, rest) = self.bytes.split_at_checked(ACTION_LEN).unwrap_or_default();
        out.extend_from_slice(action);
        if self.at < time {
            put(out, OBSERVED, &[&self.at.as_unix_nanos().to_be_bytes()]);
        }
        out.extend_from_slice(rest);
    }
}

/// Appends `event`'s bytes in a record of `time`.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn encode(event: &Event, time: Timestamp, out: &mut Vec<u8>) {
    Encoded::of(event).put(time, out);
}

/// At least as many bytes as they are.
fn encoded_len(event: &Event) -> usize {
    let address = event.address.as_ref().map(|address| address.source.len());
    let reason = event.reason.as_ref().map(|reason| reason.len());
    let texts = event.texts.iter().flatten().map(|text| text.len());
    let each = texts
        .chain(reason)
        .chain(address.map(|len| len.saturating_add(17)));
    each.fold(ACTION_LEN, |all, len| {
        all.saturating_add(FIELD_LEN).saturating_add(len)
    })
}

/// The event whose bytes these are, in a record of `time`.
pub(crate) fn decode(payload: &[u8], time: Timestamp) -> Option<Event> {
    let mut fields = Fields {
        rest: payload,
        last: 0,
    };
    let (ACTION, [code]) = fields.next()?? else {
        return None;
    };
    let mut event = Event::new(Action::from_code(*code)?, time);
    while let Some(field) = fields.next() {
        let (tag, value) = field?;
        match tag {
            OBSERVED => event.at = observed(value, time)?,
            ADDRESS => event.address = Some(address(value)?),
            REASON => event.reason = Some(Cow::Owned(name(value)?)),
            _ => {
                let place = usize::from(tag.checked_sub(FIRST_TEXT)?);
                let text = str::from_utf8(value).ok()?;
                let fits = text.len() <= Field::ALL.get(place)?.max_bytes();
                *event.texts.get_mut(place)? = fits.then(|| Some(text.into()))?;
            }
        }
    }
    Some(event)
}

/// The fields of a payload, strictly ascending by tag; `Some(None)` where one does not parse.
struct Fields<'a> {
    rest: &'a [u8],
    last: u8,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<Option<(u8, &'a [u8])>> {
        (!self.rest.is_empty()).then(|| self.field())
    }

    fn field(&mut self) -> Option<(u8, &'a [u8])> {
        let ([tag, high, low], rest) = self.rest.split_first_chunk()?;
        let len = u16::from_be_bytes([*high, *low]);
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        let ascending = *tag > self.last;
        (self.rest, self.last) = (rest, *tag);
        ascending.then_some((*tag, value))
    }
}

fn observed(value: &[u8], time: Timestamp) -> Option<Timestamp> {
    let at = Timestamp::from_unix_nanos(u64::from_be_bytes(value.try_into().ok()?));
    (at < time).then_some(at)
}

fn address(value: &[u8]) -> Option<Address> {
    let (family, rest) = value.split_first()?;
    let (ip, source) = match family {
        4 => rest
            .split_first_chunk::<4>()
            .map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
        6 => rest
            .split_first_chunk::<16>()
            .map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
        _ => return None,
    };
    let source = Cow::Owned(name(source)?);
    (ip == ip.to_canonical()).then_some(Address { ip, source })
}

fn name(value: &[u8]) -> Option<String> {
    let text = str::from_utf8(value).ok()?;
    is_name(text).then(|| text.to_owned())
}

/// Appends a field whose value is those parts.
fn put(out: &mut Vec<u8>, tag: u8, value: &[&[u8]]) {
    out.push(tag);
    // Every value is a capped text, a name or an address: far below 64 KiB.
    let len = value
        .iter()
        .fold(0_usize, |len, part| len.saturating_add(part.len()));
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    for part in value {
        out.extend_from_slice(part);
    }
}

/// The longest payload: every field there is, of its longest text or name. Longer names would not be read
/// back ([`is_name`]).
pub(crate) const MAX_LEN: usize = {
    let observed = FIELD_LEN + 8;
    let address = FIELD_LEN + 1 + 16 + MAX_NAME_BYTES;
    let reason = FIELD_LEN + MAX_NAME_BYTES;
    ACTION_LEN
        + observed
        + address
        + reason
        + Field::ALL.len() * FIELD_LEN
        + Field::MAX_BYTES_IN_ALL
};
/// Tag and length.
const FIELD_LEN: usize = 3;
/// The first field: its value is one byte.
const ACTION_LEN: usize = FIELD_LEN + 1;
const ACTION: u8 = 1;
const OBSERVED: u8 = 2;
const ADDRESS: u8 = 3;
const REASON: u8 = 4;
const FIRST_TEXT: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Keys, LogId};
    use crate::record::{Head, append};
    use portcullis_core::{Reason, Secret};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_700_000_000);

    fn bytes(event: &Event, time: Timestamp) -> Vec<u8> {
        let mut out = Vec::new();
        encode(event, time, &mut out);
        out
    }

    fn full() -> Event {
        let texts = "é\u{202e}\n";
        Event::new(Action::FailedLogin, NOW)
            .user(texts)
            .address("2001:db8::1".parse().unwrap(), "forwarded")
            .user_agent(texts)
            .client_system(texts)
            .geo_location(texts)
            .reason(Reason::PasswordWrong)
            .session(texts)
            .request_id(texts)
            .target("")
    }

    #[test]
    fn an_event_with_every_field_reads_back_as_it_was() {
        let later = Timestamp::from_unix_secs(1_700_000_001);
        for event in [full(), Event::new(Action::Logout, NOW)] {
            assert_eq!(decode(&bytes(&event, NOW), NOW), Some(event.clone()));
            assert_eq!(decode(&bytes(&event, later), later), Some(event));
        }
    }

    #[test]
    fn the_room_for_an_event_is_made_once_and_hardly_too_large() {
        for event in [full(), Event::new(Action::Logout, NOW)] {
            let len = Encoded::of(&event).bytes.len();
            assert!((len..len + 16).contains(&encoded_len(&event)), "{event:?}");
        }
    }

    #[test]
    fn the_longest_event_fits_into_a_record() {
        let long = "x".repeat(10_000);
        let event = Event {
            at: Timestamp::UNIX_EPOCH,
            ..full()
        }
        .user(&long)
        .user_agent(&long)
        .client_system(&long)
        .geo_location(&long)
        .session(&long)
        .request_id(&long)
        .target(&long);
        let name = "n".repeat(MAX_NAME_BYTES);
        let event = Event {
            address: Some(Address {
                ip: "2001:db8::1".parse().unwrap(),
                source: Cow::Owned(name.clone()),
            }),
            reason: Some(Cow::Owned(name)),
            ..event
        };
        let payload = bytes(&event, NOW);
        assert_eq!(payload.len(), MAX_LEN);
        const { assert!(MAX_LEN <= crate::record::MAX_PAYLOAD) };
        let keys = Keys::derive(&Secret::from([7; 32].as_slice()), LogId([1; 16]));
        let head = Head {
            sequence: 6,
            mac: [6; 32],
            time: NOW,
        };
        let mut record = Vec::new();
        append(&mut record, &keys, &head, 7, NOW, |out| {
            out.extend_from_slice(&payload);
        });
        assert_eq!(record.len(), Event::MAX_RECORD_BYTES);
    }

    #[test]
    fn refuses_every_other_spelling() {
        let cases: &[(&str, &[u8])] = &[
            ("nothing", &[]),
            ("no action", &[16, 0, 1, b'a']),
            ("unknown action", &[1, 0, 1, 99]),
            ("action of two bytes", &[1, 0, 2, 1, 1]),
            ("cut field", &[1, 0, 1]),
            ("tag twice", &[1, 0, 1, 1, 16, 0, 0, 16, 0, 0]),
            ("tags descending", &[1, 0, 1, 1, 17, 0, 0, 16, 0, 0]),
            ("unknown tag", &[1, 0, 1, 1, 5, 0, 0]),
            ("unknown text", &[1, 0, 1, 1, 99, 0, 0]),
            ("invalid UTF-8", &[1, 0, 1, 1, 16, 0, 1, 0xff]),
            ("no source", &[1, 0, 1, 1, 3, 0, 5, 4, 1, 2, 3, 4]),
            ("family 5", &[1, 0, 1, 1, 3, 0, 6, 5, 1, 2, 3, 4, b'p']),
            ("reason with a space", &[1, 0, 1, 1, 4, 0, 1, b' ']),
            ("empty reason", &[1, 0, 1, 1, 4, 0, 0]),
            (
                "observed at the record's own time",
                &[
                    1, 0, 1, 1, 2, 0, 8, 0x17, 0x97, 0x9c, 0xfe, 0x36, 0x2a, 0, 0,
                ],
            ),
        ];
        for (what, payload) in cases {
            assert_eq!(decode(payload, NOW), None, "{what}");
        }
        let mapped = [
            &[1, 0, 1, 1, 3, 0, 18, 6][..],
            &[0; 10],
            &[0xff, 0xff, 1, 2, 3, 4, b'p'],
        ]
        .concat();
        assert_eq!(decode(&mapped, NOW), None, "mapped address");
        let long = [&[1, 0, 1, 1, 16, 1, 1][..], &[b'a'; 257]].concat();
        assert_eq!(decode(&long, NOW), None, "text over its cap");
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(place in 0_usize..200, byte in any::<u8>(), cut in any::<bool>()) {
            let mut payload = bytes(&full(), Timestamp::MAX);
            let place = place.checked_rem(payload.len()).unwrap();
            payload[place] = byte;
            if cut {
                payload.truncate(place);
            }
            if let Some(event) = decode(&payload, Timestamp::MAX) {
                prop_assert_eq!(bytes(&event, Timestamp::MAX), payload);
            }
        }
    }
}
