use super::*;
use proptest::prelude::*;

const MASK: [u8; 32] = [0x5a; 32];

fn keyed() -> Keyed {
    Keyed::new(&Secret::from(vec![7; 32])).unwrap()
}

fn visitor(byte: u8) -> Holder {
    Holder::Visitor([byte; 16])
}

fn session(byte: u8) -> Holder {
    Holder::Session(SessionId::from_bytes([byte; 16]))
}

#[test]
fn a_cookie_reads_back_as_whose_it_is() {
    for holder in [visitor(3), session(3)] {
        let text = keyed().cookie(holder);
        assert_eq!(text.len(), COOKIE_LEN);
        assert_eq!(keyed().holder(text.as_bytes()), Some(holder));
    }
}

#[test]
fn a_cookie_of_another_key_is_nobodys() {
    let other = Keyed::new(&Secret::from(vec![8; 32])).unwrap();
    for holder in [visitor(3), session(3)] {
        assert_eq!(other.holder(keyed().cookie(holder).as_bytes()), None);
    }
}

#[test]
fn a_visitors_cookie_turned_into_a_sessions_or_the_other_way_is_nobodys() {
    for (from, to) in [(visitor(3), session(3)), (session(3), visitor(3))] {
        let made = Presented::parse(keyed().cookie(from).as_bytes()).unwrap();
        let turned = Presented { holder: to, ..made };
        assert_eq!(keyed().holder(turned.text().as_bytes()), None);
    }
}

#[test]
fn a_key_shorter_than_the_hash_is_refused() {
    for len in [0, 1, 31] {
        assert!(Keyed::new(&Secret::from(vec![7; len])).is_none());
    }
}

#[test]
fn what_is_not_spelled_exactly_so_is_no_cookie() {
    let good = keyed().cookie(session(3));
    let good = good.as_str();
    let cases = [
        String::new(),
        good[..70].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!("\"{good}\""),
        good.replacen("psc1_", "psc2_", 1),
        good.replacen("psc1_", "PSC1_", 1),
        good.replacen("psc1_Ag", "psc1_Aw", 1),
        good.replacen("psc1_Ag", "psc1_AA", 1),
        format!(" {}", &good[..70]),
        format!("{}\u{20ac}", &good[..68]),
        "A".repeat(1 << 20),
    ];
    for text in cases {
        assert!(Presented::parse(text.as_bytes()).is_none(), "{text:.80}");
    }
}

#[test]
fn a_csrf_token_of_another_session_visitor_kind_or_key_does_not_fit() {
    let other_key = Keyed::new(&Secret::from(vec![8; 32])).unwrap();
    let token = keyed().csrf(session(3), MASK);
    let text = token.expose().as_bytes();
    assert!(keyed().is_csrf(session(3), text));
    for other in [session(4), visitor(3), visitor(4)] {
        assert!(!keyed().is_csrf(other, text));
    }
    assert!(!other_key.is_csrf(session(3), text));
}

#[test]
fn neither_the_cookie_nor_its_tag_is_a_csrf_token() {
    let cookie = keyed().cookie(session(3));
    assert!(!keyed().is_csrf(session(3), cookie.as_bytes()));
    let tag = keyed().tag(COOKIE, session(3));
    let bytes = [MASK, masked(tag, &MASK)].concat();
    let text = BASE64URL_NOPAD.encode(&bytes);
    assert!(!keyed().is_csrf(session(3), text.as_bytes()));
}

#[test]
fn no_two_masks_give_one_text_and_every_one_fits() {
    let texts: Vec<_> = (0..=u8::MAX)
        .map(|byte| keyed().csrf(visitor(3), [byte; 32]))
        .collect();
    for (place, token) in texts.iter().enumerate() {
        assert!(keyed().is_csrf(visitor(3), token.expose().as_bytes()));
        let same = |other: &&CsrfToken| other.expose() == token.expose();
        assert_eq!(texts[place..].iter().filter(same).count(), 1);
        // Not even the half that is not the mask stays the same.
        let half = |token: &CsrfToken| token.expose()[44..].to_owned();
        let same = |other: &&CsrfToken| half(other) == half(token);
        assert_eq!(texts[place..].iter().filter(same).count(), 1);
    }
}

#[test]
fn what_is_not_spelled_exactly_so_is_no_csrf_token() {
    let token = keyed().csrf(visitor(3), MASK);
    let good = token.expose();
    for text in [
        String::new(),
        good[..85].to_owned(),
        format!("{good}="),
        format!("{good} "),
        format!("{good}{good}"),
        "A".repeat(86),
    ] {
        assert!(!keyed().is_csrf(visitor(3), text.as_bytes()), "{text}");
    }
}

#[test]
fn debug_shows_nothing_of_the_token() {
    let token = keyed().csrf(visitor(3), MASK);
    assert_eq!(format!("{token:?}"), "CsrfToken(..)");
}

proptest! {
    #[test]
    fn any_single_changed_character_is_refused(at in 0_usize..71, to in "[A-Za-z0-9_-]") {
        let mut text = keyed().cookie(session(3)).to_string();
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        prop_assert_eq!(keyed().holder(text.as_bytes()), None);
    }

    #[test]
    fn any_single_changed_character_of_a_csrf_token_is_refused(
        at in 0_usize..86, to in "[A-Za-z0-9_-]",
    ) {
        let mut text = keyed().csrf(session(3), MASK).expose().to_owned();
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        prop_assert!(!keyed().is_csrf(session(3), text.as_bytes()));
    }

    #[test]
    fn parsing_never_panics_and_what_parses_is_spelled_the_same(text in ".{0,80}") {
        if let Some(read) = Presented::parse(text.as_bytes()) {
            let again = read.text();
            prop_assert_eq!(again.as_str(), text);
        }
    }
}
