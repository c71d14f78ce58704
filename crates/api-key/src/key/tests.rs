use super::*;
use data_encoding::HEXLOWER;
use proptest::prelude::*;

/// Python: b32 = lambda b: base64.b32encode(b).decode().rstrip("=").lower(), over
/// "portcullis_live_" + b32(bytes(range(10))) + "_" + b32(bytes(range(32))), and
/// b32(zlib.crc32(that.encode()).to_bytes(4, "big")) after it; and the same with "test".
const LIVE: &str = "portcullis_live_aaaqeayeaudaocaj_\
    aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqvamevca";
const TEST: &str = "portcullis_test_aaaqeayeaudaocaj_\
    aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqqxn6fry";

fn counted<const N: usize>() -> [u8; N] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn assembled(environment: Environment, id: [u8; 10], secret: [u8; 32]) -> ApiKey {
    ApiKey::assemble(environment, KeyId::from_bytes(id), &Zeroizing::new(secret))
}

/// The text with the checksum that belongs to it.
fn with_checksum(text: &str) -> String {
    let body = &text[..text.len() - CHECKSUM_CHARS];
    let mut whole = body.to_owned();
    base32::append(&mut whole, &crc32fast::hash(body.as_bytes()).to_be_bytes());
    whole
}

#[test]
fn a_key_is_the_text_that_another_implementation_makes_of_its_bytes() {
    for (environment, text) in [(Environment::Live, LIVE), (Environment::Test, TEST)] {
        let key = assembled(environment, counted(), counted());
        assert_eq!(key.expose(), text);
        let read = ApiKey::parse(text).unwrap();
        assert_eq!(read.environment(), environment);
        assert_eq!(read.id(), KeyId::from_bytes(counted()));
        assert_eq!(*read.secret, counted());
        assert_eq!(read.expose(), text);
    }
}

#[test]
fn what_is_kept_of_a_key_is_what_was_kept_of_it_yesterday() {
    // Python: hashlib.sha256(b"portcullis api-key secret 1" + bytes(range(10)) + bytes(range(32)))
    let kept = "339417cd508dfe369f347f339c4cbc71d156234488d8c0176ab747f037d0e1b9";
    let key = ApiKey::parse(LIVE).unwrap();
    assert_eq!(HEXLOWER.encode(&key.digest()), kept);
}

#[test]
fn what_is_kept_of_a_key_depends_on_its_id_and_on_every_byte_of_its_secret() {
    let kept = digest(KeyId::from_bytes(counted()), &counted());
    assert_ne!(digest(KeyId::from_bytes([0; 10]), &counted()), kept);
    for at in 0..SECRET_LEN {
        let mut other = counted();
        other[at] ^= 1;
        assert_ne!(digest(KeyId::from_bytes(counted()), &other), kept);
    }
}

#[test]
fn every_change_of_one_character_is_caught() {
    for good in [LIVE, TEST] {
        for at in 0..good.len() {
            for to in (0..=127_u8).map(char::from) {
                let mut text = good.to_owned();
                text.replace_range(at..=at, to.encode_utf8(&mut [0; 4]));
                assert_eq!(ApiKey::parse(&text).is_ok(), text == good, "{text}");
            }
        }
    }
}

#[test]
fn every_exchange_of_two_characters_is_caught() {
    for good in [LIVE, TEST] {
        for (one, other) in (0..good.len()).flat_map(|at| (0..at).map(move |before| (before, at))) {
            let mut text = good.as_bytes().to_vec();
            text.swap(one, other);
            let text = String::from_utf8(text).unwrap();
            assert_eq!(ApiKey::parse(&text).is_ok(), text == good, "{text}");
        }
    }
}

