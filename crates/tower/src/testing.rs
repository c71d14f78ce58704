//! The bodies of this crate's fuzz targets.

use portcullis_core::Secret;
use portcullis_session::SessionId;

use crate::cookie::form::csrf_field;
use crate::cookie::token::{Holder, ID_LEN, Keyed, Presented};

/// The body of `cookie_value`: the first byte says whether the rest is a text as it stands, or the name of
/// a visitor or a session: a place, what is put there, and the name, filled up with zeros.
///
/// Bytes that parse are spelled in the one way their parts are, and are somebody's only if the tag says
/// so. A cookie that was made is its holder's; under another key, or of the same name but the other kind,
/// or with one byte changed or gone, it is nobody's.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_cookie_value(data: &[u8]) {
    let (Some(keyed), Some(other)) = (keyed(7), keyed(8)) else {
        return;
    };
    match data {
        [kind, text @ ..] if kind % 3 == 0 => judged(&keyed, text),
        [kind, at, to, name @ ..] => {
            let (at, id) = (usize::from(at % 71), filled(name));
            let session = Holder::Session(SessionId::from_bytes(id));
            let (holder, turned) = match kind % 3 {
                1 => (Holder::Visitor(id), session),
                _ => (session, Holder::Visitor(id)),
            };
            let made = keyed.cookie(holder);
            assert!(keyed.holder(made.as_bytes()) == Some(holder));
            assert!(other.holder(made.as_bytes()).is_none());
            judged(&keyed, made.as_bytes());
            for changed in [
                turned_into(turned, made.as_bytes()),
                with(at, *to, made.as_bytes()),
                without(at, made.as_bytes()),
            ] {
                assert!(keyed.holder(&changed).is_none(), "a changed cookie passed");
                judged(&keyed, &changed);
            }
        }
        _ => {}
    }
}

fn judged(keyed: &Keyed, text: &[u8]) {
    let known = keyed.holder(text);
    let Some(presented) = Presented::parse(text) else {
        assert!(known.is_none());
        return;
    };
    assert_eq!(presented.text().as_bytes(), text);
    let made = keyed.cookie(presented.holder).as_bytes() == text;
    assert_eq!(known.is_some(), made);
    assert!(known.is_none_or(|known| known == presented.holder));
}

/// The same tag under another holder's name.
fn turned_into(holder: Holder, made: &[u8]) -> Vec<u8> {
    let presented = Presented::parse(made).map(|mut presented| {
        presented.holder = holder;
        presented.text().as_bytes().to_vec()
    });
    presented.unwrap_or_default()
}

fn with(at: usize, to: u8, made: &[u8]) -> Vec<u8> {
    let mut changed = made.to_vec();
    if let Some(byte) = changed.get_mut(at) {
        *byte = if *byte == to { to ^ 1 } else { to };
    }
    changed
}

fn without(at: usize, made: &[u8]) -> Vec<u8> {
    let (before, after) = made.split_at_checked(at).unwrap_or_default();
    [before, after.get(1..).unwrap_or_default()].concat()
}

fn filled(name: &[u8]) -> [u8; ID_LEN] {
    let mut id = [0; ID_LEN];
    for (place, byte) in id.iter_mut().zip(name) {
        *place = *byte;
    }
    id
}

fn keyed(byte: u8) -> Option<Keyed> {
    Keyed::new(&Secret::from(vec![byte; 32]))
}

/// The body of `csrf_form`: a form has one token or none, and a second one, before or behind, takes the
/// first one's word away.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_csrf_form(data: &[u8]) {
    let found = csrf_field(data);
    let before = csrf_field(&[b"csrf_token=x&", data].concat());
    let behind = csrf_field(&[data, b"&csrf_token=x"].concat());
    assert_eq!(before, behind);
    assert!(found.is_none() || before.is_none());
    assert!(before.is_none_or(|value| value == b"x"));
}
