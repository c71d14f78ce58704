//! The bodies of this crate's fuzz targets.

use data_encoding::BASE64URL_NOPAD;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use portcullis_core::Secret;
use portcullis_session::SessionId;

use crate::cookie::form::csrf_field;
use crate::cookie::request::cookie;
use crate::cookie::token::{Holder, ID_LEN, Keyed, Presented, parse_csrf};

/// The body of `cookie_value`: the first byte says whether the rest is a text as it stands, or the name of
/// a visitor or a session: a place, what is put there, and the name, filled up with zeros.
///
/// Bytes that parse are spelled in the one way their parts are, and are somebody's only if the tag says
/// so. A cookie that was made is its holder's; under another key, or of the same name but the other kind,
/// or with one byte changed or gone, it is nobody's. The text, or the name, is read as `Cookie` lines too:
/// of one cookie there is a value, of more there is none.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_cookie_value(data: &[u8]) {
    let (Some(keyed), Some(other)) = (keyed(7), keyed(8)) else {
        return;
    };
    match data {
        [kind, text @ ..] if kind % 3 == 0 => {
            judged(&keyed, text);
            judged_in_lines(&keyed, Holder::Visitor(filled(text)), text);
        }
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
            judged_in_lines(&keyed, holder, name);
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

/// `text` as the lines of a `Cookie` header, alone and with the holder's cookie before and behind it.
fn judged_in_lines(keyed: &Keyed, holder: Holder, text: &[u8]) {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let alone = cookie_lines(&lines);
    let pairs = alone.get_all(COOKIE).iter();
    let pairs = pairs.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let ours = pairs.filter(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        pair.contains(&b'=') && name.trim_ascii_start() == NAME.as_bytes()
    });
    let ours = ours.count();
    let shown = cookie(&alone, NAME);
    assert_eq!(shown.is_some(), ours == 1, "{ours} cookies of that name");
    if let Some(value) = shown {
        assert!(!value.contains(&b';') && value.trim_ascii_end() == value);
        judged(keyed, value);
    }

    let made = keyed.cookie(holder);
    let pair = [NAME.as_bytes(), b"=", made.as_bytes()].concat();
    let valid = alone.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let all: Vec<&[u8]> = std::iter::once(pair.as_slice()).chain(valid).collect();
    let in_one = all.join(b"; ".as_slice());
    for lines in [
        [&[pair.as_slice()], lines.as_slice()].concat(),
        [lines.as_slice(), &[pair.as_slice()]].concat(),
        vec![in_one.as_slice()],
    ] {
        let both = cookie_lines(&lines);
        let known = cookie(&both, NAME).and_then(|value| keyed.holder(value));
        assert!(known == (ours == 0).then_some(holder), "not the one cookie");
    }
}

fn cookie_lines(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    headers
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

fn filled<const LEN: usize>(name: &[u8]) -> [u8; LEN] {
    let mut id = [0; LEN];
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
/// A token that parses is spelled in the one way its parts are, and is a holder's only if it is what is made
/// for that holder under its mask: so of the bytes, of the field they have, and of a token made from them.
/// That one, sent in a form with the bytes, is read as it was made; under another key, for another holder,
/// or with one byte changed or gone, it is no token.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_csrf_form(data: &[u8]) {
    let found = csrf_field(data);
    let before = csrf_field(&[b"csrf_token=x&", data].concat());
    let behind = csrf_field(&[data, b"&csrf_token=x"].concat());
    assert_eq!(before, behind);
    assert!(found.is_none() || before.is_none());
    assert!(before.as_ref().is_none_or(|value| value == b"x"));

    let (Some(keyed), Some(other)) = (keyed(7), keyed(8)) else {
        return;
    };
    judged_token(&keyed, data);
    judged_token(&keyed, found.as_deref().unwrap_or_default());

    let [holder, others @ ..] = holders();
    let made = keyed.csrf(holder, filled(data));
    let made = made.expose().as_bytes();
    judged_token(&keyed, made);
    assert!(keyed.is_csrf(holder, made) && !other.is_csrf(holder, made));
    assert!(!others.iter().any(|other| keyed.is_csrf(*other, made)));
    let sent = csrf_field(&[b"csrf_token=", made, b"&", data].concat());
    assert_eq!(sent.as_deref(), before.map(|_| made));
    let (at, to) = match data {
        [at, to, ..] => (usize::from(at % 86), *to),
        _ => (0, 0),
    };
    for changed in [with(at, to, made), without(at, made)] {
        assert!(!keyed.is_csrf(holder, &changed), "a changed token passed");
        judged_token(&keyed, &changed);
    }
}

fn judged_token(keyed: &Keyed, text: &[u8]) {
    let parsed = parse_csrf(text);
    if let Some((mask, shown)) = parsed {
        let spelled = BASE64URL_NOPAD.encode(&[mask, shown].concat());
        assert_eq!(spelled.as_bytes(), text);
    }
    for holder in holders() {
        let made = parsed.map(|(mask, _)| keyed.csrf(holder, mask));
        let is_made = made.is_some_and(|made| made.expose().as_bytes() == text);
        assert_eq!(keyed.is_csrf(holder, text), is_made);
    }
}

fn holders() -> [Holder; 3] {
    let id = [3; ID_LEN];
    let session = |id| Holder::Session(SessionId::from_bytes(id));
    [session(id), Holder::Visitor(id), session([4; ID_LEN])]
}

/// What the cookie is called here.
const NAME: &str = "portcullis";