#[test]
fn a_text_with_the_right_checksum_that_is_no_key_is_refused() {
    let cases = [
        ("another prefix", LIVE.replace("portcullis_", "portcullis-")),
        (
            "another service's",
            LIVE.replace("portcullis", "qortcullis"),
        ),
        ("another environment", LIVE.replace("live", "prod")),
        ("an environment in capitals", LIVE.replace("live", "LIVE")),
        (
            "an id in capitals",
            LIVE.replace("aaaqeayeaudaocaj_", "AAAQEAYEAUDAOCAJ_"),
        ),
        ("a secret in capitals", LIVE.replace("_aaaqe", "_AAAQE")),
        (
            "a digit that base32 has not",
            LIVE.replace("_aaaqeayeaudaocaj_", "_aaaqeayeaudaoca1_"),
        ),
        (
            "trailing bits of the secret",
            LIVE.replace("dypqv", "dyprv"),
        ),
        ("a boundary moved", LIVE.replace("ocaj_aa", "ocaja_a")),
        ("no boundary", LIVE.replace("ocaj_aa", "ocajaaa")),
        ("a space", LIVE.replace("_aaaqe", "_ aaqe")),
        ("a line's end", LIVE.replace("_aaaqe", "_\naaqe")),
        (
            "full-width digits",
            LIVE.replacen("aaaqeayeaudaocaj", "aaaqeayeauda\u{ff12}a", 1),
        ),
        ("padding", LIVE.replace("dypqv", "dyp=v")),
    ];
    for (what, text) in cases {
        let text = with_checksum(&text);
        assert_eq!(text.len(), ApiKey::LEN, "{what}");
        assert!(ApiKey::parse(&text).is_err(), "{what}");
    }
    assert_eq!(with_checksum(LIVE), LIVE);
}

#[test]
fn a_second_spelling_of_the_checksum_is_refused() {
    // Seven characters hold 35 bits; the last three are no part of the 32.
    let last = LIVE.len() - 1;
    assert!(LIVE.ends_with('a'));
    for spelling in ["b", "c", "d", "e", "f", "g", "h", "A", "="] {
        let mut text = LIVE.to_owned();
        text.replace_range(last.., spelling);
        assert!(ApiKey::parse(&text).is_err(), "{spelling}");
    }
}

#[test]
fn what_stands_around_a_key_is_not_overlooked() {
    let texts = [
        String::new(),
        format!(" {LIVE}"),
        format!("{LIVE}\n"),
        format!("{LIVE}\0"),
        format!("{LIVE}="),
        format!("Bearer {LIVE}"),
        LIVE[..91].to_owned(),
        format!(" {}", &LIVE[..91]),
        LIVE.to_uppercase(),
        format!("\u{ff50}{}", &LIVE[3..]),
        "a".repeat(1 << 20),
        "\u{1f511}".repeat(23),
        "_".repeat(92),
    ];
    for text in texts {
        assert!(ApiKey::parse(&text).is_err(), "{text:.40}");
    }
}

#[test]
fn debug_shows_the_id_and_nothing_of_the_secret() {
    let key = ApiKey::parse(LIVE).unwrap();
    assert_eq!(
        format!("{key:?}"),
        "ApiKey { id: KeyId(aaaqeayeaudaocaj), .. }"
    );
}

proptest! {
    #[test]
    fn a_key_reads_back_as_itself(live in any::<bool>(), id in any::<[u8; 10]>(), secret in any::<[u8; 32]>()) {
        let environment = if live { Environment::Live } else { Environment::Test };
        let key = assembled(environment, id, secret);
        prop_assert_eq!(key.expose().len(), ApiKey::LEN);
        let read = ApiKey::parse(key.expose()).unwrap();
        prop_assert_eq!(read.environment(), environment);
        prop_assert_eq!((read.id(), *read.secret), (KeyId::from_bytes(id), secret));
    }

    #[test]
    fn what_parses_is_spelled_the_same(text in "portcullis_(live|test|liv|\u{e9})_[a-z2-7]{15,17}_[a-zA-Z2-7]{58,60}") {
        if let Ok(key) = ApiKey::parse(&text) {
            let again = ApiKey::assemble(key.environment(), key.id(), &key.secret);
            prop_assert_eq!(again.expose(), text);
        }
    }

    /// One half of the promise of the pattern: what a scanner finds is a key when its checksum is right
    /// and the last character of the secret ends where the secret does.
    #[test]
    fn what_a_scanner_finds_is_a_key_but_for_its_checksum(text in ApiKey::PATTERN) {
        prop_assert_eq!(text.len(), ApiKey::LEN);
        let ends = matches!(text.as_bytes()[84], b'a' | b'q');
        prop_assert_eq!(ApiKey::parse(&with_checksum(&text)).is_ok(), ends);
        prop_assert_eq!(ApiKey::parse(&text).is_ok(), ends && with_checksum(&text) == text);
    }
}
