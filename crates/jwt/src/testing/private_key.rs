//! The body of the fuzz target for RSA keys that sign.

use portcullis_core::Secret;

use crate::der::{self, Numbers};
use crate::pem::{self, Block};
use crate::{RsaPrivateKey, RsaPublicKey};

/// The body of the fuzz target `rsa_private_key_pem`: a text that begins as PEM does is read as it
/// stands. Else the first byte says what the others are: a key in PKCS#8, or in PKCS#1; the numbers in
/// PKCS#1, written into both forms; or changes to a good key's numbers, of four bytes each: which number,
/// two for a place, and what is flipped there. Of the three others DER alone is read, unless that byte has its 4.
///
/// What either reader of DER accepts is its only spelling, and has the numbers that a lax reader finds.
/// A key that is made signs, for the public half of these numbers; both forms make the same one; and
/// another modulus or exponent than belongs to the others makes none.
///
/// # Panics
/// When that does not hold.
pub fn fuzz_rsa_private_key_pem(data: &[u8]) {
    if data.starts_with(b"-----") {
        if let Ok(text) = std::str::from_utf8(data) {
            let _ = read(text);
        }
        return;
    }
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    // To make a key of DER is far dearer than to read it.
    let look = if form & 4 == 0 { only_spelling } else { read };
    match form % 4 {
        0 => drop(look(&pem::write(PKCS8, rest))),
        1 => drop(look(&pem::write(PKCS1, rest))),
        2 => drop(both(look, &der::written(der::SEQUENCE, rest))),
        _ => change_numbers(rest),
    }
}

fn both(look: fn(&str) -> Option<String>, pkcs1: &[u8]) -> Option<String> {
    let one = look(&pem::write(PKCS1, pkcs1));
    let other = look(&pem::write(PKCS8, &pkcs8(pkcs1)));
    assert_eq!(one, other, "the two forms of one key differ");
    one
}

fn change_numbers(changes: &[u8]) {
    let good = Block::read(ALICE).and_then(|block| block.decode()).ok();
    let numbers = good.as_ref().and_then(|der| numbers_of(der.expose()));
    let good: Vec<Vec<u8>> = numbers.iter().flatten().map(|it| it.to_vec()).collect();
    assert_eq!(good.len(), NUMBERS, "the good key is not read");
    let mut changed = good.clone();
    for change in changes.chunks_exact(4) {
        let &[number, high, low, by] = change else {
            continue;
        };
        let number = changed.get_mut(usize::from(number) % NUMBERS);
        let place = usize::from(u16::from_be_bytes([high, low]));
        let byte = number.and_then(|number| {
            let place = place.checked_rem(number.len())?;
            number.get_mut(place)
        });
        if let Some(byte) = byte {
            *byte ^= by;
        }
    }
    let made = both(read, &pkcs1(changed.iter().map(|number| magnitude(number))));
    let foreign = changed.get(..2) != good.get(..2);
    assert!(
        !foreign || made.is_none(),
        "the halves of a key are foreign"
    );
    assert!(changed != good || made.is_some(), "the good key is refused");
}

/// The public half of a key that is made, as a block, after another look.
#[expect(clippy::expect_used, reason = "a fuzz body may panic")]
fn read(text: &str) -> Option<String> {
    let spelled = only_spelling(text);
    let key = RsaPrivateKey::from_pem(Secret::from(text.to_owned())).ok()?;
    let public = key.public();
    let spelled = spelled.expect("a key was made of what no reader of DER accepts");
    assert_eq!(
        Ok(&public),
        RsaPublicKey::from_pem(&spelled).as_ref(),
        "the public half has other numbers"
    );
    assert!((2048..=4096).contains(&public.bits()), "out of bounds");
    let signature = key.sign(text.as_bytes()).expect("a key that signs");
    assert!(
        super::check_rsa(&public, text.as_bytes(), &signature),
        "the halves of a key are foreign"
    );
    Some(spelled)
}

/// The public half's block, of the numbers that another reader finds in what ours accepts.
#[expect(clippy::expect_used, reason = "a fuzz body may panic")]
fn only_spelling(text: &str) -> Option<String> {
    let block = Block::read(text).ok()?;
    let decoded = block.decode().ok()?;
    let inner = match block.label {
        PKCS8 => {
            let inner = der::private_pkcs1_of_pkcs8(decoded.expose()).ok()?;
            assert_eq!(pkcs8(inner), decoded.expose(), "a second spelling was read");
            inner
        }
        PKCS1 => decoded.expose(),
        _ => return None,
    };
    let read = Numbers::of_private_pkcs1(inner).ok()?;
    let numbers = numbers_of(inner).expect("no eight numbers were read");
    let spelled = pkcs1(numbers.iter().copied());
    assert_eq!(spelled, inner, "a second spelling was read");
    let [modulus, exponent, ..] = numbers;
    assert_eq!(read, Numbers { modulus, exponent }, "other numbers");
    Some(pem::write("RSA PUBLIC KEY", &read.pkcs1()))
}

fn pkcs8(pkcs1: &[u8]) -> Vec<u8> {
    let algorithm = der::written(der::SEQUENCE, der::RSA_ENCRYPTION);
    let key = der::written(der::OCTET_STRING, pkcs1);
    der::written(
        der::SEQUENCE,
        &[der::VERSION_ZERO, &algorithm, &key].concat(),
    )
}

fn pkcs1<'a>(numbers: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut inner = der::VERSION_ZERO.to_vec();
    for number in numbers {
        inner.extend(der::written(der::INTEGER, &der::positive(number)));
    }
    der::written(der::SEQUENCE, &inner)
}

/// The numbers behind the version, by a reader that minds no spelling and no sign.
fn numbers_of(pkcs1: &[u8]) -> Option<[&[u8]; NUMBERS]> {
    let (_, inner) = *elements(pkcs1).first()?;
    let elements = elements(inner);
    let numbers: Vec<_> = elements
        .iter()
        .skip(1)
        .map(|(_, number)| magnitude(number))
        .collect();
    numbers.try_into().ok()
}

/// Elements in a row, tag and content, whichever way their lengths are written.
fn elements(mut input: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let [tag, first, rest @ ..] = input {
        let long = match *first {
            0..=0x80 => 0,
            long => usize::from(long & 0x7f),
        };
        let Some((bytes, rest)) = rest.split_at_checked(long) else {
            break;
        };
        let short = if long == 0 { usize::from(*first) } else { 0 };
        let length = bytes.iter().fold(short, |length, byte| {
            length.saturating_mul(256).saturating_add((*byte).into())
        });
        let Some((content, after)) = rest.split_at_checked(length) else {
            break;
        };
        found.push((*tag, content));
        input = after;
    }
    found
}

fn magnitude(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

const PKCS8: &str = "PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";
const ALICE: &str = include_str!("../../tests/keys/alice.traditional.pem");
/// Modulus, public exponent, and the six that are private.
const NUMBERS: usize = 8;
